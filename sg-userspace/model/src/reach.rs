//! The packets that a rule matches, in a form that can be compared with another rule's.
//!
//! The comparison may miss that a rule covers another (if two prefixes cover the halves of one), but must never claim it wrongly.

use std::{borrow::Cow, slice};

use ipnet::IpNet;
use sg_common::packet::{Family, protocol};

use super::{GroupIndex, IcmpMessage, Policy, PortRange, Ports, Remote, Rule, Service};

/// The packets that a rule matches, with lists expanded.
#[derive(Clone, Debug)]
pub struct Reach<'p> {
    /// `None`: every protocol.
    protocol: Option<u8>,
    /// `None`: every message.
    message: Option<IcmpMessage>,
    remote: Other<'p>,
    local: Option<IpNet>,
    ports: Joined<'p>,
    source_ports: Joined<'p>,
}

/// The remote of a rule.
#[derive(Clone, Debug)]
enum Other<'p> {
    Any,
    Nets(Cow<'p, [IpNet]>),
    /// Not expanded: members change without the rule.
    Group(GroupIndex),
}

/// Ranges that neither touch nor overlap, in order. `None`: every port.
#[derive(Clone, Debug)]
struct Joined<'p>(Option<Cow<'p, [PortRange]>>);

/// The port lists of a policy, prepared once for all rules that name them.
#[derive(Debug)]
pub struct JoinedLists(Vec<Vec<PortRange>>);

impl JoinedLists {
    /// Prepares the port lists of `policy`.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self(policy.parts().port_lists.iter().map(|(_, ranges)| joined(ranges)).collect())
    }
}

impl<'p> Reach<'p> {
    /// The packets that `rule` of `policy` matches. Panics like [`Policy::group`], also if `lists` are those of another policy.
    #[must_use]
    pub fn of(policy: &'p Policy, lists: &'p JoinedLists, rule: &'p Rule) -> Self {
        let ports = |ports: &Ports| match ports {
            Ports::Any => Joined(None),
            Ports::Ranges(ranges) => Joined(Some(Cow::Owned(joined(ranges)))),
            Ports::List(list) => Joined(Some(Cow::Borrowed(&lists.0[list.0]))),
        };
        let (protocol, message, to, from) = match &rule.service {
            Service::All => (None, None, Joined(None), Joined(None)),
            Service::Other(number) => (Some(*number), None, Joined(None), Joined(None)),
            Service::Icmp { family: Family::V4, message } => {
                (Some(protocol::ICMP), *message, Joined(None), Joined(None))
            }
            Service::Icmp { family: Family::V6, message } => {
                (Some(protocol::ICMPV6), *message, Joined(None), Joined(None))
            }
            Service::Ported { protocol, destination, source } => {
                (Some(*protocol), None, ports(destination), ports(source))
            }
        };
        let remote = match &rule.remote {
            Remote::Any => Other::Any,
            Remote::Net(net) => Other::Nets(Cow::Borrowed(slice::from_ref(net))),
            Remote::Group(group) => Other::Group(*group),
            Remote::PrefixList(list) => Other::Nets(Cow::Borrowed(policy.prefixes(*list))),
        };
        Self { protocol, message, remote, local: rule.local, ports: to, source_ports: from }
    }

    /// The protocol's number; `None` means every protocol.
    #[must_use]
    pub const fn protocol(&self) -> Option<u8> {
        self.protocol
    }

    /// The approximate number of comparisons of prefixes and ranges that comparing it with `other` takes.
    #[must_use]
    pub fn work(&self, other: &Self) -> usize {
        let nets = match (&self.remote, &other.remote) {
            (Other::Nets(ones), Other::Nets(twos)) => ones.len().saturating_mul(twos.len()),
            _ => 0,
        };
        nets + other.ports.len() + other.source_ports.len() + 1
    }

    /// Whether it contains every packet of `other`. `other` must have packets: a rule with an empty list is covered by no rule.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let message = match (self.message, other.message) {
            (None, _) => true,
            (Some(one), Some(two)) => one.kind == two.kind && (one.code.is_none() || one.code == two.code),
            (Some(_), None) => false,
        };
        let local = match (self.local, other.local) {
            (None, _) => true,
            (Some(one), Some(two)) => one.contains(&two),
            (Some(_), None) => false,
        };
        let remote = || match (&self.remote, &other.remote) {
            // A list that is to be filled.
            (_, Other::Nets(nets)) if nets.is_empty() => false,
            (Other::Any, _) => true,
            (Other::Group(one), Other::Group(two)) => one == two,
            (Other::Nets(ones), Other::Nets(twos)) => {
                twos.iter().all(|two| ones.iter().any(|one| one.contains(two)))
            }
            (Other::Group(_) | Other::Nets(_), _) => false,
        };
        (self.protocol.is_none() || self.protocol == other.protocol)
            && message
            && local
            && self.ports.span(&other.ports)
            && self.source_ports.span(&other.source_ports)
            && remote()
    }
}

fn joined(ranges: &[PortRange]) -> Vec<PortRange> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut joined: Vec<PortRange> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if u32::from(range.first()) <= u32::from(last.last()) + 1 => {
                let end = last.last().max(range.last());
                *last = PortRange::new(last.first(), end).unwrap_or(*last);
            }
            _ => joined.push(range),
        }
    }
    joined
}

impl Joined<'_> {
    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |ranges| ranges.len())
    }

    /// Whether it contains every port of `inner`, which must have one.
    fn span(&self, inner: &Joined<'_>) -> bool {
        match (&self.0, &inner.0) {
            (_, Some(inner)) if inner.is_empty() => false,
            (None, _) => true,
            (Some(_), None) => false,
            (Some(outer), Some(inner)) => inner.iter().all(|range| {
                let after = outer.partition_point(|one| one.last() < range.first());
                outer.get(after).is_some_and(|one| one.first() <= range.first() && range.last() <= one.last())
            }),
        }
    }
}
