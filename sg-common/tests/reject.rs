//! Answers to rejected packets, read back by another parser, which also checks their sums.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod frames;

use etherparse::{InternetSlice, SlicedPacket, TransportSlice, err::packet::SliceError};
use frames::{DESTINATION4, SOURCE4, ethernet, extension, icmp, ipv4, ipv4_header, ipv6, sctp, tcp, udp};
use sg_common::{
    packet::{Parsed, Payload, ethernet as read_ethernet, parse},
    reject::{Answer, MAX, is_answered, may_answer},
};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// The bytes of the answer to `frame`.
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let Parsed::Packet(packet) = parse(&frame) else { panic!("no packet: {frame:?}") };
    let Payload::Ip(_, offset) = read_ethernet(&frame) else { panic!("not IP: {frame:?}") };
    let mut answer = Answer::default();
    if !answer.to(&frame, offset, &packet) {
        return None;
    }
    let back: Vec<u8> = answer.ethernet.iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!(back[..offset], [&frame[6..12], &frame[..6], &frame[12..offset]].concat());
    let bytes: Vec<u8> = answer.words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Some(bytes[..answer.length as usize].to_vec())
}

fn read(bytes: &[u8]) -> Result<SlicedPacket<'_>, SliceError> {
    SlicedPacket::from_ip(bytes)
}

/// That the answer goes back where `frame` came from, with a right header.
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
            let bytes = answer(&frame).unwrap();
            let header = check_tcp(&bytes);
            let got = (header.sequence_number, header.acknowledgment_number, header.ack);
            assert_eq!(got, (sequence, acknowledgement, ack), "{flags}");
            assert!(header.rst && !header.syn && !header.fin);
            assert_eq!((header.source_port, header.destination_port), (22, 40_000));
        }
    }
    let ([source, destination], hops) = ends(&answer(&ipv4(6, &tcp(1, 2, SYN))).unwrap());
    assert_eq!((source, destination, hops), (DESTINATION4.to_vec(), SOURCE4.to_vec(), 64));
}

#[test]
fn a_reset_acknowledges_what_is_acknowledged() {
    let mut segment = tcp(1, 2, ACK);
    segment[8..12].copy_from_slice(&0xdead_beef_u32.to_be_bytes());
    let header = check_tcp(&answer(&ipv4(6, &segment)).unwrap());
    assert_eq!((header.sequence_number, header.ack), (0xdead_beef, false));
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
            let bytes = answer(&frame).unwrap();
            ends(&bytes);
            let (kind, code, quote) = check_icmp(&bytes);
            assert_eq!((kind, code), wanted, "{protocol}");
            assert_eq!(quote, &frame[14..14 + header + payload.len().min(8)], "{protocol}");
        }
    }
    let ping = answer(&ipv4(1, &icmp(8, 0, 7, &long))).unwrap();
    assert_eq!(check_icmp(&ping).2.len(), 28);
    let ping = answer(&ipv6(58, &icmp(128, 0, 7, &long))).unwrap();
    assert_eq!(check_icmp(&ping).2.len(), 48);
}

#[test]
fn headers_between_are_quoted_as_long_as_there_is_room() {
    let options = ethernet(0x0800, &ipv4_header(17, &[1; 40], &udp(1, 2)));
    let (_, _, quote) = check_icmp(&answer(&options).unwrap());
    assert_eq!(quote, &options[14..14 + 60 + 8]);

    let some = ipv6(0, &[extension(17, 8), udp(1, 2)].concat());
    assert_eq!(check_icmp(&answer(&some).unwrap()).2, &some[14..14 + 40 + 64 + 8]);
    let many = ipv6(0, &[extension(17, 20), udp(1, 2)].concat());
    let bytes = answer(&many).unwrap();
    assert_eq!(bytes.len(), MAX);
    assert_eq!(check_icmp(&bytes).2, &many[14..14 + 40 + 64 + 8]);
}

#[test]
fn behind_a_tag_begins_the_same_packet() {
    let plain = ipv4_header(17, &[], &udp(1, 2));
    let tagged = ethernet(0x8100, &[&[0, 5, 8, 0][..], &plain].concat());
    assert_eq!(answer(&tagged), answer(&ethernet(0x0800, &plain)));
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
        assert_eq!(answer(&frame), None);
    }
    // To a group of interfaces, by Ethernet and by IP; from nobody; a later fragment.
    let asked = ipv4(17, &udp(1, 2));
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut frame = asked.clone();
        change(&mut frame);
        answer(&frame)
    };
    assert!(changed(|_| {}).is_some());
    assert_eq!(changed(|frame| frame[0] |= 1), None);
    assert_eq!(changed(|frame| frame[30..34].copy_from_slice(&[224, 0, 0, 251])), None);
    assert_eq!(changed(|frame| frame[30..34].copy_from_slice(&[255; 4])), None);
    assert_eq!(changed(|frame| frame[26..30].copy_from_slice(&[0; 4])), None);
    assert_eq!(changed(|frame| frame[26..30].copy_from_slice(&[224, 0, 0, 1])), None);
    assert_eq!(changed(|frame| frame[21] = 1), None);
    let mut frame = ipv6(17, &udp(1, 2));
    frame[38] = 0xff;
    assert_eq!(answer(&frame), None);
}

#[test]
fn an_answer_is_never_answered() {
    for frame in
        [ipv4(6, &tcp(1, 2, SYN)), ipv4(17, &udp(1, 2)), ipv6(6, &tcp(1, 2, ACK)), ipv6(17, &udp(1, 2))]
    {
        let kind = if frame[12] == 8 { 0x0800 } else { 0x86dd };
        let back = ethernet(kind, &answer(&frame).unwrap());
        let Parsed::Packet(packet) = parse(&&back[..]) else { panic!("{back:?}") };
        assert!(!is_answered(&packet));
    }
}

#[test]
fn answers_keep_to_their_rate_after_a_burst() {
    let interval = 1_000_000;
    let mut due = 0;
    let mut now = 5_000_000_000;
    let burst = (0..200).filter(|_| may_answer(&mut due, now, interval)).count();
    assert_eq!(burst, 50);
    // Ten thousand a second are asked for during one second: a thousand are answered.
    let mut answered = 0;
    for _ in 0..10_000 {
        now += 100_000;
        answered += usize::from(may_answer(&mut due, now, interval));
    }
    assert_eq!(answered, 1_000);
    // After a pause there is a burst again, and no more than one.
    now += 60_000_000_000;
    assert_eq!((0..200).filter(|_| may_answer(&mut due, now, interval)).count(), 50);
    assert!(!may_answer(&mut 0, now, 0));
}
