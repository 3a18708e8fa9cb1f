//! Lowered rules: everything that can decide a packet, in order, as ranges of keys.

use std::{
    cmp::Reverse,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    slice,
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
use sg_model::{
    Conditions, Decider, HeaderNumbers, IcmpMessage, Mac, Nic, Policy, Ports, Remote, Rule, Service,
};

use super::{
    affected::AffectedRanges,
    dimensions::{Dimensions, OF_RULES},
    ranges::{Addresses, Range, Ranges},
    source::{Source, addresses, prefix},
};

/// A condition on every dimension, and the decision if all are met. Earlier lowered rules win.
///
/// [`Self::condition`] is the one place that says which field is of which dimension.
#[derive(Clone, Debug)]
pub(super) struct LoweredRule {
    pub(super) remote: Addresses,
    pub(super) service: Ranges,
    pub(super) source_port: Ranges,
    pub(super) dscp: Range,
    pub(super) local: Addresses,
    /// The sender's Ethernet address.
    pub(super) ethernet: Range,
    pub(super) decision: Decision,
}

/// An end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Remote,
    Local,
}

/// The condition of a lowered rule in one dimension.
#[derive(Clone, Copy, Debug)]
pub(super) enum Condition<'a> {
    /// On the upper half of an address.
    High(End, &'a Addresses),
    /// On the lower half of an address, which depends on the upper half that matched.
    Low(End),
    /// On a key that stands for itself.
    Key(&'a [Range]),
}

impl LoweredRule {
    /// The rule without a condition.
    pub(super) fn always(decision: Decision) -> Self {
        Self {
            remote: Addresses::any(),
            service: one(Range::FULL),
            source_port: one(Range::FULL),
            dscp: Range::FULL,
            local: Addresses::any(),
            ethernet: Range::FULL,
            decision,
        }
    }

    pub(super) fn condition(&self, dimension: Dimension) -> Condition<'_> {
        match dimension {
            Dimension::RemoteHigh => Condition::High(End::Remote, &self.remote),
            Dimension::RemoteLow => Condition::Low(End::Remote),
            Dimension::Service => Condition::Key(&self.service),
            Dimension::SourcePort => Condition::Key(&self.source_port),
            Dimension::Dscp => Condition::Key(slice::from_ref(&self.dscp)),
            Dimension::LocalHigh => Condition::High(End::Local, &self.local),
            Dimension::LocalLow => Condition::Low(End::Local),
            Dimension::Ethernet => Condition::Key(slice::from_ref(&self.ethernet)),
        }
    }

    /// The numbers of ranges, by dimension in which rules have conditions.
    fn counts(&self) -> impl Iterator<Item = usize> {
        OF_RULES.into_iter().map(|dimension| match self.condition(dimension) {
            Condition::High(_, addresses) => addresses.pieces().len(),
            Condition::Low(_) => 1,
            Condition::Key(ranges) => ranges.len(),
        })
    }

    /// The number of ranges, over all dimensions.
    pub(super) fn ranges(&self) -> usize {
        // Hardly any rule names a DSCP. Every DSCP, counted as a range, would allow all trees a fifth more words.
        let every_dscp = usize::from(self.dscp == Range::FULL);
        self.counts().sum::<usize>() - every_dscp
    }

    /// The ranges in one dimension; for addresses, the upper halves.
    pub(super) fn ranges_of(&self, dimension: Dimension) -> Ranges {
        match self.condition(dimension) {
            Condition::High(_, addresses) => addresses.pieces().iter().map(|piece| piece.high).collect(),
            Condition::Low(_) => one(Range::FULL),
            Condition::Key(ranges) => ranges.into(),
        }
    }

    /// The dimensions with a condition, except lower halves of addresses.
    pub(super) fn asked(&self) -> Dimensions {
        Dimension::ALL.into_iter().fold(Dimensions::NONE, |asked, dimension| {
            let has_condition = match self.condition(dimension) {
                Condition::High(_, addresses) => !addresses.is_any(),
                Condition::Low(_) => false,
                Condition::Key(ranges) => *ranges != [Range::FULL],
            };
            asked.or(Dimensions::only_if(has_condition, dimension))
        })
    }

    /// The membership rules that recognise the NIC's own addresses: those accept.
    pub(super) fn own_addresses(nic: &Nic, family: Family) -> Vec<Self> {
        let own = addresses(family, nic.addresses.iter().copied().map(IpNet::from));
        Self::membership_rules(own.map(|own| Self { local: own, ..Self::told(Verdict::Accept) }))
    }

    /// The membership rules for remote addresses that are sent no reject: those accept. They are the NIC's own addresses, and
    /// those of its networks that belong to no host. They are looked up as local addresses.
    pub(super) fn no_reject(nic: &Nic, family: Family) -> Vec<Self> {
        let silent = nic.addresses.iter().copied().chain(nic.device_facts.nobody(nic.role)).map(IpNet::from);
        let silent = addresses(family, silent);
        Self::membership_rules(silent.map(|local| Self { local, ..Self::told(Verdict::Accept) }))
    }

    /// The membership rules for the pairs of addresses that the NIC may send from: those accept. A sender without an address yet
    /// uses the unspecified one, with an Ethernet address of the NIC if any is known; the datapath accepts only its requests for
    /// an address.
    pub(super) fn allowed_sources(nic: &Nic, family: Family) -> Vec<Self> {
        let nobody = IpNet::from(match family {
            Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        });
        let unknown = nic.senders.mac.is_none().then_some(None);
        let has_ethernet = !nic.device_facts.is_layer_3;
        let nobody = nic.senders.macs().map(Some).chain(unknown).map(|mac| (nobody, mac));
        Self::membership_rules(nic.pairs().chain(nobody).filter_map(|(net, mac)| {
            let local = prefix(family, net)?;
            let ethernet = only(mac.filter(|_| has_ethernet).map(Mac::key));
            Some(Self { local, ethernet, ..Self::told(Verdict::Accept) })
        }))
    }

    /// The membership rules for DHCP servers that the NIC may contact directly: configured ones, and those on its link. (A
    /// cloud's DHCP server has a link-local address.)
    pub(super) fn dhcp_servers(nic: &Nic, family: Family) -> Vec<Self> {
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

    /// The result of a membership lookup, which is no packet's verdict.
    fn told(verdict: Verdict) -> Self {
        Self::always(Decision::new(verdict, Reason::Rule, 0))
    }
}

fn one(range: Range) -> Ranges {
    Ranges::from_buf([range])
}

/// One key, or all of them.
fn only(key: Option<u64>) -> Range {
    key.map_or(Range::FULL, |key| Range { first: key, last: key })
}

/// Resolves references to addresses, each once.
#[derive(Debug)]
pub(super) struct Resolver<'a> {
    policy: &'a Policy,
    /// Only these addresses of a reference are resolved; `None` resolves all of them.
    affected: Option<&'a AffectedRanges>,
    known: HashMap<(Source, Family), Option<Addresses>>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(policy: &'a Policy) -> Self {
        Self { policy, affected: None, known: HashMap::new() }
    }

    /// A resolver that resolves groups and lists only within the ranges `affected`.
    pub(super) fn of(policy: &'a Policy, affected: &'a AffectedRanges) -> Self {
        Self { affected: Some(affected), ..Self::new(policy) }
    }

    /// The lowered rules of one direction, by family. Rules that cannot match in a family are omitted there; the last one always
    /// matches. Before all others, a rule drops inbound packets from an address of the NIC itself as spoofed: as lowered rules,
    /// these checks cost no walk of their own, and apply to revalidated flows too. `counters` is the first of the NIC's own
    /// counters.
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
        // Both families at once: a large policy does not fit the cache, and this way each rule is read once.
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
        let Conditions { service, family: written, remote, local, numbers } = rule.matches.conditions();
        // Those of ICMP are in the service.
        let HeaderNumbers { icmp_type: _, icmp_code: _, dscp } = numbers;
        // Each family has images of its own, so that a rule of one family is no condition there.
        if service.family().or(written).is_some_and(|only| only != family) {
            return None;
        }
        let remote = match remote {
            Remote::Any => Addresses::any(),
            Remote::Net(net) => prefix(family, *net)?,
            Remote::Group(group) => self.resolve(Source::Group(*group), family)?,
            Remote::PrefixList(list) => self.resolve(Source::PrefixList(*list), family)?,
        };
        let local = match local {
            None => Addresses::any(),
            Some(net) => prefix(family, net)?,
        };
        let (service, source_port) = self.service(service);
        let dscp = only(dscp.map(|dscp| dscp.get().into()));
        Some(LoweredRule { remote, service, source_port, dscp, local, ethernet: Range::FULL, decision })
    }

    /// The keys of a service in its two dimensions.
    fn service(&self, service: Service<'_>) -> (Ranges, Ranges) {
        let whole =
            |protocol| Range { first: service_key(protocol, 0), last: service_key(protocol, u16::MAX) };
        match service {
            Service::All => (one(Range::FULL), one(Range::FULL)),
            Service::Other(protocol) => (one(whole(protocol)), one(Range::FULL)),
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
                    None => one(whole(protocol)),
                    Some(mut ranges) => {
                        for range in &mut ranges {
                            *range = Range {
                                first: service_key(protocol, range.first as u16),
                                last: service_key(protocol, range.last as u16),
                            };
                        }
                        ranges
                    }
                };
                (destination, self.ports(source).unwrap_or_else(|| one(Range::FULL)))
            }
        }
    }

    /// `None` means every port.
    fn ports(&self, ports: &Ports) -> Option<Ranges> {
        let ranges = match ports {
            Ports::Any => return None,
            Ports::Ranges(ranges) => ranges,
            Ports::List(list) => self.policy.port_list(*list),
        };
        let range = |range: &sg_model::PortRange| Range {
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
                let affected = |net| affected.is_none_or(|affected| affected.touches(net));
                source.addresses(policy, family, affected)
            })
            .clone()
    }

    /// The rules of a NIC with the most combinations of prefixes and ports, largest first.
    pub(super) fn costliest(&mut self, nic: &Nic) -> Vec<String> {
        const SHOWN: usize = 3;
        let mut costs = Vec::new();
        let nothing = Decision::new(Verdict::Drop, Reason::Default, 0);
        for direction in [Direction::Ingress, Direction::Egress] {
            for (index, rule) in self.policy.effective(nic, direction).rules {
                let cost: usize = [Family::V4, Family::V6]
                    .into_iter()
                    .filter_map(|family| self.rule(rule, family, nothing))
                    .map(|lowered_rule| lowered_rule.counts().product::<usize>())
                    .sum();
                costs.push((cost, index, rule));
            }
        }
        costs.sort_by_key(|&(cost, index, _)| (Reverse(cost), index));
        let name = |(cost, index, rule): (usize, sg_model::RuleIndex, &Rule)| {
            format!("{} of group {} ({cost} combinations)", rule.id, self.policy.group(index.group).name)
        };
        costs.into_iter().take(SHOWN).map(name).collect()
    }
}
