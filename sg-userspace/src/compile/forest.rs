//! How many graphs decide, and which clauses are in which.
//!
//! One graph is the fastest to ask. But clauses that are narrow in one dimension and wide in another multiply
//! with those that are the other way round: a thousand remotes for any local end beside a thousand local ends for any
//! remote are a million places in one graph, and two thousand in two. So where one graph would be large for its number
//! of clauses, the narrow ones are set apart from the wide ones, dimension by dimension, as far as it takes. Each part is a graph
//! of its own; of their decisions the one of the first clause counts.
//!
//! It decides nothing about the order of clauses, and writes nothing; `compile` calls it.

use sg_common::{
    image::{Dimension, RANKS, TREES},
    packet::Family,
};

use super::{
    clause::Clause,
    graph::{ADDRESS_FIRST, Graph, Limits, Order},
    ranges::Range,
};

/// A graph this small is taken without trying another order or more graphs.
const SMALL_WORDS: usize = 1 << 12;

/// The most words of a graph for each range in its clauses. A policy that does not multiply needs a tenth of the first; the
/// second is for what would be too many graphs.
const WORDS_PER_RANGE: [usize; 2] = [1 << 6, 1 << 10];

/// The estimate of a graph's words is high, by up to this factor where a directory has few trees behind it. What
/// decides about the budget is what is written in the end; this only bounds the work.
const GENEROUS: usize = 4;

/// A clause is wide in a dimension where this part of the others begins inside it.
const WIDE: usize = 16;

/// In which clauses are set apart, in this order.
const APART: [Dimension; 4] =
    [Dimension::RemoteHigh, Dimension::LocalHigh, Dimension::Service, Dimension::SourcePort];

/// What a graph may cost where nothing but the budget bounds it.
pub(super) const fn limits(budget_words: usize) -> Limits {
    Limits::of_words(budget_words.saturating_mul(GENEROUS))
}

/// The graphs that decide together what `clauses` say, the last of which always matches; in the order of their first
/// clauses. None where they are over the budget.
pub(super) fn plant(clauses: &[Clause], family: Family, budget_words: usize) -> Option<Vec<Graph>> {
    let most = limits(budget_words);
    let all: Vec<u32> = (0..clauses.len().checked_sub(1)? as u32).collect();
    let one = |limits| smallest(clauses, family, limits).map(|graph| vec![graph]);
    let several = |words_per_range| {
        let mut forest = Forest { clauses, family, words_per_range, words_left: most.words, trees: Vec::new() };
        forest.part(&all, &APART).then_some(forest.trees)
    };
    let [few, many] = WORDS_PER_RANGE;
    let mut found = one(fair(clauses, &all, few).min(most));
    if clauses.len() <= RANKS as usize {
        found = found.or_else(|| several(few)).or_else(|| several(many));
    }
    let mut trees = found.or_else(|| one(most))?;
    trees.sort_by_key(|tree| tree.first);
    Some(trees)
}

/// The smaller of the graphs of all clauses that two orders give; none where both are over the limits.
fn smallest(clauses: &[Clause], family: Family, limits: Limits) -> Option<Graph> {
    let first = Graph::build(clauses, family, ADDRESS_FIRST, limits);
    let limits = match &first {
        Some(graph) if graph.words <= SMALL_WORDS => return first,
        // Another one is of use only where it is smaller: it ends where it is not.
        Some(graph) => Limits { words: graph.words - 1, ..limits },
        None => limits,
    };
    Graph::build(clauses, family, Order::Sharpest, limits).or(first)
}

/// What a graph of `members` may cost where it is worth its words.
fn fair(clauses: &[Clause], members: &[u32], words_per_range: usize) -> Limits {
    let ranges: usize = members.iter().map(|&clause| clauses[clause as usize].ranges()).sum();
    Limits::of_words(SMALL_WORDS + ranges.saturating_mul(words_per_range))
}

/// Graphs while they are made.
struct Forest<'a> {
    clauses: &'a [Clause],
    family: Family,
    words_per_range: usize,
    /// Of the budget, by estimate.
    words_left: usize,
    trees: Vec<Graph>,
}

impl Forest<'_> {
    /// Adds the graphs of `members`: one where it is worth its words, else those of the narrow and those of the wide ones in
    /// the first of the dimensions `apart`. Whether they are within the budget, and not too many.
    fn part(&mut self, members: &[u32], apart: &[Dimension]) -> bool {
        if self.trees.len() == TREES {
            return false;
        }
        let left = Limits::of_words(self.words_left);
        let limits = match apart {
            [] => left,
            _ => fair(self.clauses, members, self.words_per_range).min(left),
        };
        let last = self.clauses.len() as u32 - 1;
        let with_last: Vec<u32> = members.iter().copied().chain([last]).collect();
        if let Some(graph) = Graph::of(self.clauses, &with_last, self.family, Order::Sharpest, limits, true) {
            self.words_left -= graph.words;
            self.trees.push(graph);
            return true;
        }
        let Some((&dimension, apart)) = apart.split_first() else { return false };
        let (narrow, wide) = self.narrow_and_wide(members, dimension);
        if narrow.is_empty() || wide.is_empty() {
            return self.part(members, apart);
        }
        self.part(&narrow, apart) && self.part(&wide, apart)
    }

    fn narrow_and_wide(&self, members: &[u32], dimension: Dimension) -> (Vec<u32>, Vec<u32>) {
        let ranges = |clause: u32| self.clauses[clause as usize].ranges_of(dimension);
        let mut begins: Vec<u64> =
            members.iter().flat_map(|&clause| ranges(clause)).map(|range| range.first).collect();
        begins.sort_unstable();
        begins.dedup();
        let inside = |range: Range| {
            begins.partition_point(|&key| key <= range.last) - begins.partition_point(|&key| key < range.first)
        };
        // A range has its own beginning inside it.
        let narrow = |range: Range| (inside(range) - 1) * WIDE <= begins.len();
        members.iter().partition(|&&clause| ranges(clause).into_iter().all(narrow))
    }
}
