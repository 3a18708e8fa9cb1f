//! Clauses → a graph of splits: each split cuts one dimension into intervals, behind each of which stands another
//! split or a decision. Equal parts are stored once.
//!
//! Building goes dimension by dimension, in an order that is given or chosen at each place. The clauses that are still possible are swept over the dimension's
//! keys; where the set of possible clauses changes, an interval begins. Intervals with the same set lead to the
//! same place, so a prefix list of 100,000 entries in one rule makes 200,000 intervals but only two places to go.
//! What is shadowed is cut off early: behind a clause that has no condition left, nothing else can decide.

use std::hash::{Hash, Hasher};

use foldhash::{HashMap, HashMapExt as _};
use sg_common::{
    image::{Dimension, Reference},
    packet::Family,
};

use super::{
    clause::Clause,
    ranges::{Addresses, Range},
};

/// Which dimension is asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Addresses before services: what most policies want, and no time is spent on choosing.
    AddressFirst,
    /// The one that leaves the fewest clauses possible, chosen anew at each place.
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

/// Where an interval leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    /// A decision, ready to be written.
    Decision(Reference),
    Split(u32),
}

/// One dimension, cut into intervals: each begins at its key and ends where the next begins. The first begins
/// at zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Split {
    pub(super) dimension: Dimension,
    pub(super) intervals: Vec<(u64, Target)>,
}

/// The graph of one direction and family. Splits stand after the splits they lead to.
#[derive(Clone, Debug)]
pub(super) struct Graph {
    pub(super) splits: Vec<Split>,
    pub(super) root: Target,
    /// The first clause in it.
    pub(super) first: u32,
    /// An estimate of the words it takes.
    pub(super) words: usize,
    /// Addresses have 64-bit keys: the family is IPv6.
    pub(super) wide: bool,
}

/// What a graph may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The most words, by estimate.
    pub(super) words: usize,
    /// The most clauses noted over all intervals: what bounds the work and the memory where a policy explodes.
    pub(super) notes: usize,
}

impl Limits {
    /// What bounds the words bounds the notes too.
    pub(super) const fn of_words(words: usize) -> Self {
        const NOTES_PER_WORD: usize = 2;
        Self { words, notes: words.saturating_mul(NOTES_PER_WORD) }
    }

    /// Both.
    pub(super) fn min(self, other: Self) -> Self {
        Self { words: self.words.min(other.words), notes: self.notes.min(other.notes) }
    }
}

impl Graph {
    /// Builds the graph of all `clauses`, the last of which always matches. None where it is over the budget.
    pub(super) fn build(clauses: &[Clause], family: Family, order: Order, limits: Limits) -> Option<Self> {
        let all: Vec<u32> = (0..clauses.len() as u32).collect();
        Self::of(clauses, &all, family, order, limits, false)
    }

    /// Builds the graph of those `clauses` whose positions are in `members`, the last of which always matches. None
    /// where it is over the limits. `ranked`: its decisions tell which clause they are, for a comparison with those of other
    /// graphs.
    pub(super) fn of(
        clauses: &[Clause],
        members: &[u32],
        family: Family,
        order: Order,
        limits: Limits,
        ranked: bool,
    ) -> Option<Self> {
        let mut builder = Builder {
            clauses,
            order,
            ranked,
            lows: Lows::default(),
            splits: Vec::new(),
            by_content: HashMap::new(),
            by_candidates: HashMap::new(),
            words: 0,
            limits,
            notes: 0,
        };
        let all = members.iter().map(|&clause| Candidate::new(clause)).collect();
        let root = builder.target(Dimensions::ALL, all)?;
        let first = *members.first()?;
        Some(Self { splits: builder.splits, root, first, words: builder.words, wide: family == Family::V6 })
    }
}

/// A set of dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Dimensions(u8);

impl Dimensions {
    const ALL: Self = Self(0x7f);

    const fn only(dimension: Dimension) -> Self {
        Self(1 << dimension as u8)
    }

    const fn has(self, dimension: Dimension) -> bool {
        self.0 & Self::only(dimension).0 != 0
    }

    const fn without(self, dimension: Dimension) -> Self {
        Self(self.0 & !Self::only(dimension).0)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn is_one(self) -> bool {
        self.0.is_power_of_two()
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lower halves whose upper halves are here.
    const fn lows_to_come(self) -> Self {
        const HIGHS: Dimensions =
            Dimensions::only(Dimension::RemoteHigh).or(Dimensions::only(Dimension::LocalHigh));
        // A lower half is the dimension behind its upper half.
        Self((self.0 & HIGHS.0) << 1)
    }
}

/// A clause that is still possible, and what is left to ask of the lower halves of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    clause: u32,
    remote_low: LowId,
    local_low: LowId,
}

/// In one piece: half of a compilation is looking up lists of candidates.
impl Hash for Candidate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (clause, remote, local) = (self.clause.into(), self.remote_low.0.into(), self.local_low.0.into());
        let [clause, remote, local]: [u128; 3] = [clause, remote, local];
        state.write_u128(clause << 64 | remote << 32 | local);
    }
}

