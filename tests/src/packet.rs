//! Packets byte by byte, for what sockets would never send: true ones, which tests alter.
//!
//! It owns what headers look like and right checksums. `tests/receiver` has a writer of its own, which shares nothing with this.

use std::net::IpAddr;

/// Protocol numbers.
pub const ICMP: u8 = 1;
/// RFC 9293.
pub const TCP: u8 = 6;
/// RFC 768.
pub const UDP: u8 = 17;
/// RFC 4443.
pub const ICMPV6: u8 = 58;

/// TCP flags.
pub const FIN: u8 = 1;
/// The connection opens.
pub const SYN: u8 = 2;
/// The connection is gone.
pub const RST: u8 = 4;
/// The acknowledgement number counts.
pub const ACK: u8 = 16;

/// The bytes of addresses.
#[must_use]
pub fn octets(addresses: &[IpAddr]) -> Vec<u8> {
    let octets = |address: &IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    addresses.iter().flat_map(octets).collect()
}

/// The checksum of IP, ICMP, TCP and UDP (RFC 1071).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| low.into()));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// `packet` in an Ethernet frame, to and from these.
#[must_use]
pub fn ethernet([to, from]: [[u8; 6]; 2], packet: &[u8]) -> Vec<u8> {
    let kind = if packet.first().is_some_and(|first| first >> 4 == 4) { [0x08, 0x00] } else { [0x86, 0xdd] };
    [&to[..], &from, &kind, packet].concat()
}

/// An IP packet between these ends, of one family.
#[must_use]
pub fn ip(ends: [IpAddr; 2], protocol: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let (addresses, length) = (octets(&ends), payload.len() as u16);
    if ends[0].is_ipv6() {
        let header = [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[protocol, hop_limit], &addresses];
        return [&header.concat(), payload].concat();
    }
    let header = [&[0x45, 0][..], &(20 + length).to_be_bytes(), &[0, 0, 0, 0, hop_limit, protocol, 0, 0]];
    let mut packet = [&header.concat(), &addresses[..], payload].concat();
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// A TCP segment without data and checksum, with these sequence and acknowledgement numbers.
#[must_use]
pub fn tcp(ports: [u16; 2], numbers: [u32; 2], flags: u8) -> Vec<u8> {
    let (ports, numbers) = (ports.map(u16::to_be_bytes), numbers.map(u32::to_be_bytes));
    [ports.as_flattened(), numbers.as_flattened(), &[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]].concat()
}

/// A UDP datagram without checksum.
#[must_use]
pub fn udp([from, to]: [u16; 2], data: &[u8]) -> Vec<u8> {
    let header = [from, to, 8 + data.len() as u16, 0].map(u16::to_be_bytes);
    [header.as_flattened(), data].concat()
}

/// What stands behind an IP header between these ends, with its checksum.
#[must_use]
pub fn summed(ends: [IpAddr; 2], protocol: u8, mut payload: Vec<u8>) -> Vec<u8> {
    let place = match protocol {
        TCP => 16,
        UDP => 6,
        _ => 2,
    };
    let pseudo = match protocol {
        ICMP => Vec::new(),
        _ => [&octets(&ends)[..], &[0, protocol], &(payload.len() as u16).to_be_bytes()].concat(),
    };
    let sum = checksum(&[&pseudo[..], &payload].concat());
    payload[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    payload
}
