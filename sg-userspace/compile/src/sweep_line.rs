//! A sweep line over the keys of one dimension: where which candidates can match.
//!
//! It knows nothing of what is behind an interval; `tree` drives it, and reuses its memory.

use sg_common::image::Dimension;

use super::{
    candidate::{Candidate, Candidates},
    interval::{Interval, Target},
};

/// A key at which a candidate starts or stops matching. Sorted by key; at the same key, ends come before beginnings, so that a
/// range that touches its successor is replaced by it.
///
/// A single number, so that sorting compares nothing else: 64 bits of key, one bit that is set if a candidate starts matching, 31
/// bits of its position, 32 bits of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge(u128);

impl Edge {
    const OPENS: u128 = 1 << 63;

    fn opens(key: u64, Possible { position, candidate }: Possible) -> Self {
        Self(Self::closes(key, position).0 | Self::OPENS | u128::from(candidate.0))
    }

    fn closes(key: u64, position: u32) -> Self {
        Self(u128::from(key) << 64 | u128::from(position) << 32)
    }

    const fn key(self) -> u64 {
        (self.0 >> 64) as u64
    }

    const fn is_open(self) -> bool {
        self.0 & Self::OPENS != 0
    }

    const fn possible(self) -> Possible {
        let position = (self.0 >> 32) as u32 & (u32::MAX >> 1);
        Possible { position, candidate: Candidate(self.0 as u32) }
    }
}

/// A candidate, and its position in the list: the lower position decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Possible {
    position: u32,
    pub(super) candidate: Candidate,
}

/// A sweep line, and the intervals found so far.
#[derive(Default)]
pub(super) struct SweepLine {
    /// Sorted. Candidates that match from the first key on have no opening edge.
    edges: Vec<Edge>,
    /// The number of edges passed.
    passed: usize,
    /// The candidates of the current interval, by position; at first those of key zero.
    pub(super) possible: Vec<Possible>,
    /// The intervals so far.
    pub(super) intervals: Vec<Interval>,
}

impl SweepLine {
    /// Starts over, at key zero of `dimension`, with this list of candidates.
    pub(super) fn begin(
        &mut self,
        dimension: Dimension,
        candidates: &mut Candidates<'_>,
        list: &[Candidate],
    ) {
        self.edges.clear();
        self.passed = 0;
        self.possible.clear();
        self.intervals.clear();
        for (position, &candidate) in (0..).zip(list) {
            candidates.ranges(candidate, dimension, |range, candidate| {
                let found = Possible { position, candidate };
                if range.first == 0 {
                    self.possible.push(found);
                } else {
                    self.edges.push(Edge::opens(range.first, found));
                }
                if range.last != u64::MAX {
                    self.edges.push(Edge::closes(range.last + 1, position));
                }
            });
        }
        // A stable sort profits from existing order: the edges of each candidate are sorted.
        self.edges.sort();
    }

    /// The average number of candidates per interval, in sixteenths, and the number of intervals. Only valid before the line has
    /// moved.
    pub(super) fn inverse_selectivity(&self) -> (usize, usize) {
        let (mut key, mut now) = (0, self.possible.len());
        let (mut intervals, mut possible) = (1, 0);
        for edge in &self.edges {
            if edge.key() != key {
                key = edge.key();
                intervals += 1;
                possible += now;
            }
            if edge.is_open() { now += 1 } else { now -= 1 }
        }
        ((possible + now) * 16 / intervals, intervals)
    }

    /// Records the target of the keys from `key` on.
    pub(super) fn lead(&mut self, key: u64, target: Target) {
        if self.intervals.last().is_none_or(|before| before.target != target) {
            self.intervals.push(Interval { key, target });
        }
    }

    /// Moves to the beginning of the next interval and returns it; `None` at the end.
    pub(super) fn advance(&mut self) -> Option<u64> {
        let key = self.edges.get(self.passed)?.key();
        while let Some(edge) = self.edges.get(self.passed).filter(|edge| edge.key() == key) {
            self.passed += 1;
            let found = edge.possible();
            let place = self.possible.binary_search_by_key(&found.position, |possible| possible.position);
            match (edge.is_open(), place) {
                (true, Ok(place)) => self.possible[place] = found,
                (true, Err(place)) => self.possible.insert(place, found),
                (false, Ok(place)) => drop(self.possible.remove(place)),
                (false, Err(_)) => {}
            }
        }
        Some(key)
    }
}
