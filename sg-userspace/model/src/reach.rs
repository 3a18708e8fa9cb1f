//! The packets that a rule matches, in a form that can be compared with another rule's.
//!
//! The comparison may miss that a rule covers another (if two prefixes cover the halves of one), but must never claim it wrongly.

use std::{borrow::Cow, slice};

use ipnet::IpNet;
use sg_common::packet::{Family, protocol};

use super::{
    Conditions, HeaderNumbers, Indices, Match, Policy, PortRange, Ports, References, Remote, Service,
    matches::family_of,
};

/// The packets that a rule matches, with lists expanded.
#[derive(Clone, Debug)]
pub struct Reach<'p, R: References = Indices> {
    /// `None`: every protocol.
    protocol: Option<u8>,
    numbers: HeaderNumbers,
    /// The only family of the packets, as far as it is known.
    family: Option<Family>,
    remote: Other<'p, R>,
    local: Option<IpNet>,
    ports: Joined<'p>,
    source_ports: Joined<'p>,
}

/// The remote of a rule.
#[derive(Clone, Debug)]
enum Other<'p, R: References> {
    Any,
    Nets(Cow<'p, [IpNet]>),
    /// Not expanded: members change without the rule.
    Group(&'p R::Group),
}

/// Ranges that neither touch nor overlap, in order. `None`: every port.
#[derive(Clone, Debug)]
struct Joined<'p>(Option<Cow<'p, [PortRange]>>);

/// The entries of the lists that rules name.
pub trait Lists<R: References> {
    /// The prefixes of a list.
    fn prefixes(&self, list: &R::PrefixList) -> Cow<'_, [IpNet]>;

    /// The ranges of a port list, joined by [`join_port_ranges`].
    fn joined_ports(&self, list: &R::PortList) -> Cow<'_, [PortRange]>;
}

/// The lists of a policy; port lists are joined once for all rules that name them.
#[derive(Debug)]
pub struct JoinedLists<'p> {
    policy: &'p Policy,
    port_lists: Vec<Vec<PortRange>>,
}

impl<'p> JoinedLists<'p> {
    /// Prepares the lists of `policy`.
    #[must_use]
    pub fn of(policy: &'p Policy) -> Self {
        let lists = policy.parts().port_lists.iter();
        Self { policy, port_lists: lists.map(|(_, ranges)| join_port_ranges(ranges)).collect() }
    }
}

/// Panics like [`Policy::group`] about the lists of other policies.
impl Lists<Indices> for JoinedLists<'_> {
    fn prefixes(&self, list: &super::PrefixListIndex) -> Cow<'_, [IpNet]> {
        self.policy.prefixes(*list).into()
    }

    fn joined_ports(&self, list: &super::PortListIndex) -> Cow<'_, [PortRange]> {
        Cow::Borrowed(&self.port_lists[list.0])
    }
}

