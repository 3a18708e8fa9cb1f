//! A packet is what its receiver takes: no header is read behind its end, and what a receiver would discard for its headers
//! is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod frames;

use frames::{ethernet, extension, fragment, icmp, ipv4, ipv4_header, ipv6, ipv6_header, sctp, tcp, udp};
use sg_common::{
    packet::{
        Bytes, ETHERNET, Family, Frame, Icmp, Packet, Parsed, Part, Tag, embedded_offset, network, parse,
    },
    verdict::Reason,
};

const SYN: u8 = 2;

fn read(frame: &[u8]) -> Result<Packet, Reason> {
    match parse(&frame) {
        Parsed::Packet(packet) => Ok(packet),
        Parsed::Refused(reason) => Err(reason),
        Parsed::Arp => panic!("ARP"),
    }
}

/// The frame, whose packet says that it has `payload` bytes behind the IP header of twenty or forty bytes; what it has more
/// stands behind its end.
fn ends_after(mut frame: Vec<u8>, payload: usize) -> Vec<u8> {
    if frame[12..14] == [0x08, 0x00] {
        frame[16..18].copy_from_slice(&(20 + payload as u16).to_be_bytes());
    } else {
        frame[18..20].copy_from_slice(&(payload as u16).to_be_bytes());
    }
    frame
}

/// Transport headers, and how many bytes a receiver wants of each at least.
fn transports() -> [(u8, Vec<u8>, usize); 8] {
    [
        (6, tcp(40_000, 22, SYN), 20),
        (17, udp(40_000, 53), 8),
        (33, sctp(40_000, 53), 12),
        (132, sctp(40_000, 53), 12),
        (136, udp(40_000, 53), 8),
        (1, icmp(8, 0, 7, &[]), 8),
        (58, icmp(128, 0, 7, &[]), 8),
        (47, vec![0xff; 8], 0),
    ]
}

/// What is ICMP in one family is a bare number in the other.
fn needs(family: Family, number: u8, least: usize) -> usize {
    match (family, number) {
        (Family::V4, 58) | (Family::V6, 1) => 0,
        _ => least,
    }
}

#[test]
fn a_transport_header_ends_within_the_packet() {
    for (number, header, least) in transports() {
        for (family, frame) in [(Family::V4, ipv4(number, &header)), (Family::V6, ipv6(number, &header))] {
            for payload in 0..=header.len() {
                let found = read(&ends_after(frame.clone(), payload));
                let is_whole = payload >= needs(family, number, least);
                assert_eq!(found.is_ok(), is_whole, "{payload} bytes of protocol {number}: {found:?}");
                assert!(is_whole || found == Err(Reason::Malformed));
            }
        }
    }
}

/// The case of a peer's suite: total length 20, and Ethernet padding that says 9>53.
#[test]
fn padding_says_nothing() {
    let mut frame = ends_after(ipv4(17, &udp(9, 53)), 0);
    frame.resize(60, 0);
    assert_eq!(read(&frame), Err(Reason::Malformed));
    let mut frame = ends_after(ipv6(60, &[extension(17, 1), udp(9, 53)].concat()), 8);
    frame.resize(80, 0);
    assert_eq!(read(&frame), Err(Reason::Malformed));
}

#[test]
fn a_tcp_header_is_as_long_as_it_says_and_no_shorter_than_twenty_bytes() {
    let with = |words: u8, options: usize| {
        let mut segment = tcp(40_000, 22, SYN);
        segment[12] = words << 4;
        segment.resize(20 + options, 1);
        segment
    };
    for (number, make) in [ipv4 as fn(u8, &[u8]) -> Vec<u8>, ipv6].into_iter().enumerate() {
        for words in 0..16 {
            for options in 0..=40 {
                let header = usize::from(words) * 4;
                let found = read(&make(6, &with(words, options)));
                let is_whole = header >= 20 && header <= 20 + options;
                assert_eq!(
                    found.map(|packet| packet.header as usize),
                    if is_whole { Ok(header) } else { Err(Reason::Malformed) },
                    "{number} {words}"
                );
                // The options are there, but not in the packet.
                let behind = ends_after(make(6, &with(words, options)), 20);
                assert_eq!(read(&behind).is_ok(), words == 5, "{words}");
            }
        }
    }
}

/// A frame that the kernel says is large.
struct Large<'a>(&'a [u8]);

