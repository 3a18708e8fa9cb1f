//! Rejects, read back by another parser, which also checks their sums; and who is told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod frames;

use etherparse::{InternetSlice, SlicedPacket, TransportSlice, err::packet::SliceError};
use frames::{DESTINATION4, SOURCE4, ethernet, extension, icmp, ipv4, ipv4_header, ipv6, sctp, tcp, udp};
use sg_common::{
    flow::Direction,
    packet::{Family, Packet, Parsed, Payload, ethernet as read_ethernet, network, parse},
    reject::{Delivery, Link, MAX, RejectPacket, between, gets_reject, local, remote},
};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// The bytes of the reject for `frame`; none where its sender is not told.
fn reject_of(frame: &[u8]) -> Option<Vec<u8>> {
    let Parsed::Packet(packet) = parse(&frame) else { panic!("no packet: {frame:?}") };
    let (Payload::Ip(_, offset), _) = read_ethernet(&frame) else { panic!("not IP: {frame:?}") };
    if !gets_reject(&packet) || !Link::read(&frame).unwrap().is_between_two() {
        return None;
    }
    let mut reject = RejectPacket::default();
    assert!(reject.to(&frame, offset, &packet));
    let header = if frame[offset] >> 4 == 4 { 20 } else { 40 };
    assert_eq!(offset + header + between(&packet, offset) as usize, packet.transport);
    let back: Vec<u8> = reject.ethernet.iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(back[..offset], [&frame[6..12], &frame[..6], &frame[12..offset]].concat());
    let bytes: Vec<u8> = reject.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Some(bytes[..reject.length as usize].to_vec())
}

fn read(bytes: &[u8]) -> Result<SlicedPacket<'_>, SliceError> {
    SlicedPacket::from_ip(bytes)
}

/// That the reject goes back where `frame` came from, with a right header.
fn ends(bytes: &[u8]) -> ([Vec<u8>; 2], u8) {
    let packet = read(bytes).unwrap();
    match packet.net.unwrap() {
        InternetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            assert_eq!(usize::from(header.total_len()), bytes.len());
            ([header.source().to_vec(), header.destination().to_vec()], header.ttl())
        }
        InternetSlice::Ipv6(ip) => {
            let header = ip.header();
            assert_eq!(usize::from(header.payload_length()) + 40, bytes.len());
            ([header.source().to_vec(), header.destination().to_vec()], header.hop_limit())
        }
        other @ InternetSlice::Arp(_) => panic!("{other:?}"),
    }
}

fn check_tcp(bytes: &[u8]) -> etherparse::TcpHeader {
    let packet = read(bytes).unwrap();
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { panic!("no TCP: {bytes:?}") };
    let sum = match packet.net.unwrap() {
        InternetSlice::Ipv4(ip) => tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination()),
        InternetSlice::Ipv6(ip) => tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()),
        other @ InternetSlice::Arp(_) => panic!("{other:?}"),
    };
    assert_eq!(sum.unwrap(), tcp.checksum());
    tcp.to_header()
}

