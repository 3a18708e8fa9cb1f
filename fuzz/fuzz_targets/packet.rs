//! Any bytes are a frame that is read or refused, and what is read is what a receiver takes: no byte behind the end of the
//! packet says anything, whole headers, nothing of a later fragment, one flow for both directions.
//!
//! Where the packet ends and what a header needs is worked out here from the bytes, by code that shares nothing with the
//! parser.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use sg_common::{
    flow::{self, Direction, First, FlowEntry, FlowKey, State, flags, packet_fields, timeout_index},
    packet::{
        self, Bytes, ETHERNET, Family, Frame, Icmp, Packet, Parsed, Part, Tag, embedded_offset, network,
        parse, tcp,
    },
    verdict::{Decision, Reason, Verdict},
};

const NIC: u16 = 7;
const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// In the receiver's Ethernet address, which nothing reads: whether the kernel calls the frame large.
const LARGE: u8 = 4;
/// Likewise, whether it took a tag off, which the next two bytes are.
const TAGGED: u8 = 8;

fuzz_target!(|bytes: &[u8]| {
    let is_large = bytes.first().is_some_and(|first| first & LARGE != 0);
    let tag = match bytes {
        [first, high, low, ..] if first & TAGGED != 0 => {
            Some(Tag { kind: 0x8100, control: u16::from_be_bytes([*high, *low]) })
        }
        _ => None,
    };
    let frame = Watched { bytes, is_large, tag, read: RefCell::default() };
    let parsed = parse(&frame);
    let read = frame.read.take();
    assert_eq!(parsed, parse(&frame), "the same bytes twice");
    let changed = without_the_unread(bytes, &read);
    assert_eq!(parsed, parse(&frame.with(&changed)), "a byte that nobody read counts");
    let ip = ip_of(bytes);
    let end = ip.and_then(|ip| Some(ip + receivers_end(&frame, ip)?));
    // Where it ends within the fixed part of its header, what says so would be overwritten.
    if let (Some(ip), Some(end)) = (ip, end)
        && (ip + 20..=bytes.len()).contains(&end)
    {
        check_trailer(&frame, end, &parsed);
    }
    match parsed {
        Parsed::Packet(packet) => {
            assert_eq!(Some(packet.end), end, "it ends elsewhere for its receiver");
            assert_eq!(
                packet.vlan.word(),
                vlan_of(&frame, ip.unwrap_or(ETHERNET)),
                "it is in another network"
            );
            let last = read.iter().map(|&(_, to)| to).max();
            assert!(last <= end, "{last:?} was read, and the packet ends at {end:?}");
            check_packet(bytes, &packet, ip.unwrap_or(ETHERNET), false);
            if packet.is_later_fragment() {
                check_later(&packet, &read);
            }
            check_quoted(&frame, &packet);
        }
        Parsed::Arp => assert!(bytes[12..].windows(2).step_by(2).any(|kind| kind == [0x08, 0x06])),
        Parsed::Refused(reason) => {
            assert!(matches!(reason, Reason::Malformed | Reason::NotIp | Reason::TooManyHeaders));
        }
    }
});

/// A frame that notes where it was read.
struct Watched<'a> {
    bytes: &'a [u8],
    is_large: bool,
    tag: Option<Tag>,
    read: RefCell<Vec<(usize, usize)>>,
}

impl Watched<'_> {
    /// The same of other bytes.
    fn with<'b>(&self, bytes: &'b [u8]) -> Watched<'b> {
        Watched { bytes, is_large: self.is_large, tag: self.tag, read: RefCell::default() }
    }
}

