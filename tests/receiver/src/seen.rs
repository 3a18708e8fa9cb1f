//! What a receiver saw of a datagram, and what that says of it. Read by a reader of its own: of bytes that a Linux stack
//! handed over as one datagram's, with nothing before, behind or between them.

use std::fmt;

use crate::{
    frames::{Family, number, transport::flags},
    report::Hex,
    rules::icmp,
};

/// How it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// By a raw socket: the stack took it for its own, and had it put together.
    Raw,
    /// By a socket of its transport: all of it was right.
    Socket,
    /// By the stack's reply: a SYN/ACK, an echo reply, a neighbour advertisement.
    Reply,
    /// Not at all: a reset or an error came back, from the stack or from a filter that rejects.
    Refusal,
}

/// A datagram that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// How it was seen.
    pub by: By,
    /// Its family.
    pub family: Family,
    /// Its protocol.
    pub protocol: u8,
    /// IPv6, where a raw socket saw it.
    pub hop_limit: Option<u8>,
    /// Its transport header and data: by [`By::Raw`] all of it, else what tells the ports or the type.
    pub bytes: Vec<u8>,
}

/// Whether the protocol has ports.
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, number::TCP | number::UDP | number::SCTP | number::UDP_LITE | number::DCCP)
}

impl Seen {
    fn word(&self, place: usize) -> Option<u16> {
        Some(u16::from_be_bytes([*self.bytes.get(place)?, *self.bytes.get(place + 1)?]))
    }

    /// Its ports, from and to; none where it has none, or is too short to have them.
    #[must_use]
    pub fn ports(&self) -> Option<[u16; 2]> {
        if !has_ports(self.protocol) {
            return None;
        }
        Some([self.word(0)?, self.word(2)?])
    }

    /// Whether it is of its family's ICMP.
    #[must_use]
    pub fn is_icmp(&self) -> bool {
        self.protocol == icmp(self.family)
    }

    /// The type of an ICMP message that has all of its header.
    #[must_use]
    pub fn icmp_type(&self) -> Option<u8> {
        (self.is_icmp() && self.bytes.len() >= 8).then(|| self.bytes[0])
    }

    /// The identifier of an echo.
    #[must_use]
    pub fn identifier(&self) -> Option<u16> {
        self.word(4)
    }

    /// Whether its transport header is not all there. Of what a raw socket saw all bytes are known.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        // RFC 9293 3.1, RFC 9260 3, RFC 4340 5.1, RFC 768, RFC 3828 3.1, RFC 792 and RFC 4443 2.1.
        let least = match self.protocol {
            number::TCP => 20,
            number::SCTP | number::DCCP => 12,
            number::UDP | number::UDP_LITE => 8,
            protocol if protocol == icmp(self.family) => 8,
            _ => 0,
        };
        self.by == By::Raw && self.bytes.len() < least
    }

    /// Whether it asks for a TCP connection.
    #[must_use]
    pub fn is_syn(&self) -> bool {
        let asks = |flags: u8| flags & (flags::SYN | flags::ACK) == flags::SYN;
        self.protocol == number::TCP && self.bytes.get(13).is_some_and(|&flags| asks(flags))
    }

    /// Whether it is a TCP reset.
    #[must_use]
    pub fn is_reset(&self) -> bool {
        self.protocol == number::TCP && self.bytes.get(13).is_some_and(|&all| all & flags::RST != 0)
    }

    /// What names it among those of one case.
    #[must_use]
    pub fn key(&self) -> (By, u8, Option<[u16; 2]>, Option<u8>) {
        (self.by, self.protocol, self.ports(), self.icmp_type())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Raw => "raw socket",
            By::Socket => "socket",
            By::Reply => "reply",
            By::Refusal => "refusal",
        };
        write!(f, "{by}: protocol {}", self.protocol)?;
        if let Some([from, to]) = self.ports() {
            write!(f, ", ports {from} > {to}")?;
        }
        if let Some(kind) = self.icmp_type() {
            write!(f, ", type {kind}")?;
        }
        if self.is_syn() {
            f.write_str(", SYN")?;
        }
        if let Some(limit) = self.hop_limit {
            write!(f, ", hop limit {limit}")?;
        }
        write!(f, ", {} bytes {}", self.bytes.len(), Hex(&self.bytes))
    }
}
