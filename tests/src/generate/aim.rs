//! A packet that is meant to hit a rule, and moving it to the rule's edges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use ipnet::IpNet;
use sg_common::packet::{has_ports, is_icmp, protocol};
use sg_model::{
    Bounded, Conditions, Direction, Family, HeaderNumbers, Nic, Policy, PortRange, Ports, Remote, Rule,
    Service,
};
use sg_probe::{Probe, ProbeParts};

use super::{
    address::{self, family_of, width},
    pick, rules,
};

/// Every field a packet can have, whether or not its protocol has it: a move from one protocol to another
/// keeps the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    nic: usize,
    direction: Direction,
    protocol: u8,
    remote: IpAddr,
    local: IpAddr,
    source_port: u16,
    destination_port: u16,
    icmp_type: u8,
    icmp_code: u8,
    dscp: u8,
}

impl Aim {
    /// Anything, from or to an address of the NIC more often than not.
    pub(super) fn anywhere(random: &mut Rng, policy: &Policy, at: (usize, Direction)) -> Self {
        let (nic, direction) = at;
        let family = pick::family(random);
        let members = policy.nics()[nic].groups.iter().flat_map(|&group| policy.members(group));
        let members: Vec<_> = members.filter(|&member| family_of(member) == family).collect();
        let stranger = address::any(random, family);
        let usual = [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6, protocol::SCTP];
        let unusual = random.u8(..);
        Self {
            nic,
            direction,
            protocol: if unusual < 200 { pick::of(random, usual) } else { unusual },
            remote: pick::among(random, members).filter(|_| unusual.is_multiple_of(2)).unwrap_or(stranger),
            local: own(random, &policy.nics()[nic], family, None),
            source_port: rules::port(random),
            destination_port: rules::port(random),
            icmp_type: pick::of(random, [0, 3, 8, 128, 135]),
            icmp_code: random.u8(..3),
            dscp: if random.bool() { 0 } else { pick::of(random, rules::DSCPS) },
        }
    }

    /// A packet that `rule` matches, if any does (a group may have no members).
    pub(super) fn at_rule(random: &mut Rng, policy: &Policy, at: (usize, Direction), rule: &Rule) -> Self {
        let nic = &policy.nics()[at.0];
        let mut aim = Self::anywhere(random, policy, at);
        let Conditions { service, family, remote, local, numbers } = rule.matches.conditions();
        let written = family.or_else(|| match remote {
            Remote::Net(prefix) => Some(family_of(prefix.addr())),
            _ => local.map(|prefix| family_of(prefix.addr())),
        });
        let remotes = remotes(policy, rule);
        let wanted = service.family().or(written);
        let remote = pick::among(
            random,
            remotes.iter().filter(|prefix| wanted.is_none_or(|family| family_of(prefix.addr()) == family)),
        );
        let fallback = wanted.or_else(|| nic.addresses.first().map(|&own| family_of(own)));
        let family = remote.map(|prefix| family_of(prefix.addr())).or(fallback).unwrap_or(Family::V4);
        aim.remote = match remote {
            Some(&prefix) => address::inside(random, prefix),
            None => address::any(random, family),
        };
        aim.local = own(random, nic, family, local);
        if let Some(dscp) = numbers.dscp {
            aim.dscp = dscp.get();
        }
        match service {
            Service::All => {}
            Service::Other(number) => aim.protocol = number,
            Service::Ported { protocol, destination, source } => {
                aim.protocol = protocol;
                if let Some(range) = pick::among(random, ranges(policy, destination)) {
                    aim.destination_port = random.u16(range.first()..=range.last());
                }
                if let Some(range) = pick::among(random, ranges(policy, source)) {
                    aim.source_port = random.u16(range.first()..=range.last());
                }
            }
            Service::Icmp { family, message } => {
                aim.protocol = icmp_of(family);
                if let Some(message) = message {
                    aim.icmp_type = message.kind;
                    aim.icmp_code = message.code.unwrap_or_else(|| random.u8(..));
                }
            }
        }
        aim
    }

    /// Moves one field to an edge of `rule`, or just over it.
    pub(super) fn nudge(&mut self, random: &mut Rng, policy: &Policy, rule: &Rule) {
        let Conditions { service, family: _, remote: _, local, numbers } = rule.matches.conditions();
        let family = family_of(self.remote);
        match random.u8(..12) {
            0..3 => {
                if let Service::Ported { destination, source, .. } = service {
                    if let Some(range) = pick::among(random, ranges(policy, source)) {
                        self.source_port = edge(random, *range);
                    } else if let Some(range) = pick::among(random, ranges(policy, destination)) {
                        self.destination_port = edge(random, *range);
                    }
                } else {
                    self.icmp_code = self.icmp_code.wrapping_add(if random.bool() { 1 } else { u8::MAX });
                }
            }
            3 => {
                if let Service::Ported { destination, .. } = service
                    && let Some(range) = pick::among(random, ranges(policy, destination))
                {
                    self.destination_port = edge(random, *range);
                } else {
                    self.icmp_type = self.icmp_type.wrapping_add(if random.bool() { 1 } else { u8::MAX });
                }
            }
            4..7 => {
                let remotes = remotes(policy, rule);
                let prefix =
                    pick::among(random, remotes.iter().filter(|prefix| family_of(prefix.addr()) == family));
                self.remote = match prefix {
                    Some(&prefix) => address::at_border(random, prefix),
                    None => address::flip(self.remote, random.u32(..width(family))),
                };
            }
            7 => self.remote = address::flip(self.remote, random.u32(..width(family))),
            8 => {
                self.local = match local {
                    Some(prefix) if family_of(prefix.addr()) == family => address::at_border(random, prefix),
                    _ => address::flip(self.local, random.u32(..width(family))),
                };
            }
            9 => {
                self.protocol = match self.protocol {
                    protocol::TCP => protocol::UDP,
                    protocol::UDP => protocol::SCTP,
                    protocol::ICMP => protocol::ICMPV6,
                    protocol::ICMPV6 => protocol::ICMP,
                    number => number.wrapping_add(1),
                }
            }
            10 => {
                let other = match family {
                    Family::V4 => Family::V6,
                    Family::V6 => Family::V4,
                };
                self.remote = address::any(random, other);
                self.local = own(random, &policy.nics()[self.nic], other, None);
            }
            11 if numbers.dscp.is_some() => self.dscp ^= 1 << random.u8(..6),
            _ => self.direction = self.direction.reversed(),
        }
    }

