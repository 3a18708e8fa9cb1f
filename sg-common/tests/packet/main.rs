//! Frames in, fields or a reason out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

#[path = "../frames/mod.rs"]
mod frames;
mod ipv6;

use frames::{
    DESTINATION4, DESTINATION6, HOP_LIMIT, SOURCE4, SOURCE6, ethernet, extension, fragment, icmp, ipv4,
    ipv4_header, ipv6, ipv6_header, sctp, tcp, udp,
};
use sg_common::{
    packet::{
        Address, Bytes, ETHERNET, Family, Frame, Icmp, IpFields, MAX_EXTENSION_HEADERS, Packet, Parsed, Part,
        Payload, Tag, Vlan, finish_plain, is_plain, network, parse, plain,
    },
    verdict::Reason,
};

const SYN: u8 = 2;

fn read(frame: &[u8]) -> Packet {
    match parse(&frame) {
        Parsed::Packet(packet) => {
            assert_eq!(
                at(&frame, packet.family, first(frame), None),
                Ok(packet),
                "nothing is left of the packet before"
            );
            if is_plain(&frame) {
                assert_eq!(plainly(frame), Ok(packet), "and where it is read in two steps");
            }
            packet
        }
        other => panic!("{other:?}"),
    }
}

/// Where the IP packet of a frame begins.
fn first(frame: &[u8]) -> usize {
    match sg_common::packet::ethernet(&frame) {
        (Payload::Ip(_, offset), _) => offset,
        other => panic!("{other:?}"),
    }
}

/// Reads a packet at `offset` to where another one stood before.
fn at(frame: &impl Frame, family: Family, offset: usize, quotation: Option<usize>) -> Result<Packet, Reason> {
    let mut packet = Packet { vlan: Vlan::NONE, ..before() };
    network(frame, family, offset, quotation, &mut packet).map(|()| packet)
}

/// Reads a plain packet in two steps to where another one stood before.
fn plainly(frame: &[u8]) -> Result<Packet, Reason> {
    let mut packet = before();
    plain(&frame, &mut packet)?;
    finish_plain(&mut packet);
    Ok(packet)
}

/// No packet in any of its fields.
fn before() -> Packet {
    Packet {
        family: Family::V6,
        protocol: 255,
        ip: IpFields { hop_limit: 255, dscp: 255 },
        tcp_flags: 255,
        source_port: u16::MAX,
        l4_selector: u16::MAX,
        source: Address { high: u64::MAX, low: u64::MAX },
        destination: Address { high: u64::MAX, low: u64::MAX },
        sequence: u32::MAX,
        acknowledgement: u32::MAX,
        header: u32::MAX,
        identifier: u16::MAX,
        part: Part::Last,
        identification: u32::MAX,
        offset: u32::MAX,
        transport: usize::MAX,
        payload: usize::MAX,
        end: usize::MAX,
        vlan: Vlan::of(u32::MAX),
    }
}

fn refused(frame: &[u8]) -> Reason {
    match parse(&frame) {
        Parsed::Refused(reason) => {
            if is_plain(&frame) {
                assert_eq!(plainly(frame), Err(reason));
            }
            reason
        }
        other => panic!("{other:?}"),
    }
}

/// The packets of the frame builders, all fields that a transport does not fill at zero.
fn expected(family: Family, protocol: u8, transport: usize, end: usize) -> Packet {
    let v6 = |bytes: [u8; 16]| Address::from(std::net::IpAddr::from(bytes));
    let v4 = |bytes: [u8; 4]| Address::from(std::net::IpAddr::from(bytes));
    let (source, destination) = match family {
        Family::V4 => (v4(SOURCE4), v4(DESTINATION4)),
        Family::V6 => (v6(SOURCE6), v6(DESTINATION6)),
    };
    Packet {
        family,
        protocol,
        ip: IpFields { hop_limit: HOP_LIMIT, dscp: 0 },
        source,
        destination,
        transport,
        end,
        ..Packet::EMPTY
    }
}