impl Candidate {
    fn new(clause: u32) -> Self {
        Self { clause, remote_low: LowId::ANY, local_low: LowId::ANY }
    }
}

/// A list of ranges of lower halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct LowId(u32);

impl LowId {
    /// No condition.
    const ANY: Self = Self(0);
}

#[derive(Default)]
struct Lows {
    lists: Vec<Vec<Range>>,
    ids: HashMap<Vec<Range>, LowId>,
}

impl Lows {
    fn id(&mut self, low: Option<&Vec<Range>>) -> LowId {
        let Some(low) = low else { return LowId::ANY };
        if let Some(&id) = self.ids.get(low) {
            return id;
        }
        self.lists.push(low.clone());
        let id = LowId(self.lists.len() as u32);
        self.ids.insert(low.clone(), id);
        id
    }

    fn ranges(&self, id: LowId) -> &[Range] {
        match id {
            LowId::ANY => &[Range::FULL],
            LowId(number) => &self.lists[number as usize - 1],
        }
    }
}

struct Builder<'a> {
    clauses: &'a [Clause],
    order: Order,
    ranked: bool,
    lows: Lows,
    splits: Vec<Split>,
    by_content: HashMap<Split, u32>,
    by_candidates: HashMap<(Dimensions, Box<[Candidate]>), Target>,
    words: usize,
    limits: Limits,
    notes: usize,
}

