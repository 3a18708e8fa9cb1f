//! Where the remote addresses of a rule come from: a group, a prefix list, a prefix. It must never leave any out: `lowered_rule`
//! decides which it needs, and `affected` which have changed.

use std::collections::BTreeSet;

use ipnet::IpNet;
use sg_common::{flow::Direction, packet::Family};
use sg_model::{GroupIndex, Nic, Policy, PrefixListIndex, Remote, identifies};
use smallvec::smallvec;

use super::ranges::{Addresses, Range, Ranges};

/// What a rule refers to instead of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Source {
    Group(GroupIndex),
    PrefixList(PrefixListIndex),
}

impl Source {
    /// The addresses of one family that it refers to and that `which` selects; `None` if there are none.
    pub(super) fn addresses(
        self,
        policy: &Policy,
        family: Family,
        which: impl Fn(IpNet) -> bool,
    ) -> Option<Addresses> {
        let found = match family {
            Family::V4 => {
                let mut ranges = Ranges::new();
                self.each(policy, |net| {
                    if let Some(range) = v4(net).filter(|_| which(net)) {
                        ranges.push(range);
                    }
                });
                Addresses::v4(ranges)
            }
            Family::V6 => {
                let mut ranges = Ranges::new();
                self.each(policy, |net| {
                    if let Some(range) = v6(net).filter(|_| which(net)) {
                        ranges.push(range);
                    }
                });
                Addresses::v6(ranges)
            }
        };
        (!found.pieces().is_empty()).then_some(found)
    }

    /// Takes each prefix, as written: unsorted, possibly with duplicates.
    // Loops, not a chain of iterators: each of a hundred thousand members would go through four of them.
    fn each(self, policy: &Policy, mut take: impl FnMut(IpNet)) {
        match self {
            Self::Group(group) => {
                for &address in policy.remote_members(group) {
                    if identifies(address) {
                        take(address.into());
                    }
                }
                policy.local_members(group).for_each(|&address| take(address.into()));
            }
            Self::PrefixList(list) => policy.prefixes(list).iter().for_each(|&net| take(net)),
        }
    }
}

/// The groups and lists that the rules of a NIC refer to.
pub(super) fn sources(policy: &Policy, nic: &Nic, direction: Direction) -> BTreeSet<Source> {
    let effective = policy.effective(nic, direction);
    let named = effective.rules.iter().filter_map(|(_, rule)| match rule.matches.remote {
        Remote::Group(group) => Some(Source::Group(group)),
        Remote::PrefixList(list) => Some(Source::PrefixList(list)),
        Remote::Any | Remote::Net(_) => None,
    });
    effective.intra_groups.iter().copied().map(Source::Group).chain(named).collect()
}

/// The addresses of one family among `nets`; `None` if there are none.
pub(super) fn addresses(family: Family, nets: impl IntoIterator<Item = IpNet>) -> Option<Addresses> {
    let nets = nets.into_iter();
    let found = match family {
        Family::V4 => Addresses::v4(nets.filter_map(v4).collect()),
        Family::V6 => Addresses::v6(nets.filter_map(v6).collect()),
    };
    (!found.pieces().is_empty()).then_some(found)
}

/// The addresses of one prefix; `None` if it is of the other family.
pub(super) fn prefix(family: Family, net: IpNet) -> Option<Addresses> {
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
