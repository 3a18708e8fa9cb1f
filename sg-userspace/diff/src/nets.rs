//! Addresses of a line: ranges, which lines share, shown as prefixes. It must never know what they are the addresses of. `line` makes
//! them; `written` and `words` write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use sg_model::Family;

use super::{
    decider::Dimension,
    set::{Range, Set, normal, range_of, without},
};

/// Some addresses of a family, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nets {
    pub(super) ranges: Set,
    pub(super) family: Family,
}

impl Nets {
    /// The fewest prefixes that have them, in order. A range may need many: they are made as they are read.
    pub fn iter(&self) -> impl Iterator<Item = IpNet> {
        self.ranges.iter().flat_map(|&range| nets_of(range, self.family))
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(&self, address: &IpAddr) -> bool {
        let bits = match (address, self.family) {
            (IpAddr::V4(address), Family::V4) => address.to_bits().into(),
            (IpAddr::V6(address), Family::V6) => address.to_bits(),
            _ => return false,
        };
        has_key(&self.ranges, bits)
    }

    /// The first one of `liked` that is one of them, else the first there is.
    pub(super) fn one(&self, liked: &[IpAddr]) -> IpAddr {
        let first = || {
            let bits = self.ranges.first().map_or(0, |range| range.first);
            match self.family {
                Family::V4 => Ipv4Addr::from_bits(bits as u32).into(),
                Family::V6 => Ipv6Addr::from_bits(bits).into(),
            }
        };
        liked.iter().find(|address| self.contains(address)).copied().unwrap_or_else(first)
    }
}

/// Whether a key is in one of these ranges, which are in order.
pub(super) fn has_key(ranges: &[Range], key: u128) -> bool {
    let after = ranges.partition_point(|range| range.first <= key);
    after.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|range| key <= range.last)
}

/// The fewest prefixes that have the addresses of a range.
fn nets_of(Range { first, last }: Range, family: Family) -> Box<dyn Iterator<Item = IpNet>> {
    match family {
        Family::V4 => {
            let [first, last] = [first, last].map(|bits| Ipv4Addr::from_bits(bits as u32));
            Box::new(Ipv4Subnets::new(first, last, 0).map(IpNet::V4))
        }
        Family::V6 => {
            let [first, last] = [first, last].map(Ipv6Addr::from_bits);
            Box::new(Ipv6Subnets::new(first, last, 0).map(IpNet::V6))
        }
    }
}

/// The prefixes of all addresses of a family that are in none of these, which are of that family.
#[must_use]
pub fn all_but(nets: &[IpNet], family: Family) -> Vec<IpNet> {
    let all = [Range::new(0, Dimension::Remote.top(family))];
    let left = without(&all, &normal(nets.iter().map(range_of).collect()));
    left.into_iter().flat_map(|range| nets_of(range, family)).collect()
}
