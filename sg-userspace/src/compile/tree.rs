//! Lowered rules → a decision tree of splits: each split cuts one dimension into intervals, behind each of which stands another
//! split or a decision. Equal parts are stored once.
//!
//! Building goes dimension by dimension, in an order that is given or chosen at each place. The lowered rules that are still possible are swept over the dimension's
//! keys; where the set of possible lowered rules changes, an interval begins. Intervals with the same set lead to the
//! same place, so a prefix list of 100,000 entries in one rule makes 200,000 intervals but only two places to go.
//! What is shadowed is cut off early: behind a lowered rule that has no condition left, nothing else can decide.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    mem,
    ops::Range,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use sg_common::{
    image::{Dimension, NO_BOUND, Reference},
    packet::Family,
};

use super::{
    candidate::{Candidate, Candidates},
    dimensions::Dimensions,
    lowered_rule::LoweredRule,
    sweep_line::SweepLine,
};

/// Which dimension is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Addresses before services: what most policies want, and no time is spent on choosing.
    AddressFirst,
    /// The one that leaves the fewest lowered rules possible, chosen anew at each place.
    Sharpest,
}

const ADDRESS_FIRST: [Dimension; 7] = [
    Dimension::RemoteHigh,
    Dimension::RemoteLow,
    Dimension::Service,
    Dimension::SourcePort,
    Dimension::LocalHigh,
    Dimension::LocalLow,
    Dimension::Ethernet,
];

/// Where an interval leads: a decision, ready to be written, or a split by its number. Decisions have the highest bit
/// set ([`Reference`]), numbers have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target(u64);

impl Target {
    const fn decision(decision: Reference) -> Self {
        Self(decision.word())
    }

    const fn split(number: u32) -> Self {
        Self(number as u64)
    }

    /// The number of the split; a decision's word where it is one.
    pub(super) fn resolve(self) -> Result<usize, u64> {
        if self.0 < NO_BOUND { Ok(self.0 as usize) } else { Err(self.0) }
    }
}

/// Keys that lead to one place: they begin here, and end where the next interval begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) key: u64,
    pub(super) target: Target,
}

/// One dimension, cut into intervals, which stand one after the other in the decision tree. The first begins at zero.
#[derive(Clone, Debug)]
struct Split {
    dimension: Dimension,
    intervals: Range<u32>,
}

/// The decision tree of one direction and family. Splits stand after the splits they lead to.
#[derive(Clone, Debug)]
pub(super) struct DecisionTree {
    splits: Vec<Split>,
    intervals: Vec<Interval>,
    pub(super) root: Target,
    /// The first lowered rule in it.
    pub(super) first: u32,
    /// An estimate of the words it takes.
    pub(super) words: usize,
    /// Addresses have 64-bit keys: the family is IPv6.
    pub(super) wide: bool,
}

/// What a decision tree may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most words, by estimate.
    pub(super) words: usize,
    /// The most lowered rules in all lists of them: what bounds the work and the memory where a policy explodes.
    pub(super) notes: usize,
}

impl Limits {
    /// What bounds the words bounds the notes too.
    pub(super) const fn of_words(words: usize) -> Self {
        Self { words, notes: words }
    }

    /// Both.
    pub(super) fn min(self, other: Self) -> Self {
        Self { words: self.words.min(other.words), notes: self.notes.min(other.notes) }
    }
}

impl DecisionTree {
    /// Builds the decision tree of all `lowered rules`, the last of which always matches. None where it is over the budget.
    pub(super) fn build(
        lowered_rules: &[LoweredRule],
        family: Family,
        order: Order,
        limits: Limits,
    ) -> Option<Self> {
        let all: Vec<u32> = (0..lowered_rules.len() as u32).collect();
        Self::of(lowered_rules, &all, family, order, limits, false)
    }

    /// Builds the decision tree of those `lowered rules` whose positions are in `members`, the last of which always matches. None
    /// where it is over the limits. `ranked`: its decisions tell which lowered rule they are, for a comparison with those of other
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
        Some(Self { splits, intervals, root, first, words, wide: family == Family::V6 })
    }

    /// The splits: the dimension of each, and its intervals.
    pub(super) fn splits(&self) -> impl ExactSizeIterator<Item = (Dimension, &[Interval])> {
        self.splits.iter().map(|split| (split.dimension, slice(&self.intervals, &split.intervals)))
    }
}

/// A list of candidates, and where packets go for which these are possible.
struct Known {
    /// The dimensions still to be asked.
    left: Dimensions,
    /// In `Builder::lists`.
    list: Range<u32>,
    target: Target,
}

