//! The interval decision diagram of what two lists of deciders judge differently: Liu and Gouda's firewall decision diagrams, made
//! for both lists at once and only where something has changed. Each step splits one dimension into ranges in which every decider
//! matches all keys or none; parts with the same deciders left are one. It must never know what a dimension is, but for the order
//! of service and source port. `compare` calls it.

use std::time::Instant;

use foldhash::{HashMap, HashMapExt as _};
use sg_common::verdict::Verdict;

use super::{
    align::Entry,
    decider::Dimension,
    set::{Range, SetId, Sets, meets, normal},
};

/// The number of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(u32);

impl NodeId {
    /// Packets that both lists judge alike.
    const EQUAL: Self = Self(0);
}

/// What is decided of the packets that reach a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    /// Both lists judge them alike.
    Equal,
    /// These entries decide: of the first list, and of the second.
    Differ(u32, u32),
    /// There was no time to find out. These entries of both lists could decide.
    Undecided(Box<[u32]>),
    /// It depends on a dimension: disjoint keys, each with what comes next. Packets with other keys are judged alike.
    Split(u8, Box<[(Box<[Range]>, NodeId)]>),
}

/// Limits of the work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) until: Instant,
    /// Numbers of entries in all parts that are remembered: four bytes each.
    pub(super) memory: usize,
}

/// Makes diagrams.
#[derive(Debug)]
pub(super) struct Diagram<'d, 'a> {
    entries: Vec<Entry<'a>>,
    sets: &'d Sets,
    tops: [u128; Dimension::ALL.len()],
    by_name: bool,
    bounds: Bounds,
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
    parts: HashMap<(u8, Part), NodeId>,
    remembered: usize,
}

/// The entries that can decide, in order: the number of those of the first list, those, and those of the second.
type Part = Box<[u32]>;

const ALL: u8 = (1 << Dimension::ALL.len()) - 1;

impl<'d, 'a> Diagram<'d, 'a> {
    /// The diagram of two lists, and its root. The last entry of either matches every packet.
    pub(super) fn of(
        [before, after]: [Vec<Entry<'a>>; 2],
        sets: &'d Sets,
        tops: [u128; Dimension::ALL.len()],
        by_name: bool,
        bounds: Bounds,
    ) -> (Self, NodeId) {
        let first = before.len() as u32;
        let entries: Vec<_> = before.into_iter().chain(after).collect();
        let mut diagram = Self {
            sets,
            tops,
            by_name,
            bounds,
            nodes: vec![Node::Equal],
            known: HashMap::new(),
            parts: HashMap::new(),
            remembered: 0,
            entries,
        };
        let mut part = Vec::new();
        diagram.take(ALL, 0..first, &mut part);
        part.insert(0, part.len() as u32);
        diagram.take(ALL, first..diagram.entries.len() as u32, &mut part);
        diagram.keep_touched(&mut part);
        let root = diagram.solve(ALL, part.into());
        (diagram, root)
    }

    /// The largest key of each dimension.
    pub(super) const fn tops(&self) -> [u128; Dimension::ALL.len()] {
        self.tops
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id.0 as usize).unwrap_or(&Node::Equal)
    }

