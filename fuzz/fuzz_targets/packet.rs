//! Any bytes are a frame that is read or refused, and what is read keeps its promises: nothing behind the frame,
//! no ports of a later fragment, one flow for both directions.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use sg_common::{
    flow::{self, Direction, FlowEntry, FlowKey, State, flags, packet_keys, timeout_index},
    packet::{
        self, Bytes, ETHERNET, Family, Frame, Icmp, Packet, Parsed, embedded_offset, has_ports, network,
        parse, tcp,
    },
    verdict::{Decision, Reason, Verdict},
};

const NIC: u16 = 7;
const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

fuzz_target!(|bytes: &[u8]| {
    let frame = Watched { bytes, read: RefCell::default() };
    let parsed = parse(&frame);
    let read = frame.read.into_inner();
    assert_eq!(parsed, parse(&bytes), "the same bytes twice");
    assert_eq!(parsed, parse(&&without_the_unread(bytes, &read)[..]), "a byte that nobody read counts");
    match parsed {
        Parsed::Packet(packet) => {
            check_packet(bytes, &packet, ETHERNET);
            check_embedded(bytes, &packet);
        }
        Parsed::Arp => assert_eq!(bytes[12..14], [0x08, 0x06]),
        Parsed::Refused(Reason::Fragment) => check_fragment(bytes, &read),
        Parsed::Refused(reason) => {
            assert!(matches!(reason, Reason::Malformed | Reason::NotIp | Reason::TooManyHeaders));
        }
    }
});

/// A frame that notes where it was read.
struct Watched<'a> {
    bytes: &'a [u8],
    read: RefCell<Vec<(usize, usize)>>,
}

impl Frame for Watched<'_> {
    type Window<const N: usize> = Bytes<N>;

    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn window<const N: usize>(&self, offset: usize) -> Option<Bytes<N>> {
        let window = self.bytes.window::<N>(offset)?;
        self.read.borrow_mut().push((offset, offset + N));
        Some(window)
    }
}

/// The frame with everything turned around that no window showed.
fn without_the_unread(bytes: &[u8], read: &[(usize, usize)]) -> Vec<u8> {
    let mut changed: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
    for &(from, to) in read {
        changed[from..to].copy_from_slice(&bytes[from..to]);
    }
    changed
}

/// A later fragment begins anywhere in the transport header: nothing of it may be looked at.
fn check_fragment(bytes: &[u8], read: &[(usize, usize)]) {
    let last = read.iter().map(|&(_, to)| to).max().unwrap_or(0);
    if bytes[12..14] == [0x08, 0x00] {
        assert!(last <= ETHERNET + 20, "byte {last} of a later fragment was read");
        assert_ne!(u16::from_be_bytes([bytes[20], bytes[21]]) & 0x1fff, 0);
    } else {
        let (from, to) = read[read.len() - 1];
        assert_eq!((to, to - from), (last, 8), "something behind the fragment header was read");
        assert_ne!(u16::from_be_bytes([bytes[from + 2], bytes[from + 3]]) >> 3, 0);
    }
}

fn check_packet(bytes: &[u8], packet: &Packet, offset: usize) {
    let ip = &bytes[offset..];
    assert!(packet.transport <= bytes.len(), "the transport header begins behind the frame");
    match packet.family {
        Family::V4 => {
            assert_eq!(packet.transport, offset + usize::from(ip[0] & 15) * 4);
            assert_eq!((packet.hop_limit, packet.protocol), (ip[8], ip[9]));
            assert_eq!(packet.source.high, u64::from(be32(ip, 12)));
            assert_eq!(packet.destination.high, u64::from(be32(ip, 16)));
            assert_eq!((packet.source.low, packet.destination.low), (0, 0));
        }
        Family::V6 => {
            let behind = packet.transport - offset;
            assert!(behind >= 40 && behind.is_multiple_of(8));
            assert_eq!(packet.hop_limit, ip[7]);
            for (address, at) in [(packet.source, 8), (packet.destination, 24)] {
                assert_eq!(address.high, u64::from(be32(ip, at)) << 32 | u64::from(be32(ip, at + 4)));
                assert_eq!(address.low, u64::from(be32(ip, at + 8)) << 32 | u64::from(be32(ip, at + 12)));
            }
        }
    }
    let transport = &bytes[packet.transport..];
    if has_ports(packet.protocol) {
        assert_eq!(u32::from(packet.source_port) << 16 | u32::from(packet.detail), be32(transport, 0));
        assert_eq!(packet.identifier, 0);
    } else if packet.is_icmp() {
        assert_eq!(u32::from(packet.detail), be32(transport, 0) >> 16);
        assert_eq!(u32::from(packet.identifier), be32(transport, 4) >> 16);
    } else {
        assert_eq!((packet.source_port, packet.detail, packet.identifier), (0, 0, 0));
    }
    let flags = if packet.protocol == packet::protocol::TCP { transport.get(13).copied() } else { None };
    assert_eq!(packet.tcp_flags, flags.unwrap_or(0));
    for direction in DIRECTIONS {
        check_flow(packet, direction);
    }
}