/// It is alone in its packet: what comes first says what it is. What an ICMP error quotes asks for nothing.
#[test]
fn an_init_of_sctp_is_told() {
    for (chunk, whole, asks) in [(1, true, true), (0, true, false), (2, true, false), (1, false, false)] {
        let mut init = sctp(1, 2);
        init.extend([chunk, 0, 0, 20]);
        init.truncate(if whole { 16 } else { 15 });
        for frame in [ipv4(132, &init), ipv6(132, &init)] {
            let Parsed::Packet(packet) = parse(&&frame[..]) else { panic!("it is a packet") };
            assert_eq!(
                (packet.requests_connection(), packet.is_syn()),
                (asks, false),
                "chunk {chunk}, whole: {whole}"
            );
        }
    }
}

#[test]
fn every_field_of_every_transport_is_read() {
    type Transport = (u8, Vec<u8>, fn(Packet) -> Packet);
    let transports: [Transport; 9] = [
        (6, tcp(40_000, 22, SYN), |packet| Packet {
            source_port: 40_000,
            l4_selector: 22,
            tcp_flags: SYN,
            sequence: 1,
            header: 20,
            ..packet
        }),
        (17, udp(0x1234, 0x5678), |packet| Packet { source_port: 0x1234, l4_selector: 0x5678, ..packet }),
        (132, sctp(1, 65_535), |packet| Packet { source_port: 1, l4_selector: 65_535, ..packet }),
        (33, sctp(5_001, 5_002), |packet| Packet { source_port: 5_001, l4_selector: 5_002, ..packet }),
        (136, udp(3, 4), |packet| Packet { source_port: 3, l4_selector: 4, ..packet }),
        (47, vec![0xff; 8], |packet| packet),
        (50, vec![0xff; 1], |packet| packet),
        (255, Vec::new(), |packet| packet),
        // IPv6 has no next header: nothing behind it is looked at.
        (59, vec![0xff; 8], |packet| packet),
    ];
    for (number, payload, fill) in transports {
        for (family, frame, header) in
            [(Family::V4, ipv4(number, &payload), 20), (Family::V6, ipv6(number, &payload), 40)]
        {
            let wanted = fill(expected(family, number, ETHERNET + header, frame.len()));
            assert_eq!(read(&frame), wanted, "{family:?}, protocol {number}");
        }
    }
}

#[test]
fn icmp_is_icmp_only_in_its_own_family() {
    let message = icmp(8, 3, 0x1234, &[]);
    let (own, foreign) = ((0x0803, 0x1234), (0, 0));
    for (frame, number, wanted) in [
        (ipv4(1, &message), 1, own),
        (ipv6(58, &message), 58, own),
        (ipv4(58, &message), 58, foreign),
        (ipv6(1, &message), 1, foreign),
    ] {
        let packet = read(&frame);
        assert_eq!(packet.protocol, number);
        assert_eq!((packet.l4_selector, packet.identifier), wanted, "{packet:?}");
        assert_eq!((packet.source_port, packet.tcp_flags), (0, 0));
        assert_eq!(packet.icmp().is_some(), wanted == own);
    }
}

#[test]
fn every_icmp_type_has_its_kind() {
    for kind in 0..=255 {
        let wanted = match kind {
            8 => Icmp::EchoRequest,
            0 => Icmp::EchoReply,
            // Destination unreachable, time exceeded, parameter problem. Source quench and redirect are not
            // let through on an error's ticket.
            3 | 11 | 12 => Icmp::Error,
            _ => Icmp::Other,
        };
        assert_eq!(read(&ipv4(1, &icmp(kind, 0, 0, &[]))).icmp(), Some(wanted), "ICMP type {kind}");
        let wanted = match kind {
            128 => Icmp::EchoRequest,
            129 => Icmp::EchoReply,
            1..=4 => Icmp::Error,
            _ => Icmp::Other,
        };
        assert_eq!(read(&ipv6(58, &icmp(kind, 0, 0, &[]))).icmp(), Some(wanted), "ICMPv6 type {kind}");
    }
}

