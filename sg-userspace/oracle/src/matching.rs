//! Whether a rule matches a packet, and if not, why not.

use std::{fmt, net::IpAddr};

use sg_model::{
    Conditions, Family, FamilyName, HeaderNumbers, IcmpMessage, Policy, Ports, ProtocolName, Remote, Rule,
    Service,
};
use sg_probe::{Content, Probe};

use super::addresses::AddressSet;

/// The first condition of a rule that a packet does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The protocol differs.
    Protocol {
        /// The packet's protocol.
        found: u8,
    },
    /// The family differs; of ICMP it is IPv4, of ICMPv6 IPv6.
    Family {
        /// The packet's family.
        found: Family,
    },
    /// The destination port differs.
    DestinationPort {
        /// The packet's destination port.
        found: u16,
    },
    /// The source port differs.
    SourcePort {
        /// The packet's source port.
        found: u16,
    },
    /// The ICMP type or code differs.
    IcmpMessage {
        /// The packet's type.
        kind: u8,
        /// The packet's code.
        code: u8,
    },
    /// The DSCP differs.
    Dscp {
        /// The packet's DSCP.
        found: u8,
    },
    /// The remote address differs.
    Remote {
        /// The packet's remote address.
        found: IpAddr,
    },
    /// The local address differs.
    Local {
        /// The packet's local address.
        found: IpAddr,
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Protocol { found } => write!(f, "protocol: the packet is {}", ProtocolName(found)),
            Self::Family { found } => write!(f, "family: the packet is {}", FamilyName(found)),
            Self::DestinationPort { found } => write!(f, "ports: the packet goes to {found}"),
            Self::SourcePort { found } => write!(f, "source_ports: the packet comes from {found}"),
            Self::IcmpMessage { kind, code } => {
                write!(f, "icmp_type: the packet is type {kind} code {code}")
            }
            Self::Dscp { found } => write!(f, "dscp: the packet has {found}"),
            Self::Remote { found } => write!(f, "remote: the packet's is {found}"),
            Self::Local { found } => write!(f, "local: the packet's is {found}"),
        }
    }
}

/// Why `rule` does not match `probe`; `None` if it does. `named` holds the addresses of the group or prefix list that the rule's
/// remote refers to.
pub(super) fn mismatch(
    policy: &Policy,
    rule: &Rule,
    named: Option<&AddressSet>,
    probe: &Probe,
) -> Option<Mismatch> {
    let Conditions { service, family, remote: wanted, local: own, numbers } = rule.matches.conditions();
    // Those of ICMP are in the service.
    let HeaderNumbers { icmp_type: _, icmp_code: _, dscp } = numbers;
    service_mismatch(policy, service, probe).or_else(|| {
        if dscp.is_some_and(|wanted| wanted.get() != probe.dscp()) {
            return Some(Mismatch::Dscp { found: probe.dscp() });
        }
        let found = probe.ends().family();
        if family.is_some_and(|wanted| wanted != found) {
            return Some(Mismatch::Family { found });
        }
        let (local, remote) = (probe.local(), probe.remote());
        // A prefix contains no address of the other family.
        if own.is_some_and(|prefix| !prefix.contains(&local)) {
            return Some(Mismatch::Local { found: local });
        }
        let met = match wanted {
            Remote::Any => true,
            Remote::Net(prefix) => prefix.contains(&remote),
            Remote::Group(_) | Remote::PrefixList(_) => named.is_some_and(|set| set.contains(remote)),
        };
        (!met).then_some(Mismatch::Remote { found: remote })
    })
}

fn service_mismatch(policy: &Policy, service: Service<'_>, probe: &Probe) -> Option<Mismatch> {
    const ICMP: u8 = 1;
    const ICMPV6: u8 = 58;
    let other_protocol = Some(Mismatch::Protocol { found: probe.protocol() });
    match service {
        Service::All => None,
        Service::Other(number) => {
            if probe.protocol() == number {
                None
            } else {
                other_protocol
            }
        }
        Service::Ported { protocol, destination, source } => match probe.content() {
            Content::Ports { source: from, destination: to } if probe.protocol() == protocol => {
                if !has(policy, destination, to) {
                    Some(Mismatch::DestinationPort { found: to })
                } else if !has(policy, source, from) {
                    Some(Mismatch::SourcePort { found: from })
                } else {
                    None
                }
            }
            _ => other_protocol,
        },
        Service::Icmp { family, message } => {
            let number = match family {
                Family::V4 => ICMP,
                Family::V6 => ICMPV6,
            };
            match (probe.content(), message) {
                _ if probe.protocol() != number => other_protocol,
                _ if probe.ends().family() != family => {
                    Some(Mismatch::Family { found: probe.ends().family() })
                }
                (Content::Icmp { kind, code }, Some(wanted)) if !is(wanted, kind, code) => {
                    Some(Mismatch::IcmpMessage { kind, code })
                }
                _ => None,
            }
        }
    }
}

fn has(policy: &Policy, ports: &Ports, port: u16) -> bool {
    let ranges = match ports {
        Ports::Any => return true,
        Ports::Ranges(ranges) => ranges,
        Ports::List(list) => policy.port_list(*list),
    };
    ranges.iter().any(|range| range.first() <= port && port <= range.last())
}

fn is(wanted: IcmpMessage, kind: u8, code: u8) -> bool {
    wanted.kind == kind && wanted.code.is_none_or(|wanted| wanted == code)
}
