//! Lowered rules → a decision tree of splits: each split divides one dimension into intervals, each of which leads to another
//! split or a decision. Equal parts are stored once.
//!
//! The tree is built dimension by dimension, in an order that is fixed or chosen at each place. A sweep line goes over the
//! dimension's keys with the lowered rules that can still match; a new interval begins where their set changes. Intervals with
//! the same set lead to the same place, so a prefix list of 100,000 entries in one rule makes 200,000 intervals but only two
//! targets. Shadowed rules are pruned early: after a lowered rule that has no condition left, nothing else can decide.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    mem,
    ops::Range,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use sg_common::{image::Dimension, packet::Family};

use super::{
    candidate::{Candidate, Candidates},
    dimensions::Dimensions,
    interval::{self, Interval, Target},
    lowered_rule::LoweredRule,
    sweep_line::SweepLine,
};

/// The order of dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// That of [`Dimension::ALL`], remote addresses before services: right for most policies, and costs no time for choosing.
    AddressFirst,
    /// The most selective dimension, which leaves the fewest lowered rules, chosen anew at each place.
    MostSelective,
}

/// One dimension divided into intervals, which are stored consecutively in the decision tree. The first begins at zero.
#[derive(Clone, Debug)]
struct Split {
    dimension: Dimension,
    intervals: Range<u32>,
}

/// The decision tree of one direction and family. Splits come after the splits they lead to.
#[derive(Clone, Debug)]
pub(super) struct DecisionTree {
    splits: Vec<Split>,
    intervals: Vec<Interval>,
    pub(super) root: Target,
    /// The first lowered rule in it.
    pub(super) first: u32,
    /// Its estimated size in words.
    pub(super) words: usize,
    pub(super) family: Family,
}

/// The maximum cost of a decision tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The maximum size in words, by estimate.
    pub(super) words: usize,
    /// The maximum total length of all lists of lowered rules, which bounds work and memory if a policy explodes.
    pub(super) notes: usize,
}

impl Limits {
    /// The bound on words also bounds the notes.
    pub(super) const fn of_words(words: usize) -> Self {
        Self { words, notes: words }
    }

    /// The stricter of both.
    pub(super) fn min(self, other: Self) -> Self {
        Self { words: self.words.min(other.words), notes: self.notes.min(other.notes) }
    }
}

impl DecisionTree {
    /// Builds the decision tree of all `lowered rules`, the last of which always matches. `None` if it exceeds the limits.
    pub(super) fn build(
        lowered_rules: &[LoweredRule],
        family: Family,
        order: Order,
        limits: Limits,
    ) -> Option<Self> {
        let all: Vec<u32> = (0..lowered_rules.len() as u32).collect();
        Self::of(lowered_rules, &all, family, order, limits, false)
    }

    /// Builds the decision tree of the `lowered rules` whose positions are in `members`, the last of which always matches. `None`
    /// if it exceeds the limits. If `ranked`, its decisions identify their lowered rules, for comparison with those of other
    /// decision trees.
    pub(super) fn of(
        lowered_rules: &[LoweredRule],
        members: &[u32],
        family: Family,
        order: Order,
        limits: Limits,
        ranked: bool,
    ) -> Option<Self> {
        let mut builder = Builder {
            candidates: Candidates::new(lowered_rules),
            order,
            ranked,
            limits,
            words: 0,
            splits: Vec::new(),
            intervals: Vec::new(),
            by_content: HashTable::with_capacity(members.len()),
            lists: Vec::new(),
            known: Vec::new(),
            by_candidates: HashTable::with_capacity(members.len()),
            hash: RandomState::default(),
            spare: Vec::new(),
        };
        let all = members.iter().map(|&lowered_rule| Candidate(lowered_rule));
        let root = builder.target(Dimensions::ALL, all)?;
        let first = *members.first()?;
        let Builder { splits, intervals, words, .. } = builder;
        Some(Self { splits, intervals, root, first, words, family })
    }

    /// The splits: the dimension of each, and its intervals.
    pub(super) fn splits(&self) -> impl ExactSizeIterator<Item = (Dimension, &[Interval])> {
        self.splits.iter().map(|split| (split.dimension, slice(&self.intervals, &split.intervals)))
    }
}

/// A list of candidates, and the target of packets for which these can match.
struct Known {
    /// The dimensions still to be tested.
    left: Dimensions,
    /// In `Builder::lists`.
    list: Range<u32>,
    target: Target,
}

/// An entry of a hash table, which refers to its content by number. It is small, because a large table does not fit the cache.
struct Entry {
    hash: u32,
    number: u32,
}

impl Entry {
    /// Spreads the hash for the table, which uses both ends of the 64 bits.
    fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}

struct Builder<'a> {
    candidates: Candidates<'a>,
    order: Order,
    ranked: bool,
    limits: Limits,
    words: usize,
    splits: Vec<Split>,
    intervals: Vec<Interval>,
    /// Of `splits`.
    by_content: HashTable<Entry>,
    /// Lists of candidates, stored consecutively: each known list, and those under construction.
    lists: Vec<Candidate>,
    known: Vec<Known>,
    /// Of `known`.
    by_candidates: HashTable<Entry>,
    hash: RandomState,
    /// Memory of finished sweep lines, for reuse.
    spare: Vec<SweepLine>,
}