#[test]
fn a_packet_that_is_not_all_in_the_frame_is_malformed() {
    let hop_by_hop = [extension(6, 2), tcp(40_000, 22, SYN)].concat();
    for frame in [
        ipv4(6, &tcp(40_000, 22, SYN)),
        ipv4(17, &udp(40_000, 53)),
        ipv4(1, &icmp(8, 0, 1, &[1, 2, 3])),
        ipv4(47, &[0; 8]),
        ethernet(0x0800, &ipv4_header(47, &[1; 40], &[0; 8])),
        ipv6(6, &tcp(40_000, 22, SYN)),
        ipv6(0, &hop_by_hop),
        ipv6(44, &[fragment(17, 0, true), udp(1, 2)].concat()),
        ipv6(44, &[fragment(17, 1, false), udp(1, 2)].concat()),
        ipv6(60, &[extension(47, 2), vec![0; 8]].concat()),
    ] {
        let whole = read(&frame);
        for length in 0..frame.len() {
            assert_eq!(refused(&frame[..length]), Reason::Malformed, "{length} bytes of {frame:02x?}");
        }
        // What a driver pads it with is none of it.
        let padded = [&frame[..], &[0xee; 46]].concat();
        assert_eq!(read(&padded), whole);
    }
}

#[test]
fn the_dscp_is_six_bits_of_either_header() {
    for class in 0..=u8::MAX {
        let mut v4 = ipv4(17, &udp(40_000, 53));
        v4[ETHERNET + 1] = class;
        // The flow label behind it is no part of it (RFC 8200 3).
        let mut v6 = ipv6(17, &udp(40_000, 53));
        v6[ETHERNET..ETHERNET + 4]
            .copy_from_slice(&(6 << 28 | u32::from(class) << 20 | 0xf_ffff).to_be_bytes());
        for frame in [v4, v6] {
            assert_eq!(read(&frame).ip, IpFields { hop_limit: HOP_LIMIT, dscp: class >> 2 }, "class {class}");
        }
    }
}

#[test]
fn ipv4_options_are_stepped_over() {
    for words in 0..=10 {
        let options = vec![1; words * 4];
        let packet = read(&ethernet(0x0800, &ipv4_header(17, &options, &udp(40_000, 53))));
        assert_eq!((packet.transport, packet.l4_selector), (ETHERNET + 20 + words * 4, 53));
    }
}

#[test]
fn an_ipv4_header_that_contradicts_itself_is_malformed() {
    let good = ipv4(17, &udp(40_000, 53));
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    for length in 0..5 {
        assert_eq!(refused(&with(14, &[0x40 | length])), Reason::Malformed, "IHL {length}");
    }
    for version in (0..=15).filter(|&version| version != 4) {
        assert_eq!(refused(&with(14, &[version << 4 | 5])), Reason::Malformed, "version {version}");
    }
    for total in 1..20 {
        assert_eq!(refused(&with(16, &[0, total])), Reason::Malformed, "total length {total}");
    }
    // Total length 28 is enough for five words and eight bytes, not for six words and those.
    assert_eq!(read(&with(14, &[0x45, 0, 0, 28])).l4_selector, 53);
    assert_eq!(refused(&with(14, &[0x46, 0, 0, 28])), Reason::Malformed);
    // The header is longer than the frame, of a protocol of which nothing else is read.
    let mut gre = ipv4(47, &[0; 39]);
    (gre[14], gre[17]) = (0x4f, 60);
    assert_eq!(refused(&gre), Reason::Malformed);
    gre.push(0);
    assert_eq!(read(&gre).transport, gre.len());
}