    /// Makes DHCP of it, or something that looks much like it.
    pub(super) fn ask_for_address(&mut self, random: &mut Rng, nic: &Nic) {
        self.protocol = protocol::UDP;
        let family = family_of(self.local);
        let (client, server) = match family {
            Family::V4 => (68, 67),
            Family::V6 => (546, 547),
        };
        (self.source_port, self.destination_port) = match self.direction {
            Direction::Egress => (client, server),
            Direction::Ingress => (server, client),
        };
        let link_local = |random: &mut Rng| Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(random.u64(..)));
        let all_servers = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
        if random.u8(..4) > 0 {
            (self.remote, self.local) = match (family, self.direction) {
                (Family::V4, Direction::Egress) => (Ipv4Addr::BROADCAST.into(), Ipv4Addr::UNSPECIFIED.into()),
                (Family::V4, Direction::Ingress) => (self.remote, Ipv4Addr::BROADCAST.into()),
                (Family::V6, Direction::Egress) => (all_servers.into(), link_local(random).into()),
                (Family::V6, Direction::Ingress) => (link_local(random).into(), link_local(random).into()),
            };
        }
        // Or one server that it may ask directly.
        let networks =
            nic.device_facts.networks(nic.role).chain(nic.dhcp_servers.iter().copied().map(IpNet::from));
        if self.direction == Direction::Egress
            && random.bool()
            && let Some(server) = pick::among(random, networks.filter(|net| family_of(net.addr()) == family))
        {
            self.remote = address::inside(random, server);
            self.local = own(random, nic, family, None);
        }
        if random.u8(..4) == 0 {
            let bit = random.u32(..width(family));
            match random.u8(..4) {
                0 => self.local = address::flip(self.local, bit),
                1 => self.remote = address::flip(self.remote, bit),
                2 => self.source_port ^= 1,
                _ => self.destination_port ^= 1,
            }
        }
    }

    /// Makes it come from an address of the NIC itself.
    pub(super) fn come_from_itself(&mut self, random: &mut Rng, nic: &Nic) {
        let family = family_of(self.local);
        let own = nic.addresses.iter().filter(|&&address| family_of(address) == family);
        if let Some(&address) = pick::among(random, own) {
            (self.direction, self.remote) = (Direction::Ingress, address);
        }
    }

    /// The packet, with the fields that its protocol has.
    pub(super) fn probe(&self) -> Option<Probe> {
        let (source, destination) = match self.direction {
            Direction::Ingress => (self.remote, self.local),
            Direction::Egress => (self.local, self.remote),
        };
        let ports = has_ports(self.protocol);
        let icmp = is_icmp(family_of(source), self.protocol);
        let parts = ProbeParts {
            nic: self.nic,
            direction: self.direction,
            protocol: self.protocol,
            source,
            destination,
            source_port: ports.then_some(self.source_port),
            destination_port: ports.then_some(self.destination_port),
            numbers: HeaderNumbers {
                dscp: Bounded::new(self.dscp),
                ..if icmp { HeaderNumbers::icmp(self.icmp_type, self.icmp_code) } else { HeaderNumbers::NONE }
            },
        };
        Probe::new(parts).ok()
    }
}

/// An address of the NIC, in `within` where it has one there; else one of `within`, else any.
fn own(random: &mut Rng, nic: &Nic, family: Family, within: Option<IpNet>) -> IpAddr {
    let own = nic.addresses.iter().filter(|&&address| {
        family_of(address) == family && within.is_none_or(|prefix| prefix.contains(&address))
    });
    match (pick::among(random, own), within) {
        (Some(&address), _) => address,
        (None, Some(prefix)) if family_of(prefix.addr()) == family => address::inside(random, prefix),
        (None, _) => address::any(random, family),
    }
}

/// Who the remote of the rule is; nothing where it is everyone.
fn remotes(policy: &Policy, rule: &Rule) -> Vec<IpNet> {
    match rule.matches.remote {
        Remote::Any => Vec::new(),
        Remote::Net(prefix) => vec![prefix],
        Remote::Group(group) => policy.members(group).into_iter().map(IpNet::from).collect(),
        Remote::PrefixList(list) => policy.prefixes(list).to_vec(),
    }
}

fn ranges<'a>(policy: &'a Policy, ports: &'a Ports) -> &'a [PortRange] {
    match ports {
        Ports::Any => &[],
        Ports::Ranges(ranges) => ranges,
        Ports::List(list) => policy.port_list(*list),
    }
}

/// A bound of `range`, one below or one above.
fn edge(random: &mut Rng, range: PortRange) -> u16 {
    match random.u8(..4) {
        0 => range.first().wrapping_sub(1),
        1 => range.first(),
        2 => range.last(),
        _ => range.last().wrapping_add(1),
    }
}

const fn icmp_of(family: Family) -> u8 {
    match family {
        Family::V4 => protocol::ICMP,
        Family::V6 => protocol::ICMPV6,
    }
}
