//! A graph → words. How they are read is written in `sg_common::image`.
//!
//! A split becomes a search tree of nodes with eight children, built from the bottom: first the tables of
//! references, then the nodes over them, then the nodes over those, until one node is left.

use sg_common::image::{Dimension, FANOUT, NO_BOUND, NODE_WORDS, Reference, inner_control, leaf_control};

use super::graph::{Graph, Split, Target};

/// Words that a split of `intervals` intervals takes, rounded up.
pub(super) fn words(intervals: usize) -> usize {
    // A pair has two trees; the second adds a node and a table at least.
    let nodes = intervals.div_ceil(FANOUT) + 1;
    2 * NODE_WORDS * nodes + NODE_WORDS * nodes.div_ceil(FANOUT - 1)
}

/// An image while it is written.
pub(super) struct Layout {
    pub(super) words: Vec<u64>,
    /// The longest walk so far.
    pub(super) steps: u32,
    budget_words: usize,
}

impl Layout {
    /// An image with a header of zeroes.
    pub(super) fn new(header_words: usize, budget_words: usize) -> Self {
        Self { words: vec![0; header_words], steps: 0, budget_words }
    }

    /// Writes a graph; returns its root. None where the budget is used up.
    pub(super) fn place(&mut self, graph: &Graph) -> Option<Reference> {
        let mut placed: Vec<(Reference, u32)> = Vec::with_capacity(graph.splits.len());
        for split in &graph.splits {
            let entry = self.split(split, graph.wide, &placed);
            placed.push(entry);
            if self.words.len() > self.budget_words {
                return None;
            }
        }
        let (root, steps) = resolve(graph.root, &placed);
        self.steps = self.steps.max(steps);
        Some(root)
    }

    /// Writes a split whose targets are placed; returns its reference and the longest walk from it.
    fn split(&mut self, split: &Split, wide: bool, placed: &[(Reference, u32)]) -> (Reference, u32) {
        let mut deepest = 0;
        let intervals: Vec<(u64, u64)> = split
            .intervals
            .iter()
            .map(|&(key, target)| {
                let (reference, steps) = resolve(target, placed);
                deepest = deepest.max(steps);
                (key, reference.word())
            })
            .collect();
        let paired = wide && !matches!(split.dimension, Dimension::Service | Dimension::SourcePort);
        if !paired {
            let (root, height) = self.tree(&intervals);
            let offset = self.push(&root);
            return (Reference::node(offset, split.dimension, false), deepest + height);
        }
        // The second tree is for keys of 2⁶³ and above, without that bit.
        let middle = intervals.partition_point(|&(key, _)| key < NO_BOUND);
        let (lower, upper) = intervals.split_at(middle);
        let mut upper: Vec<(u64, u64)> = upper.iter().map(|&(key, word)| (key - NO_BOUND, word)).collect();
        if upper.first().is_none_or(|&(key, _)| key != 0) {
            // The interval that lies across the middle. There is one before it: the first begins at zero.
            upper.insert(0, (0, lower[lower.len() - 1].1));
        }
        let (first, height) = self.tree(lower);
        let (second, second_height) = self.tree(&upper);
        let offset = self.push(&first);
        self.push(&second);
        (Reference::node(offset, split.dimension, true), deepest + height.max(second_height))
    }

    /// Writes all of a tree but its root; returns the root and the height.
    fn tree(&mut self, intervals: &[(u64, u64)]) -> ([u64; NODE_WORDS], u32) {
        let mut level: Vec<(u64, [u64; NODE_WORDS])> = Vec::with_capacity(intervals.len().div_ceil(FANOUT));
        for chunk in intervals.chunks(FANOUT) {
            let mut table = [0; FANOUT];
            for (index, word) in table.iter_mut().enumerate() {
                *word = chunk[index.min(chunk.len() - 1)].1;
            }
            let control = leaf_control(self.push(&table));
            level.push((chunk[0].0, node(chunk.iter().map(|&(key, _)| key), control)));
        }
        let mut height = 1;
        while level.len() > 1 {
            let mut above = Vec::with_capacity(level.len().div_ceil(FANOUT));
            for chunk in level.chunks(FANOUT) {
                let first = self.words.len() as u32;
                for (_, child) in chunk {
                    self.push(child);
                }
                above.push((chunk[0].0, node(chunk.iter().map(|&(key, _)| key), inner_control(first))));
            }
            level = above;
            height += 1;
        }
        // A split has intervals, so a level has nodes.
        (level[0].1, height)
    }

    /// Appends eight words; returns where. Everything is written in eights, so everything is aligned.
    fn push(&mut self, words: &[u64; NODE_WORDS]) -> u32 {
        let offset = self.words.len() as u32;
        self.words.extend_from_slice(words);
        offset
    }
}

/// A node over children that begin at `keys`. The first child needs no bound.
fn node(keys: impl Iterator<Item = u64>, control: u64) -> [u64; NODE_WORDS] {
    let mut words = [NO_BOUND; NODE_WORDS];
    for (word, key) in words.iter_mut().zip(keys.skip(1)) {
        *word = key;
    }
    words[FANOUT - 1] = control;
    words
}

fn resolve(target: Target, placed: &[(Reference, u32)]) -> (Reference, u32) {
    match target {
        Target::Decision(decision) => (Reference::decision(decision), 0),
        Target::Split(number) => placed[number as usize],
    }
}
