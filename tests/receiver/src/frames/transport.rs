//! Transport headers with data behind them: TCP, UDP, UDP-Lite, ICMP, SCTP, DCCP, GRE.

use super::{Ends, Family, crc32c, internet, ip::number, octets};

/// TCP flags (RFC 9293 3.1).
pub mod flags {
    /// The sender is done.
    pub const FIN: u8 = 0x01;
    /// The connection opens.
    pub const SYN: u8 = 0x02;
    /// The connection is gone.
    pub const RST: u8 = 0x04;
    /// Data is to be handed on.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// A protocol and its bytes.
#[derive(Clone, Debug)]
pub struct Transport {
    /// The protocol's number.
    pub protocol: u8,
    /// Header and data.
    pub bytes: Vec<u8>,
}

impl Transport {
    /// Makes its checksum a wrong one.
    #[must_use]
    pub fn spoiled(mut self) -> Self {
        if let Some(place) = checksum_of(self.protocol)
            && let Some(byte) = self.bytes.get_mut(place)
        {
            *byte ^= 0x55;
        }
        self
    }
}

/// Where the checksum of a protocol stands.
const fn checksum_of(protocol: u8) -> Option<usize> {
    match protocol {
        number::TCP => Some(16),
        number::UDP | number::UDP_LITE | number::DCCP => Some(6),
        number::ICMP | number::ICMPV6 => Some(2),
        number::SCTP => Some(8),
        _ => None,
    }
}

/// The pseudo-header that checksums cover (RFC 9293 3.1, RFC 8200 8.1).
fn pseudo(ends: Ends, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = octets(ends.from);
    bytes.extend(octets(ends.to));
    bytes.extend((length as u32).to_be_bytes());
    bytes.extend([0, 0, 0, protocol]);
    bytes
}

/// Fills in a checksum over the pseudo-header and all bytes.
fn summed(ends: Ends, protocol: u8, mut bytes: Vec<u8>) -> Transport {
    if let Some(place) = checksum_of(protocol) {
        let sum = internet(&[&pseudo(ends, protocol, bytes.len()), &bytes]);
        // For UDP, no checksum is written as zero (RFC 768).
        let sum = if sum == 0 && protocol != number::TCP { u16::MAX } else { sum };
        bytes[place..place + 2].copy_from_slice(&sum.to_be_bytes());
    }
    Transport { protocol, bytes }
}

/// A UDP datagram.
#[must_use]
pub fn udp(ends: Ends, ports: [u16; 2], data: &[u8]) -> Transport {
    let mut bytes = ported(ports);
    bytes.extend(((8 + data.len()) as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(data);
    summed(ends, number::UDP, bytes)
}

/// A UDP-Lite datagram, all of which its checksum covers.
#[must_use]
pub fn udp_lite(ends: Ends, ports: [u16; 2], data: &[u8]) -> Transport {
    let mut bytes = ported(ports);
    bytes.extend([0; 4]);
    bytes.extend(data);
    summed(ends, number::UDP_LITE, bytes)
}

/// A TCP segment.
#[must_use]
pub fn tcp(ends: Ends, ports: [u16; 2], flags: u8, data: &[u8]) -> Transport {
    segment(ends, ports, flags, [1000, u32::from(flags & flags::ACK != 0) * 7000], data)
}

/// A TCP segment with this sequence number and this acknowledgement.
#[must_use]
pub fn segment(
    ends: Ends,
    ports: [u16; 2],
    flags: u8,
    [sequence, acknowledgement]: [u32; 2],
    data: &[u8],
) -> Transport {
    let mut bytes = ported(ports);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(acknowledgement.to_be_bytes());
    bytes.extend([5 << 4, flags]);
    bytes.extend(64000_u16.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(data);
    summed(ends, number::TCP, bytes)
}

/// An SCTP packet with one INIT chunk.
#[must_use]
pub fn sctp(ports: [u16; 2], data: &[u8]) -> Transport {
    let mut bytes = ported(ports);
    bytes.extend([0; 8]);
    bytes.extend([1, 0, 0, 20]);
    bytes.extend([0, 0, 0, 9, 0, 0, 0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 1]);
    bytes.extend(data);
    let sum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    Transport { protocol: number::SCTP, bytes }
}

/// A DCCP request (RFC 4340 5.1).
#[must_use]
pub fn dccp(ends: Ends, ports: [u16; 2], data: &[u8]) -> Transport {
    let mut bytes = ported(ports);
    bytes.extend([5, 0, 0, 0, 0x01, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9]);
    bytes.extend(data);
    summed(ends, number::DCCP, bytes)
}

/// A GRE packet that carries nothing anybody knows.
#[must_use]
pub fn gre(data: &[u8]) -> Transport {
    let mut bytes = vec![0, 0, 0x88, 0xb5];
    bytes.extend(data);
    Transport { protocol: number::GRE, bytes }
}

/// Bytes of a protocol that nobody knows.
#[must_use]
pub fn plain(protocol: u8, data: &[u8]) -> Transport {
    Transport { protocol, bytes: data.to_vec() }
}

/// An ICMP message of the family: type, code, the four bytes behind the checksum, the rest.
#[must_use]
pub fn icmp(ends: Ends, kind: u8, code: u8, rest: [u8; 4], data: &[u8]) -> Transport {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest);
    bytes.extend(data);
    match ends.family() {
        Family::V4 => {
            let sum = internet(&[&bytes]);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
            Transport { protocol: number::ICMP, bytes }
        }
        Family::V6 => summed(ends, number::ICMPV6, bytes),
    }
}

/// The type of an echo request.
#[must_use]
pub const fn echo(family: Family) -> u8 {
    match family {
        Family::V4 => 8,
        Family::V6 => 128,
    }
}

fn ported([from, to]: [u16; 2]) -> Vec<u8> {
    let mut bytes = from.to_be_bytes().to_vec();
    bytes.extend(to.to_be_bytes());
    bytes
}