#[test]
fn fragments_of_ipv4_say_which_part_they_are() {
    const DO_NOT: u16 = 0x4000;
    const MORE: u16 = 0x2000;
    const RESERVED: u16 = 0x8000;
    let with = |word: u16| {
        let mut frame = ipv4(17, &udp(40_000, 53));
        frame[18..20].copy_from_slice(&77_u16.to_be_bytes());
        frame[20..22].copy_from_slice(&word.to_be_bytes());
        frame
    };
    for word in [0, DO_NOT, RESERVED, DO_NOT | RESERVED] {
        let packet = read(&with(word));
        assert_eq!(
            (packet.part, packet.l4_selector, packet.identification),
            (Part::Whole, 53, 0),
            "{word:#06x}"
        );
    }
    for word in [MORE, DO_NOT | MORE | RESERVED] {
        let packet = read(&with(word));
        assert_eq!(
            (packet.part, packet.l4_selector, packet.identification),
            (Part::First, 53, 77),
            "{word:#06x}"
        );
        assert_eq!((packet.offset, packet.fragment_end()), (0, 8));
    }
    for (word, part) in
        [(1, Part::Last), (0x1ffc, Part::Last), (MORE | 1, Part::Middle), (DO_NOT | 0x1000, Part::Last)]
    {
        let packet = read(&with(word));
        assert_eq!((packet.part, packet.identification), (part, 77), "{word:#06x}");
        assert_eq!((packet.source_port, packet.l4_selector), (0, 0), "payload is no ports");
        let offset = u32::from(word & 0x1fff) * 8;
        assert_eq!((packet.offset, packet.fragment_end()), (offset, offset + 8), "{word:#06x}");
    }
    // Bytes that look like an echo are none.
    let mut echo = ipv4(1, &icmp(8, 0, 0, &[]));
    echo[21] = 1;
    assert_eq!(read(&echo).icmp(), Some(Icmp::Other));
}

#[test]
fn an_ethertype_is_ip_arp_or_refused() {
    assert_eq!(parse(&&ethernet(0x0806, &[])[..]), Parsed::Arp);
    assert_eq!(parse(&&ethernet(0x0806, &[0; 28])[..]), Parsed::Arp);
    let ip = ipv4_header(17, &[], &udp(1, 2));
    for kind in [0x0000, 0x002e, 0x05ff, 0x0801, 0x0805, 0x0807, 0x8100, 0x88a8, 0x86dc, 0x86de, 0xffff] {
        assert_eq!(refused(&ethernet(kind, &ip)), Reason::NotIp, "{kind:#06x}");
    }
    for length in 0..ETHERNET {
        assert_eq!(refused(&vec![0; length]), Reason::Malformed, "{length} bytes");
    }
    // The header and the EtherType must agree.
    assert_eq!(refused(&ethernet(0x86dd, &ip)), Reason::Malformed);
    assert_eq!(refused(&ethernet(0x0800, &ipv6_header(17, &udp(1, 2)))), Reason::Malformed);
}

/// A frame of which the kernel shows the front only, as with data in pages.
struct Front<'a> {
    linear: &'a [u8],
    length: usize,
}

impl Frame for Front<'_> {
    type Window<const N: usize> = Bytes<N>;

    fn length(&self) -> usize {
        self.length
    }

    fn is_large(&self) -> bool {
        false
    }

    fn tag(&self) -> Option<Tag> {
        None
    }

    fn window<const N: usize>(&self, offset: usize) -> Option<Bytes<N>> {
        self.linear.window(offset)
    }
}

#[test]
fn headers_outside_the_readable_front_are_asked_for_and_not_assumed() {
    for (frame, needed) in [
        (ipv4(6, &tcp(40_000, 22, SYN)), 34 + 20),
        (ipv4(17, &udp(40_000, 53)), 34 + 4),
        (ipv4(1, &icmp(8, 0, 1, &[])), 34 + 8),
        (ipv6(0, &[extension(17, 2), udp(40_000, 53)].concat()), 54 + 16 + 4),
    ] {
        for linear in 0..frame.len() {
            let parsed = parse(&Front { linear: &frame[..linear], length: frame.len() });
            let wanted = if linear >= needed {
                Parsed::Packet(read(&frame))
            } else {
                Parsed::Refused(Reason::Malformed)
            };
            assert_eq!(parsed, wanted, "{linear} bytes of {frame:02x?}");
        }
    }
}
