//! A probe: one packet that starts a flow over one NIC.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use sg_common::packet::{
    has_ports, is_icmp,
    protocol::{self, is_extension_header},
};
use sg_model::{Bounded, Direction, Family, HeaderNumbers, ProtocolName, Scope};
use thiserror::Error;

/// The source port of a probe that specifies none.
pub const DEFAULT_SOURCE_PORT: u16 = 40_000;

/// The protocols that have ports, for messages.
const WITH_PORTS: &str = "tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite)";

/// Source and destination address, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ends {
    /// IPv4 addresses.
    V4 { source: Ipv4Addr, destination: Ipv4Addr },
    /// IPv6 addresses.
    V6 { source: Ipv6Addr, destination: Ipv6Addr },
}

/// The part of the packet that depends on its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// TCP, UDP, SCTP, DCCP, UDP-Lite.
    Ports {
        /// The source port.
        source: u16,
        /// The destination port.
        destination: u16,
    },
    /// ICMP over IPv4, ICMPv6 over IPv6.
    Icmp {
        /// The ICMP type.
        kind: u8,
        /// The ICMP code.
        code: u8,
    },
    /// Nothing that a rule could match.
    Bare,
}

/// A packet that starts a flow, valid by construction: one family; ports and ICMP types only where they exist. Its hop limit is
/// 64, so it is never neighbour discovery, which requires 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    pub(super) nic: usize,
    pub(super) direction: Direction,
    pub(super) protocol: u8,
    pub(super) ends: Ends,
    pub(super) content: Content,
    pub(super) dscp: u8,
}

/// A probe as written, with optional parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeParts {
    /// The position of the NIC in the policy.
    pub nic: usize,
    /// The direction as seen by the NIC's owner.
    pub direction: Direction,
    /// The IANA protocol number.
    pub protocol: u8,
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// For protocols with ports; `None` means [`DEFAULT_SOURCE_PORT`].
    pub source_port: Option<u16>,
    /// For protocols with ports: required.
    pub destination_port: Option<u16>,
    /// The numbers in its headers. The ICMP type is required for ICMP over IPv4 and ICMPv6 over IPv6; for the others, `None` means
    /// 0.
    pub numbers: HeaderNumbers,
}

/// Why parts do not form a probe. Fields are named as in JSON and on the command line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidProbe {
    /// An IPv4 address together with an IPv6 address.
    #[error("src {source_end} and dst {destination_end} are of two families: a packet has one")]
    MixedFamilies {
        /// The source address.
        source_end: IpAddr,
        /// The destination address.
        destination_end: IpAddr,
    },
    /// A protocol that no IPv6 packet has.
    #[error(
        "no IPv6 packet has the protocol {protocol}: that is an extension header, and rules match the protocol behind it"
    )]
    ExtensionHeader {
        /// The protocol number.
        protocol: u8,
    },
    /// A field that the protocol requires.
    #[error("{} needs {field}, {allowed}", ProtocolName(*protocol))]
    Missing {
        /// The protocol number.
        protocol: u8,
        /// The missing field.
        field: &'static str,
        /// Its allowed values.
        allowed: &'static str,
    },
    /// A field that the protocol does not have.
    #[error("{} has no {field}: only {owners} have it", ProtocolName(*protocol))]
    Superfluous {
        /// The protocol number.
        protocol: u8,
        /// The superfluous field.
        field: &'static str,
        /// The protocols that have it.
        owners: &'static str,
    },
}

