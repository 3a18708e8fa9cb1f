//! VLAN tags: the network of a link that a packet is in. Packets of different networks never belong together, whatever else they
//! have in common. Called by every parser of an Ethernet header, and by all keys that packets belong to.

use core::fmt;

use super::ethertype;

/// VLAN tags that are looked through (IEEE 802.1Q, and 802.1ad before it).
pub(super) const MAX_VLAN_TAGS: usize = 2;

/// Bytes of one.
pub(super) const TAG: usize = 4;

/// A VLAN tag (IEEE 802.1Q 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The EtherType that announces it, see [`ethertype`].
    pub kind: u16,
    /// Priority, a bit, and in the lower twelve bits the network.
    pub control: u16,
}

/// The network of a packet by its tags: 16 bits each, the outer one in the upper half. Zero if no tag names one: a tag of VLAN 0
/// carries only a priority (IEEE 802.1Q 9.6), and receivers parse on behind it (`__netif_receive_skb_core`, net/core/dev.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Vlan(u32);

/// Set with the number of an 802.1ad tag, which names other networks than 802.1Q tags.
const SERVICE: u16 = 0x1000;

impl Vlan {
    /// The network of a packet without tags.
    pub const NONE: Self = Self(0);

    /// Decodes [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u32) -> Self {
        Self(word)
    }

    /// The packed word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Whether no tag names a network.
    #[inline(always)]
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The network behind one more tag.
    #[inline(always)]
    #[must_use]
    pub const fn behind(self, tag: Tag) -> Self {
        const NUMBER: u16 = 0x0fff;
        let number = tag.control & NUMBER;
        if number == 0 {
            return self;
        }
        let service = if tag.kind == ethertype::SERVICE_VLAN { SERVICE } else { 0 };
        Self(self.0 << 16 | (number | service) as u32)
    }
}

/// As in `ip link`: the number, `ad.` before that of an 802.1ad tag, and the outer one first.
impl fmt::Display for Vlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [outer, inner] = [(self.0 >> 16) as u16, self.0 as u16];
        let mut one = |tag: u16, end: &str| match tag {
            0 => Ok(()),
            SERVICE.. => write!(f, "ad.{}{end}", tag & !SERVICE),
            _ => write!(f, "{tag}{end}"),
        };
        one(outer, "/")?;
        one(inner, "")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString as _;

    use super::*;

    #[test]
    fn a_network_is_named_by_all_tags_but_priorities() {
        let tag = |kind, control| Tag { kind, control };
        let behind = |tags: &[Tag]| tags.iter().fold(Vlan::NONE, |vlan, &tag| vlan.behind(tag));
        let (of_q, of_ad) = (ethertype::VLAN, ethertype::SERVICE_VLAN);
        for (tags, said) in [
            (&[][..], ""),
            (&[tag(of_q, 0xe000)], ""),
            (&[tag(of_ad, 0), tag(of_q, 0)], ""),
            (&[tag(of_q, 5)], "5"),
            (&[tag(of_q, 0x6005)], "5"),
            (&[tag(of_ad, 5)], "ad.5"),
            (&[tag(of_q, 0), tag(of_q, 5)], "5"),
            (&[tag(of_q, 5), tag(of_q, 0)], "5"),
            (&[tag(of_ad, 4094), tag(of_q, 7)], "ad.4094/7"),
            (&[tag(of_q, 7), tag(of_ad, 4094)], "7/ad.4094"),
        ] {
            let vlan = behind(tags);
            assert_eq!(vlan.to_string(), said, "{tags:?}");
            assert_eq!(vlan.is_none(), said.is_empty());
        }
        assert_eq!(behind(&[tag(of_q, 0x6005)]), behind(&[tag(of_q, 5)]), "a priority is no network");
    }
}