/// The packet that an ICMP error speaks about is read by the same code and went the other way.
fn check_embedded(bytes: &[u8], error: &Packet) {
    if error.icmp() != Some(Icmp::Error) {
        return;
    }
    let offset = embedded_offset(error);
    // To where another packet was read before.
    let mut embedded = *error;
    match network(&bytes, error.family, offset, &mut embedded) {
        Ok(()) => {
            assert!(embedded.transport > offset);
            check_packet(bytes, &embedded, offset);
        }
        Err(reason) => {
            assert!(matches!(reason, Reason::Malformed | Reason::Fragment | Reason::TooManyHeaders));
        }
    }
}

fn check_flow(packet: &Packet, direction: Direction) {
    let Some(key) = FlowKey::of(NIC, direction, packet) else {
        assert!(matches!(packet.icmp(), Some(Icmp::Error | Icmp::Other)));
        assert!(!flow::opens(packet));
        return;
    };
    assert_eq!(
        (key.talk.nic(), key.talk.protocol(), key.talk.family()),
        (NIC, packet.protocol, packet.family)
    );
    let answer = answer_to(packet);
    assert_eq!(Some(key), FlowKey::of(NIC, direction.reversed(), &answer), "an answer is of another flow");
    if packet.icmp().is_some() {
        // A question the other way, with the same identifier, is a flow of its own.
        let other_way = Packet { detail: packet.detail, ..answer };
        assert_ne!(Some(key), FlowKey::of(NIC, direction.reversed(), &other_way));
    }
    if packet.icmp().is_none() || packet.icmp() == Some(Icmp::EchoRequest) && packet.detail as u8 == 0 {
        assert_eq!(
            key.original(direction),
            packet_keys(direction, packet),
            "the flow forgot its first packet"
        );
    }
    check_life(&key, packet, &answer, direction);
}

fn answer_to(packet: &Packet) -> Packet {
    let swapped = Packet { source: packet.destination, destination: packet.source, ..*packet };
    let other_type = |kind: u16| Packet { detail: kind << 8 | packet.detail & 0xff, ..swapped };
    match (packet.icmp(), packet.family) {
        (Some(Icmp::EchoRequest), Family::V4) => other_type(0),
        (Some(Icmp::EchoRequest), Family::V6) => other_type(129),
        (Some(Icmp::EchoReply), Family::V4) => other_type(8),
        (Some(Icmp::EchoReply), Family::V6) => other_type(128),
        _ => Packet { source_port: packet.detail, detail: packet.source_port, ..swapped },
    }
}

/// Packets back and forth: a flow goes forward only, and is closing only where TCP says so.
fn check_life(key: &FlowKey, packet: &Packet, answer: &Packet, direction: Direction) {
    let accepted = Decision::new(Verdict::Accept, Reason::Rule, 1);
    let mut entry = FlowEntry::open(packet, direction, accepted, 1, 60, 100);
    let is_tcp = packet.protocol == packet::protocol::TCP;
    let steps =
        [(packet, direction), (packet, direction), (answer, direction.reversed()), (packet, direction)];
    for (now, (seen, way)) in (101..).zip(steps) {
        let before = entry;
        let reply = way != direction;
        entry.observe(seen, way, 60, now);
        assert!(entry.state >= before.state, "a flow went back from {} to {}", before.state, entry.state);
        // A reset that answers nothing is no answer.
        let is_reset = is_tcp && seen.tcp_flags & tcp::RST != 0;
        assert!(!reply || is_reset || entry.state != State::New as u8);
        let both_fins = entry.flags & (flags::FIN_ORIGINAL | flags::FIN_REPLY) == 3;
        assert!(!both_fins || entry.state == State::Closing as u8);
        let closes = is_tcp && (both_fins || is_reset);
        assert!(entry.state != State::Closing as u8 || closes || before.state == State::Closing as u8);
        assert_eq!(entry.last_seen, now);
        assert_eq!(entry.packets[usize::from(reply)], before.packets[usize::from(reply)] + 1);
        assert_eq!(entry.bytes[usize::from(!reply)], before.bytes[usize::from(!reply)]);
        assert!(timeout_index(key.talk.family(), key.talk.protocol(), entry.state) < 8);
        assert!(!entry.is_expired(key, &[0; 8], now) && entry.is_expired(key, &[0; 8], now + 1));
    }
    assert_eq!(entry.packets, [4, 1]);
    assert_eq!(
        (entry.decision, entry.opened, entry.generation, entry.direction()),
        (accepted.word(), 100, 1, direction)
    );
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, &byte| word << 8 | u32::from(byte))
}