impl Builder<'_> {
    /// Where packets go for which `candidates`, in order, are possible and the dimensions in `left` are still to
    /// be asked. None where the budget is used up.
    fn target(&mut self, left: Dimensions, mut candidates: Vec<Candidate>) -> Option<Target> {
        // Behind a candidate that has no condition left, nothing else can decide.
        let sure = candidates.iter().position(|&candidate| self.asked(candidate).and(left).is_empty());
        candidates.truncate(sure.map_or(candidates.len(), |sure| sure + 1));
        // The last clause always matches, so there is a first candidate, and without a condition it decides.
        let first = *candidates.first()?;
        if sure == Some(0) {
            return Some(Target::Decision(self.decision(first.clause)));
        }
        let asked =
            candidates.iter().fold(Dimensions(0), |asked, &candidate| asked.or(self.asked(candidate)));
        let asked = asked.and(left);
        let left = asked.or(asked.lows_to_come().and(left));
        let key = (left, candidates.into_boxed_slice());
        if let Some(&known) = self.by_candidates.get(&key) {
            return Some(known);
        }
        let dimension = self.next(asked, &key.1)?;
        let target = self.split(dimension, left.without(dimension), &key.1)?;
        self.by_candidates.insert(key, target);
        Some(target)
    }

    fn decision(&self, clause: u32) -> Reference {
        let decision = self.clauses[clause as usize].decision;
        if self.ranked { Reference::ranked(decision, clause) } else { Reference::decision(decision) }
    }

    /// The dimensions that `candidate` has a condition on.
    fn asked(&self, candidate: Candidate) -> Dimensions {
        let clause = &self.clauses[candidate.clause as usize];
        let on = |condition, dimension| if condition { Dimensions::only(dimension) } else { Dimensions(0) };
        on(!clause.remote.is_any(), Dimension::RemoteHigh)
            .or(on(candidate.remote_low != LowId::ANY, Dimension::RemoteLow))
            .or(on(clause.service != [Range::FULL], Dimension::Service))
            .or(on(clause.source_port != [Range::FULL], Dimension::SourcePort))
            .or(on(!clause.local.is_any(), Dimension::LocalHigh))
            .or(on(candidate.local_low != LowId::ANY, Dimension::LocalLow))
            .or(on(clause.ethernet != Range::FULL, Dimension::Ethernet))
    }

    /// Which of the `asked` dimensions is cut next.
    fn next(&mut self, asked: Dimensions, candidates: &[Candidate]) -> Option<Dimension> {
        let mut among = ADDRESS_FIRST.into_iter().filter(|&dimension| asked.has(dimension));
        if self.order == Order::AddressFirst || asked.is_one() {
            return among.next();
        }
        among.min_by_key(|&dimension| self.bluntness(dimension, candidates))
    }

    /// How many of the `candidates` an interval of a dimension leaves possible, on average, in sixteenths; then how many
    /// intervals there are.
    fn bluntness(&mut self, dimension: Dimension, candidates: &[Candidate]) -> (u64, u64) {
        let edges = self.edges(dimension, candidates);
        let mut begins: Vec<u64> = edges.iter().map(|edge| edge.key).chain([0]).collect();
        begins.sort_unstable();
        begins.dedup();
        let intervals = begins.len() as u64;
        // A candidate is possible in the intervals from where it opens, without those from where it ends.
        let possible = edges.iter().fold(0, |possible: u64, edge| {
            let from_here = intervals - begins.partition_point(|&key| key < edge.key) as u64;
            if edge.opens.is_some() { possible + from_here } else { possible - from_here }
        });
        (possible * 16 / intervals, intervals)
    }

    fn split(&mut self, dimension: Dimension, left: Dimensions, candidates: &[Candidate]) -> Option<Target> {
        let mut edges = self.edges(dimension, candidates);
        // Stable, because it makes use of order that is there: the edges of each candidate are sorted.
        edges.sort();
        // In the order of positions.
        let mut possible: Vec<(usize, Candidate)> = Vec::new();
        let mut intervals: Vec<(u64, Target)> = Vec::new();
        let mut seen: HashMap<Vec<Candidate>, Target> = HashMap::new();
        let mut edges = edges.into_iter().peekable();
        while let Some(&Edge { key, .. }) = edges.peek() {
            while let Some(edge) = edges.next_if(|edge| edge.key == key) {
                let place = possible.binary_search_by_key(&edge.position, |&(position, _)| position);
                match (edge.opens, place) {
                    (Some(candidate), Ok(place)) => possible[place].1 = candidate,
                    (Some(candidate), Err(place)) => possible.insert(place, (edge.position, candidate)),
                    (None, Ok(place)) => drop(possible.remove(place)),
                    (None, Err(_)) => {}
                }
            }
            let now: Vec<Candidate> = possible.iter().map(|&(_, candidate)| candidate).collect();
            let target = if let Some(&target) = seen.get(&now) {
                target
            } else {
                self.notes += now.len();
                if self.notes > self.limits.notes {
                    return None;
                }
                let target = self.target(left, now.clone())?;
                seen.insert(now, target);
                target
            };
            if intervals.last().is_none_or(|&(_, before)| before != target) {
                intervals.push((key, target));
            }
        }
        match intervals[..] {
            [(_, only)] => Some(only),
            _ => self.keep(Split { dimension, intervals }),
        }
    }

    /// Stores a split, or finds the equal one that is stored already.
    fn keep(&mut self, split: Split) -> Option<Target> {
        if let Some(&known) = self.by_content.get(&split) {
            return Some(Target::Split(known));
        }
        self.words += super::layout::words(split.intervals.len());
        if self.words > self.limits.words {
            return None;
        }
        let number = self.splits.len() as u32;
        self.splits.push(split.clone());
        self.by_content.insert(split, number);
        Some(Target::Split(number))
    }

    /// Where candidates become possible and impossible along a dimension.
    fn edges(&mut self, dimension: Dimension, candidates: &[Candidate]) -> Vec<Edge> {
        let mut edges = Vec::new();
        let mut between = |position: usize, range: Range, candidate: Candidate| {
            edges.push(Edge { key: range.first, position, opens: Some(candidate) });
            if range.last != u64::MAX {
                edges.push(Edge { key: range.last + 1, position, opens: None });
            }
        };
        for (position, &candidate) in candidates.iter().enumerate() {
            let clause = &self.clauses[candidate.clause as usize];
            let mut plain = |ranges: &[Range]| {
                for &range in ranges {
                    between(position, range, candidate);
                }
            };
            match dimension {
                Dimension::RemoteLow => plain(self.lows.ranges(candidate.remote_low)),
                Dimension::LocalLow => plain(self.lows.ranges(candidate.local_low)),
                Dimension::Service => plain(&clause.service),
                Dimension::SourcePort => plain(&clause.source_port),
                Dimension::Ethernet => plain(&[clause.ethernet]),
                Dimension::RemoteHigh | Dimension::LocalHigh => {
                    let remote = dimension == Dimension::RemoteHigh;
                    let addresses: &Addresses = if remote { &clause.remote } else { &clause.local };
                    for piece in &addresses.pieces {
                        let low = self.lows.id(piece.low.as_ref());
                        let candidate = if remote {
                            Candidate { remote_low: low, ..candidate }
                        } else {
                            Candidate { local_low: low, ..candidate }
                        };
                        between(position, piece.high, candidate);
                    }
                }
            }
        }
        edges
    }
}

/// A place where a candidate becomes possible, or stops being so. In the order of keys; at one key the ends stand
/// before the beginnings, so that a range that touches its successor is replaced by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    key: u64,
    /// `None` sorts first.
    opens: Option<Candidate>,
    position: usize,
}
