//! References: what is behind an interval. The layout stands in [`super`]; this file must never read an image.

use super::{Dimension, NO_BOUND, RANKS};
use crate::verdict::Decision;

/// A reference of an interval to what is behind it, see the module's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference(u64);

impl Reference {
    const DIMENSION_SHIFT: u32 = 32;
    pub(super) const PAIRED: u64 = 1 << 36;
    pub(super) const DIRECTORY: u64 = 1 << 37;
    pub(super) const PARTITION: u64 = 1 << 38;
    pub(super) const SMALL: u64 = 1 << 39;
    pub(super) const OFFSET: u64 = 0xffff_ffff;

    /// A node at `offset` words that splits `dimension`; with `paired`, two nodes.
    #[must_use]
    pub const fn node(offset: u32, dimension: Dimension, paired: bool) -> Self {
        let paired = if paired { Self::PAIRED } else { 0 };
        Self(paired | (dimension as u64) << Self::DIMENSION_SHIFT | offset as u64)
    }

    /// As [`Self::node`], of small nodes.
    #[must_use]
    pub const fn small(offset: u32, dimension: Dimension, paired: bool) -> Self {
        Self(Self::SMALL | Self::node(offset, dimension, paired).0)
    }

    /// A directory at `offset` words: its index is `bits` bits of the key, above the `shift` lowest.
    #[must_use]
    pub const fn directory(offset: u32, dimension: Dimension, shift: u32, bits: u32) -> Self {
        let place = Self::node(offset, dimension, false).0;
        Self(place | Self::DIRECTORY | ((shift & 63) as u64) << 40 | ((bits & 31) as u64) << 48)
    }

    /// A partition at `offset` words.
    #[must_use]
    pub const fn partition(offset: u32) -> Self {
        Self(Self::PARTITION | offset as u64)
    }

    /// A decision, which ends a walk.
    #[must_use]
    pub const fn decision(decision: Decision) -> Self {
        Self(decision.word())
    }

    /// A decision of a tree in a partition. `rank` is below [`RANKS`].
    #[must_use]
    pub const fn ranked(decision: Decision, rank: u32) -> Self {
        Self(decision.word() | Self::lowest(rank).0)
    }

    /// The minimum of [`Self::ranked`] for a rank.
    #[must_use]
    pub const fn lowest(rank: u32) -> Self {
        Self(NO_BOUND | ((rank & (RANKS - 1)) as u64) << RANK_SHIFT)
    }

    /// The word to store.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The number of the dimension of a word that is a reference to a node or directory, and above it bits that are none of it.
    #[inline(always)]
    pub(super) const fn dimension(word: u64) -> u64 {
        word >> Self::DIMENSION_SHIFT
    }
}

/// Lowest bit of the rank in a ranked decision: above all parts of a decision, and below its mark.
pub(super) const RANK_SHIFT: u32 = 43;

/// The mark of a control word whose children are references.
pub(super) const LEAF: u64 = 1 << 32;

/// The control word of a node whose children are references.
#[must_use]
pub const fn leaf_control(table: u32) -> u64 {
    LEAF | table as u64
}

/// The control word of a node whose children are nodes of the same dimension.
#[must_use]
pub const fn inner_control(first_child: u32) -> u64 {
    first_child as u64
}
