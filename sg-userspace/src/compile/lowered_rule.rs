//! What can decide about a packet, in order, as ranges of keys.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use foldhash::{HashMap, HashMapExt as _};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sg_common::{
    abi::reason_counter,
    flow::Direction,
    image::{Dimension, service_key},
    packet::Family,
    verdict::{Decision, Reason, Verdict},
};
use smallvec::smallvec;

use super::{
    affected::AffectedRanges,
    dimensions::Dimensions,
    ranges::{Addresses, Range, Ranges},
};
use crate::model::{
    Decider, GroupIndex, IcmpMessage, Mac, Nic, Policy, Ports, PrefixListIndex, Remote, Rule, Service,
    identifies,
};

/// A condition on every dimension, and what holds where all are met. Earlier lowered rules win.
#[derive(Clone, Debug)]
pub(super) struct LoweredRule {
    pub(super) remote: Addresses,
    pub(super) service: Ranges,
    pub(super) source_port: Ranges,
    pub(super) local: Addresses,
    /// The sender's Ethernet address.
    pub(super) ethernet: Range,
    pub(super) decision: Decision,
}

impl LoweredRule {
    fn always(decision: Decision) -> Self {
        Self {
            remote: Addresses::any(),
            service: one(Range::FULL),
            source_port: one(Range::FULL),
            local: Addresses::any(),
            ethernet: Range::FULL,
            decision,
        }
    }

    /// How many ranges it has, over all dimensions.
    pub(super) fn ranges(&self) -> usize {
        self.remote.pieces().len() + self.service.len() + self.source_port.len() + self.local.pieces().len()
    }

    /// Its ranges in one dimension that rules ask about; of addresses, the upper halves.
    pub(super) fn ranges_of(&self, dimension: Dimension) -> Ranges {
        let upper = |addresses: &Addresses| addresses.pieces().iter().map(|piece| piece.high).collect();
        match dimension {
            Dimension::RemoteHigh | Dimension::RemoteLow => upper(&self.remote),
            Dimension::LocalHigh | Dimension::LocalLow => upper(&self.local),
            Dimension::Service => self.service.clone(),
            Dimension::SourcePort => self.source_port.clone(),
            Dimension::Ethernet => one(self.ethernet),
        }
    }

    /// The dimensions that it has a condition on, but for lower halves of addresses.
    pub(super) fn asked(&self) -> Dimensions {
        Dimensions::only_if(!self.remote.is_any(), Dimension::RemoteHigh)
            .or(Dimensions::only_if(self.service[..] != [Range::FULL], Dimension::Service))
            .or(Dimensions::only_if(self.source_port[..] != [Range::FULL], Dimension::SourcePort))
            .or(Dimensions::only_if(!self.local.is_any(), Dimension::LocalHigh))
            .or(Dimensions::only_if(self.ethernet != Range::FULL, Dimension::Ethernet))
    }

    /// The lowered rules that tell the NIC's own addresses from others: own ones accept.
    pub(super) fn own_addresses(nic: &Nic, family: Family) -> Vec<Self> {
        let own = addresses(family, nic.addresses.iter().copied().map(IpNet::from));
        Self::membership_rules(own.map(|own| Self { local: own, ..Self::told(Verdict::Accept) }))
    }

    /// The lowered rules that tell which remote addresses are told nothing when a packet is rejected: such accept. They are the NIC's
    /// own, and those of its networks that are nobody's. Like all facts, they are asked for as local ones.
    pub(super) fn untold(nic: &Nic, family: Family) -> Vec<Self> {
        let untold = nic.addresses.iter().copied().chain(nic.device_facts.nobody(nic.role)).map(IpNet::from);
        let untold = addresses(family, untold);
        Self::membership_rules(untold.map(|untold| Self { local: untold, ..Self::told(Verdict::Accept) }))
    }

    /// The lowered rules that tell whom the NIC may speak for: such pairs accept. Who has no address yet speaks for nobody, and
    /// that from its Ethernet address; the datapath lets it no further than to ask.
    pub(super) fn senders(nic: &Nic, family: Family) -> Vec<Self> {
        let nobody = IpNet::from(match family {
            Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        });
        let unknown = nic.senders.mac.is_none().then_some(None);
        let has_ethernet = !nic.device_facts.is_layer_3;
        let nobody = nic.senders.macs().map(Some).chain(unknown).map(|mac| (nobody, mac));
        Self::membership_rules(nic.pairs().chain(nobody).filter_map(|(net, mac)| {
            let local = prefix(family, net)?;
            let ethernet = only(mac.filter(|_| has_ethernet));
            Some(Self { local, ethernet, ..Self::told(Verdict::Accept) })
        }))
    }

