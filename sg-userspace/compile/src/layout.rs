//! Decision tree → words. `sg_common::image` describes how they are read.
//!
//! A split becomes a search tree of nodes with eight children, built bottom-up: first the tables of references, then the nodes
//! over them, then the nodes over those, until one node is left. A split of up to four intervals is one small node. A large split
//! has a directory in front of many small trees instead; at the root, where every walk begins, a split of two levels has one too.

use std::mem;

use sg_common::{
    image::{
        Dimension, FANOUT, NO_BOUND, NODE_WORDS, PARTITION_WORDS, Reference, SMALL_FANOUT, inner_control,
        leaf_control,
    },
    packet::Family,
};

use super::{
    interval::{BUCKET, Interval, Target},
    tree::DecisionTree,
};

/// The same of a directory at the root: most buckets are one small node, or none.
const ROOT_BUCKET: usize = 2;

/// Buckets for each interval of a directory at the root, as long as [`FEW_BITS`] index it: nearly all are one small node, or none.
const FEW_BUCKETS: usize = 4;

/// The index width, in bits, up to which a directory at the root is that sparse: 2 KiB, so that the images of small policies stay
/// in the smallest class.
const FEW_BITS: u32 = 8;

/// The index width, in bits, above which a directory at the root is as dense as others: 32 KiB, a processor's nearest cache.
const CACHED_BITS: u32 = 12;

/// Index width of the largest directory, in bits.
const DIRECTORY_BITS: u32 = 16;

/// The width of keys that need a pair of nodes.
const PAIRED_BITS: u32 = 64;

/// An image under construction.
pub(super) struct Layout {
    pub(super) words: Vec<u64>,
    /// The longest walk so far.
    pub(super) steps: u32,
    budget_words: usize,
    /// Scratch memory for the intervals of a split: where each begins, and the word it leads to.
    resolved: Vec<(u64, u64)>,
}

impl Layout {
    /// An image with a zeroed header.
    pub(super) fn new(header_words: usize, budget_words: usize) -> Self {
        Self { words: vec![0; header_words], steps: 0, budget_words, resolved: Vec::new() }
    }

    /// Writes the decision trees of one partition; returns the word that leads to them. `None` if the budget is exhausted.
    pub(super) fn plant(&mut self, trees: &[DecisionTree]) -> Option<u64> {
        if let [only] = trees {
            return self.place(only);
        }
        let mut table = [u64::MAX; PARTITION_WORDS];
        for (tree, words) in trees.iter().zip(table.chunks_exact_mut(2)) {
            words[0] = Reference::lowest(tree.first).word();
            words[1] = self.place(tree)?;
        }
        let offset = self.words.len() as u32;
        self.words.extend_from_slice(&table);
        (self.words.len() <= self.budget_words).then(|| Reference::partition(offset).word())
    }

    /// Writes a decision tree; returns the word that leads to its root. `None` if the budget is exhausted.
    pub(super) fn place(&mut self, tree: &DecisionTree) -> Option<u64> {
        let splits = tree.splits();
        let mut placed: Vec<(u64, u32)> = Vec::with_capacity(splits.len());
        let root = tree.root.resolve().ok();
        for (number, (dimension, intervals)) in splits.enumerate() {
            let place = if root == Some(number) { Place::Root } else { Place::Below };
            let entry = self.split(place, dimension, intervals, tree.family, &placed);
            placed.push(entry);
            if self.words.len() > self.budget_words {
                return None;
            }
        }
        let (root, steps) = resolve(tree.root, &placed);
        self.steps = self.steps.max(steps);
        Some(root)
    }

    /// Writes a split whose targets are already placed; returns the word that leads to it and the longest walk from it.
    fn split(
        &mut self,
        place: Place,
        dimension: Dimension,
        intervals: &[Interval],
        family: Family,
        placed: &[(u64, u32)],
    ) -> (u64, u32) {
        let mut resolved = mem::take(&mut self.resolved);
        resolved.clear();
        let mut deepest = 0;
        resolved.extend(intervals.iter().map(|interval| {
            let (word, steps) = resolve(interval.target, placed);
            deepest = deepest.max(steps);
            (interval.key, word)
        }));
        let (root, height) = self.dimension(place, dimension, dimension.key_bits(family), &resolved);
        self.resolved = resolved;
        (root.word(), deepest + height)
    }