impl InvalidProbe {
    /// The same error where fields have other names, such as those of flags.
    #[must_use]
    pub fn in_words(mut self, words: &[(&str, &'static str)]) -> Self {
        if let Self::Missing { field, .. } | Self::Superfluous { field, .. } = &mut self
            && let Some((_, word)) = words.iter().find(|(own, _)| own == field)
        {
            *field = word;
        }
        self
    }
}

impl Probe {
    /// Checks the parts.
    ///
    /// # Errors
    /// The first problem found.
    pub fn new(parts: ProbeParts) -> Result<Self, InvalidProbe> {
        let ProbeParts {
            nic,
            direction,
            protocol,
            source,
            destination,
            source_port: _,
            destination_port: _,
            numbers: HeaderNumbers { icmp_type: _, icmp_code: _, dscp },
        } = parts;
        let ends = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ends::V4 { source, destination },
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ends::V6 { source, destination },
            (source_end, destination_end) => {
                return Err(InvalidProbe::MixedFamilies { source_end, destination_end });
            }
        };
        let content = parts.content(ends.family())?;
        Ok(Self { nic, direction, protocol, ends, content, dscp: dscp.map_or(0, Bounded::get) })
    }

    /// The position of the NIC in the policy.
    #[must_use]
    pub const fn nic(&self) -> usize {
        self.nic
    }

    /// The direction as seen by the NIC's owner.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// The IANA protocol number.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Source and destination address.
    #[must_use]
    pub const fn ends(&self) -> Ends {
        self.ends
    }

    /// Ports or ICMP message.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }

    /// The DSCP, 0 to 63.
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        self.dscp
    }

    /// The source address.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        match self.ends {
            Ends::V4 { source, .. } => IpAddr::V4(source),
            Ends::V6 { source, .. } => IpAddr::V6(source),
        }
    }

    /// The destination address.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        match self.ends {
            Ends::V4 { destination, .. } => IpAddr::V4(destination),
            Ends::V6 { destination, .. } => IpAddr::V6(destination),
        }
    }

    /// The remote address: the end that is not the NIC's.
    #[must_use]
    pub const fn remote(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.source(),
            Direction::Egress => self.destination(),
        }
    }

    /// The local address: the NIC's end.
    #[must_use]
    pub const fn local(&self) -> IpAddr {
        match self.direction {
            Direction::Ingress => self.destination(),
            Direction::Egress => self.source(),
        }
    }
}

impl Ends {
    /// The family of both addresses.
    #[must_use]
    pub const fn family(self) -> Family {
        match self {
            Self::V4 { .. } => Family::V4,
            Self::V6 { .. } => Family::V6,
        }
    }
}