impl Frame for Large<'_> {
    type Window<const N: usize> = Bytes<N>;

    fn length(&self) -> usize {
        self.0.len()
    }

    fn is_large(&self) -> bool {
        true
    }

    fn tag(&self) -> Option<Tag> {
        None
    }

    fn window<const N: usize>(&self, offset: usize) -> Option<Bytes<N>> {
        self.0.window(offset)
    }
}

#[test]
fn a_length_of_zero_is_the_end_of_the_frame_only_where_the_kernel_says_that_it_is_large() {
    let mut segment = tcp(40_000, 22, 16);
    segment.resize(70_000, 0xab);
    let mut v4 = ipv4(6, &segment);
    v4[16..18].fill(0);
    let mut v6 = ipv6(6, &segment);
    v6[18..20].fill(0);
    // As kernels before 6.19 mark it: a jumbo payload option in front.
    let mut jumbo = ipv6(0, &[&[6, 0, 0xc2, 4, 0, 1, 0x11, 0x78], &segment[..]].concat());
    jumbo[18..20].fill(0);
    for (frame, transport) in [(&v4, 34), (&v6, 54), (&jumbo, 62)] {
        assert_eq!(read(frame), Err(Reason::Malformed), "on a wire");
        let Parsed::Packet(packet) = parse(&Large(frame)) else { panic!("it is large") };
        assert_eq!((packet.transport, packet.end, packet.l4_selector), (transport, frame.len(), 22));
        assert_eq!(packet.sequence_length(), 70_000 - 20);
    }
    // Of a packet that has nothing behind its header, zero is the length; Linux truncates the rest.
    for number in [47, 59] {
        let mut frame = ipv6(number, &[0xff; 8]);
        frame[18..20].fill(0);
        assert_eq!(read(&frame).map(|packet| packet.end), Ok(54));
    }
    // A large packet that says its length ends there.
    let short = ends_after(ipv4(17, &udp(9, 53)), 4);
    assert_eq!(parse(&Large(&short)), Parsed::Refused(Reason::Malformed));
}

/// First fragments, which end behind `bytes` of what they carry; the rest of the frame stands behind their end.
fn first_fragments(number: u8, carried: &[u8], bytes: usize) -> [Vec<u8>; 2] {
    let mut v4 = ends_after(ipv4(number, carried), bytes);
    v4[20] = 0x20;
    let v6 = ends_after(ipv6(44, &[&fragment(number, 0, true), carried].concat()), 8 + bytes);
    [v4, v6]
}

#[test]
fn a_first_fragment_holds_a_whole_transport_header() {
    for (number, mut header, least) in transports() {
        header.resize(48, 0);
        for bytes in (8..=48).step_by(8) {
            for (family, frame) in
                [Family::V4, Family::V6].into_iter().zip(first_fragments(number, &header, bytes))
            {
                let found = read(&frame);
                if bytes < needs(family, number, least) {
                    assert_eq!(found, Err(Reason::Malformed), "{bytes} bytes of protocol {number}");
                } else {
                    assert_eq!(found.map(|packet| packet.part), Ok(Part::First));
                }
            }
        }
    }
    // The case of the tiny fragment: eight bytes of TCP are ports and no flags.
    for frame in first_fragments(6, &tcp(443, 7777, SYN), 8) {
        assert_eq!(read(&frame), Err(Reason::Malformed));
    }
    // TCP options may go on behind it.
    let mut segment = tcp(443, 7777, SYN);
    segment[12] = 15 << 4;
    segment.resize(60, 1);
    for frame in first_fragments(6, &segment, 24) {
        assert_eq!(read(&frame).map(|packet| packet.header), Ok(60));
    }
}

/// The case of the trailer: a first fragment that ends in its chain, and behind its end a lie about what follows.
#[test]
fn a_first_fragment_holds_its_whole_chain() {
    let lie = [extension(58, 1), icmp(135, 0, 0, &[0; 16])].concat();
    for behind in [&[][..], &lie] {
        let carried = [&extension(60, 1), behind].concat();
        let [_, frame] = first_fragments(60, &carried, 8);
        assert_eq!(read(&frame), Err(Reason::Malformed), "{} bytes behind it", behind.len());
        // The chain ends, and nothing of what comes next is there.
        for number in [6, 17, 47, 50, 58, 59] {
            let [_, frame] = first_fragments(60, &[&extension(number, 1), behind].concat(), 8);
            assert_eq!(read(&frame), Err(Reason::Malformed), "protocol {number}");
        }
    }
    let [_, frame] = first_fragments(60, &[extension(17, 1), udp(40_000, 53)].concat(), 16);
    assert_eq!(read(&frame).map(|packet| (packet.part, packet.l4_selector)), Ok((Part::First, 53)));
}

