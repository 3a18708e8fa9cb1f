//! What can decide about a packet, in order, as ranges of keys.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    rc::Rc,
};

use ipnet::IpNet;
use sg_common::{
    flow::Direction,
    image::{Dimension, service_key},
    packet::Family,
    verdict::{Decision, Reason, Verdict},
};

use super::{
    near::Near,
    ranges::{Addresses, Range},
};
use crate::model::{
    Decider, GroupIndex, IcmpMessage, Mac, Nic, Policy, Ports, PrefixListIndex, Remote, Rule, Service,
};

/// A condition on every dimension, and what holds where all are met. Earlier clauses win.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) remote: Rc<Addresses>,
    pub(super) service: Vec<Range>,
    pub(super) source_port: Vec<Range>,
    pub(super) local: Rc<Addresses>,
    /// The sender's Ethernet address.
    pub(super) ethernet: Range,
    pub(super) decision: Decision,
}

impl Clause {
    fn always(decision: Decision) -> Self {
        let any = Rc::new(Addresses::any());
        let full = vec![Range::FULL];
        Self {
            remote: any.clone(),
            service: full.clone(),
            source_port: full,
            local: any,
            ethernet: Range::FULL,
            decision,
        }
    }

    /// How many ranges it has, over all dimensions.
    pub(super) fn ranges(&self) -> usize {
        self.remote.pieces.len() + self.service.len() + self.source_port.len() + self.local.pieces.len()
    }

    /// Its ranges in one dimension that rules ask about; of addresses, the upper halves.
    pub(super) fn ranges_of(&self, dimension: Dimension) -> Vec<Range> {
        let upper = |addresses: &Addresses| addresses.pieces.iter().map(|piece| piece.high).collect();
        match dimension {
            Dimension::RemoteHigh | Dimension::RemoteLow => upper(&self.remote),
            Dimension::LocalHigh | Dimension::LocalLow => upper(&self.local),
            Dimension::Service => self.service.clone(),
            Dimension::SourcePort => self.source_port.clone(),
            Dimension::Ethernet => vec![self.ethernet],
        }
    }

    /// The clauses that tell the NIC's own addresses from others: own ones accept.
    pub(super) fn own_addresses(nic: &Nic, family: Family) -> Vec<Self> {
        let own = addresses(family, nic.addresses.iter().copied().map(IpNet::from));
        Self::told_apart(own.map(|own| Self { local: Rc::new(own), ..Self::told(Verdict::Accept) }))
    }

    /// The clauses that tell whom the NIC may speak for: such pairs accept. Who has no address yet speaks for nobody, and
    /// that from its Ethernet address; the datapath lets it no further than to ask.
    pub(super) fn senders(nic: &Nic, family: Family) -> Vec<Self> {
        let nobody = IpNet::from(match family {
            Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        });
        let unknown = nic.senders.mac.is_none().then_some(None);
        let nobody = nic.senders.macs().map(Some).chain(unknown).map(|mac| (nobody, mac));
        Self::told_apart(nic.pairs().chain(nobody).filter_map(|(net, mac)| {
            let local = Rc::new(addresses(family, [net])?);
            Some(Self { local, ethernet: only(mac), ..Self::told(Verdict::Accept) })
        }))
    }

    fn told_apart(yes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        yes.into_iter().chain([Self::told(Verdict::Drop)]).collect()
    }

    /// An answer that is no packet's.
    fn told(verdict: Verdict) -> Self {
        Self::always(Decision::new(verdict, Reason::Rule, 0))
    }
}

/// An Ethernet address, or all of them where none is known.
fn only(mac: Option<Mac>) -> Range {
    mac.map_or(Range::FULL, |mac| Range { first: mac.key(), last: mac.key() })
}

/// Turns references into addresses, each once.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    policy: &'a Policy,
    /// What else is behind a reference is left out; none: nothing is.
    near: Option<&'a Near>,
    known: HashMap<(Source, Family), Option<Rc<Addresses>>>,
}

/// What a rule names instead of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    Group(GroupIndex),
    PrefixList(PrefixListIndex),
}

impl Source {
    /// What stands behind it, as written: in no order, and some of it perhaps twice.
    pub(super) fn nets(self, policy: &Policy) -> impl Iterator<Item = IpNet> {
        let (group, prefixes) = match self {
            Self::Group(group) => (Some(group), &[][..]),
            Self::PrefixList(list) => (None, policy.prefixes(list)),
        };
        let members = group.into_iter().flat_map(|group| {
            policy.members_elsewhere(group).iter().chain(policy.members_here(group)).copied()
        });
        members.map(IpNet::from).chain(prefixes.iter().copied())
    }
}

