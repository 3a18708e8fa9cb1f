//! Intervals of one dimension's keys: where each leads, and how much room they take in an image. It must never know how they are
//! found or written: `sweep_line` and `tree` make them, `layout` writes them.

use sg_common::image::{FANOUT, NO_BOUND, NODE_WORDS, Reference};

/// Average number of intervals in a directory's bucket: most buckets are one node.
pub(super) const BUCKET: usize = 4;

/// The target of an interval: an encoded decision, or the number of a split. Decisions have the highest bit set ([`Reference`]),
/// numbers do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target(u64);

impl Target {
    pub(super) const fn decision(decision: Reference) -> Self {
        Self(decision.word())
    }

    pub(super) const fn split(number: u32) -> Self {
        Self(number as u64)
    }

    /// The same as one word, for hashing.
    pub(super) const fn word(self) -> u64 {
        self.0
    }

    /// The number of the split, or the decision's word.
    pub(super) fn resolve(self) -> Result<usize, u64> {
        if self.0 < NO_BOUND { Ok(self.0 as usize) } else { Err(self.0) }
    }
}

/// Keys with one target: they begin here, and end where the next interval begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) key: u64,
    pub(super) target: Target,
}

/// Estimated words of a split of `intervals` intervals; errs on the high side, except at the root, whose sparser directory exists
/// once a tree.
pub(super) fn words(intervals: usize) -> usize {
    // A pair has two trees; the second adds at least a node and a table.
    let nodes = intervals.div_ceil(FANOUT) + 1;
    let tree = 2 * NODE_WORDS * nodes + NODE_WORDS * nodes.div_ceil(FANOUT - 1);
    // Before a directory's buckets are filled, each has a node and a table of its own.
    let directory = if intervals > FANOUT { intervals / BUCKET * 2 * NODE_WORDS } else { 0 };
    tree + directory
}
