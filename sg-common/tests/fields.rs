//! What the fields of a packet say together, and what numbers and addresses mean by themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use sg_common::packet::{Address, Packet, has_ports, protocol};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[test]
fn a_syn_asks_for_a_connection_only_without_ack_and_only_in_tcp() {
    for (number, flags, asks) in [
        (6, SYN, true),
        (6, SYN | 0xc0, true),
        (6, SYN | ACK, false),
        (6, ACK, false),
        (6, 0, false),
        (17, SYN, false),
    ] {
        let packet = Packet { protocol: number, tcp_flags: flags, ..Packet::EMPTY };
        assert_eq!(packet.is_syn(), asks, "protocol {number}, flags {flags:#04x}");
    }
}

#[test]
fn five_protocols_have_ports() {
    let found: Vec<u8> = (0..=255).filter(|&number| has_ports(number)).collect();
    let wanted = [protocol::TCP, protocol::UDP, protocol::DCCP, protocol::SCTP, protocol::UDP_LITE];
    assert_eq!(found, wanted);
}

#[test]
fn addresses_know_their_special_kinds() {
    let address = |text: &str| Address::from(text.parse::<std::net::IpAddr>().unwrap());
    for (text, link_local, unspecified) in [
        ("fe80::1", true, false),
        ("febf:ffff::", true, false),
        ("fec0::", false, false),
        ("fe7f:ffff::", false, false),
        ("::", false, true),
        ("::1", false, false),
        ("0.0.0.0", false, true),
        ("0.0.0.1", false, false),
        ("254.128.0.0", false, false),
    ] {
        assert_eq!(address(text).is_link_local(), link_local, "{text}");
        assert_eq!(address(text).is_unspecified(), unspecified, "{text}");
    }
    assert_eq!(address("192.0.2.1"), Address { high: 0xc000_0201, low: 0 });
    assert_eq!(address("2001:db8::5"), Address { high: 0x2001_0db8 << 32, low: 5 });
}

/// RFC 8200 4.3, 4.4, 4.5 and 4.6. Linux hands what is authenticated or encrypted to IPsec, as any protocol.
#[test]
fn four_numbers_are_extension_headers() {
    let headers: Vec<u8> = (0..=255).filter(|&number| protocol::is_extension_header(number)).collect();
    assert_eq!(headers, [0, 43, 44, 60]);
}

/// RFC 9293 3.4: each byte of data has a number, and so have SYN and FIN.
#[test]
fn a_segment_takes_as_many_numbers_as_it_has_bytes_and_marks() {
    for (header, behind_the_ip_header, tcp_flags, takes, has_data) in [
        (20, 20, ACK, 0, false),
        (20, 20, SYN, 1, false),
        (20, 20, FIN | ACK, 1, false),
        (20, 20, SYN | FIN, 2, false),
        (20, 21, ACK, 1, true),
        (20, 120, 0xfc, 100, true),
        (20, 120, SYN, 101, true),
        (20, 120, FIN, 101, true),
        (20, 120, SYN | FIN, 102, true),
        (60, 1_460, ACK, 1_400, true),
        (60, 60, SYN, 1, false),
        // A first fragment, which ends among the options.
        (60, 24, ACK, 0, false),
        (60, 24, SYN, 1, false),
    ] {
        let segment = Packet { protocol: 6, tcp_flags, header, transport: 54, ..Packet::EMPTY };
        let segment = Packet { end: 54 + behind_the_ip_header, ..segment };
        assert_eq!((segment.sequence_length(), segment.has_data()), (takes, has_data), "{segment:?}");
        for sequence in [0_u32, 1, 77_000_000, u32::MAX - 50, u32::MAX] {
            // Modulo 2 to the power of 32.
            let next = (u64::from(sequence) + u64::try_from(takes).unwrap()) % (1 << 32);
            assert_eq!(u64::from(Packet { sequence, ..segment }.sequence_end()), next);
        }
    }
}

#[test]
fn a_segment_is_a_reset_by_its_flag_and_mid_stream_where_it_is_no_syn() {
    for (protocol, tcp_flags, is_reset, is_mid_stream) in [
        (6, 0, false, true),
        (6, ACK, false, true),
        (6, SYN, false, false),
        (6, SYN | ACK, false, true),
        (6, FIN | ACK, false, true),
        (6, RST, true, true),
        (6, RST | ACK, true, true),
        (6, RST | SYN, true, false),
        // Where other protocols have these bits they mean nothing.
        (17, RST, false, false),
        (132, SYN, false, false),
        (132, 0, false, false),
    ] {
        let packet = Packet { protocol, tcp_flags, ..Packet::EMPTY };
        assert_eq!((packet.is_reset(), packet.is_mid_stream()), (is_reset, is_mid_stream), "{packet:?}");
    }
}
