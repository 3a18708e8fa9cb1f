//! The part of a rule that matches protocol, ports and ICMP messages.
//!
//! Ports exist only for protocols that have them, and ICMP messages only for ICMP. Rules contain a service; the compiler and the
//! oracle read it. It must never depend on addresses.

use std::fmt;

use sg_common::packet::{Family, has_ports, protocol};

use super::PortListIndex;

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Creates a range; `None` if it is reversed.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last { Some(Self { first, last }) } else { None }
    }

    /// The lowest port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the range contains `port`.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// The ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Every port.
    Any,
    /// These ports.
    Ranges(Vec<PortRange>),
    /// The ports of a port list.
    List(PortListIndex),
}

/// A type of ICMP message, with one code or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpMessage {
    /// The type, 0 to 255.
    pub kind: u8,
    /// The code, 0 to 255; `None` means every code.
    pub code: Option<u8>,
}

/// The packets that a rule matches, by protocol, ports and ICMP message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// Every protocol.
    All,
    /// TCP, UDP, SCTP, DCCP or UDP-Lite.
    Ported {
        /// The IANA number.
        protocol: u8,
        /// The packet's destination port.
        destination: Ports,
        /// The packet's source port.
        source: Ports,
    },
    /// ICMP (IPv4 only) or ICMPv6 (IPv6 only).
    Icmp {
        /// IPv4 for ICMP, IPv6 for ICMPv6.
        family: Family,
        /// `None` means every message.
        message: Option<IcmpMessage>,
    },
    /// Any other protocol, by its IANA number.
    Other(u8),
}

impl Service {
    /// The service of a protocol number, with any ports or messages.
    #[must_use]
    pub fn of(number: u8) -> Self {
        match number {
            protocol::ICMP => Self::Icmp { family: Family::V4, message: None },
            protocol::ICMPV6 => Self::Icmp { family: Family::V6, message: None },
            number if has_ports(number) => {
                Self::Ported { protocol: number, destination: Ports::Any, source: Ports::Any }
            }
            number => Self::Other(number),
        }
    }

    /// The only family whose packets can match, if there is just one.
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        match self {
            Self::Icmp { family, .. } => Some(*family),
            Self::All | Self::Ported { .. } | Self::Other(_) => None,
        }
    }
}
