//! Whether the checksums of a rejected packet are right: another library writes them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod frames;

use etherparse::PacketBuilder;
use frames::{ipv4, ipv6, sctp};
use sg_common::{
    packet::{Parsed, Payload, ethernet, parse},
    reject::{MAX_SUMMED, RejectPacket, Trust},
};

const LINK: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
const EVERY: [Trust; 3] = [Trust::Whole, Trust::Unsure, Trust::Known];

fn is_sound(frame: &[u8], trust: Trust) -> bool {
    let Parsed::Packet(packet) = parse(&frame) else { panic!("no packet: {frame:?}") };
    let (Payload::Ip(_, offset), _) = ethernet(&frame) else { panic!("not IP: {frame:?}") };
    RejectPacket::default().is_sound(&frame, offset, &packet, trust)
}

/// Frames with right checksums and `payload`: TCP, UDP and echo requests of both families, and where their transport begins.
fn right(payload: &[u8]) -> Vec<(Vec<u8>, usize)> {
    macro_rules! frame {
        ($ip:expr, $at:expr, $($transport:tt)*) => {{
            let builder = $ip.$($transport)*;
            let mut frame = Vec::with_capacity(builder.size(payload.len()));
            builder.write(&mut frame, payload).unwrap();
            (frame, $at)
        }};
    }
    let v4 = || PacketBuilder::ethernet2(LINK[0], LINK[1]).ipv4([192, 0, 2, 1], [10, 0, 0, 5], 64);
    let v6 = || PacketBuilder::ethernet2(LINK[0], LINK[1]).ipv6([0xfd; 16], [0xfe; 16], 64);
    vec![
        frame!(v4(), 34, tcp(40_000, 22, 7, 1000)),
        frame!(v6(), 54, tcp(40_000, 22, 7, 1000)),
        frame!(v4(), 34, udp(40_000, 53)),
        frame!(v6(), 54, udp(40_000, 53)),
        frame!(v4(), 34, icmpv4_echo_request(1, 2)),
        frame!(v6(), 54, icmpv6_echo_request(1, 2)),
    ]
}

#[test]
fn what_is_right_is_right_and_a_bit_changes_that() {
    for length in [0, 1, 2, 3, 5, 100, 511, 512, 513, 1460, 1461, 4000] {
        let payload: Vec<u8> = (0_u32..length).map(|byte| (byte * 7) as u8).collect();
        for (frame, transport) in right(&payload) {
            assert!(EVERY.into_iter().all(|trust| is_sound(&frame, trust)), "{length}: {frame:?}");
            // A byte of the transport header that says nothing of how to read it, the checksum, and the last byte.
            let checksum = transport
                + match frame[if transport == 34 { 23 } else { 20 }] {
                    6 => 16,
                    17 => 6,
                    _ => 2,
                };
            for at in [transport + 3, checksum, frame.len() - 1] {
                let mut wrong = frame.clone();
                wrong[at] ^= 0x10;
                assert!(!is_sound(&wrong, Trust::Whole), "byte {at} of {length}: {frame:?}");
                assert!(!is_sound(&wrong, Trust::Unsure), "byte {at} of {length}: {frame:?}");
                assert!(is_sound(&wrong, Trust::Known), "nobody was to look");
            }
        }
    }
}

#[test]
fn a_wrong_ipv4_header_is_wrong_whoever_looked() {
    for (mut frame, _) in right(b"abc").into_iter().filter(|(_, transport)| *transport == 34) {
        frame[22] ^= 1;
        assert!(EVERY.into_iter().all(|trust| !is_sound(&frame, trust)));
    }
}

/// What a host leaves for its device to finish has the sum of the pseudo-header in its place (`tcp_v4_send_check`).
#[test]
fn a_checksum_that_is_not_made_yet_proves_nothing() {
    for (mut frame, transport) in right(b"partial").into_iter().take(4) {
        let v4 = transport == 34;
        let (protocol, addresses) = if v4 { (frame[23], 26..34) } else { (frame[20], 22..54) };
        let length = (frame.len() - transport) as u32;
        let words = frame[addresses].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let mut sum = words.sum::<u32>() + u32::from(protocol) + length;
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        let at = transport + if protocol == 6 { 16 } else { 6 };
        frame[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
        assert!(is_sound(&frame, Trust::Unsure) && is_sound(&frame, Trust::Known), "{frame:?}");
        assert!(!is_sound(&frame, Trust::Whole), "on a wire it is wrong: {frame:?}");
        frame[at] ^= 1;
        assert!(!is_sound(&frame, Trust::Unsure), "{frame:?}");
    }
}

#[test]
fn what_nobody_can_check_counts_as_right() {
    let set = |mut frame: Vec<u8>, at: usize, bytes: &[u8]| {
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    // A datagram without a checksum, and protocols whose checksums are not known here.
    let [_, _, (udp4, _), (udp6, _), ..] = &right(b"nothing.")[..] else { panic!() };
    assert!(is_sound(&set(udp4.clone(), 40, &[0, 0]), Trust::Whole));
    assert!(is_sound(&set(udp6.clone(), 60, &[0, 0]), Trust::Whole));
    assert!(is_sound(&ipv6(132, &sctp(1, 2)), Trust::Whole));
    assert!(is_sound(&ipv6(47, &[1; 30]), Trust::Whole));
    // Longer than what is summed; one byte less is.
    let (long, _) = &right(&vec![0; MAX_SUMMED - 19])[1];
    assert!(is_sound(&set(long.clone(), 56, &[9, 9]), Trust::Whole));
    let (long, _) = &right(&vec![0; MAX_SUMMED - 20])[1];
    assert!(!is_sound(&set(long.clone(), 56, &[9, 9]), Trust::Whole));
    // The first fragment: the checksum is of all of them.
    let mut first = udp4.clone();
    // More fragments, instead of not to be fragmented: the checksum of the header takes it up.
    first[20..22].copy_from_slice(&[0x20, 0]);
    let sum = u32::from(u16::from_be_bytes([first[24], first[25]])) + 0x2000;
    let sum = (sum + (sum >> 16)) as u16;
    let first = set(set(first, 24, &sum.to_be_bytes()), 40, &[9, 9]);
    assert!(is_sound(&first, Trust::Whole));
}

#[test]
fn what_ends_before_its_segment_does_is_no_packet() {
    for (frame, transport) in right(&[7; 600]) {
        for length in [transport + 8, transport + 20, frame.len() - 1] {
            assert!(matches!(parse(&&frame[..length]), Parsed::Refused(_)), "{length} of {frame:?}");
        }
    }
    // Without a checksum in the header there is none that is right.
    assert!(!is_sound(&ipv4(132, &sctp(1, 2)), Trust::Known));
}

/// What stands behind a datagram in its packet is not summed up (`udp_rcv` trims it).
#[test]
fn a_datagram_ends_where_it_says() {
    let (frame, _) = &right(b"datagram")[3];
    let mut longer = [&frame[..], b"trailer"].concat();
    longer[18..20].copy_from_slice(&(8 + 8 + 7_u16).to_be_bytes());
    assert!(is_sound(&longer, Trust::Whole));
    longer[56] ^= 1;
    assert!(!is_sound(&longer, Trust::Whole));
}
