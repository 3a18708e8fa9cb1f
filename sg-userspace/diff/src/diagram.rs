//! Where one changed entry decides, and what the other list decides there: an interval decision diagram, as Liu and Gouda make
//! them of whole firewalls, of the packets that one entry matches. Each step splits one dimension into ranges in which every entry
//! matches all keys or none; parts with the same entries left are one.
//!
//! One entry at a time is enough. Say that two lists judge a packet differently, and that what decides it in either list is in both:
//! then the earlier of these two matches in both lists, and would decide in both. So one of them has changed.
//!
//! It must never know what a key means, but for the order of service and source port. `compare` and `ask` call it.

use std::{ops::Range as Numbers, time::Instant};

use foldhash::{HashMap, HashMapExt as _};

use super::{
    align::Entry,
    decider::{Decider, Dimension},
    set::{Range, SetId, Sets, intersection, meets, normal},
};

/// Keys by dimension; `None` is all of them.
pub(super) type Keys = [Option<Box<[Range]>>; Dimension::ALL.len()];

/// Packets that one entry of each list decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) keys: Keys,
    pub(super) before: u32,
    pub(super) after: u32,
}

/// Limits of the work on one pair of lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) until: Instant,
    /// The most numbers of entries in all parts that are remembered at a time, of four bytes each, and of cells.
    pub(super) memory: usize,
}

/// Two lists of entries, numbered through.
#[derive(Debug)]
pub(super) struct Lists<'a> {
    entries: Vec<Entry<'a>>,
    /// The number of entries of the first list.
    first: u32,
    /// By entry: the lowest and the highest key of remote and service, to leave most entries out at a glance.
    spans: Vec<[Range; 2]>,
    /// By entry: how many unchanged ones its list has before it. Those with one number are the same in both lists.
    ranks: Vec<u32>,
    /// All keys of each dimension.
    all: [[Range; 1]; Dimension::ALL.len()],
}

/// Which entries of the other list make a difference where the focus decides.
#[derive(Clone, Copy)]
pub(super) enum Sought<'s, 'a> {
    /// Those with another verdict.
    OtherVerdict,
    /// Those with another verdict or another name.
    OtherDecider,
    /// Those of which this is true. The focus is alone: what its list has before it decides nothing.
    Such(&'s dyn Fn(&Decider<'a>) -> bool),
}

/// What is left to be asked of an entry, within the packets of another.
#[derive(Clone, Copy, Debug)]
struct Clipped {
    sets: [SetId; Dimension::ALL.len()],
    number: u32,
}

type NodeId = u32;

/// Packets that are judged alike, or reported elsewhere.
const ALIKE: NodeId = 0;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    Alike,
    /// The entry of the other list that decides.
    Differ(u32),
    /// It depends on a dimension: disjoint keys, each with what comes next. Packets with other keys are alike.
    Split(u8, Box<[(Box<[Range]>, NodeId)]>),
}

/// Places of entries that can decide, in order: the number of those of the list that has changed, those, and the other list's.
type Part = Box<[u32]>;

/// The parts along a dimension in which something may differ, each with its keys.
#[derive(Debug, Default)]
struct Parts {
    /// Where the entry in focus decides, and this one of the other list.
    leaves: Vec<(u32, Vec<Range>)>,
    /// Where more is to be asked.
    groups: Vec<(Part, Vec<Range>)>,
}

const ALL: u8 = (1 << Dimension::ALL.len()) - 1;
const LOOKED_AT: [Dimension; 2] = [Dimension::Remote, Dimension::Service];

/// There was no time, or no memory.
#[derive(Debug)]
pub(super) struct Exhausted;