#[test]
fn a_fragment_is_of_one_datagram_and_no_fragment_of_a_fragment() {
    // Behind a first one, and behind an atomic one, which Linux discards likewise.
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let inner = [fragment(44, 0, first), fragment(17, 0, second), udp(40_000, 53)].concat();
        assert_eq!(read(&ipv6(44, &inner)), Err(Reason::Malformed), "{first} {second}");
        let apart = [fragment(60, 0, first), extension(44, 1), fragment(17, 0, second), udp(1, 53)].concat();
        assert_eq!(read(&ipv6(44, &apart)), Err(Reason::Malformed), "{first} {second}");
    }
    // Atomic fragments are whole (RFC 6946), with all that a whole packet needs.
    let atomic = read(&ipv6(44, &[fragment(17, 0, false), udp(40_000, 53)].concat())).unwrap();
    assert_eq!((atomic.part, atomic.l4_selector, atomic.identification), (Part::Whole, 53, 0));
    let short = ipv6(44, &[&fragment(6, 0, false), &tcp(40_000, 22, SYN)[..8]].concat());
    assert_eq!(read(&short), Err(Reason::Malformed));
}

/// A fragment of UDP with `bytes` of payload at `eights` times eight.
fn fragments(eights: u16, more: bool, bytes: usize) -> [Vec<u8>; 2] {
    let payload = [udp(40_000, 53), vec![0; 64]].concat()[..bytes].to_vec();
    let mut v4 = ipv4(17, &payload);
    v4[20..22].copy_from_slice(&(eights | u16::from(more) << 13).to_be_bytes());
    [v4, ipv6(44, &[fragment(17, eights, more), payload].concat())]
}

#[test]
fn a_fragment_has_bytes_in_eights_and_ends_below_64_kib() {
    for (eights, more) in [(0, true), (1, true), (1, false)] {
        for bytes in 0..40 {
            for frame in fragments(eights, more, bytes) {
                let fits = bytes > 0 && (!more || bytes % 8 == 0);
                let found = read(&frame);
                assert_eq!(found.is_ok(), fits, "{eights} {more} {bytes}: {found:?}");
            }
        }
    }
    // The largest datagram: 65,535 bytes with the header in IPv4, without in IPv6.
    for (eights, bytes, fits) in [
        (8_188, 11, [true, true]),
        (8_188, 12, [false, true]),
        (8_189, 3, [true, true]),
        (8_189, 4, [false, true]),
        (8_191, 7, [false, true]),
        (8_191, 8, [false, false]),
    ] {
        for (frame, fits) in fragments(eights, false, bytes).into_iter().zip(fits) {
            assert_eq!(read(&frame).is_ok(), fits, "{bytes} bytes at {eights}");
        }
    }
    // Its end lies behind the frame's.
    for frame in fragments(1, false, 16) {
        assert_eq!(read(&frame[..frame.len() - 1]), Err(Reason::Malformed));
    }
    // What a later fragment carries is not looked at: neither an unfinished chain nor half a header matters.
    let later = read(&ipv6(44, &[fragment(60, 1, false), vec![44]].concat())).unwrap();
    assert_eq!((later.part, later.protocol, later.fragment_end()), (Part::Last, 60, 9));
}

/// The packet that an ICMP error in `frame` quotes.
fn quoted(frame: &[u8], family: Family) -> Result<Packet, Reason> {
    let error = read(frame)?;
    assert_eq!(error.icmp(), Some(Icmp::Error));
    // To where another packet was read before.
    let mut packet = error;
    network(&frame, family, embedded_offset(&error), Some(error.end), &mut packet).map(|()| packet)
}