impl<'p, R: References> Reach<'p, R> {
    /// The packets that `matches` describes, with the entries of `lists`.
    #[must_use]
    pub fn of(lists: &'p impl Lists<R>, matches: &'p Match<R>) -> Self {
        let joined = |ports: &'p Ports<R>| match ports {
            Ports::Any => Joined(None),
            Ports::Ranges(ranges) => Joined(Some(Cow::Owned(join_port_ranges(ranges)))),
            Ports::List(list) => Joined(Some(lists.joined_ports(list))),
        };
        let Conditions { service, family, remote, local, numbers } = matches.conditions();
        let of_service = service.family();
        let (protocol, ports, source_ports) = match service {
            Service::All => (None, Joined(None), Joined(None)),
            Service::Other(number) => (Some(number), Joined(None), Joined(None)),
            Service::Icmp { family: Family::V4, message: _ } => {
                (Some(protocol::ICMP), Joined(None), Joined(None))
            }
            Service::Icmp { family: Family::V6, message: _ } => {
                (Some(protocol::ICMPV6), Joined(None), Joined(None))
            }
            Service::Ported { protocol, destination, source } => {
                (Some(protocol), joined(destination), joined(source))
            }
        };
        let remote = match remote {
            Remote::Any => Other::Any,
            Remote::Net(net) => Other::Nets(Cow::Borrowed(slice::from_ref(net))),
            Remote::Group(group) => Other::Group(group),
            Remote::PrefixList(list) => Other::Nets(within(lists.prefixes(list), family)),
        };
        let of_remote = || match &remote {
            Other::Nets(nets) => only_family(nets),
            Other::Any | Other::Group(_) => None,
        };
        let family = family.or(of_service).or_else(of_remote).or_else(|| local.map(family_of));
        Self { protocol, numbers, family, remote, local, ports, source_ports }
    }

    /// The protocol's number; `None` means every protocol.
    #[must_use]
    pub const fn protocol(&self) -> Option<u8> {
        self.protocol
    }

    /// The destination ports, joined; `None` means every port.
    #[must_use]
    pub fn ports(&self) -> Option<&[PortRange]> {
        self.ports.0.as_deref()
    }

    /// Whether every address of a family is a remote.
    #[must_use]
    pub fn is_from_everybody(&self) -> bool {
        match &self.remote {
            Other::Any => true,
            Other::Nets(nets) => nets.iter().any(|net| net.prefix_len() == 0),
            Other::Group(_) => false,
        }
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
        let Self { protocol, numbers, family, remote, local, ports, source_ports } = self;
        let local = match (local, other.local) {
            (None, _) => true,
            (Some(one), Some(two)) => contains(*one, two),
            (Some(_), None) => false,
        };
        let remote = || match (remote, &other.remote) {
            // A list that is to be filled.
            (_, Other::Nets(nets)) if nets.is_empty() => false,
            (Other::Any, _) => true,
            (Other::Group(one), Other::Group(two)) => one == two,
            (Other::Nets(ones), Other::Nets(twos)) => {
                twos.iter().all(|two| ones.iter().any(|one| contains(*one, *two)))
            }
            // Every address of a family, in two ways.
            (Other::Nets(nets), Other::Any) => {
                nets.iter().any(|net| net.prefix_len() == 0 && Some(family_of(*net)) == other.family)
            }
            (Other::Group(_) | Other::Nets(_), _) => false,
        };
        (protocol.is_none() || *protocol == other.protocol)
            && numbers.cover(&other.numbers)
            && (family.is_none() || *family == other.family)
            && local
            && ports.span(&other.ports)
            && source_ports.span(&other.source_ports)
            && remote()
    }
}

/// The prefixes of one family, if it is only one.
fn within(nets: Cow<'_, [IpNet]>, family: Option<Family>) -> Cow<'_, [IpNet]> {
    match family {
        Some(only) if nets.iter().any(|net| family_of(*net) != only) => {
            nets.iter().copied().filter(|net| family_of(*net) == only).collect()
        }
        _ => nets,
    }
}

/// The family of all of these prefixes, if it is one.
fn only_family(nets: &[IpNet]) -> Option<Family> {
    let mut families = nets.iter().map(|net| family_of(*net));
    let first = families.next()?;
    families.all(|family| family == first).then_some(first)
}

/// Whether a prefix contains all of another.
fn contains(outer: IpNet, inner: IpNet) -> bool {
    // By bits: this runs for every pair of rules.
    match (outer, inner) {
        (IpNet::V4(outer), IpNet::V4(inner)) => {
            let differ = outer.addr().to_bits() ^ inner.addr().to_bits();
            outer.prefix_len() <= inner.prefix_len()
                && differ.checked_shr(32 - u32::from(outer.prefix_len())).unwrap_or(0) == 0
        }
        (IpNet::V6(outer), IpNet::V6(inner)) => {
            let differ = outer.addr().to_bits() ^ inner.addr().to_bits();
            outer.prefix_len() <= inner.prefix_len()
                && differ.checked_shr(128 - u32::from(outer.prefix_len())).unwrap_or(0) == 0
        }
        (IpNet::V4(_), IpNet::V6(_)) | (IpNet::V6(_), IpNet::V4(_)) => false,
    }
}

/// The same ports in ranges that neither touch nor overlap, in order.
#[must_use]
pub fn join_port_ranges(ranges: &[PortRange]) -> Vec<PortRange> {
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