    /// Writes the search structure over the intervals of a dimension whose keys have `key_bits` bits; returns the word that leads
    /// to it and the longest walk through it.
    fn dimension(
        &mut self,
        place: Place,
        dimension: Dimension,
        key_bits: u32,
        intervals: &[(u64, u64)],
    ) -> (Reference, u32) {
        if let Some(bits) = directory_bits(place, key_bits, intervals) {
            return self.directory(dimension, key_bits - bits, bits, intervals);
        }
        if key_bits < PAIRED_BITS {
            return self.unpaired(dimension, intervals);
        }
        // The second tree is for keys of 2⁶³ and above, without that bit.
        let middle = intervals.partition_point(|&(key, _)| key < NO_BOUND);
        let (lower, upper) = intervals.split_at(middle);
        let mut upper: Vec<(u64, u64)> = upper.iter().map(|&(key, word)| (key - NO_BOUND, word)).collect();
        if upper.first().is_none_or(|&(key, _)| key != 0) {
            // The interval that spans the middle. There is one before it, because the first begins at zero.
            upper.insert(0, (0, lower[lower.len() - 1].1));
        }
        if let (Some(first), Some(second)) = (small(lower), small(&upper)) {
            let offset = self.push(&first);
            self.push(&second);
            return (Reference::small(offset, dimension, true), 1);
        }
        let (first, height) = self.tree(lower);
        let (second, second_height) = self.tree(&upper);
        let offset = self.push(&first);
        self.push(&second);
        (Reference::node(offset, dimension, true), height.max(second_height))
    }

    /// Writes the nodes over the intervals of a dimension; returns the reference to their root and the height.
    fn unpaired(&mut self, dimension: Dimension, intervals: &[(u64, u64)]) -> (Reference, u32) {
        if let Some(small) = small(intervals) {
            return (Reference::small(self.push(&small), dimension, false), 1);
        }
        let (root, height) = self.tree(intervals);
        (Reference::node(self.push(&root), dimension, false), height)
    }

    /// Writes a directory and the trees behind it; returns its reference and the longest walk from it to the end of the
    /// dimension.
    fn directory(
        &mut self,
        dimension: Dimension,
        shift: u32,
        bits: u32,
        intervals: &[(u64, u64)],
    ) -> (Reference, u32) {
        let offset = self.words.len();
        // A multiple of eight words: see `directory_bits`.
        self.words.resize(offset + (1 << bits), 0);
        let mut height = 0;
        let mut first = 0;
        let mut own = Vec::new();
        for bucket in 0..1_u64 << bits {
            let begins = bucket << shift;
            let ends = begins + (1 << shift);
            // `first` is the interval that contains the beginning of the bucket.
            first += intervals[first + 1..].iter().take_while(|&&(key, _)| key <= begins).count();
            let inside = intervals[first + 1..].iter().take_while(|&&(key, _)| key < ends).count();
            self.words[offset + bucket as usize] = if inside == 0 {
                intervals[first].1
            } else {
                own.clear();
                own.push((begins, intervals[first].1));
                own.extend_from_slice(&intervals[first + 1..=first + inside]);
                let (root, own_height) = self.unpaired(dimension, &own);
                height = height.max(own_height);
                root.word()
            };
        }
        (Reference::directory(offset as u32, dimension, shift, bits), height + 1)
    }

    /// Writes all of a tree except its root; returns the root and the height.
    fn tree(&mut self, intervals: &[(u64, u64)]) -> ([u64; NODE_WORDS], u32) {
        if intervals.len() <= FANOUT {
            return (self.leaf(intervals), 1);
        }
        let mut level: Vec<(u64, [u64; NODE_WORDS])> =
            intervals.chunks(FANOUT).map(|chunk| (chunk[0].0, self.leaf(chunk))).collect();
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
        // A split has at least one interval, so every level has a node.
        (level[0].1, height)
    }

    pub(super) fn is_within_budget(&self) -> bool {
        self.words.len() <= self.budget_words
    }

    /// Writes the table of up to eight intervals; returns the node over it.
    fn leaf(&mut self, intervals: &[(u64, u64)]) -> [u64; NODE_WORDS] {
        let mut table = [intervals[intervals.len() - 1].1; FANOUT];
        for (word, interval) in table.iter_mut().zip(intervals) {
            *word = interval.1;
        }
        let control = leaf_control(self.push(&table));
        node(intervals.iter().map(|&(key, _)| key), control)
    }

    /// Appends eight words; returns their offset. Everything is written in eights, so everything is aligned.
    fn push(&mut self, words: &[u64; NODE_WORDS]) -> u32 {
        let offset = self.words.len() as u32;
        self.words.extend_from_slice(words);
        offset
    }
}

/// Where a split is in its decision tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Every walk passes it, and it exists once.
    Root,
    /// Behind another split.
    Below,
}