#[test]
fn an_error_quotes_eight_bytes_of_a_transport_header_and_they_are_read() {
    let segment = tcp(22, 40_000, SYN);
    for (header, frame, family) in [
        (20, ipv4(1, &icmp(3, 1, 0, &ipv4_header(6, &[], &segment))), Family::V4),
        (28, ipv4(1, &icmp(11, 0, 0, &ipv4_header(6, &[1; 8], &segment))), Family::V4),
        (40, ipv6(58, &icmp(1, 0, 0, &ipv6_header(6, &segment))), Family::V6),
        (
            48,
            ipv6(58, &icmp(2, 0, 0, &ipv6_header(60, &[extension(6, 1), segment.clone()].concat()))),
            Family::V6,
        ),
    ] {
        // Of the error, eight bytes are its own header.
        for bytes in 0..=20 {
            let short = ends_after(frame.clone(), 8 + header + bytes);
            let found = quoted(&short, family);
            if bytes < 8 {
                // The others are there, behind the end of the error.
                assert_eq!(found, Err(Reason::Malformed), "{bytes} bytes");
                continue;
            }
            let found = found.unwrap();
            assert_eq!((found.protocol, found.source_port, found.l4_selector), (6, 22, 40_000));
            assert_eq!((found.tcp_flags, found.identifier), (0, 0), "flags are not asked for");
            assert!(!found.is_syn());
        }
    }
    // An error about an echo knows whose it was.
    let frame = ipv4(1, &icmp(3, 1, 0, &ipv4_header(1, &[], &icmp(8, 0, 77, &[]))));
    assert_eq!(
        quoted(&frame, Family::V4).map(|echo| (echo.identifier, echo.icmp())),
        Ok((77, Some(Icmp::EchoRequest)))
    );
    // An error without a packet, and one whose packet ends before its ports.
    let frame = ipv4(1, &icmp(3, 1, 0, &[]));
    assert_eq!(quoted(&frame, Family::V4), Err(Reason::Malformed));
    let mut inner = ipv4_header(17, &[], &udp(53, 40_000));
    inner[3] = 20;
    assert_eq!(quoted(&ipv4(1, &icmp(3, 1, 0, &inner)), Family::V4), Err(Reason::Malformed));
    let mut inner = ipv6_header(17, &udp(53, 40_000));
    inner[5] = 0;
    assert_eq!(quoted(&ipv6(58, &icmp(1, 0, 0, &inner)), Family::V6), Err(Reason::Malformed));
    // One that says it is longer than what is quoted of it is what routers send.
    let mut inner = ipv4_header(17, &[], &udp(53, 40_000));
    inner[2..4].copy_from_slice(&1_500_u16.to_be_bytes());
    let frame = ipv4(1, &icmp(3, 4, 0, &inner));
    let found = quoted(&frame, Family::V4).unwrap();
    assert_eq!((found.source_port, found.l4_selector, found.end), (53, 40_000, frame.len()));
    // The IP header of what it quotes ends with it, too, of a later fragment as well.
    let mut inner = ipv4_header(17, &[], &udp(53, 40_000));
    inner[7] = 1;
    let frame = ipv4(1, &icmp(3, 1, 0, &inner));
    for quoted_bytes in 0..=28 {
        let found = quoted(&ends_after(frame.clone(), 8 + quoted_bytes), Family::V4);
        assert_eq!(found.is_ok(), quoted_bytes >= 20, "{quoted_bytes} bytes: {found:?}");
    }
    let inner = ipv6_header(44, &[fragment(17, 1, false), udp(53, 40_000)].concat());
    let frame = ipv6(58, &icmp(1, 0, 0, &inner));
    for quoted_bytes in 0..=56 {
        let found = quoted(&ends_after(frame.clone(), 8 + quoted_bytes), Family::V6);
        assert_eq!(found.is_ok(), quoted_bytes >= 48, "{quoted_bytes} bytes: {found:?}");
    }
    // About a first fragment, and about a later one: nobody knows whose that was.
    for (place, part) in [(0x2000_u16, Part::First), (1, Part::Last)] {
        let mut inner = ipv4_header(17, &[], &[udp(53, 40_000), vec![0; 8]].concat());
        inner[6..8].copy_from_slice(&place.to_be_bytes());
        let frame = ipv4(1, &icmp(3, 1, 0, &inner[..28]));
        assert_eq!(quoted(&frame, Family::V4).map(|found| found.part), Ok(part));
    }
}

#[test]
fn behind_a_tag_a_packet_ends_where_it_ends() {
    let ip = &ipv4(17, &udp(9, 53))[ETHERNET..];
    let tagged = ethernet(0x8100, &[&[0, 5, 8, 0], ip, &[0xee; 10]].concat());
    assert_eq!(read(&tagged).map(|packet| packet.end), Ok(ETHERNET + 4 + 28));
    let short =
        ethernet(0x8100, &[&[0, 5, 8, 0], &ends_after(ipv4(17, &udp(9, 53)), 7)[ETHERNET..]].concat());
    assert_eq!(read(&short), Err(Reason::Malformed));
}