    /// The lowered rules that tell the DHCP servers that the NIC may ask directly: those that it is told of, and those of its
    /// link. (A cloud's stands at a link-local address.)
    pub(super) fn servers(nic: &Nic, family: Family) -> Vec<Self> {
        let link = match family {
            Family::V4 => IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16)),
            Family::V6 => IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10)),
        };
        let named = nic.dhcp_servers.iter().copied().map(IpNet::from);
        let servers = addresses(family, named.chain(nic.device_facts.networks(nic.role)).chain([link]));
        Self::membership_rules(servers.map(|remote| Self { remote, ..Self::told(Verdict::Accept) }))
    }

    fn membership_rules(yes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        yes.into_iter().chain([Self::told(Verdict::Drop)]).collect()
    }

    /// An answer that is no packet's.
    fn told(verdict: Verdict) -> Self {
        Self::always(Decision::new(verdict, Reason::Rule, 0))
    }
}

fn one(range: Range) -> Ranges {
    Ranges::from_buf([range])
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
    affected: Option<&'a AffectedRanges>,
    known: HashMap<(Source, Family), Option<Addresses>>,
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
            let elsewhere = policy.remote_members(group).iter().filter(|address| identifies(**address));
            elsewhere.chain(policy.local_members(group)).copied()
        });
        members.map(IpNet::from).chain(prefixes.iter().copied())
    }
}

