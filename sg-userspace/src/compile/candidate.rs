//! Clauses that are still possible, and what is left to ask of each.
//!
//! A candidate is a clause, and the ranges of lower halves that go with the upper halves of its addresses which were
//! found. It is known by a small number: half of a compilation is comparing lists of candidates. Of IPv4 the numbers
//! are those of the clauses.
//!
//! It knows nothing of intervals or of what is written; `graph` asks it.

use foldhash::{HashMap, HashMapExt as _};
use sg_common::image::{Dimension, Reference};

use super::{
    clause::Clause,
    dimensions::Dimensions,
    ranges::{Addresses, Range},
};

/// The number of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Candidate(pub(super) u32);

/// What a candidate's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Meaning {
    clause: u32,
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

/// All candidates of one graph, by number: first the clauses, of which nothing is asked yet of lower halves.
pub(super) struct Candidates<'a> {
    clauses: &'a [Clause],
    /// Behind the clauses.
    others: Vec<Meaning>,
    /// By number.
    asked: Vec<Dimensions>,
    numbers: HashMap<Meaning, Candidate>,
    lows: Vec<&'a [Range]>,
    low_ids: HashMap<&'a [Range], LowId>,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(clauses: &'a [Clause]) -> Self {
        Self {
            clauses,
            others: Vec::new(),
            asked: clauses.iter().map(Clause::asked).collect(),
            numbers: HashMap::new(),
            lows: Vec::new(),
            low_ids: HashMap::new(),
        }
    }

    /// The dimensions that `candidate` has a condition on.
    pub(super) fn asked(&self, candidate: Candidate) -> Dimensions {
        self.asked[candidate.0 as usize]
    }

    /// What holds where `candidate` decides; `ranked` where it has to tell its clause too.
    pub(super) fn decision(&self, candidate: Candidate, ranked: bool) -> Reference {
        let clause = self.meaning(candidate).clause;
        let decision = self.clauses[clause as usize].decision;
        if ranked { Reference::ranked(decision, clause) } else { Reference::decision(decision) }
    }

    /// Gives `range` every range of keys in which `candidate` is possible, in order, and the candidate that it is there.
    pub(super) fn ranges(
        &mut self,
        candidate: Candidate,
        dimension: Dimension,
        mut range: impl FnMut(Range, Candidate),
    ) {
        let meaning = self.meaning(candidate);
        let clause = &self.clauses[meaning.clause as usize];
        let ranges: &[Range] = match dimension {
            Dimension::RemoteHigh => return self.upper(&clause.remote, meaning, true, range),
            Dimension::LocalHigh => return self.upper(&clause.local, meaning, false, range),
            Dimension::RemoteLow => self.low(meaning.remote_low),
            Dimension::LocalLow => self.low(meaning.local_low),
            Dimension::Service => &clause.service,
            Dimension::SourcePort => &clause.source_port,
            Dimension::Ethernet => &[clause.ethernet],
        };
        for &keys in ranges {
            range(keys, candidate);
        }
    }

    /// The upper halves of addresses: behind each the candidate knows which lower halves go with it.
    fn upper(
        &mut self,
        addresses: &'a Addresses,
        meaning: Meaning,
        remote: bool,
        mut range: impl FnMut(Range, Candidate),
    ) {
        for piece in addresses.pieces() {
            let low = piece.low.as_ref().map_or(LowId::ANY, |low| self.low_id(low));
            let found = if remote {
                Meaning { remote_low: low, ..meaning }
            } else {
                Meaning { local_low: low, ..meaning }
            };
            range(piece.high, self.number(found));
        }
    }

    fn meaning(&self, Candidate(number): Candidate) -> Meaning {
        let plain = Meaning { clause: number, remote_low: LowId::ANY, local_low: LowId::ANY };
        let other = (number as usize).checked_sub(self.clauses.len());
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
            return Candidate(meaning.clause);
        }
        *self.numbers.entry(meaning).or_insert_with(|| {
            let asked = self.clauses[meaning.clause as usize]
                .asked()
                .or(Dimensions::only_if(meaning.remote_low != LowId::ANY, Dimension::RemoteLow))
                .or(Dimensions::only_if(meaning.local_low != LowId::ANY, Dimension::LocalLow));
            self.others.push(meaning);
            self.asked.push(asked);
            Candidate(self.asked.len() as u32 - 1)
        })
    }
}
