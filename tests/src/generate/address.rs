//! Addresses as bits of either family, so that the same code makes, flips and borders both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use ipnet::IpNet;
use sg_model::Family;

pub(super) const fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// The bits of an address of `family`.
pub(super) const fn width(family: Family) -> u32 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Bits beyond the family's width are truncated.
pub(super) fn of_bits(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}

/// Any address.
pub(super) fn any(random: &mut Rng, family: Family) -> IpAddr {
    of_bits(family, random.u128(..))
}

/// `base` with its last `free` bits thrown.
pub(super) fn near(random: &mut Rng, base: IpAddr, free: u32) -> IpAddr {
    let mask = 1_u128.checked_shl(free).map_or(u128::MAX, |bit| bit - 1);
    of_bits(family_of(base), bits(base) & !mask | random.u128(..) & mask)
}

/// The prefix of `length` bits that holds `base`.
pub(super) fn prefix(base: IpAddr, length: u32) -> IpNet {
    let length = length.min(width(family_of(base))) as u8;
    IpNet::new(base, length).unwrap_or_else(|_| IpNet::from(base)).trunc()
}

/// An address of `prefix`: its first, its last or any.
pub(super) fn inside(random: &mut Rng, prefix: IpNet) -> IpAddr {
    match random.u8(..4) {
        0 => prefix.network(),
        1 => prefix.broadcast(),
        _ => {
            let base = prefix.network();
            near(random, base, width(family_of(base)) - u32::from(prefix.prefix_len()))
        }
    }
}

/// An address at the border of `prefix`: its first, its last, the ones before and behind, or an address of it
/// with one of the bits around its length flipped.
pub(super) fn at_border(random: &mut Rng, prefix: IpNet) -> IpAddr {
    let family = family_of(prefix.network());
    let (first, last) = (bits(prefix.network()), bits(prefix.broadcast()));
    match random.u8(..6) {
        0 => of_bits(family, first),
        1 => of_bits(family, last),
        2 => of_bits(family, first.wrapping_sub(1)),
        3 => of_bits(family, last.wrapping_add(1)),
        _ => {
            let from_the_left = (u32::from(prefix.prefix_len()) + random.u32(..2)).saturating_sub(1);
            let inside = inside(random, prefix);
            flip(inside, from_the_left)
        }
    }
}

/// `base` with one bit flipped, counted from the left and no further than the last.
pub(super) fn flip(base: IpAddr, from_the_left: u32) -> IpAddr {
    let family = family_of(base);
    let from_the_right = (width(family) - 1).saturating_sub(from_the_left);
    of_bits(family, bits(base) ^ 1 << from_the_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_from_the_left() {
        let v4: IpAddr = "10.0.0.0".parse().unwrap();
        assert_eq!(flip(v4, 0).to_string(), "138.0.0.0");
        assert_eq!(flip(v4, 31).to_string(), "10.0.0.1");
        assert_eq!(flip("::".parse().unwrap(), 127).to_string(), "::1");
    }

    #[test]
    fn what_is_inside_is_inside() {
        let mut random = Rng::with_seed(1);
        for _ in 0..10_000 {
            let family = if random.bool() { Family::V4 } else { Family::V6 };
            let base = any(&mut random, family);
            let prefix = prefix(base, random.u32(..=width(family)));
            assert!(prefix.contains(&base) && prefix.contains(&inside(&mut random, prefix)));
        }
    }
}
