//! Lowered rules that can still match, and the conditions each has left.
//!
//! A candidate is a lowered rule with the ranges of lower halves that belong to the upper halves matched so far. It is identified
//! by a small number, because half of a compilation is comparing lists of candidates. For IPv4 the numbers are those of the
//! lowered rules.
//!
//! It knows nothing of intervals or of what is written; `tree` calls it.

use foldhash::{HashMap, HashMapExt as _};
use sg_common::image::{Dimension, Reference};

use super::{
    dimensions::Dimensions,
    lowered_rule::{Condition, End, LoweredRule},
    ranges::{Addresses, Range},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidate(pub(super) u32);

/// What a candidate's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Meaning {
    lowered_rule: u32,
    remote_low: LowId,
    local_low: LowId,
}

/// A list of ranges of lower halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct LowId(u32);

impl LowId {
    /// No condition.
    const ANY: Self = Self(0);
}

/// All candidates of one decision tree, by number: first the lowered rules, which have no condition on lower halves yet.
pub(super) struct Candidates<'a> {
    lowered_rules: &'a [LoweredRule],
    /// The candidates after the lowered rules.
    others: Vec<Meaning>,
    /// The dimensions each candidate has a condition on, by number.
    asked: Vec<Dimensions>,
    numbers: HashMap<Meaning, Candidate>,
    lows: Vec<&'a [Range]>,
    low_ids: HashMap<&'a [Range], LowId>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(lowered_rules: &'a [LoweredRule]) -> Self {
        Self {
            lowered_rules,
            others: Vec::new(),
            asked: lowered_rules.iter().map(LoweredRule::asked).collect(),
            numbers: HashMap::new(),
            lows: Vec::new(),
            low_ids: HashMap::new(),
        }
    }

    /// The dimensions that `candidate` has a condition on.
    pub(super) fn asked(&self, candidate: Candidate) -> Dimensions {
        self.asked[candidate.0 as usize]
    }

    /// The decision of `candidate`; if `ranked`, it also identifies its lowered rule.
    pub(super) fn decision(&self, candidate: Candidate, ranked: bool) -> Reference {
        let lowered_rule = self.meaning(candidate).lowered_rule;
        let decision = self.lowered_rules[lowered_rule as usize].decision;
        if ranked { Reference::ranked(decision, lowered_rule) } else { Reference::decision(decision) }
    }

    /// Calls `range` with every range of keys in which `candidate` can match, in order, and with the candidate that it becomes
    /// there.
    pub(super) fn ranges(
        &mut self,
        candidate: Candidate,
        dimension: Dimension,
        mut range: impl FnMut(Range, Candidate),
    ) {
        let meaning = self.meaning(candidate);
        let lowered_rule = &self.lowered_rules[meaning.lowered_rule as usize];
        let ranges = match lowered_rule.condition(dimension) {
            Condition::High(end, addresses) => return self.upper(addresses, meaning, end, range),
            Condition::Low(End::Remote) => self.low(meaning.remote_low),
            Condition::Low(End::Local) => self.low(meaning.local_low),
            Condition::Key(ranges) => ranges,
        };
        for &keys in ranges {
            range(keys, candidate);
        }
    }

    /// Walks the upper halves of addresses; each range leads to a candidate that knows the lower halves belonging to it.
    fn upper(
        &mut self,
        addresses: &'a Addresses,
        meaning: Meaning,
        end: End,
        mut range: impl FnMut(Range, Candidate),
    ) {
        for piece in addresses.pieces() {
            let low = piece.low.as_ref().map_or(LowId::ANY, |low| self.low_id(low));
            let found = match end {
                End::Remote => Meaning { remote_low: low, ..meaning },
                End::Local => Meaning { local_low: low, ..meaning },
            };
            range(piece.high, self.number(found));
        }
    }

    fn meaning(&self, Candidate(number): Candidate) -> Meaning {
        let plain = Meaning { lowered_rule: number, remote_low: LowId::ANY, local_low: LowId::ANY };
        let other = (number as usize).checked_sub(self.lowered_rules.len());
        other.map_or(plain, |other| self.others[other])
    }

    fn low(&self, LowId(number): LowId) -> &'a [Range] {
        number.checked_sub(1).map_or(&[Range::FULL], |place| self.lows[place as usize])
    }

    fn low_id(&mut self, low: &'a [Range]) -> LowId {
        *self.low_ids.entry(low).or_insert_with(|| {
            self.lows.push(low);
            LowId(self.lows.len() as u32)
        })
    }

    fn number(&mut self, meaning: Meaning) -> Candidate {
        if meaning.remote_low == LowId::ANY && meaning.local_low == LowId::ANY {
            return Candidate(meaning.lowered_rule);
        }
        *self.numbers.entry(meaning).or_insert_with(|| {
            let asked = self.lowered_rules[meaning.lowered_rule as usize]
                .asked()
                .or(Dimensions::only_if(meaning.remote_low != LowId::ANY, Dimension::RemoteLow))
                .or(Dimensions::only_if(meaning.local_low != LowId::ANY, Dimension::LocalLow));
            self.others.push(meaning);
            self.asked.push(asked);
            Candidate(self.asked.len() as u32 - 1)
        })
    }
}
