//! Packets as values, and as the bytes on the wire. Each carries a number, from 1 on, where neither filter looks: the
//! identification of IPv4, the flow label of IPv6. By it the receiving end knows which one came.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use sg_common::packet::{ethertype, protocol};
pub(crate) use sg_tests::packet::{ACK, FIN, RST, SYN};
use sg_tests::packet::{checksum, ethernet, ip, summed, tcp, udp};

/// A protocol number for experiments (RFC 3692): the packet that ends a sequence.
pub(crate) const LAST: u8 = 253;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) body: Body,
    /// Its checksum is wrong.
    pub(crate) spoiled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Tcp(Segment),
    Udp {
        /// Source, destination.
        ports: [u16; 2],
    },
    /// An ICMP message that speaks about no packet, in the numbers of its family.
    Icmp {
        kind: u8,
        code: u8,
        identifier: u16,
    },
    /// An ICMP error about a packet.
    Error {
        kind: u8,
        code: u8,
        about: Box<Packet>,
    },
    /// A payload that nobody reads.
    Other(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Source, destination.
    pub(crate) ports: [u16; 2],
    /// Sequence, acknowledgement.
    pub(crate) numbers: [u32; 2],
    pub(crate) flags: u8,
    /// Bytes of payload.
    pub(crate) payload: u16,
}

impl Packet {
    pub(crate) fn new(from: IpAddr, to: IpAddr, body: Body) -> Self {
        Self { from, to, body, spoiled: false }
    }

    /// The frame between these link addresses (source, destination), with its number.
    pub(crate) fn frame(&self, [from, to]: [[u8; 6]; 2], number: u16) -> Vec<u8> {
        ethernet([to, from], &self.bytes(number))
    }

    /// What a flow is known by, the same both ways; for an error, that of the packet it is about.
    pub(crate) fn flow(&self) -> TestFlow {
        let (ports, number) = match &self.body {
            Body::Error { about, .. } => return about.flow(),
            Body::Tcp(segment) => (segment.ports, protocol::TCP),
            Body::Udp { ports } => (*ports, protocol::UDP),
            Body::Icmp { identifier, .. } => ([*identifier; 2], protocol::ICMP),
            Body::Other(number) => ([0; 2], *number),
        };
        let ends = [(self.from, ports[0]), (self.to, ports[1])];
        TestFlow { ends: [ends[0].min(ends[1]), ends[0].max(ends[1])], protocol: number }
    }

    fn bytes(&self, number: u16) -> Vec<u8> {
        let mut packet = ip([self.from, self.to], self.protocol(), 64, &self.body());
        if self.from.is_ipv4() {
            packet[4..6].copy_from_slice(&number.to_be_bytes());
            packet[6] = 0x40;
            packet[10..12].fill(0);
            let sum = checksum(&packet[..20]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            packet[2..4].copy_from_slice(&number.to_be_bytes());
        }
        packet
    }

    fn protocol(&self) -> u8 {
        match &self.body {
            Body::Tcp(_) => protocol::TCP,
            Body::Udp { .. } => protocol::UDP,
            Body::Icmp { .. } | Body::Error { .. } if self.from.is_ipv4() => protocol::ICMP,
            Body::Icmp { .. } | Body::Error { .. } => protocol::ICMPV6,
            Body::Other(number) => *number,
        }
    }

    /// What stands behind the IP header, with its checksum.
    fn body(&self) -> Vec<u8> {
        let (mut body, place) = match &self.body {
            Body::Tcp(segment) => {
                let mut bytes = tcp(segment.ports, segment.numbers, segment.flags);
                bytes.resize(20 + usize::from(segment.payload), b'.');
                (bytes, 16)
            }
            Body::Udp { ports } => (udp(*ports, &[1, 2, 3, 4]), 6),
            Body::Icmp { kind, code, identifier } => {
                let [high, low] = identifier.to_be_bytes();
                // Information and timestamps have twelve bytes more; an echo may have them.
                ([&[*kind, *code, 0, 0, high, low, 0, 1][..], &[0; 12]].concat(), 2)
            }
            Body::Error { kind, code, about } => {
                ([&[*kind, *code, 0, 0, 0, 0, 5, 0][..], &about.bytes(0)].concat(), 2)
            }
            Body::Other(_) => return vec![0; 8],
        };
        body = summed([self.from, self.to], self.protocol(), body);
        if self.spoiled {
            body[place..place + 2].iter_mut().for_each(|byte| *byte ^= 1);
        }
        body
    }
}

/// Who sends to whom, whichever way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TestFlow {
    ends: [(IpAddr, u16); 2],
    protocol: u8,
}

/// The number of a frame that arrived. What the router says itself has none.
pub(crate) fn number(frame: &[u8]) -> Option<u16> {
    let at = |place: usize| Some(u16::from_be_bytes([*frame.get(place)?, *frame.get(place + 1)?]));
    let number = match at(12)? {
        ethertype::IPV4 => at(18),
        ethertype::IPV6 => at(16),
        _ => None,
    };
    number.filter(|&number| number != 0)
}

/// The packet that ends a sequence.
pub(crate) fn last(from: Ipv4Addr, to: Ipv4Addr) -> Packet {
    Packet::new(from.into(), to.into(), Body::Other(LAST))
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |[one, other]: [u16; 2]| format!("{}:{one} > {}:{other}", self.from, self.to);
        match &self.body {
            Body::Tcp(segment) => {
                let names = [(SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (ACK, "ACK")];
                let flags: Vec<_> = names
                    .iter()
                    .filter(|(flag, _)| segment.flags & flag != 0)
                    .map(|(_, name)| *name)
                    .collect();
                let [sequence, acknowledged] = segment.numbers;
                let (ends, length) = (ends(segment.ports), segment.payload);
                write!(
                    f,
                    "tcp {ends} [{}] seq {sequence} ack {acknowledged} length {length}",
                    flags.join(" ")
                )
            }
            Body::Udp { ports } => write!(f, "udp {}", ends(*ports)),
            Body::Icmp { kind, code, identifier } => {
                write!(f, "icmp {} > {} type {kind} code {code} id {identifier}", self.from, self.to)
            }
            Body::Error { kind, code, about } => {
                write!(f, "icmp {} > {} type {kind} code {code} about ({about})", self.from, self.to)
            }
            Body::Other(number) => write!(f, "protocol {number} {} > {}", self.from, self.to),
        }?;
        f.write_str(if self.spoiled { " with a wrong checksum" } else { "" })
    }
}