/// What an ICMP error quotes.
fn check_icmp(bytes: &[u8]) -> (u8, u8, Vec<u8>) {
    let packet = read(bytes).unwrap();
    match (packet.transport, packet.net.unwrap()) {
        (Some(TransportSlice::Icmpv4(message)), InternetSlice::Ipv4(_)) => {
            assert_eq!(message.checksum(), message.icmp_type().calc_checksum(message.payload()));
            (message.type_u8(), message.code_u8(), message.payload().to_vec())
        }
        (Some(TransportSlice::Icmpv6(message)), InternetSlice::Ipv6(ip)) => {
            assert!(message.is_checksum_valid(ip.header().source(), ip.header().destination()));
            (message.type_u8(), message.code_u8(), message.payload().to_vec())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tcp_packet_is_reset_as_a_closed_port_would() {
    // (flags, bytes of payload) and (sequence, acknowledgement, ACK) of the reset. The packets have sequence 1 and
    // acknowledge 0.
    for ((flags, payload), (sequence, acknowledgement, ack)) in [
        ((SYN, 0), (0, 2, true)),
        ((SYN, 5), (0, 7, true)),
        ((FIN, 5), (0, 7, true)),
        ((0, 5), (0, 6, true)),
        ((SYN | ACK, 0), (0, 0, false)),
        ((ACK, 9), (0, 0, false)),
    ] {
        let segment = [tcp(40_000, 22, flags), vec![7; payload]].concat();
        for frame in [ipv4(6, &segment), ipv6(6, &segment)] {
            let bytes = reject_of(&frame).unwrap();
            let header = check_tcp(&bytes);
            let got = (header.sequence_number, header.acknowledgment_number, header.ack);
            assert_eq!(got, (sequence, acknowledgement, ack), "{flags}");
            assert!(header.rst && !header.syn && !header.fin);
            assert_eq!((header.source_port, header.destination_port), (22, 40_000));
        }
    }
    let ([source, destination], hops) = ends(&reject_of(&ipv4(6, &tcp(1, 2, SYN))).unwrap());
    assert_eq!((source, destination, hops), (DESTINATION4.to_vec(), SOURCE4.to_vec(), 64));
}

#[test]
fn a_reset_acknowledges_what_is_acknowledged() {
    let mut segment = tcp(1, 2, ACK);
    segment[8..12].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
    let header = check_tcp(&reject_of(&ipv4(6, &segment)).unwrap());
    assert_eq!((header.sequence_number, header.ack), (0xdead_beef, false));
}

#[test]
fn whatever_stands_before_the_segment_it_is_reset() {
    let chains = [
        extension(6, 1),
        [extension(60, 2), extension(6, 8)].concat(),
        [extension(60, 255), extension(6, 255)].concat(),
    ];
    let plain = reject_of(&ipv6(6, &tcp(1, 2, SYN)));
    for chain in chains {
        assert_eq!(reject_of(&ipv6(0, &[chain, tcp(1, 2, SYN)].concat())), plain);
    }
    let plain = reject_of(&ipv4(6, &tcp(1, 2, SYN)));
    for options in (4..=40).step_by(4) {
        let frame = ethernet(0x0800, &ipv4_header(6, &vec![1; options], &tcp(1, 2, SYN)));
        assert_eq!(reject_of(&frame), plain, "{options}");
    }
}

#[test]
fn others_are_told_by_icmp_which_quotes_them() {
    let long = vec![0x55; 1000];
    let transports = [
        (17, [udp(5, 53), long.clone()].concat()),
        (132, sctp(1, 2)),
        (47, vec![0, 0, 8, 0]),
        (99, long.clone()),
    ];
    for (protocol, payload) in transports {
        for (frame, wanted, header) in
            [(ipv4(protocol, &payload), (3, 13), 20), (ipv6(protocol, &payload), (1, 1), 40)]
        {
            let bytes = reject_of(&frame).unwrap();
            ends(&bytes);
            let (kind, code, quote) = check_icmp(&bytes);
            assert_eq!((kind, code), wanted, "{protocol}");
            assert_eq!(quote, &frame[14..14 + header + payload.len().min(8)], "{protocol}");
        }
    }
    let ping = reject_of(&ipv4(1, &icmp(8, 0, 7, &long))).unwrap();
    assert_eq!(check_icmp(&ping).2.len(), 28);
    let ping = reject_of(&ipv6(58, &icmp(128, 0, 7, &long))).unwrap();
    assert_eq!(check_icmp(&ping).2.len(), 48);
}

#[test]
fn headers_between_are_quoted_as_long_as_there_is_room() {
    let options = ethernet(0x0800, &ipv4_header(17, &[1; 40], &udp(1, 2)));
    let (_, _, quote) = check_icmp(&reject_of(&options).unwrap());
    assert_eq!(quote, &options[14..14 + 60 + 8]);

    let some = ipv6(0, &[extension(17, 8), udp(1, 2)].concat());
    assert_eq!(check_icmp(&reject_of(&some).unwrap()).2, &some[14..14 + 40 + 64 + 8]);
    let many = ipv6(0, &[extension(17, 20), udp(1, 2)].concat());
    let bytes = reject_of(&many).unwrap();
    assert_eq!(bytes.len(), MAX);
    assert_eq!(check_icmp(&bytes).2, &many[14..14 + 40 + 64 + 8]);
}

#[test]
fn behind_a_tag_begins_the_same_packet() {
    let plain = ipv4_header(17, &[], &udp(1, 2));
    let tagged = ethernet(0x8100, &[&[0, 5, 8, 0][..], &plain].concat());
    assert_eq!(reject_of(&tagged), reject_of(&ethernet(0x0800, &plain)));
}

/// A packet of a tunnel is rejected as the same one behind an Ethernet header, and is between two whoever they are.
#[test]
fn without_an_ethernet_header_it_is_the_same_packet() {
    assert!(Link::TUNNEL.is_between_two());
    for plain in [ipv4_header(17, &[], &udp(1, 2)), ipv4_header(6, &[], &tcp(1, 2, SYN))] {
        let mut packet = Packet::EMPTY;
        network(&&plain[..], Family::V4, 0, None, &mut packet).unwrap();
        let mut alone = RejectPacket::default();
        assert!(alone.to(&&plain[..], 0, &packet));
        assert_eq!((alone.offset, alone.ethernet), (0, RejectPacket::default().ethernet));
        let bytes: Vec<u8> = alone.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(reject_of(&ethernet(0x0800, &plain)), Some(bytes[..alone.length as usize].to_vec()));
    }
}

#[test]
fn nobody_is_told_twice_or_for_others() {
    let silent = [
        ipv4(6, &tcp(1, 2, RST)),
        ipv4(6, &tcp(1, 2, RST | ACK)),
        ipv4(1, &icmp(3, 3, 0, &[0; 28])),
        ipv4(1, &icmp(0, 0, 0, &[])),
        ipv6(58, &icmp(1, 1, 0, &[0; 48])),
        ipv6(58, &icmp(129, 0, 0, &[])),
    ];
    for frame in silent {
        assert_eq!(reject_of(&frame), None);
    }
    // By Ethernet, and a later fragment.
    let asked = ipv4(17, &udp(1, 2));
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut frame = asked.clone();
        change(&mut frame);
        reject_of(&frame)
    };
    assert!(changed(|_| {}).is_some());
    assert_eq!(changed(|frame| frame[0] |= 1), None, "to a group");
    assert_eq!(changed(|frame| frame[6] |= 1), None, "from a group");
    assert_eq!(changed(|frame| frame[6..12].fill(0xff)), None, "from everybody");
    assert_eq!(changed(|frame| frame[6..12].fill(0)), None, "from nobody");
    assert_eq!(changed(|frame| frame.copy_within(..6, 6)), None, "from whom it is to");
    assert_eq!(changed(|frame| frame[21] = 1), None);
}

#[test]
fn an_address_that_cannot_be_one_interfaces_is_neither_told_nor_spoken_for() {
    let with = |frame: &[u8], at: usize, address: &[u8]| {
        let mut frame = frame.to_vec();
        frame[at..at + address.len()].copy_from_slice(address);
        reject_of(&frame).is_some()
    };
    let v4: [([u8; 4], bool); 14] = [
        ([0, 0, 0, 0], false),
        ([0, 1, 2, 3], false),
        ([1, 0, 0, 0], true),
        ([126, 255, 255, 255], true),
        ([127, 0, 0, 0], false),
        ([127, 255, 255, 255], false),
        ([128, 0, 0, 0], true),
        ([169, 254, 1, 1], true),
        ([223, 255, 255, 255], true),
        ([224, 0, 0, 1], false),
        ([239, 255, 255, 255], false),
        ([240, 0, 0, 1], false),
        ([255, 255, 255, 254], false),
        ([255, 255, 255, 255], false),
    ];
    for (address, told) in v4 {
        for frame in [ipv4(17, &udp(1, 2)), ipv4(6, &tcp(1, 2, SYN))] {
            for at in [26, 30] {
                assert_eq!(with(&frame, at, &address), told, "{address:?} at {at}");
            }
        }
    }
    let v6: [(&str, bool); 12] = [
        ("::", false),
        ("::1", false),
        ("::10.0.0.1", false),
        ("::ffff:10.0.0.1", false),
        ("::fffe:10.0.0.1", true),
        ("64:ff9b::10.0.0.1", true),
        ("fe80::1", true),
        ("fd00::1", true),
        ("feff::1", true),
        ("ff02::1", false),
        ("ff0e::1:1", false),
        ("2001:db8::", true),
    ];
    for (address, told) in v6 {
        let bytes = address.parse::<std::net::Ipv6Addr>().unwrap().octets();
        for frame in [ipv6(17, &udp(1, 2)), ipv6(6, &tcp(1, 2, SYN))] {
            for at in [22, 38] {
                assert_eq!(with(&frame, at, &bytes), told, "{address} at {at}");
            }
        }
    }
}

#[test]
fn a_frame_is_the_nics_where_somebody_knows() {
    let frame = ipv4(17, &udp(1, 2));
    let link = Link::read(&&frame[..]).unwrap();
    let ends = [Direction::Ingress, Direction::Egress].map(|direction| link.local(direction));
    let [to, from] = [0x0200_0000_0002, 0x0200_0000_0001];
    assert_eq!(ends, [to, from]);
    let [ingress, egress] = [Direction::Ingress, Direction::Egress];
    for (delivery, direction, mac, own) in [
        (Delivery::Own, ingress, 0, true),
        (Delivery::Own, ingress, from, true),
        (Delivery::Other, ingress, to, false),
        (Delivery::Unknown, ingress, to, true),
        (Delivery::Unknown, ingress, from, false),
        (Delivery::Unknown, ingress, 0, false),
        (Delivery::Unknown, egress, from, true),
        (Delivery::Unknown, egress, to, false),
        (Delivery::Unknown, egress, 0, true),
    ] {
        assert_eq!(delivery.is_own(link, direction, mac), own, "{delivery:?} {direction:?} {mac:x}");
    }
    let mut nobody = frame.clone();
    nobody[..6].fill(0);
    assert!(
        !Delivery::Unknown.is_own(Link::read(&&nobody[..]).unwrap(), ingress, 0),
        "nobody's is not the unknown one"
    );
    assert_eq!(Link::read(&&frame[..11]), None);

    let Parsed::Packet(packet) = parse(&&frame[..]) else { panic!() };
    let [own, other] = [packet.destination, packet.source];
    assert_eq!((local(&packet, Direction::Ingress), remote(&packet, Direction::Ingress)), (own, other));
    assert_eq!((local(&packet, Direction::Egress), remote(&packet, Direction::Egress)), (other, own));
}

#[test]
fn a_reject_is_never_rejected() {
    for frame in
        [ipv4(6, &tcp(1, 2, SYN)), ipv4(17, &udp(1, 2)), ipv6(6, &tcp(1, 2, ACK)), ipv6(17, &udp(1, 2))]
    {
        let kind = if frame[12] == 8 { 0x0800 } else { 0x86dd };
        let back = ethernet(kind, &reject_of(&frame).unwrap());
        let Parsed::Packet(packet) = parse(&&back[..]) else { panic!("{back:?}") };
        assert!(!gets_reject(&packet));
    }
}