impl ProbeParts {
    fn content(&self, family: Family) -> Result<Content, InvalidProbe> {
        let protocol = self.protocol;
        let missing = |field, allowed| InvalidProbe::Missing { protocol, field, allowed };
        if family == Family::V6 && is_extension_header(protocol) {
            return Err(InvalidProbe::ExtensionHeader { protocol });
        }
        let refuse = |field, is_there: bool, owners| {
            if is_there { Err(InvalidProbe::Superfluous { protocol, field, owners }) } else { Ok(()) }
        };
        if !has_ports(protocol) {
            refuse("dport", self.destination_port.is_some(), WITH_PORTS)?;
            refuse("sport", self.source_port.is_some(), WITH_PORTS)?;
        }
        if !matches!(protocol, protocol::ICMP | protocol::ICMPV6) {
            for (field, number) in self.numbers.by_field() {
                refuse(field.key(), number.is_some() && field.scope() == Scope::Icmp, "icmp and icmpv6")?;
            }
        }
        if has_ports(protocol) {
            let destination = self.destination_port.ok_or_else(|| missing("dport", "a port, 0 to 65535"))?;
            Ok(Content::Ports { source: self.source_port.unwrap_or(DEFAULT_SOURCE_PORT), destination })
        } else if is_icmp(family, protocol) {
            let HeaderNumbers { icmp_type, icmp_code, dscp: _ } = self.numbers;
            let kind = icmp_type.ok_or_else(|| missing("icmp_type", "0 to 255"))?.get();
            Ok(Content::Icmp { kind, code: icmp_code.map_or(0, Bounded::get) })
        } else {
            // ICMP in the wrong family is a bare number: a type may be given, but nothing reads it.
            Ok(Content::Bare)
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nic: _, direction, protocol, ends: _, content, dscp } = *self;
        let direction = direction.name();
        let (source, destination) = (self.source(), self.destination());
        write!(f, "{direction} {} ", ProtocolName(protocol))?;
        match content {
            Content::Ports { source: from, destination: to } => {
                write!(f, "{} -> {}", SocketAddr::new(source, from), SocketAddr::new(destination, to))
            }
            Content::Icmp { kind, code } => write!(f, "type {kind} code {code} {source} -> {destination}"),
            Content::Bare => write!(f, "{source} -> {destination}"),
        }?;
        if dscp == 0 { Ok(()) } else { write!(f, " dscp {dscp}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(protocol: u8) -> ProbeParts {
        ProbeParts {
            nic: 0,
            direction: Direction::Ingress,
            protocol,
            source: "192.0.2.1".parse().unwrap(),
            destination: "10.0.0.5".parse().unwrap(),
            source_port: None,
            destination_port: None,
            numbers: HeaderNumbers::NONE,
        }
    }

    fn error(parts: ProbeParts) -> String {
        Probe::new(parts).unwrap_err().to_string()
    }

    #[test]
    fn ports_stand_where_there_are_ports() {
        let tcp = Probe::new(ProbeParts { destination_port: Some(22), ..parts(6) }).unwrap();
        assert_eq!(tcp.content(), Content::Ports { source: 40_000, destination: 22 });
        assert_eq!(tcp.to_string(), "ingress tcp 192.0.2.1:40000 -> 10.0.0.5:22");
        assert_eq!(error(parts(17)), "udp needs dport, a port, 0 to 65535");
        assert_eq!(
            error(ProbeParts { destination_port: Some(22), ..parts(47) }),
            "gre has no dport: only tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite) have it"
        );
        assert_eq!(
            error(ProbeParts { source_port: Some(22), numbers: HeaderNumbers::icmp(8, None), ..parts(1) }),
            "icmp has no sport: only tcp, udp, sctp, 33 (DCCP) and 136 (UDP-Lite) have it"
        );
    }

    #[test]
    fn icmp_types_stand_where_there_is_icmp() {
        let echo = Probe::new(ProbeParts { numbers: HeaderNumbers::icmp(8, None), ..parts(1) }).unwrap();
        assert_eq!(echo.content(), Content::Icmp { kind: 8, code: 0 });
        assert_eq!(error(parts(1)), "icmp needs icmp_type, 0 to 255");
        assert_eq!(
            error(ProbeParts { numbers: HeaderNumbers::icmp(8, None), ..parts(50) }),
            "protocol 50 has no icmp_type: only icmp and icmpv6 have it"
        );
        let stranger =
            Probe::new(ProbeParts { numbers: HeaderNumbers::icmp(128, None), ..parts(58) }).unwrap();
        assert_eq!(stranger.content(), Content::Bare);
    }

    #[test]
    fn a_packet_has_one_family() {
        let mixed = ProbeParts { destination: "2001:db8::1".parse().unwrap(), ..parts(47) };
        assert_eq!(error(mixed), "src 192.0.2.1 and dst 2001:db8::1 are of two families: a packet has one");
    }

    #[test]
    fn an_extension_header_is_no_protocol_of_a_packet() {
        for number in [0, 43, 44, 60] {
            let v6 = ProbeParts {
                source: "2001:db8::1".parse().unwrap(),
                destination: "2001:db8::2".parse().unwrap(),
                ..parts(number)
            };
            assert_eq!(Probe::new(v6), Err(InvalidProbe::ExtensionHeader { protocol: number }));
            assert!(Probe::new(parts(number)).is_ok(), "IPv4 has none");
        }
    }

    #[test]
    fn the_ends_swap_with_the_direction() {
        let inbound = Probe::new(parts(47)).unwrap();
        assert_eq!((inbound.remote(), inbound.local()), (inbound.source(), inbound.destination()));
        let outbound = Probe::new(ProbeParts { direction: Direction::Egress, ..parts(47) }).unwrap();
        assert_eq!((outbound.remote(), outbound.local()), (outbound.destination(), outbound.source()));
    }
}