impl<'a> Resolver<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self { policy, affected: None, known: HashMap::new() }
    }

    /// One that finds of groups and lists only what is `near`.
    pub(super) fn of(policy: &'a Policy, affected: &'a AffectedRanges) -> Self {
        Self { affected: Some(affected), ..Self::new(policy) }
    }

    /// The lowered rules of one direction by family. What cannot match in a family is left out there; the last one always
    /// matches. Before all others stands that an inbound packet from an address of the NIC itself is spoofed: such lowered rules
    /// cost no walk of their own, and a flow that is judged again meets them too. `counters` are the NIC's.
    pub(super) fn lowered_rules(
        &mut self,
        nic: &Nic,
        direction: Direction,
        decisions: &[(Decider, Decision)],
        counters: u32,
    ) -> [(Family, Vec<LoweredRule>); 2] {
        debug_assert!(nic.groups.iter().all(|group| group.0 < self.policy.groups().len()));
        let mut found = [Family::V4, Family::V6].map(|family| (family, Vec::with_capacity(decisions.len())));
        if direction == Direction::Ingress {
            let counter = reason_counter(counters, direction, Reason::OwnSource);
            let spoofed = LoweredRule::always(Decision::new(Verdict::Drop, Reason::OwnSource, counter));
            for (family, lowered_rules) in &mut found {
                let own = addresses(*family, nic.own_sources().map(IpNet::from));
                lowered_rules.extend(own.map(|remote| LoweredRule { remote, ..spoofed.clone() }));
            }
        }
        // Both families at once: a large policy is not in the cache, and each rule is read once.
        for &(decider, decision) in decisions {
            for (family, lowered_rules) in &mut found {
                lowered_rules.extend(self.lowered_rule(decider, direction, *family, decision));
            }
        }
        found
    }

    fn lowered_rule(
        &mut self,
        decider: Decider,
        direction: Direction,
        family: Family,
        decision: Decision,
    ) -> Option<LoweredRule> {
        match decider {
            Decider::IntraGroup(group) => {
                let remote = self.resolve(Source::Group(group), family)?;
                Some(LoweredRule { remote, ..LoweredRule::always(decision) })
            }
            Decider::Rule(index) => self.rule(self.policy.rule(index), family, decision),
            Decider::Default(found) => (found == direction).then(|| LoweredRule::always(decision)),
        }
    }

    fn rule(&mut self, rule: &Rule, family: Family, decision: Decision) -> Option<LoweredRule> {
        if rule.service.family().is_some_and(|only| only != family) {
            return None;
        }
        let remote = match rule.remote {
            Remote::Any => Addresses::any(),
            Remote::Net(net) => prefix(family, net)?,
            Remote::Group(group) => self.resolve(Source::Group(group), family)?,
            Remote::PrefixList(list) => self.resolve(Source::PrefixList(list), family)?,
        };
        let local = match rule.local {
            None => Addresses::any(),
            Some(net) => prefix(family, net)?,
        };
        let (service, source_port) = self.service(&rule.service);
        Some(LoweredRule { remote, service, source_port, local, ethernet: Range::FULL, decision })
    }

    /// The keys of the two dimensions that a service speaks of.
    fn service(&self, service: &Service) -> (Ranges, Ranges) {
        let whole =
            |protocol| Range { first: service_key(protocol, 0), last: service_key(protocol, u16::MAX) };
        match service {
            Service::All => (one(Range::FULL), one(Range::FULL)),
            Service::Other(protocol) => (one(whole(*protocol)), one(Range::FULL)),
            Service::Icmp { family, message } => {
                let protocol = match family {
                    Family::V4 => sg_common::packet::protocol::ICMP,
                    Family::V6 => sg_common::packet::protocol::ICMPV6,
                };
                let range = message.map_or(whole(protocol), |IcmpMessage { kind, code }| {
                    let detail = |code| service_key(protocol, u16::from_be_bytes([kind, code]));
                    Range { first: detail(code.unwrap_or(0)), last: detail(code.unwrap_or(u8::MAX)) }
                });
                (one(range), one(Range::FULL))
            }
            Service::Ported { protocol, destination, source } => {
                let destination = match self.ports(destination) {
                    None => one(whole(*protocol)),
                    Some(mut ranges) => {
                        for range in &mut ranges {
                            *range = Range {
                                first: service_key(*protocol, range.first as u16),
                                last: service_key(*protocol, range.last as u16),
                            };
                        }
                        ranges
                    }
                };
                (destination, self.ports(source).unwrap_or_else(|| one(Range::FULL)))
            }
        }
    }

    /// None means every port.
    fn ports(&self, ports: &Ports) -> Option<Ranges> {
        let ranges = match ports {
            Ports::Any => return None,
            Ports::Ranges(ranges) => ranges,
            Ports::List(list) => self.policy.port_list(*list),
        };
        let range = |range: &crate::model::PortRange| Range {
            first: u64::from(range.first()),
            last: u64::from(range.last()),
        };
        let mut ranges: Ranges = ranges.iter().map(range).collect();
        Range::normalise(&mut ranges, u64::from(u16::MAX));
        (ranges[..] != [Range { first: 0, last: u64::from(u16::MAX) }]).then_some(ranges)
    }

    fn resolve(&mut self, source: Source, family: Family) -> Option<Addresses> {
        let (policy, affected) = (self.policy, self.affected);
        self.known
            .entry((source, family))
            .or_insert_with(|| {
                let affected = |net: &IpNet| affected.is_none_or(|affected| affected.touches(*net));
                addresses(family, source.nets(policy).filter(affected))
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
                    .map(|lowered_rule| {
                        lowered_rule.remote.pieces().len()
                            * lowered_rule.service.len()
                            * lowered_rule.source_port.len()
                            * lowered_rule.local.pieces().len()
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
        Family::V4 => Addresses::v4(nets.filter_map(v4).collect()),
        Family::V6 => Addresses::v6(nets.filter_map(v6).collect()),
    };
    (!found.pieces().is_empty()).then_some(found)
}

/// The addresses of one prefix; none where it is of the other family.
fn prefix(family: Family, net: IpNet) -> Option<Addresses> {
    let found = match family {
        Family::V4 => Addresses::v4(smallvec![v4(net)?]),
        Family::V6 => Addresses::v6(smallvec![v6(net)?]),
    };
    Some(found)
}

fn v4(net: IpNet) -> Option<Range> {
    let IpNet::V4(net) = net else { return None };
    Some(Range { first: net.network().to_bits().into(), last: net.broadcast().to_bits().into() })
}

fn v6(net: IpNet) -> Option<Range<u128>> {
    let IpNet::V6(net) = net else { return None };
    Some(Range { first: net.network().to_bits(), last: net.broadcast().to_bits() })
}
