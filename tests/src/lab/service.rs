//! The services that a host can offer.

use std::{fmt, net::IpAddr};

/// The address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];
}

impl From<IpAddr> for Family {
    fn from(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        })
    }
}

/// A protocol, with a port if it has ports, that can be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// A TCP connection, and data both ways.
    Tcp(u16),
    /// A datagram each way.
    Udp(u16),
    /// Ping.
    Echo,
    /// An SCTP packet each way.
    Sctp(u16),
    /// A GRE packet each way.
    Gre,
    /// A packet of this protocol number each way.
    Other(u8),
}

impl Service {
    /// The IANA number of the protocol.
    #[must_use]
    pub fn protocol(self, family: Family) -> u8 {
        match self {
            Self::Tcp(_) => 6,
            Self::Udp(_) => 17,
            Self::Echo if family == Family::V4 => 1,
            Self::Echo => 58,
            Self::Sctp(_) => 132,
            Self::Gre => 47,
            Self::Other(number) => number,
        }
    }

    /// The port, if the protocol has ports.
    #[must_use]
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Tcp(port) | Self::Udp(port) | Self::Sctp(port) => Some(port),
            Self::Echo | Self::Gre | Self::Other(_) => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(port) => write!(f, "tcp {port}"),
            Self::Udp(port) => write!(f, "udp {port}"),
            Self::Echo => f.write_str("icmp echo"),
            Self::Sctp(port) => write!(f, "sctp {port}"),
            Self::Gre => f.write_str("gre"),
            Self::Other(number) => write!(f, "protocol {number}"),
        }
    }
}