impl<'a> Lists<'a> {
    /// The last entry of a list that is asked about an entry of the other one matches every packet. `tops` are the largest keys.
    pub(super) fn new(
        [before, after]: [Vec<Entry<'a>>; 2],
        sets: &Sets,
        tops: [u128; Dimension::ALL.len()],
    ) -> Self {
        let first = before.len() as u32;
        let entries: Vec<_> = before.into_iter().chain(after).collect();
        let span = |entry: &Entry<'a>, dimension| {
            let ranges = sets.ranges(entry.decider.set(dimension));
            let (first, last) =
                (ranges.first().map_or(0, |range| range.first), ranges.last().map_or(0, |range| range.last));
            Range::new(first, last)
        };
        let spans = entries.iter().map(|entry| LOOKED_AT.map(|dimension| span(entry, dimension))).collect();
        let mut rank = 0;
        let ranks = (0..).zip(&entries).map(|(number, entry)| {
            if number == first {
                rank = 0;
            }
            let own = rank;
            rank += u32::from(!entry.is_changed);
            own
        });
        let ranks = ranks.collect();
        Self { entries, first, spans, ranks, all: tops.map(|top| [Range::new(0, top)]) }
    }

    pub(super) fn entry(&self, number: u32) -> Option<&Entry<'a>> {
        self.entries.get(number as usize)
    }

    /// The entries that have changed, in order.
    pub(super) fn changed(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.is_changed).map(|(number, _)| number)
    }

    /// The packets that entry `focus` decides and about which the other list differs, without those that a changed entry of the
    /// first list decides there. Disjoint.
    ///
    /// # Errors
    /// If there is no time.
    pub(super) fn around(
        &self,
        focus: u32,
        sought: Sought<'_, 'a>,
        sets: &mut Sets,
        bounds: Bounds,
    ) -> Result<Vec<Cell>, Exhausted> {
        let Some(entry) = self.entry(focus) else { return Ok(Vec::new()) };
        if Instant::now() >= bounds.until {
            return Err(Exhausted);
        }
        let base = entry.decider.sets;
        let mut diagram = Diagram {
            lists: self,
            focus,
            sought,
            base,
            clipped: Vec::new(),
            nodes: vec![Node::Alike],
            known: HashMap::new(),
            parts: HashMap::new(),
            remembered: 0,
            bounds,
            clips: HashMap::new(),
        };
        let all = self.entries.len() as u32;
        let (own, other) = if focus < self.first {
            (0..focus + 1, self.first..all)
        } else {
            (self.first..focus + 1, 0..self.first)
        };
        let own = if matches!(sought, Sought::Such(_)) { focus..focus + 1 } else { own };
        let own = diagram.clip(own, |_| true, sets);
        // What has its like before the focus matches nothing where the focus decides.
        let rank = |number: u32| self.ranks.get(number as usize).copied().unwrap_or_default();
        let is_behind =
            |number| rank(number) >= rank(focus) || self.entry(number).is_some_and(|entry| entry.is_changed);
        let other = diagram.clip(other, is_behind, sets);
        let part: Part = [own.end].into_iter().chain(own).chain(other).collect();
        let root = diagram.solve(ALL, &part, sets)?;
        let mut cells = Vec::new();
        let mut keys = base.map(|set| (set != SetId::FULL).then(|| sets.ranges(set).into()));
        diagram.walk(root, &mut keys, &mut cells);
        Ok(cells)
    }
}

struct Diagram<'d, 'a> {
    lists: &'d Lists<'a>,
    focus: u32,
    sought: Sought<'d, 'a>,
    /// The sets of the entry in focus.
    base: [SetId; Dimension::ALL.len()],
    clipped: Vec<Clipped>,
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
    parts: HashMap<(u8, Part), NodeId>,
    remembered: usize,
    bounds: Bounds,
    clips: HashMap<(SetId, u8), Option<SetId>>,
}

