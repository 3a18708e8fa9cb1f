//! Computes the remote addresses that a change of members and prefix lists affects: for each direction and family of a NIC, the
//! upper halves of addresses for which its policy may decide differently than before. Including too many ranges is harmless,
//! missing one is not. It must never look at an image. `patch` calls it.

use std::net::IpAddr;

use ipnet::IpNet;
use sg_common::{flow::Direction, packet::Family};
use sg_model::{Nic, Policy};

use super::{
    ranges::{Range, Ranges},
    source::{Source, sources},
};
use crate::diff::trim_common_ends;

/// The maximum number of entries that come and go, over all groups and lists. Beyond it, a full compilation is as good.
const MOST: usize = 64;

/// Ranges of upper halves of addresses, by family.
#[derive(Debug, Default)]
pub(super) struct AffectedRanges {
    /// Sorted, disjoint.
    ranges: [Ranges; 2],
}

impl AffectedRanges {
    fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut ranges = [Ranges::new(), Ranges::new()];
        for net in nets {
            let (family, range) = upper(net);
            ranges[family as usize].push(range);
        }
        for ranges in &mut ranges {
            Range::normalise(ranges, u64::MAX);
        }
        Self { ranges }
    }

    pub(super) fn ranges(&self, family: Family) -> &[Range] {
        &self.ranges[family as usize]
    }

    /// Whether some address of `net` is affected.
    pub(super) fn touches(&self, net: IpNet) -> bool {
        let (family, range) = upper(net);
        let ranges = self.ranges(family);
        // Most of a large group lies on one side of all affected ranges.
        let (Some(lowest), Some(highest)) = (ranges.first(), ranges.last()) else { return false };
        if range.last < lowest.first || highest.last < range.first {
            return false;
        }
        let next = ranges.partition_point(|affected| affected.last < range.first);
        ranges.get(next).is_some_and(|affected| affected.first <= range.last)
    }
}

/// The upper halves of a prefix's addresses.
fn upper(net: IpNet) -> (Family, Range) {
    match net {
        IpNet::V4(net) => {
            let (first, last) = (net.network().to_bits().into(), net.broadcast().to_bits().into());
            (Family::V4, Range { first, last })
        }
        IpNet::V6(net) => {
            let high = |bits: u128| (bits >> 64) as u64;
            let (first, last) = (high(net.network().to_bits()), high(net.broadcast().to_bits()));
            (Family::V6, Range { first, last })
        }
    }
}

/// The remote addresses that changed for `nic` between two policies, by direction. `None` if more changed than members and
/// entries of prefix lists, or too many of those.
pub(super) fn changed(before: &Policy, after: &Policy, nic: &Nic) -> Option<[AffectedRanges; 2]> {
    let same_groups =
        || nic.groups.iter().all(|&group| before.groups().get(group.0) == after.groups().get(group.0));
    let same_ports = || before.parts().port_lists == after.parts().port_lists;
    if before.nic(&nic.device) != Some(nic) || !same_groups() || !same_ports() {
        return None;
    }
    let mut left = MOST;
    let mut affected = |direction| {
        let mut nets = Vec::new();
        for source in sources(after, nic, direction) {
            let found = match source {
                Source::Group(group) => {
                    let elsewhere =
                        symmetric_difference(before.remote_members(group), after.remote_members(group))?;
                    let here =
                        |policy: &Policy| policy.local_members(group).copied().collect::<Vec<IpAddr>>();
                    let here = symmetric_difference(&here(before), &here(after))?;
                    elsewhere.into_iter().chain(here).map(IpNet::from).collect()
                }
                Source::PrefixList(list) => {
                    let (_, before) = before.parts().prefix_lists.get(list.0)?;
                    symmetric_difference(before.as_slice(), after.prefixes(list))?
                }
            };
            left = left.checked_sub(found.len())?;
            nets.extend(found);
        }
        Some(AffectedRanges::new(nets))
    };
    Some([affected(Direction::Ingress)?, affected(Direction::Egress)?])
}

/// The entries that are in exactly one of two lists. `None` if there are too many.
fn symmetric_difference<T: Copy + Ord>(before: &[T], after: &[T]) -> Option<Vec<T>> {
    let (before, after) = trim_common_ends(before, after);
    let (mut before, mut after) = (before.to_vec(), after.to_vec());
    if before.len() + after.len() <= MOST {
        before.append(&mut after);
        return Some(before);
    }
    let mut found = Vec::new();
    for list in [&mut before, &mut after] {
        list.sort_unstable();
        list.dedup();
    }
    let (mut before, mut after) = (before.into_iter().peekable(), after.into_iter().peekable());
    loop {
        let next = match (before.peek(), after.peek()) {
            (Some(a), Some(b)) if a == b => {
                after.next();
                before.next();
                continue;
            }
            (Some(a), Some(b)) if a < b => before.next(),
            (_, Some(_)) => after.next(),
            (Some(_), None) => before.next(),
            (None, None) => return Some(found),
        };
        found.extend(next);
        if found.len() > MOST {
            return None;
        }
    }
}
