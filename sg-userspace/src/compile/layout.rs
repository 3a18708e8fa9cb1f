//! A graph → words. How they are read is written in `sg_common::image`.
//!
//! A split becomes a search tree of nodes with eight children, built from the bottom: first the tables of
//! references, then the nodes over them, then the nodes over those, until one node is left. A large split has a
//! directory before many small trees instead.

use sg_common::image::{
    Dimension, FANOUT, FOREST_WORDS, NO_BOUND, NODE_WORDS, Reference, inner_control, leaf_control,
};

use super::graph::{Graph, Split, Target};

/// Intervals of a bucket of a directory, on average: most buckets are one node.
const BUCKET: usize = 4;

/// The index of the largest directory, in bits.
const DIRECTORY_BITS: u32 = 16;

/// Words that a split of `intervals` intervals takes, about, and rather more than less.
pub(super) fn words(intervals: usize) -> usize {
    // A pair has two trees; the second adds a node and a table at least.
    let nodes = intervals.div_ceil(FANOUT) + 1;
    let tree = 2 * NODE_WORDS * nodes + NODE_WORDS * nodes.div_ceil(FANOUT - 1);
    // Before a directory's buckets are filled, each has a node and a table of its own.
    let directory = if intervals > FANOUT { intervals / BUCKET * 2 * NODE_WORDS } else { 0 };
    tree + directory
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

    /// Writes the graphs that decide together; returns what leads to them. None where the budget is used up.
    pub(super) fn plant(&mut self, trees: &[Graph]) -> Option<Reference> {
        if let [only] = trees {
            return self.place(only);
        }
        let mut table = [u64::MAX; FOREST_WORDS];
        for (tree, words) in trees.iter().zip(table.chunks_exact_mut(2)) {
            words[0] = Reference::lowest(tree.first).word();
            words[1] = self.place(tree)?.word();
        }
        let offset = self.words.len() as u32;
        self.words.extend_from_slice(&table);
        (self.words.len() <= self.budget_words).then(|| Reference::forest(offset))
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
        let paired = wide
            && !matches!(split.dimension, Dimension::Service | Dimension::SourcePort | Dimension::Ethernet);
        if let Some(bits) = directory_bits(split.dimension, paired, intervals.len()) {
            let (root, height) = self.directory(split.dimension, bits, &intervals);
            return (root, deepest + height);
        }
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

    /// Writes a directory with the trees behind it; returns its reference and the longest walk from it to the end of
    /// the dimension.
    fn directory(&mut self, dimension: Dimension, bits: u32, intervals: &[(u64, u64)]) -> (Reference, u32) {
        let shift = key_bits(dimension) - bits;
        let offset = self.words.len();
        // A multiple of eight words: see `directory_bits`.
        self.words.resize(offset + (1 << bits), 0);
        let mut height = 0;
        let mut first = 0;
        for bucket in 0..1_u64 << bits {
            let begins = bucket << shift;
            let ends = begins + (1 << shift);
            // `first` is the interval in which the bucket begins.
            first += intervals[first + 1..].iter().take_while(|&&(key, _)| key <= begins).count();
            let inside = intervals[first + 1..].iter().take_while(|&&(key, _)| key < ends).count();
            self.words[offset + bucket as usize] = if inside == 0 {
                intervals[first].1
            } else {
                let mut own = vec![(begins, intervals[first].1)];
                own.extend_from_slice(&intervals[first + 1..=first + inside]);
                let (root, own_height) = self.tree(&own);
                height = height.max(own_height);
                Reference::node(self.push(&root), dimension, false).word()
            };
        }
        (Reference::directory(offset as u32, dimension, shift, bits), height + 1)
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

    pub(super) fn is_within_budget(&self) -> bool {
        self.words.len() <= self.budget_words
    }

    /// Appends eight words; returns where. Everything is written in eights, so everything is aligned.
    fn push(&mut self, words: &[u64; NODE_WORDS]) -> u32 {
        let offset = self.words.len() as u32;
        self.words.extend_from_slice(words);
        offset
    }
}

/// How many bits index the directory of a split, or none where a tree alone is as good: it is, up to two levels.
/// IPv6 addresses have none: their upper bits are all alike.
fn directory_bits(dimension: Dimension, paired: bool, intervals: usize) -> Option<u32> {
    if paired || intervals <= FANOUT * 2 {
        return None;
    }
    let bits = (intervals / BUCKET).next_power_of_two().ilog2();
    Some(bits.clamp(NODE_WORDS.ilog2(), DIRECTORY_BITS).min(key_bits(dimension)))
}

/// Bits of the keys of a dimension, where its keys are not 64 bits wide.
const fn key_bits(dimension: Dimension) -> u32 {
    match dimension {
        Dimension::Service => 24,
        Dimension::SourcePort => 16,
        Dimension::Ethernet => 48,
        Dimension::RemoteHigh | Dimension::RemoteLow | Dimension::LocalHigh | Dimension::LocalLow => 32,
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
        Target::Decision(reference) => (reference, 0),
        Target::Split(number) => placed[number as usize],
    }
}
