//! Clauses → a graph of splits: each split cuts one dimension into intervals, behind each of which stands another
//! split or a decision. Equal parts are stored once.
//!
//! Building goes dimension by dimension. The clauses that are still possible are swept over the dimension's
//! keys; where the set of possible clauses changes, an interval begins. Intervals with the same set lead to the
//! same place, so a prefix list of 100,000 entries in one rule makes 200,000 intervals but only two places to go.
//! What is shadowed is cut off early: behind a clause that has no condition left, nothing else can decide.

use std::hash::{Hash, Hasher};

use foldhash::{HashMap, HashMapExt as _};
use sg_common::{image::Dimension, packet::Family, verdict::Decision};

use super::{
    clause::Clause,
    ranges::{Addresses, Range},
};

/// An order in which dimensions nest.
pub(super) type Order = [Dimension; 7];

/// For policies like access lists: many remotes, few ports each.
pub(super) const ADDRESS_FIRST: Order = [
    Dimension::RemoteHigh,
    Dimension::RemoteLow,
    Dimension::Service,
    Dimension::SourcePort,
    Dimension::LocalHigh,
    Dimension::LocalLow,
    Dimension::Ethernet,
];

/// For policies like firewalls: many ports, each with overlapping remotes.
const SERVICE_FIRST: Order = [
    Dimension::Service,
    Dimension::RemoteHigh,
    Dimension::RemoteLow,
    Dimension::SourcePort,
    Dimension::LocalHigh,
    Dimension::LocalLow,
    Dimension::Ethernet,
];

/// A graph this small is taken without trying another order.
const SMALL_WORDS: usize = 1 << 12;

/// The estimate of a graph's words is high, by up to this factor where a directory has few trees behind it. What
/// decides about the budget is what is written in the end; this only bounds the work.
const GENEROUS: usize = 4;

/// Clauses noted over all intervals, as a multiple of the budget: what bounds the work and the memory where a
/// policy explodes.
const NOTES_PER_WORD: usize = 2;

/// Where an interval leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Decision(Decision),
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
    /// An estimate of the words it takes.
    pub(super) words: usize,
    /// Addresses have 64-bit keys: the family is IPv6.
    pub(super) wide: bool,
}

/// The smaller of the graphs that the two orders give; none where both are over the budget.
pub(super) fn smallest(clauses: &[Clause], family: Family, budget_words: usize) -> Option<Graph> {
    let first = Graph::build(clauses, family, ADDRESS_FIRST, budget_words);
    match first {
        Some(graph) if graph.words <= SMALL_WORDS => Some(graph),
        Some(graph) => {
            // It is of use only where it is smaller: it ends where it is not.
            let most = graph.words - 1;
            Some(Graph::within(clauses, family, SERVICE_FIRST, budget_words, most).unwrap_or(graph))
        }
        None => Graph::build(clauses, family, SERVICE_FIRST, budget_words),
    }
}

impl Graph {
    /// Builds the graph of `clauses`, the last of which always matches. None where it is over the budget.
    pub(super) fn build(
        clauses: &[Clause],
        family: Family,
        order: Order,
        budget_words: usize,
    ) -> Option<Self> {
        Self::within(clauses, family, order, budget_words, budget_words.saturating_mul(GENEROUS))
    }

    /// The same, of at most so many words by estimate.
    fn within(
        clauses: &[Clause],
        family: Family,
        order: Order,
        budget_words: usize,
        most_words: usize,
    ) -> Option<Self> {
        let mut builder = Builder {
            clauses,
            order,
            lows: Lows::default(),
            splits: Vec::new(),
            by_content: HashMap::new(),
            by_candidates: HashMap::new(),
            words: 0,
            most_words,
            notes: 0,
            most_notes: budget_words.saturating_mul(GENEROUS * NOTES_PER_WORD),
        };
        let all = (0..clauses.len() as u32).map(Candidate::new).collect();
        let root = builder.target(0, all)?;
        Some(Self { splits: builder.splits, root, words: builder.words, wide: family == Family::V6 })
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
    lows: Lows,
    splits: Vec<Split>,
    by_content: HashMap<Split, u32>,
    by_candidates: HashMap<(usize, Box<[Candidate]>), Target>,
    words: usize,
    most_words: usize,
    notes: usize,
    most_notes: usize,
}

impl Builder<'_> {
    /// Where packets go for which `candidates`, in order, are possible and the dimensions from `depth` on are
    /// still to be asked. None where the budget is used up.
    fn target(&mut self, depth: usize, mut candidates: Vec<Candidate>) -> Option<Target> {
        self.cut_shadowed(depth, &mut candidates);
        // The last clause always matches, so there is a first candidate, and without a condition it decides.
        let first = *candidates.first()?;
        if !self.asks_from(depth, first) {
            return Some(Target::Decision(self.clauses[first.clause as usize].decision));
        }
        let asks_here = |&candidate: &Candidate| self.asks(self.order[depth], candidate);
        if !candidates.iter().any(asks_here) {
            return self.target(depth + 1, candidates);
        }
        let key = (depth, candidates.into_boxed_slice());
        if let Some(&known) = self.by_candidates.get(&key) {
            return Some(known);
        }
        let target = self.split(depth, &key.1)?;
        self.by_candidates.insert(key, target);
        Some(target)
    }

    /// Cuts what stands behind a candidate that has no condition left.
    fn cut_shadowed(&self, depth: usize, candidates: &mut Vec<Candidate>) {
        if let Some(sure) = candidates.iter().position(|&candidate| !self.asks_from(depth, candidate)) {
            candidates.truncate(sure + 1);
        }
    }

    fn asks_from(&self, depth: usize, candidate: Candidate) -> bool {
        self.order[depth..].iter().any(|&dimension| self.asks(dimension, candidate))
    }

    /// Whether `candidate` has a condition on `dimension`.
    fn asks(&self, dimension: Dimension, candidate: Candidate) -> bool {
        let clause = &self.clauses[candidate.clause as usize];
        match dimension {
            Dimension::RemoteHigh => !clause.remote.is_any(),
            Dimension::RemoteLow => candidate.remote_low != LowId::ANY,
            Dimension::Service => clause.service != [Range::FULL],
            Dimension::SourcePort => clause.source_port != [Range::FULL],
            Dimension::LocalHigh => !clause.local.is_any(),
            Dimension::LocalLow => candidate.local_low != LowId::ANY,
            Dimension::Ethernet => clause.ethernet != Range::FULL,
        }
    }

    fn split(&mut self, depth: usize, candidates: &[Candidate]) -> Option<Target> {
        let dimension = self.order[depth];
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
                if self.notes > self.most_notes {
                    return None;
                }
                let target = self.target(depth + 1, now.clone())?;
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
        if self.words > self.most_words {
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