    pub(super) fn entry(&self, number: u32) -> Option<&Entry<'a>> {
        self.entries.get(number as usize)
    }

    /// Drops the entries that match no packet of what has changed.
    fn keep_touched(&self, part: &mut Vec<u32>) {
        /// Changed entries that each entry is compared with; of more, only what they have in each dimension together.
        const SINGLE: usize = 64;
        let Some((&count, numbers)) = part.split_first() else { return };
        let changed: Vec<_> = numbers
            .iter()
            .filter_map(|&number| self.entry(number))
            .filter(|entry| entry.is_changed)
            .collect();
        let together: Vec<Vec<Range>> = Dimension::ALL
            .iter()
            .map(|&dimension| {
                let ranges = changed.iter().flat_map(|entry| self.sets.ranges(entry.decider.set(dimension)));
                normal(ranges.copied().collect())
            })
            .collect();
        let is_touched = |&number: &u32| {
            let Some(entry) = self.entry(number) else { return false };
            let ranges = |entry: &Entry<'a>, dimension| self.sets.ranges(entry.decider.set(dimension));
            entry.is_changed
                || Dimension::ALL
                    .iter()
                    .zip(&together)
                    .all(|(&dimension, all)| meets(all, ranges(entry, dimension)))
                    && (changed.len() > SINGLE
                        || changed.iter().any(|other| {
                            Dimension::ALL
                                .iter()
                                .all(|&dimension| meets(ranges(other, dimension), ranges(entry, dimension)))
                        }))
        };
        let kept = |numbers: &[u32]| numbers.iter().copied().filter(is_touched).collect::<Vec<_>>();
        let (before, after) = numbers.split_at_checked(count as usize).unwrap_or((numbers, &[]));
        let (before, after) = (kept(before), kept(after));
        *part = [&[before.len() as u32][..], &before, &after].concat();
    }

    /// Appends entries, to the first that matches everything.
    fn take(&self, left: u8, numbers: impl IntoIterator<Item = u32>, part: &mut Vec<u32>) {
        for number in numbers {
            part.push(number);
            if self.is_total(number, left) {
                return;
            }
        }
    }

    /// Whether an entry matches every packet that reaches it, with these dimensions left.
    fn is_total(&self, number: u32, left: u8) -> bool {
        self.entry(number).is_some_and(|entry| {
            let sets = entry.decider.sets.iter().enumerate();
            sets.filter(|(dimension, _)| left >> dimension & 1 != 0).all(|(_, set)| *set == SetId::FULL)
        })
    }

    fn is_changed(&self, number: u32) -> bool {
        self.entry(number).is_some_and(|entry| entry.is_changed)
    }

    fn verdict(&self, number: u32) -> Option<Verdict> {
        self.entry(number).map(|entry| entry.decider.verdict)
    }

    /// What is known without splitting: nothing has changed, or all have one verdict.
    fn is_equal(&self, entries: &[u32]) -> bool {
        if !entries.iter().any(|&number| self.is_changed(number)) {
            return true;
        }
        let mut verdicts = entries.iter().map(|&number| self.verdict(number));
        let first = verdicts.next().flatten();
        !self.by_name && verdicts.all(|verdict| verdict == first)
    }

    fn add(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node.clone());
        self.known.insert(node, id);
        id
    }

    /// The node of a part in which something may differ, with these dimensions left.
    fn solve(&mut self, left: u8, part: Part) -> NodeId {
        let Some((&count, entries)) = part.split_first() else { return NodeId::EQUAL };
        if self.is_equal(entries) {
            return NodeId::EQUAL;
        }
        if let &[before, after] = entries
            && count == 1
        {
            return self.leaf(before, after);
        }
        if let Some(&known) = self.parts.get(&(left, part.clone())) {
            return known;
        }
        self.remembered += part.len();
        if Instant::now() >= self.bounds.until || self.remembered > self.bounds.memory {
            return self.undecided(entries);
        }
        let Some(dimension) = self.dimension(left, entries) else {
            // Neither list has a condition left, so the first of each decides.
            let (before, after) = entries.split_at_checked(count as usize).unwrap_or((entries, &[]));
            return match (before.first(), after.first()) {
                (Some(&before), Some(&after)) => self.leaf(before, after),
                _ => NodeId::EQUAL,
            };
        };
        let left_then = left & !(1 << dimension as u8);
        let (groups, is_whole) = self.split(dimension, left_then, count, entries);
        let mut edges: Vec<(Vec<Range>, NodeId)> = Vec::new();
        let mut places: HashMap<NodeId, usize> = HashMap::new();
        for (ranges, part) in groups {
            let next = self.solve(left_then, part);
            if next == NodeId::EQUAL {
                continue;
            }
            if let Some((known, _)) = places.get(&next).and_then(|&place| edges.get_mut(place)) {
                known.extend(ranges);
            } else {
                places.insert(next, edges.len());
                edges.push((ranges, next));
            }
        }
        if !is_whole {
            return self.undecided(entries);
        }
        let id = if edges.is_empty() {
            NodeId::EQUAL
        } else {
            let edges = edges.into_iter().map(|(ranges, next)| (normal(ranges).into(), next));
            let edges: Box<[_]> = edges.collect();
            self.add(Node::Split(dimension as u8, edges))
        };
        self.parts.insert((left, part), id);
        id
    }

    fn leaf(&mut self, before: u32, after: u32) -> NodeId {
        let by = |number| self.entry(number).map(|entry| entry.decider.by);
        let is_same =
            self.verdict(before) == self.verdict(after) && (!self.by_name || by(before) == by(after));
        if is_same { NodeId::EQUAL } else { self.add(Node::Differ(before, after)) }
    }

    fn undecided(&mut self, entries: &[u32]) -> NodeId {
        let changed: Vec<u32> = entries.iter().copied().filter(|&number| self.is_changed(number)).collect();
        self.add(Node::Undecided(changed.into()))
    }

    /// The dimension to split: of those in which some entry has a condition, the one with the fewest ranges. `None` if none has.
    fn dimension(&self, left: u8, entries: &[u32]) -> Option<Dimension> {
        let mut best: Option<(usize, Dimension)> = None;
        let has_services = |service: &Dimension| left >> (*service as u8) & 1 != 0;
        for dimension in Dimension::ALL {
            if left >> (dimension as u8) & 1 == 0 {
                continue;
            }
            let mut sets: Vec<SetId> = entries
                .iter()
                .filter_map(|&number| self.entry(number))
                .map(|entry| entry.decider.set(dimension))
                .filter(|set| *set != SetId::FULL)
                .collect();
            sets.sort_unstable();
            sets.dedup();
            let ranges: usize = sets.iter().map(|set| self.sets.ranges(*set).len()).sum();
            // Packets without ports have no source port: where it matters, the service is known.
            let is_early = dimension == Dimension::SourcePort && has_services(&Dimension::Service);
            if ranges > 0 && !is_early && best.is_none_or(|(least, _)| ranges < least) {
                best = Some((ranges, dimension));
            }
        }
        best.map(|(_, dimension)| dimension)
    }

    /// The parts along a dimension in which something may differ, each with its keys; and whether the time was enough.
    fn split(
        &self,
        dimension: Dimension,
        left: u8,
        count: u32,
        entries: &[u32],
    ) -> (Vec<(Vec<Range>, Part)>, bool) {
        let mut active = Active::new(entries.len());
        let mut by_set: HashMap<SetId, Vec<u32>> = HashMap::new();
        let mut changed = 0_usize;
        for (place, &number) in entries.iter().enumerate() {
            let set = self.entry(number).map_or(SetId::FULL, |entry| entry.decider.set(dimension));
            if set == SetId::FULL {
                active.toggle(place);
                changed += usize::from(self.is_changed(number));
            } else {
                by_set.entry(set).or_default().push(place as u32);
            }
        }
        let by_set: Vec<_> = by_set.into_iter().collect();
        let mut bounds: Vec<(u128, u32)> = vec![(0, u32::MAX)];
        for (number, (set, _)) in (0..).zip(&by_set) {
            for range in self.sets.ranges(*set) {
                bounds.push((range.first, number));
                if let Some(next) = range.last.checked_add(1) {
                    bounds.push((next, number));
                }
            }
        }
        bounds.sort_unstable();
        let top = self.tops.get(dimension as usize).copied().unwrap_or(u128::MAX);
        let mut groups: Vec<(Vec<Range>, Part)> = Vec::new();
        let mut places: HashMap<Part, usize> = HashMap::new();
        let (mut is_on, mut part, mut steps) = (vec![false; by_set.len()], Vec::new(), 0_u32);
        let mut bounds = bounds.into_iter().peekable();
        while let Some((key, number)) = bounds.next() {
            if let (Some((_, members)), Some(on)) =
                (by_set.get(number as usize), is_on.get_mut(number as usize))
            {
                *on = !*on;
                for &place in members {
                    active.toggle(place as usize);
                    if entries.get(place as usize).is_some_and(|&number| self.is_changed(number)) {
                        if *on { changed += 1 } else { changed -= 1 }
                    }
                }
            }
            let last = match bounds.peek() {
                Some((next, _)) if *next == key => continue,
                Some((next, _)) => next - 1,
                None => top,
            };
            if changed == 0 || key > top {
                continue;
            }
            steps += 1;
            if steps.is_multiple_of(256) && Instant::now() >= self.bounds.until {
                return (groups, false);
            }
            part.clear();
            part.push(0);
            for (from, to) in [(0, count as usize), (count as usize, entries.len())] {
                let numbers = active.between(from, to).filter_map(|place| entries.get(place).copied());
                self.take(left, numbers, &mut part);
                if from == 0 {
                    let count = part.len() as u32 - 1;
                    if let Some(place) = part.first_mut() {
                        *place = count;
                    }
                }
            }
            if part.get(1..).is_none_or(|entries| self.is_equal(entries)) {
                continue;
            }
            let place = places.get(part.as_slice()).copied().unwrap_or_else(|| {
                let kept: Part = part.as_slice().into();
                places.insert(kept.clone(), groups.len());
                groups.push((Vec::new(), kept));
                groups.len() - 1
            });
            if let Some((ranges, _)) = groups.get_mut(place) {
                match ranges.last_mut() {
                    Some(before) if before.last + 1 == key => before.last = last,
                    _ => ranges.push(Range::new(key, last)),
                }
            }
        }
        (groups, true)
    }
}

/// Places in a list that are active, in order.
struct Active(Vec<u64>);

impl Active {
    fn new(places: usize) -> Self {
        Self(vec![0; places.div_ceil(64)])
    }

    fn toggle(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word ^= 1 << (place % 64);
        }
    }

    fn between(&self, from: usize, to: usize) -> impl Iterator<Item = usize> {
        let words = self.0.iter().enumerate().skip(from / 64).take(to.div_ceil(64).saturating_sub(from / 64));
        words
            .flat_map(|(number, &word)| {
                let mut left = word;
                std::iter::from_fn(move || {
                    let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                    left &= left - 1;
                    Some(number * 64 + bit)
                })
            })
            .filter(move |place| (from..to).contains(place))
    }
}