impl Builder<'_> {
    /// The target of packets for which the candidates in `possible`, in order, can match and the dimensions in `left` are still
    /// to be tested. `None` if the budget is exhausted.
    fn target(&mut self, left: Dimensions, possible: impl IntoIterator<Item = Candidate>) -> Option<Target> {
        let mut possible = possible.into_iter();
        // The last lowered rule always matches, so there is a first candidate, and without a condition it decides.
        let first = possible.next()?;
        let mut asked = self.candidates.asked(first).and(left);
        if asked.is_empty() {
            return Some(Target::decision(self.candidates.decision(first, self.ranked)));
        }
        let begin = self.lists.len();
        self.lists.push(first);
        for candidate in possible {
            self.lists.push(candidate);
            let own = self.candidates.asked(candidate).and(left);
            // After a candidate that has no condition left, nothing else can decide.
            if own.is_empty() {
                break;
            }
            asked = asked.or(own);
        }
        let list = &self.lists[begin..];
        let left = asked.or(asked.lows_to_come().and(left));
        let mut hash = self.hash.build_hasher();
        hash.write_u16(left.bits());
        for candidate in list {
            hash.write_u32(candidate.0);
        }
        let hash = hash.finish() as u32;
        let same = |entry: &Entry| {
            let known = &self.known[entry.number as usize];
            entry.hash == hash && known.left == left && slice(&self.lists, &known.list) == list
        };
        if let Some(entry) = self.by_candidates.find(Entry::spread(hash), same) {
            self.lists.truncate(begin);
            return Some(self.known[entry.number as usize].target);
        }
        if self.lists.len() > self.limits.notes {
            return None;
        }
        let list = begin as u32..self.lists.len() as u32;
        let target = self.divide(left, asked, list.clone())?;
        insert(&mut self.by_candidates, hash, self.known.len());
        self.known.push(Known { left, list, target });
        Some(target)
    }

    /// Splits on one of the dimensions that the candidates of `list` have conditions on (`asked`).
    fn divide(&mut self, left: Dimensions, asked: Dimensions, list: Range<u32>) -> Option<Target> {
        let mut among = Dimension::ALL.into_iter().filter(|&dimension| asked.has(dimension));
        let first = among.next()?;
        if let &[one, other] = slice(&self.lists, &list)
            && left == Dimensions::only(first)
        {
            return self.last(first, [one, other]);
        }
        let mut line = self.line(first, &list);
        let mut dimension = first;
        if self.order == Order::MostSelective && !asked.is_one() {
            let mut least = line.inverse_selectivity();
            for other in among {
                let another = self.line(other, &list);
                let inverse_selectivity = another.inverse_selectivity();
                if inverse_selectivity < least {
                    (least, dimension) = (inverse_selectivity, other);
                    self.spare.push(mem::replace(&mut line, another));
                } else {
                    self.spare.push(another);
                }
            }
        }
        let target = self.split(&mut line, dimension, left.without(dimension))?;
        self.spare.push(line);
        Some(target)
    }

    /// The split on `dimension` of two candidates, of which the first has no other condition left and the second none at all.
    /// Most rules end here, so it is worth a path without a sweep line.
    fn last(&mut self, dimension: Dimension, [one, other]: [Candidate; 2]) -> Option<Target> {
        let [inside, outside] =
            [one, other].map(|candidate| Target::decision(self.candidates.decision(candidate, self.ranked)));
        let mut line = self.spare.pop().unwrap_or_default();
        line.intervals.clear();
        let mut next = Some(0);
        self.candidates.ranges(one, dimension, |range, _| {
            if let Some(key) = next
                && key < range.first
            {
                line.lead(key, outside);
            }
            line.lead(range.first, inside);
            next = range.last.checked_add(1);
        });
        if let Some(key) = next {
            line.lead(key, outside);
        }
        let target = self.keep(dimension, &line.intervals);
        self.spare.push(line);
        target
    }

    /// A sweep line over the candidates of `list` that has not moved.
    fn line(&mut self, dimension: Dimension, list: &Range<u32>) -> SweepLine {
        let mut line = self.spare.pop().unwrap_or_default();
        line.begin(dimension, &mut self.candidates, slice(&self.lists, list));
        line
    }

    /// The split along `line`.
    fn split(&mut self, line: &mut SweepLine, dimension: Dimension, left: Dimensions) -> Option<Target> {
        let mut at = Some(0);
        while let Some(key) = at {
            let target = self.target(left, line.possible.iter().map(|possible| possible.candidate))?;
            line.lead(key, target);
            at = line.advance();
        }
        self.keep(dimension, &line.intervals)
    }

    /// Stores a split, or finds an equal one that is already stored. If all keys have one target, there is no split.
    fn keep(&mut self, dimension: Dimension, intervals: &[Interval]) -> Option<Target> {
        if let [only] = intervals {
            return Some(only.target);
        }
        let mut hash = self.hash.build_hasher();
        hash.write_u8(dimension as u8);
        for interval in intervals {
            hash.write_u64(interval.key);
            hash.write_u64(interval.target.word());
        }
        let hash = hash.finish() as u32;
        let same = |entry: &Entry| {
            let split = &self.splits[entry.number as usize];
            entry.hash == hash
                && split.dimension == dimension
                && slice(&self.intervals, &split.intervals) == intervals
        };
        if let Some(known) = self.by_content.find(Entry::spread(hash), same) {
            return Some(Target::split(known.number));
        }
        self.words += interval::words(intervals.len());
        if self.words > self.limits.words {
            return None;
        }
        let number = self.splits.len();
        let begin = self.intervals.len() as u32;
        self.intervals.extend_from_slice(intervals);
        self.splits.push(Split { dimension, intervals: begin..self.intervals.len() as u32 });
        insert(&mut self.by_content, hash, number);
        Some(Target::split(number as u32))
    }
}

fn insert(table: &mut HashTable<Entry>, hash: u32, number: usize) {
    let entry = Entry { hash, number: number as u32 };
    table.insert_unique(Entry::spread(hash), entry, |entry| Entry::spread(entry.hash));
}

fn slice<'a, T>(all: &'a [T], part: &Range<u32>) -> &'a [T] {
    &all[part.start as usize..part.end as usize]
}