impl<'a> Diagram<'_, 'a> {
    /// What is left of these entries within the focus, up to the first that matches all of it. Returns their places.
    fn clip(&mut self, numbers: Numbers<u32>, which: impl Fn(u32) -> bool, sets: &mut Sets) -> Numbers<u32> {
        let from = self.clipped.len() as u32;
        let lists = self.lists;
        let Some(own) = lists.spans.get(self.focus as usize) else { return from..from };
        for number in numbers.filter(|&number| which(number)) {
            let is_near = lists.spans.get(number as usize).is_some_and(|spans| {
                spans.iter().zip(own).all(|(span, own)| span.first <= own.last && own.first <= span.last)
            });
            let Some(entry) = lists.entry(number).filter(|_| is_near) else { continue };
            if let Some(clipped) = self.clipped(entry.decider.sets, sets) {
                self.clipped.push(Clipped { sets: clipped, number });
                if clipped.iter().all(|set| *set == SetId::FULL) {
                    break;
                }
            }
        }
        from..self.clipped.len() as u32
    }

    fn clipped(
        &mut self,
        of: [SetId; Dimension::ALL.len()],
        sets: &mut Sets,
    ) -> Option<[SetId; Dimension::ALL.len()]> {
        let mut clipped = of;
        for ((set, base), dimension) in clipped.iter_mut().zip(self.base).zip(0..) {
            if *set == SetId::FULL || *set == base {
                *set = SetId::FULL;
            } else if base != SetId::FULL {
                let clip = |sets: &mut Sets| {
                    let (own, base) = (sets.ranges(*set), sets.ranges(base));
                    if !meets(own, base) {
                        return None;
                    }
                    let both = intersection(own, base);
                    if both == base { Some(SetId::FULL) } else { sets.id(both, u128::MAX) }
                };
                let key = (*set, dimension);
                let known = self.clips.get(&key).copied();
                let found = known.unwrap_or_else(|| clip(sets));
                self.clips.insert(key, found);
                *set = found?;
            }
        }
        Some(clipped)
    }

    fn set(&self, place: u32, dimension: u8) -> SetId {
        let set = self.clipped.get(place as usize).and_then(|one| one.sets.get(usize::from(dimension)));
        set.copied().unwrap_or(SetId::FULL)
    }

    fn entry(&self, place: u32) -> Option<(&Entry<'a>, u32)> {
        let number = self.clipped.get(place as usize)?.number;
        Some((self.lists.entry(number)?, number))
    }

    /// Appends places, to the first whose entry matches everything that is left.
    fn take(&self, left: u8, places: impl IntoIterator<Item = u32>, part: &mut Vec<u32>) {
        for place in places {
            part.push(place);
            let is_total = |sets: &[SetId]| {
                (0..).zip(sets).all(|(dimension, set)| left >> dimension & 1 == 0 || *set == SetId::FULL)
            };
            if self.clipped.get(place as usize).is_none_or(|one| is_total(&one.sets)) {
                return;
            }
        }
    }

    /// Whether an entry of the other list that decides where the focus does is a difference to report.
    fn differs(&self, place: u32) -> bool {
        let Some((entry, number)) = self.entry(place) else { return false };
        let Some(focus) = self.lists.entry(self.focus) else { return false };
        // Where both have changed, the entry of the first list reports it.
        let is_reported = entry.is_changed && number < self.lists.first;
        let is_other = || entry.decider.verdict != focus.decider.verdict;
        !is_reported
            && match self.sought {
                Sought::OtherVerdict => is_other(),
                Sought::OtherDecider => is_other() || entry.decider.by != focus.decider.by,
                Sought::Such(is_such) => is_such(&entry.decider),
            }
    }

    /// The node that needs no split, if that can be seen.
    fn known(&self, own: &[u32], other: &[u32]) -> Option<Node> {
        let is_focus =
            |place: u32| self.clipped.get(place as usize).is_some_and(|one| one.number == self.focus);
        // Something before the focus decides all of it, or nothing that could decide is a difference.
        if !own.last().copied().is_some_and(is_focus) || !other.iter().any(|&place| self.differs(place)) {
            return Some(Node::Alike);
        }
        match (own, other) {
            ([_], &[place]) => Some(Node::Differ(self.clipped.get(place as usize)?.number)),
            _ => None,
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        if node == Node::Alike {
            return ALIKE;
        }
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        let id = self.nodes.len() as NodeId;
        self.nodes.push(node.clone());
        self.known.insert(node, id);
        id
    }

    /// The node of a part, with these dimensions left.
    fn solve(&mut self, left: u8, part: &[u32], sets: &Sets) -> Result<NodeId, Exhausted> {
        let Some((&count, places)) = part.split_first() else { return Ok(ALIKE) };
        let Some((own, other)) = places.split_at_checked(count as usize) else { return Ok(ALIKE) };
        if let Some(node) = self.known(own, other) {
            return Ok(self.add(node));
        }
        let Some(dimension) = self.dimension(left, places, sets) else { return Ok(ALIKE) };
        let left = left & !(1 << dimension);
        let mut edges: Vec<(Vec<Range>, NodeId)> = Vec::new();
        let mut by_node: HashMap<NodeId, usize> = HashMap::new();
        let Parts { leaves, groups } = self.split(dimension, left, count, places, sets)?;
        for (number, ranges) in leaves {
            let next = self.add(Node::Differ(number));
            by_node.insert(next, edges.len());
            edges.push((ranges, next));
        }
        for (part, ranges) in groups {
            let key = (left, part);
            let next = if let Some(&known) = self.parts.get(&key) {
                known
            } else {
                let next = self.solve(left, &key.1, sets)?;
                self.remembered += key.1.len();
                if Instant::now() >= self.bounds.until || self.remembered > self.bounds.memory {
                    return Err(Exhausted);
                }
                self.parts.insert(key, next);
                next
            };
            if next == ALIKE {
                continue;
            }
            if let Some((known, _)) = by_node.get(&next).and_then(|&place| edges.get_mut(place)) {
                known.extend(ranges);
            } else {
                by_node.insert(next, edges.len());
                edges.push((ranges, next));
            }
        }
        if edges.is_empty() {
            return Ok(ALIKE);
        }
        let edges = edges.into_iter().map(|(ranges, next)| (normal(ranges).into(), next));
        let edges: Box<[(Box<[Range]>, NodeId)]> = edges.collect();
        Ok(self.add(Node::Split(dimension, edges)))
    }

    /// The dimension to split: of those in which some entry has a condition, the one with the fewest ranges. `None` if none has.
    fn dimension(&self, left: u8, places: &[u32], sets: &Sets) -> Option<u8> {
        let ranges_in = |dimension: u8| {
            let mut found: Vec<SetId> = places.iter().map(|&place| self.set(place, dimension)).collect();
            found.sort_unstable();
            found.dedup();
            found
                .into_iter()
                .filter(|set| *set != SetId::FULL)
                .map(|set| sets.ranges(set).len())
                .sum::<usize>()
        };
        let counts = (0..Dimension::ALL.len() as u8).map(|dimension| {
            let count = if left >> dimension & 1 == 0 { 0 } else { ranges_in(dimension) };
            (count, dimension)
        });
        let counts: Vec<_> = counts.filter(|(count, _)| *count > 0).collect();
        // Packets without ports have no source port: where it matters, the service is known.
        let of_services = counts.iter().any(|(_, dimension)| *dimension == Dimension::Service as u8);
        let is_early = |dimension: u8| of_services && dimension == Dimension::SourcePort as u8;
        counts
            .into_iter()
            .filter(|(_, dimension)| !is_early(*dimension))
            .min()
            .map(|(_, dimension)| dimension)
    }

    fn split(
        &self,
        dimension: u8,
        left: u8,
        count: u32,
        places: &[u32],
        sets: &Sets,
    ) -> Result<Parts, Exhausted> {
        let mut active = Active::new(places.len());
        let mut by_set: HashMap<SetId, Vec<u32>> = HashMap::new();
        for (index, &place) in (0..).zip(places) {
            match self.set(place, dimension) {
                SetId::FULL => active.toggle(index as usize),
                set => by_set.entry(set).or_default().push(index),
            }
        }
        let by_set: Vec<_> = by_set.into_iter().collect();
        let (Some(&own), Some(all)) =
            (self.base.get(usize::from(dimension)), self.lists.all.get(usize::from(dimension)))
        else {
            return Ok(Parts::default());
        };
        let base = if own == SetId::FULL { all } else { sets.ranges(own) };
        // Where the keys of the focus begin and end, nothing is toggled.
        let mut bounds: Vec<(u128, u32)> = vec![(0, u32::MAX)];
        let mut add = |range: &Range, number: u32| {
            bounds.push((range.first, number));
            bounds.extend(range.last.checked_add(1).map(|next| (next, number)));
        };
        for (number, (set, _)) in (0..).zip(&by_set) {
            for range in sets.ranges(*set) {
                add(range, number);
            }
        }
        bounds.sort_unstable();
        let (mut leaves, mut groups) = <(HashMap<u32, Vec<Range>>, HashMap<Part, Vec<Range>>)>::default();
        let (mut part, mut steps) = (Vec::new(), 0_u32);
        let mut bounds = bounds.into_iter().peekable();
        while let Some((key, number)) = bounds.next() {
            if let Some((_, members)) = by_set.get(number as usize) {
                for &index in members {
                    active.toggle(index as usize);
                }
            }
            let last = match bounds.peek() {
                Some((next, _)) if *next == key => continue,
                Some((next, _)) => next - 1,
                None => u128::MAX,
            };
            let here = Range::new(key, last);
            if !meets(&[here], base) {
                continue;
            }
            steps += 1;
            if steps.is_multiple_of(256) && Instant::now() >= self.bounds.until {
                return Err(Exhausted);
            }
            part.clear();
            part.push(0);
            self.take(
                left,
                active.between(0, count as usize).filter_map(|index| places.get(index).copied()),
                &mut part,
            );
            let own = part.len() - 1;
            if let Some(place) = part.first_mut() {
                *place = own as u32;
            }
            let others = active.between(count as usize, places.len());
            self.take(left, others.filter_map(|index| places.get(index).copied()), &mut part);
            let (own, other) =
                part.get(1..).and_then(|places| places.split_at_checked(own)).unwrap_or_default();
            match self.known(own, other) {
                Some(Node::Differ(number)) => leaves.entry(number).or_default().push(here),
                Some(Node::Alike | Node::Split(..)) => {}
                None => match groups.get_mut(part.as_slice()) {
                    Some(ranges) => ranges.push(here),
                    None => drop(groups.insert(part.as_slice().into(), vec![here])),
                },
            }
        }
        for ranges in leaves.values_mut().chain(groups.values_mut()) {
            *ranges = intersection(&normal(std::mem::take(ranges)), base);
        }
        // In an order that is the same every time.
        let mut leaves: Vec<_> = leaves.into_iter().collect();
        leaves.sort_unstable_by_key(|(number, _)| *number);
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by(|one, other| one.1.cmp(&other.1));
        Ok(Parts { leaves, groups })
    }

    fn walk(&self, id: NodeId, keys: &mut Keys, cells: &mut Vec<Cell>) {
        match self.nodes.get(id as usize) {
            None | Some(Node::Alike) => {}
            Some(&Node::Differ(other)) => {
                let [before, after] =
                    if self.focus < other { [self.focus, other] } else { [other, self.focus] };
                cells.push(Cell { keys: keys.clone(), before, after });
            }
            Some(Node::Split(dimension, edges)) => {
                let Some(before) = keys.get(usize::from(*dimension)).cloned() else { return };
                for (ranges, next) in edges {
                    if let Some(place) = keys.get_mut(usize::from(*dimension)) {
                        *place = Some(ranges.clone());
                    }
                    self.walk(*next, keys, cells);
                }
                if let Some(place) = keys.get_mut(usize::from(*dimension)) {
                    *place = before;
                }
            }
        }
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