impl Frame for Watched<'_> {
    type Window<const N: usize> = Bytes<N>;

    fn length(&self) -> usize {
        self.bytes.len()
    }

    fn is_large(&self) -> bool {
        self.is_large
    }

    fn tag(&self) -> Option<Tag> {
        self.tag
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

/// Where the IP header begins, behind up to two tags.
fn ip_of(bytes: &[u8]) -> Option<usize> {
    (0..3).map(|tags| 12 + tags * 4).find_map(|at| {
        let before = (12..at)
            .step_by(4)
            .all(|tag| matches!(bytes.get(tag..tag + 2), Some([0x81, 0x00] | [0x88, 0xa8])));
        matches!(bytes.get(at..at + 2), Some([0x08, 0x00] | [0x86, 0xdd]))
            .then_some(at + 2)
            .filter(|_| before)
    })
}

/// The tags of the packet at `ip` that name a network: 16 bits each, the outer one above; 802.1ad ones have bit 12.
fn vlan_of(frame: &Watched<'_>, ip: usize) -> u32 {
    let inside = frame.bytes[12..ip - 2].chunks_exact(4);
    let inside = inside.map(|tag| (tag[0] == 0x88, u16::from_be_bytes([tag[2], tag[3]])));
    let tags = frame.tag.map(|tag| (false, tag.control)).into_iter().chain(inside);
    tags.filter(|(_, control)| control % 4096 != 0).fold(0, |word, (service, control)| {
        word * 65_536 + u32::from(control % 4096) + 4096 * u32::from(service)
    })
}

/// Where the packet at `offset` ends for its receiver, counted from there.
fn receivers_end(frame: &Watched<'_>, offset: usize) -> Option<usize> {
    let ip = frame.bytes.get(offset..)?;
    let is_v4 = frame.bytes.get(offset - 2..offset)? == [0x08, 0x00];
    let (at, header) = if is_v4 { (2, 0) } else { (4, 40) };
    let length = usize::from(u16::from_be_bytes([*ip.get(at)?, *ip.get(at + 1)?]));
    Some(if length == 0 && frame.is_large { ip.len() } else { header + length })
}

/// Other bytes behind the end of the packet, none, and more of them change nothing.
fn check_trailer(frame: &Watched<'_>, end: usize, parsed: &Parsed) {
    let (packet, trailer) = frame.bytes.split_at(end);
    let turned: Vec<u8> = packet.iter().copied().chain(trailer.iter().map(|byte| !byte)).collect();
    assert_eq!(parse(&frame.with(packet)), *parsed, "without its trailer");
    assert_eq!(parse(&frame.with(&turned)), *parsed, "with another trailer");
    // A large packet that has no length ends where the frame does.
    if !frame.is_large {
        let longer = [packet, &[0x2c; 64]].concat();
        assert_eq!(parse(&frame.with(&longer)), *parsed, "with a longer trailer");
    }
}

/// A later fragment begins anywhere in the transport header: nothing of it may be looked at.
fn check_later(packet: &Packet, read: &[(usize, usize)]) {
    let last = read.iter().map(|&(_, to)| to).max().unwrap_or(0);
    assert!(last <= packet.payload, "byte {last} of a later fragment was read");
    assert!(packet.offset > 0 && packet.payload < packet.end);
    let nothing = [packet.source_port, packet.l4_selector, packet.identifier, u16::from(packet.tcp_flags)];
    assert_eq!((nothing, packet.sequence, packet.acknowledgement, packet.header), ([0; 4], 0, 0, 0));
    assert_eq!(packet.icmp(), packet.is_icmp().then_some(Icmp::Other));
}

/// The packet at `offset`, which an ICMP error quotes or not.
fn check_packet(bytes: &[u8], packet: &Packet, offset: usize, is_quoted: bool) {
    assert!(packet.end <= bytes.len(), "the packet ends behind the frame");
    let ip = &bytes[offset..packet.end];
    assert!(packet.transport <= packet.end, "the transport header begins behind the packet");
    match packet.family {
        Family::V4 => {
            assert_eq!(packet.transport, offset + usize::from(ip[0] & 15) * 4);
            assert_eq!((packet.ip.hop_limit, packet.protocol), (ip[8], ip[9]));
            assert_eq!(packet.source.high, u64::from(be32(ip, 12)));
            assert_eq!(packet.destination.high, u64::from(be32(ip, 16)));
            assert_eq!((packet.source.low, packet.destination.low), (0, 0));
        }
        Family::V6 => {
            let behind = packet.transport - offset;
            assert!(behind >= 40 && behind.is_multiple_of(8));
            assert_eq!(packet.ip.hop_limit, ip[7]);
            assert!(!matches!(packet.protocol, 0 | 43 | 44 | 60) || packet.is_later_fragment());
            for (address, at) in [(packet.source, 8), (packet.destination, 24)] {
                assert_eq!(address.high, u64::from(be32(ip, at)) << 32 | u64::from(be32(ip, at + 4)));
                assert_eq!(address.low, u64::from(be32(ip, at + 8)) << 32 | u64::from(be32(ip, at + 12)));
            }
        }
    }
    if packet.part != Part::Whole && !is_quoted {
        let length = packet.end - packet.payload;
        assert!(length > 0 && packet.fragment_end() <= 65_535);
        assert!(packet.part == Part::Last || length.is_multiple_of(8), "{length} bytes, and more to come");
    }
    if !packet.is_later_fragment() {
        check_transport(&bytes[packet.transport..packet.end], packet, is_quoted);
    }
    for direction in DIRECTIONS {
        check_flow(packet, direction);
    }
}

/// `transport` is what the packet has from its transport header on.
fn check_transport(transport: &[u8], packet: &Packet, is_quoted: bool) {
    let has_ports = matches!(packet.protocol, 6 | 17 | 33 | 132 | 136);
    let is_icmp = packet.protocol == if packet.family == Family::V4 { 1 } else { 58 };
    let needed = match packet.protocol {
        _ if is_quoted && (has_ports || is_icmp) => 8,
        6 => 20,
        33 | 132 => 12,
        _ if has_ports || is_icmp => 8,
        _ => 0,
    };
    assert!(transport.len() >= needed, "{} bytes of protocol {}", transport.len(), packet.protocol);
    if has_ports {
        assert_eq!(u32::from(packet.source_port) << 16 | u32::from(packet.l4_selector), be32(transport, 0));
        assert_eq!(packet.identifier, 0);
    } else if is_icmp {
        assert_eq!(u32::from(packet.l4_selector), be32(transport, 0) >> 16);
        assert_eq!(u32::from(packet.identifier), be32(transport, 4) >> 16);
    } else {
        assert_eq!((packet.source_port, packet.l4_selector, packet.identifier), (0, 0, 0));
        assert!(packet.part == Part::Whole || is_quoted || !transport.is_empty());
    }
    if packet.protocol == packet::protocol::TCP && !is_quoted {
        let header = usize::from(transport[12] >> 4) * 4;
        assert!(header >= 20 && (header <= transport.len() || packet.part == Part::First));
        assert_eq!((packet.header as usize, packet.tcp_flags), (header, transport[13]));
    } else {
        // An association is asked for by the type of the first chunk, which has a header of four bytes.
        let is_init = packet.protocol == 132 && !is_quoted && transport.len() >= 16 && transport[12] == 1;
        assert_eq!((packet.header, packet.tcp_flags), (0, if is_init { 2 } else { 0 }));
        assert_eq!(packet.requests_connection(), is_init);
    }
}

/// The packet that an ICMP error quotes is read by the same code and went the other way; it ends with the error.
fn check_quoted(frame: &Watched<'_>, error: &Packet) {
    if error.icmp() != Some(Icmp::Error) {
        return;
    }
    let offset = embedded_offset(error);
    let quoted = |bytes: &[u8]| {
        // To where another packet was read before.
        let mut packet = *error;
        network(&frame.with(bytes), error.family, offset, Some(error.end), &mut packet).map(|()| packet)
    };
    let found = quoted(frame.bytes);
    assert_eq!(found, quoted(&frame.bytes[..error.end]), "without the trailer of the error");
    match found {
        Ok(packet) => {
            assert!(packet.transport > offset && packet.end <= error.end);
            check_packet(frame.bytes, &packet, offset, true);
        }
        Err(reason) => {
            assert!(matches!(reason, Reason::Malformed | Reason::TooManyHeaders));
        }
    }
}

fn check_flow(packet: &Packet, direction: Direction) {
    let Some(key) = FlowKey::of(NIC, direction, packet) else {
        assert!(matches!(packet.icmp(), Some(Icmp::Error | Icmp::Other)));
        assert!(!flow::opens(packet));
        return;
    };
    assert_eq!((key.l4.nic(), key.l4.protocol(), key.l4.family()), (NIC, packet.protocol, packet.family));
    let reply = reply_to(packet);
    assert_eq!(Some(key), FlowKey::of(NIC, direction.reversed(), &reply), "a reply is of another flow");
    if packet.icmp().is_some() {
        // A question the other way, with the same identifier, is a flow of its own.
        let other_way = Packet { l4_selector: packet.l4_selector, ..reply };
        assert_ne!(Some(key), FlowKey::of(NIC, direction.reversed(), &other_way));
    }
    if packet.icmp().is_none() || packet.icmp() == Some(Icmp::EchoRequest) && packet.l4_selector as u8 == 0 {
        assert_eq!(
            key.original(First::of(packet, direction)),
            packet_fields(direction, packet),
            "the flow forgot its first packet"
        );
    }
    check_life(&key, packet, &reply, direction);
}

fn reply_to(packet: &Packet) -> Packet {
    let swapped = Packet { source: packet.destination, destination: packet.source, ..*packet };
    let other_type = |kind: u16| Packet { l4_selector: kind << 8 | packet.l4_selector & 0xff, ..swapped };
    match (packet.icmp(), packet.family) {
        (Some(Icmp::EchoRequest), Family::V4) => other_type(0),
        (Some(Icmp::EchoRequest), Family::V6) => other_type(129),
        (Some(Icmp::EchoReply), Family::V4) => other_type(8),
        (Some(Icmp::EchoReply), Family::V6) => other_type(128),
        _ => Packet { source_port: packet.l4_selector, l4_selector: packet.source_port, ..swapped },
    }
}

/// Packets back and forth: a flow goes forward only, and is closing only where TCP says so.
fn check_life(key: &FlowKey, packet: &Packet, reply: &Packet, direction: Direction) {
    let accepted = Decision::new(Verdict::Accept, Reason::Rule, 1);
    let mut entry = FlowEntry::open(packet, direction, accepted, 1, 60, 100);
    let is_tcp = packet.protocol == packet::protocol::TCP;
    let steps =
        [(packet, direction), (packet, direction), (reply, direction.reversed()), (packet, direction)];
    for (now, (seen, way)) in (101..).zip(steps) {
        let before = entry;
        let reply = way != direction;
        entry.observe(seen, way, 60, now);
        assert!(
            entry.state() >= before.state(),
            "a flow went back from {} to {}",
            before.state(),
            entry.state()
        );
        // A reset that acknowledges nothing is no reply.
        let is_reset = is_tcp && seen.tcp_flags & tcp::RST != 0;
        assert!(!reply || is_reset || entry.state() != State::New as u8);
        let both_fins = entry.flags() & (flags::FIN_ORIGINAL | flags::FIN_REPLY) == 3;
        let closes = is_tcp && (both_fins || is_reset);
        assert!(entry.state() != State::Closing as u8 || closes || before.state() == State::Closing as u8);
        assert_eq!(entry.last_seen, now);
        assert_eq!(entry.packets[usize::from(reply)], before.packets[usize::from(reply)] + 1);
        assert_eq!(entry.bytes[usize::from(!reply)], before.bytes[usize::from(!reply)]);
        assert!(timeout_index(key.l4.family(), key.l4.protocol(), entry.state()) < 8);
        assert!(!entry.is_expired(key.l4, &[0; 8], now) && entry.is_expired(key.l4, &[0; 8], now + 1));
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
