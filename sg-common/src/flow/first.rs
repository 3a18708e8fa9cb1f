//! What is remembered of a flow's first packet and is not in its key: by it and the key the flow is judged again. A field of
//! packets that rules match and keys lack is kept here and nowhere else, so that whoever hands on a first packet hands on all of
//! it. It must never decide. Entries, closed connections and the words of global functions hold it.

use super::{Direction, FlowEntry};
use crate::packet::Packet;

/// The first packet of a flow: its [`Direction`] in bit 0, its DSCP in bits 2 to 7. Bit 1 is zero, for [`FlowEntry::PENDING`].
///
/// It is written whole and never changed bit by bit: a race between two processors mixes no two packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct First(u8);

/// The bit that is the direction, here and in [`First::word`].
const DIRECTION: u8 = 1;
/// The bits that are fields of the packet.
const FIELDS: u8 = !(DIRECTION | FlowEntry::PENDING);

impl First {
    /// The bits of [`Self::word`]. The others are zero, and free for whoever stores the word.
    pub const WORD: u64 = Self(DIRECTION | FIELDS).word();

    /// How far the fields are up in [`Self::word`].
    const UP: u32 = 8;

    /// `packet`, which goes in `direction`, as the first of a flow.
    #[inline(always)]
    #[must_use]
    pub const fn of(packet: &Packet, direction: Direction) -> Self {
        Self(direction as u8 | packet.ip.dscp << 2)
    }

    /// The DSCP of the packet.
    #[inline(always)]
    #[must_use]
    pub const fn dscp(self) -> u8 {
        self.0 >> 2
    }

    /// The direction of the packet.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> Direction {
        Direction::of((self.0 & DIRECTION) as u64)
    }

    /// Whether the packet went in `direction`.
    #[inline(always)]
    #[must_use]
    pub const fn goes(self, direction: Direction) -> bool {
        self.0 & DIRECTION == direction as u8
    }

    /// The same packet, had it gone the other way.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self(self.0 ^ DIRECTION)
    }

    /// As a word, for global functions and [`ClosedEntry`](super::ClosedEntry): the direction in bit 0, the fields from bit 10.
    /// Between them is room for bits of others.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        (self.0 & DIRECTION) as u64 | ((self.0 & FIELDS) as u64) << Self::UP
    }

    /// Decodes [`Self::word`], whatever its other bits are.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word as u8 & DIRECTION | (word >> Self::UP) as u8 & FIELDS)
    }

    /// As [`FlowEntry::pending_first`] holds it.
    #[inline(always)]
    #[must_use]
    pub const fn pending(self) -> u8 {
        self.0 | FlowEntry::PENDING
    }

    /// Decodes [`FlowEntry::pending_first`]; `None` if nothing is pending.
    #[inline(always)]
    #[must_use]
    pub const fn of_pending(pending: u8) -> Option<Self> {
        if pending & FlowEntry::PENDING == 0 { None } else { Some(Self(pending & !FlowEntry::PENDING)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever its fields are.
    fn all() -> impl Iterator<Item = First> {
        (0..=u8::MAX).map(|byte| First(byte & (DIRECTION | FIELDS)))
    }

    #[test]
    fn the_direction_is_that_of_the_packet() {
        for direction in [Direction::Ingress, Direction::Egress] {
            let first = First::of(&Packet::EMPTY, direction);
            assert_eq!((first.direction(), first.reversed().direction()), (direction, direction.reversed()));
            assert!(first.goes(direction) && !first.goes(direction.reversed()));
        }
    }

    #[test]
    fn nothing_else_changes_if_it_goes_the_other_way() {
        for first in all() {
            assert_eq!(first.reversed().0 ^ first.0, DIRECTION);
            assert_eq!(first.reversed().reversed(), first);
        }
    }

    /// The direction is bit 0 of the word in tables that outlive a program.
    #[test]
    fn all_of_it_comes_back() {
        assert_eq!((First(1).word(), First(0b1010_0100).word(), First::WORD), (1, 0xa400, 0xfc01));
        for first in all() {
            assert_eq!(First::from_word(first.word()), first);
            assert_eq!(First::from_word(first.word() | !First::WORD), first);
            assert_eq!(First::of_pending(first.pending()), Some(first));
            assert_eq!(First::of_pending(first.0), None, "it is not pending");
        }
        assert_eq!(First::of_pending(0), None);
    }
}