/// A place in a table of what stands elsewhere, by number. It is small, since a large table is not in the cache.
struct Entry {
    hash: u32,
    number: u32,
}

impl Entry {
    /// The hash that the table sees: it wants both ends of 64 bits.
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
    /// Lists of candidates, one after the other: each that is known, and those that are being looked at.
    lists: Vec<Candidate>,
    known: Vec<Known>,
    /// Of `known`.
    by_candidates: HashTable<Entry>,
    hash: RandomState,
    /// Memory of sweeps that are over.
    spare: Vec<SweepLine>,
}

impl Builder<'_> {
    /// Where packets go for which the candidates in `possible`, in order, are possible and the dimensions in `left` are
    /// still to be asked. None where the budget is used up.
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
            // Behind a candidate that has no condition left, nothing else can decide.
            if own.is_empty() {
                break;
            }
            asked = asked.or(own);
        }
        let list = &self.lists[begin..];
        let left = asked.or(asked.lows_to_come().and(left));
        let mut hash = self.hash.build_hasher();
        hash.write_u8(left.bits());
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
        let target = self.cut(left, asked, list.clone())?;
        insert(&mut self.by_candidates, hash, self.known.len());
        self.known.push(Known { left, list, target });
        Some(target)
    }

    /// Cuts one of the dimensions that the candidates of `list` have `asked` about.
    fn cut(&mut self, left: Dimensions, asked: Dimensions, list: Range<u32>) -> Option<Target> {
        let mut among = ADDRESS_FIRST.into_iter().filter(|&dimension| asked.has(dimension));
        let first = among.next()?;
        if let &[one, other] = slice(&self.lists, &list)
            && left == Dimensions::only(first)
        {
            return self.last(first, [one, other]);
        }
        let mut sweep = self.sweep(first, &list);
        let mut dimension = first;
        if self.order == Order::Sharpest && !asked.is_one() {
            let mut least = sweep.inverse_selectivity();
            for other in among {
                let another = self.sweep(other, &list);
                let inverse_selectivity = another.inverse_selectivity();
                if inverse_selectivity < least {
                    (least, dimension) = (inverse_selectivity, other);
                    self.spare.push(mem::replace(&mut sweep, another));
                } else {
                    self.spare.push(another);
                }
            }
        }
        let target = self.split(&mut sweep, dimension, left.without(dimension))?;
        self.spare.push(sweep);
        Some(target)
    }

    /// The split on `dimension` of two candidates, of which the first has no other condition left and the second none at
    /// all. It is what most rules come to, so it is worth a way without a sweep.
    fn last(&mut self, dimension: Dimension, [one, other]: [Candidate; 2]) -> Option<Target> {
        let [inside, outside] =
            [one, other].map(|candidate| Target::decision(self.candidates.decision(candidate, self.ranked)));
        let mut sweep = self.spare.pop().unwrap_or_default();
        sweep.intervals.clear();
        let mut next = Some(0);
        self.candidates.ranges(one, dimension, |range, _| {
            if let Some(key) = next
                && key < range.first
            {
                sweep.lead(key, outside);
            }
            sweep.lead(range.first, inside);
            next = range.last.checked_add(1);
        });
        if let Some(key) = next {
            sweep.lead(key, outside);
        }
        let target = self.keep(dimension, &sweep.intervals);
        self.spare.push(sweep);
        target
    }

    /// A sweep over the candidates of `list` that has not moved.
    fn sweep(&mut self, dimension: Dimension, list: &Range<u32>) -> SweepLine {
        let mut sweep = self.spare.pop().unwrap_or_default();
        sweep.begin(dimension, &mut self.candidates, slice(&self.lists, list));
        sweep
    }

    /// The split that `sweep` finds on its way.
    fn split(&mut self, sweep: &mut SweepLine, dimension: Dimension, left: Dimensions) -> Option<Target> {
        let mut at = Some(0);
        while let Some(key) = at {
            let target = self.target(left, sweep.possible.iter().map(|possible| possible.candidate))?;
            sweep.lead(key, target);
            at = sweep.advance();
        }
        self.keep(dimension, &sweep.intervals)
    }

    /// Stores a split, or finds the equal one that is stored already. Where all keys lead to one place there is none.
    fn keep(&mut self, dimension: Dimension, intervals: &[Interval]) -> Option<Target> {
        if let [only] = intervals {
            return Some(only.target);
        }
        let mut hash = self.hash.build_hasher();
        hash.write_u8(dimension as u8);
        for interval in intervals {
            hash.write_u64(interval.key);
            hash.write_u64(interval.target.0);
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
        self.words += super::layout::words(intervals.len());
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
