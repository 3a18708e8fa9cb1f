//! The word that says what becomes of a change that somebody has yet to confirm. An instance has one, so that confirming, cancelling
//! and the deadline are one store of one word, for all NICs at the same moment, and need no agent.
//!
//! ```text
//! bits 40..64  id of the change
//! bit  39      it is over: what it published is not in force any more
//! bits  0..39  deadline, the lower bits of jiffies
//! ```
//!
//! The header of an image has the id of the change that published it. An image is taken back if the word has the same id, and is
//! over. Zero: nothing is pending, and every image is in force. Only compare-and-swap changes a word that is not zero, and whoever
//! finds the deadline passed first says in the word that the change is over, *before* a packet is judged by the previous image. So
//! the word alone decides between a confirmation and the deadline, and no packet sees both outcomes.
//!
//! 24 bits of id last for 16 million changes. 39 bits of deadline are compared as signed numbers: at 1,000 jiffies a second they
//! reach eight years either way, and the longest deadline is a day. This file must never read a clock or a map. Called by the
//! programs and by the agent.

/// The bits of a deadline.
const DEADLINE_BITS: u32 = 39;
const DEADLINE: u64 = (1 << DEADLINE_BITS) - 1;
const OVER: u64 = 1 << DEADLINE_BITS;
const ID_SHIFT: u32 = DEADLINE_BITS + 1;

/// The highest id. Ids begin at 1.
pub const LAST_ID: u32 = (1 << (u64::BITS - ID_SHIFT)) - 1;

/// What becomes of the change that is pending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pending(u64);

impl Pending {
    /// Nothing is pending.
    pub const NONE: Self = Self(0);

    /// The change `id` is in force until `deadline`, in jiffies.
    #[must_use]
    pub const fn until(id: u32, deadline: u64) -> Self {
        Self((id as u64) << ID_SHIFT | deadline & DEADLINE)
    }

    /// Decodes a word.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word to store.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The id of the change; zero if there is none.
    #[inline(always)]
    #[must_use]
    pub const fn id(self) -> u32 {
        (self.0 >> ID_SHIFT) as u32
    }

    /// Whether somebody has found that the change was cancelled, or its deadline had passed.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(self) -> bool {
        self.0 & OVER != 0
    }

    /// The same change, which is over.
    #[inline(always)]
    #[must_use]
    pub const fn over(self) -> Self {
        Self(self.0 | OVER)
    }

    /// How long it is until the deadline, in jiffies; negative or zero if it has passed.
    #[inline(always)]
    #[must_use]
    pub const fn left(self, now: u64) -> i64 {
        const UNUSED: u32 = u64::BITS - DEADLINE_BITS;
        // Both in the upper bits, so that the sign is that of the difference of the lower ones.
        (self.0 << UNUSED).wrapping_sub(now << UNUSED).cast_signed() >> UNUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_parts_apart() {
        for id in [1, 2, 0x00ab_cdef, LAST_ID] {
            for deadline in [0, 1, DEADLINE, u64::MAX, 1 << DEADLINE_BITS] {
                let pending = Pending::until(id, deadline);
                assert_eq!((pending.id(), pending.is_over()), (id, false));
                let over = pending.over();
                assert_eq!((over.id(), over.is_over(), over.over()), (id, true, over));
                assert_eq!(over.left(deadline), 0, "what is over keeps its deadline");
            }
        }
        assert_eq!((Pending::NONE.id(), Pending::NONE.is_over()), (0, false));
        assert_eq!(LAST_ID, 0x00ff_ffff);
    }

    #[test]
    fn a_deadline_passes_wherever_the_clock_is() {
        // Jiffies begin five minutes before 32 bits wrap; whatever wraps makes no difference.
        for deadline in [0, 5, (1 << 32) - 1, DEADLINE, 1 << DEADLINE_BITS, u64::MAX, 1 << 63] {
            let pending = Pending::until(7, deadline);
            for (before, left) in [(1, 1), (86_400_000, 86_400_000), (0, 0)] {
                assert_eq!(pending.left(u64::wrapping_sub(deadline, before)), left, "{deadline}");
            }
            assert_eq!(pending.left(deadline.wrapping_add(1)), -1, "{deadline}");
            assert_eq!(pending.left(deadline.wrapping_add(1 << 37)), -(1 << 37), "{deadline}");
        }
    }
}