/// The number of bits that index the directory of a split, or `None` if a tree alone is as good.
/// IPv6 addresses get no directory: their upper bits are all alike.
fn directory_bits(place: Place, key_bits: u32, intervals: &[(u64, u64)]) -> Option<u32> {
    let count = intervals.len();
    if key_bits == PAIRED_BITS || count <= FANOUT {
        return None;
    }
    let is_small = count <= FANOUT * 2;
    let width = |buckets: usize| buckets.next_power_of_two().ilog2();
    let bits = match place {
        Place::Below if is_small => return None,
        Place::Below => width(count / BUCKET),
        Place::Root => {
            let few = width(count * FEW_BUCKETS).min(FEW_BITS);
            let some = width(count / ROOT_BUCKET).min(CACHED_BITS);
            few.max(some).max(width(count / BUCKET))
        }
    };
    let bits = bits.clamp(NODE_WORDS.ilog2(), DIRECTORY_BITS).min(key_bits);
    let bucket = |&(key, _): &(u64, u64)| key >> (key_bits - bits);
    // Addresses of one network may all be in one bucket, whose tree is as high as that of the whole split. A tree of two levels
    // is worth a step only if no bucket has two.
    let apart = if is_small { FANOUT } else { count - 1 };
    let is_crowded =
        intervals[1..].windows(apart).any(|run| run.first().map(bucket) == run.last().map(bucket));
    (!is_crowded).then_some(bits)
}

/// The small node over these intervals; `None` if they are too many.
fn small(intervals: &[(u64, u64)]) -> Option<[u64; NODE_WORDS]> {
    if intervals.len() > SMALL_FANOUT {
        return None;
    }
    let mut words = [intervals.last()?.1; NODE_WORDS];
    let (bounds, references) = words.split_at_mut(NODE_WORDS - SMALL_FANOUT);
    bounds.fill(NO_BOUND);
    for (word, interval) in bounds.iter_mut().zip(intervals.iter().skip(1)) {
        *word = interval.0;
    }
    for (word, interval) in references.iter_mut().zip(intervals) {
        *word = interval.1;
    }
    Some(words)
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

/// The word that leads to a target, and the longest walk from there.
fn resolve(target: Target, placed: &[(u64, u32)]) -> (u64, u32) {
    target.resolve().map_or_else(|decision| (decision, 0), |split| placed[split])
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        net::{IpAddr, Ipv4Addr},
    };

    use ipnet::IpNet;
    use sg_common::{
        flow::{Direction, packet_keys},
        image::{CLASS_WORDS, Walk, header},
        packet::{Family, Packet, protocol},
        verdict::Decision,
    };

    use crate::{
        Image,
        tests::{hosts, image, list_policy},
    };

    /// The longest walk of inbound TCP to port 443 from these hosts and from their neighbours, in steps.
    fn longest_walk(hosts: &[IpNet], image: &Image) -> u32 {
        let root = header::ROOTS + Direction::Ingress as usize * 2 + Family::V4 as usize;
        let walk = |source: IpAddr| {
            let packet =
                Packet { protocol: protocol::TCP, l4_selector: 443, source: source.into(), ..Packet::EMPTY };
            let steps = Cell::new(0);
            let keys = packet_keys(Direction::Ingress, &packet);
            let end =
                Walk::from(image.words(), root).end(image.words(), &keys, || steps.set(steps.get() + 1));
            assert!(Decision::from_word(end).is_some(), "{source}");
            steps.get()
        };
        let neighbour = |host: &IpNet| match host.addr() {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() ^ 1)),
            IpAddr::V6(_) => unreachable!("the hosts have IPv4 addresses"),
        };
        hosts.iter().flat_map(|host| [host.addr(), neighbour(host)]).map(walk).max().unwrap()
    }

    #[test]
    fn a_few_rules_cost_three_steps() {
        for count in [4, 10, 30, 60] {
            let spread = hosts(count);
            let image = image(&list_policy(spread.clone()));
            // A directory, a node of addresses, one of services.
            assert_eq!(longest_walk(&spread, &image), 3, "{count} hosts");
            assert!(
                image.words().len() <= CLASS_WORDS[0] / 8,
                "{count} hosts: {} words",
                image.words().len()
            );
        }
    }

    #[test]
    fn addresses_of_one_network_pay_for_no_directory() {
        for count in [4, 7, 10, 30] {
            let of_one: Vec<IpNet> = (0..count)
                .map(|host| IpNet::from(IpAddr::V4(Ipv4Addr::from_bits(0x0a01_0000 | host << 1))))
                .collect();
            // Up to 64 intervals are two nodes of addresses, before one of services.
            assert_eq!(longest_walk(&of_one, &image(&list_policy(of_one.clone()))), 3, "{count} hosts");
        }
    }
}