impl<'a> Resolver<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self { policy, near: None, known: HashMap::new() }
    }

    /// One that finds of groups and lists only what is `near`.
    pub(super) fn of(policy: &'a Policy, near: &'a Near) -> Self {
        Self { near: Some(near), ..Self::new(policy) }
    }

    /// The clauses of one direction and family. What cannot match in the family is left out; the last one always
    /// matches.
    pub(super) fn clauses(
        &mut self,
        nic: &Nic,
        direction: Direction,
        family: Family,
        decisions: &[(Decider, Decision)],
    ) -> Vec<Clause> {
        debug_assert!(nic.groups.iter().all(|group| group.0 < self.policy.groups().len()));
        let clause = |&(decider, decision): &(Decider, Decision)| match decider {
            Decider::IntraGroup(group) => {
                let remote = self.resolve(Source::Group(group), family)?;
                Some(Clause { remote, ..Clause::always(decision) })
            }
            Decider::Rule(index) => self.rule(self.policy.rule(index), family, decision),
            Decider::Default(found) => (found == direction).then(|| Clause::always(decision)),
        };
        decisions.iter().filter_map(clause).collect()
    }

    fn rule(&mut self, rule: &Rule, family: Family, decision: Decision) -> Option<Clause> {
        if rule.service.family().is_some_and(|only| only != family) {
            return None;
        }
        let remote = match rule.remote {
            Remote::Any => Rc::new(Addresses::any()),
            Remote::Net(net) => Rc::new(addresses(family, [net])?),
            Remote::Group(group) => self.resolve(Source::Group(group), family)?,
            Remote::PrefixList(list) => self.resolve(Source::PrefixList(list), family)?,
        };
        let local = match rule.local {
            None => Addresses::any(),
            Some(net) => addresses(family, [net])?,
        };
        let (service, source_port) = self.service(&rule.service);
        Some(Clause { remote, service, source_port, local: Rc::new(local), ethernet: Range::FULL, decision })
    }

    /// The keys of the two dimensions that a service speaks of.
    fn service(&self, service: &Service) -> (Vec<Range>, Vec<Range>) {
        let whole =
            |protocol| Range { first: service_key(protocol, 0), last: service_key(protocol, u16::MAX) };
        match service {
            Service::All => (vec![Range::FULL], vec![Range::FULL]),
            Service::Other(protocol) => (vec![whole(*protocol)], vec![Range::FULL]),
            Service::Icmp { family, message } => {
                let protocol = match family {
                    Family::V4 => sg_common::packet::protocol::ICMP,
                    Family::V6 => sg_common::packet::protocol::ICMPV6,
                };
                let range = message.map_or(whole(protocol), |IcmpMessage { kind, code }| {
                    let detail = |code| service_key(protocol, u16::from_be_bytes([kind, code]));
                    Range { first: detail(code.unwrap_or(0)), last: detail(code.unwrap_or(u8::MAX)) }
                });
                (vec![range], vec![Range::FULL])
            }
            Service::Ported { protocol, destination, source } => {
                let destination = match self.ports(destination) {
                    None => vec![whole(*protocol)],
                    Some(ranges) => {
                        let key = |port| service_key(*protocol, port as u16);
                        let keys = |range: Range| Range { first: key(range.first), last: key(range.last) };
                        ranges.into_iter().map(keys).collect()
                    }
                };
                (destination, self.ports(source).unwrap_or_else(|| vec![Range::FULL]))
            }
        }
    }

    /// None means every port.
    fn ports(&self, ports: &Ports) -> Option<Vec<Range>> {
        let ranges = match ports {
            Ports::Any => return None,
            Ports::Ranges(ranges) => ranges,
            Ports::List(list) => self.policy.port_list(*list),
        };
        let range = |range: &crate::model::PortRange| Range {
            first: u64::from(range.first()),
            last: u64::from(range.last()),
        };
        let ranges = Range::normalise(ranges.iter().map(range).collect(), u64::from(u16::MAX));
        (ranges != [Range { first: 0, last: u64::from(u16::MAX) }]).then_some(ranges)
    }

    fn resolve(&mut self, source: Source, family: Family) -> Option<Rc<Addresses>> {
        let (policy, near) = (self.policy, self.near);
        self.known
            .entry((source, family))
            .or_insert_with(|| {
                let near = |net: &IpNet| near.is_none_or(|near| near.touches(*net));
                addresses(family, source.nets(policy).filter(near)).map(Rc::new)
            })
            .clone()
    }

    /// The rules of a NIC with the most combinations of prefixes and ports, most first.
    pub(super) fn costliest(&mut self, nic: &Nic) -> Vec<String> {
        const SHOWN: usize = 3;
        let mut costs = Vec::new();
        let nothing = Decision::new(Verdict::Drop, Reason::Default, 0);
        for direction in [Direction::Ingress, Direction::Egress] {
            for (index, rule) in self.policy.effective(nic, direction).rules {
                let cost: usize = [Family::V4, Family::V6]
                    .into_iter()
                    .filter_map(|family| self.rule(rule, family, nothing))
                    .map(|clause| {
                        clause.remote.pieces.len()
                            * clause.service.len()
                            * clause.source_port.len()
                            * clause.local.pieces.len()
                    })
                    .sum();
                costs.push((cost, index, rule));
            }
        }
        costs.sort_by_key(|&(cost, index, _)| (Reverse(cost), index));
        let name = |(cost, index, rule): (usize, crate::model::RuleIndex, &Rule)| {
            format!("{} of group {} ({cost} combinations)", rule.id, self.policy.group(index.group).name)
        };
        costs.into_iter().take(SHOWN).map(name).collect()
    }
}

/// The addresses of one family among `nets`; none where there are none.
pub(super) fn addresses(family: Family, nets: impl IntoIterator<Item = IpNet>) -> Option<Addresses> {
    let nets = nets.into_iter();
    let found = match family {
        Family::V4 => {
            let ranges: Vec<Range> = nets
                .filter_map(|net| match net {
                    IpNet::V4(net) => Some(Range {
                        first: u64::from(net.network().to_bits()),
                        last: u64::from(net.broadcast().to_bits()),
                    }),
                    IpNet::V6(_) => None,
                })
                .collect();
            Addresses::v4(ranges)
        }
        Family::V6 => {
            let ranges: Vec<Range<u128>> = nets
                .filter_map(|net| match net {
                    IpNet::V6(net) => {
                        Some(Range { first: net.network().to_bits(), last: net.broadcast().to_bits() })
                    }
                    IpNet::V4(_) => None,
                })
                .collect();
            Addresses::v6(ranges)
        }
    };
    (!found.pieces.is_empty()).then_some(found)
}
