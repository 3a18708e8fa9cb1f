//! The header of IPv6 and the chain of extension headers behind it.

use super::*;

#[test]
fn ipv6_extension_headers_are_walked_to_the_transport() {
    let datagram = udp(40_000, 53);
    for (what, first, headers, behind) in [
        ("hop-by-hop", 0, vec![extension(17, 1)], 8),
        ("routing", 43, vec![extension(17, 3)], 24),
        ("destination options", 60, vec![extension(17, 1)], 8),
        ("the longest", 60, vec![extension(17, 255)], 2040),
        ("first fragment", 44, vec![fragment(17, 0, true)], 8),
        ("only fragment", 44, vec![fragment(17, 0, false)], 8),
        ("all", 0, vec![extension(60, 1), extension(43, 2), extension(44, 1), fragment(17, 0, true)], 40),
        ("out of order", 60, vec![extension(43, 1), extension(60, 1), extension(17, 1)], 24),
    ] {
        let packet = read(&ipv6(first, &[headers.concat(), datagram.clone()].concat()));
        let part = if what == "first fragment" || what == "all" { Part::First } else { Part::Whole };
        let is_fragment = part == Part::First || what == "only fragment";
        let payload = if is_fragment { ETHERNET + 40 + behind } else { 0 };
        let identification = if part == Part::First { packet.identification } else { 0 };
        let found = Packet { part, payload, identification, end: packet.end, ..packet };
        let wanted = Packet {
            source_port: 40_000,
            l4_selector: 53,
            part,
            payload,
            identification,
            ..expected(
                Family::V6,
                17,
                ETHERNET + 40 + behind,
                ETHERNET + 40 + headers.concat().len() + datagram.len(),
            )
        };
        assert_eq!(packet, found, "{what}");
        assert_eq!(packet, wanted, "{what}");
    }
}

#[test]
fn fragments_of_ipv6_say_which_part_they_are_wherever_the_header_stands() {
    for offset in [1, 2, 0x1ffe] {
        for (more, part) in [(false, Part::Last), (true, Part::Middle)] {
            let later = [fragment(17, offset, more), udp(40_000, 53)].concat();
            for frame in [ipv6(44, &later), ipv6(0, &[extension(44, 1), later.clone()].concat())] {
                let packet = read(&frame);
                assert_eq!((packet.part, packet.protocol, packet.l4_selector), (part, 17, 0));
                let offset = u32::from(offset) * 8;
                assert_eq!((packet.offset, packet.fragment_end()), (offset, offset + 8));
            }
            // Whatever its next header says: behind it stands the middle of a datagram.
            let packet = read(&ipv6(44, &[fragment(60, offset, more), udp(40_000, 53)].concat()));
            assert_eq!((packet.part, packet.protocol), (part, 60));
        }
    }
    // Extension headers behind the fragment header are bytes of the datagram.
    let first = [fragment(60, 0, true), extension(17, 1), udp(40_000, 53)].concat();
    let packet = read(&ipv6(44, &first));
    assert_eq!((packet.part, packet.protocol, packet.l4_selector), (Part::First, 17, 53));
    assert_eq!(packet.fragment_end(), 16);
    // The reserved bits beside the offset are not the offset.
    let mut reserved = [fragment(17, 0, false), udp(40_000, 53)].concat();
    reserved[3] |= 0b110;
    assert_eq!(read(&ipv6(44, &reserved)).l4_selector, 53);
    // A fragment header has no length: its second byte is reserved.
    let mut reserved = [fragment(17, 0, false), udp(40_000, 53)].concat();
    reserved[1] = 9;
    assert_eq!(read(&ipv6(44, &reserved)).l4_selector, 53);
}

#[test]
fn too_many_extension_headers_are_given_up() {
    let chain = |count: u32| {
        let headers: Vec<u8> =
            (1..=count).flat_map(|number| extension(if number == count { 17 } else { 60 }, 1)).collect();
        ipv6(60, &[headers, udp(40_000, 53)].concat())
    };
    for count in 1..MAX_EXTENSION_HEADERS {
        assert_eq!(read(&chain(count)).l4_selector, 53, "{count} headers");
    }
    for count in MAX_EXTENSION_HEADERS..MAX_EXTENSION_HEADERS + 3 {
        assert_eq!(refused(&chain(count)), Reason::TooManyHeaders, "{count} headers");
    }
}

#[test]
fn a_packet_that_ends_before_its_chain_of_headers_does_is_malformed() {
    for number in [0, 43, 44, 60] {
        for length in 0..8 {
            let begun = ipv6(number, &vec![0; length]);
            assert_eq!(refused(&begun), Reason::Malformed, "{length} bytes of header {number}");
        }
        assert_eq!(refused(&ipv6(60, &extension(number, 2))), Reason::Malformed, "{number} behind a header");
    }
    // RFC 8200 4.7: nothing comes next, and that is no header.
    let end = ETHERNET + 40;
    assert_eq!(read(&ipv6(59, &[])), expected(Family::V6, 59, end, end));
    assert_eq!(read(&ipv6(60, &extension(59, 2))), expected(Family::V6, 59, end + 16, end + 16));
}

#[test]
fn hop_by_hop_options_come_first_or_not_at_all() {
    let behind = [extension(0, 1), extension(17, 1), udp(40_000, 53)].concat();
    for first in [0, 43, 60] {
        assert_eq!(refused(&ipv6(first, &behind)), Reason::Malformed, "behind {first}");
    }
    let fragment = [fragment(0, 0, true), extension(17, 1), udp(40_000, 53)].concat();
    assert_eq!(refused(&ipv6(44, &fragment)), Reason::Malformed, "in a fragment");
}

#[test]
fn an_extension_header_must_end_within_the_packet() {
    // Its length says 16 bytes, the packet has 8 or 15 of them; behind it nothing would be read.
    for next in [47, 59, 60, 17] {
        for length in [8, 15] {
            let mut frame = ipv6(60, &extension(next, 2)[..length]);
            assert_eq!(refused(&frame), Reason::Malformed, "next header {next}, {length} bytes");
            frame.extend([0; 30]);
            assert_eq!(
                refused(&frame),
                Reason::Malformed,
                "next header {next}, {length} bytes and a trailer"
            );
        }
    }
}

#[test]
fn an_ipv6_header_of_another_version_is_malformed() {
    for version in (0..=15).filter(|&version| version != 6) {
        let mut frame = ipv6(17, &udp(40_000, 53));
        frame[14] = version << 4;
        assert_eq!(refused(&frame), Reason::Malformed, "version {version}");
    }
    // Neither the traffic class nor the flow label moves what follows.
    let mut frame = ipv6(17, &udp(40_000, 53));
    frame[14..18].copy_from_slice(&[0x6f, 0xff, 0xff, 0xff]);
    assert_eq!(read(&frame).l4_selector, 53);
}
