//! Where one changed entry decides, and what the other list decides there: an interval decision diagram, as Liu and Gouda make
//! them of whole firewalls, of the packets that one entry matches. Each step splits one dimension into ranges in which every entry
//! matches all keys or none; parts with the same entries left are one.
//!
//! It must never know what a key means, but for the order of service and source port. `lists` calls it.

use std::time::Instant;

use foldhash::{HashMap, HashMapExt as _};

use super::{
    active::{Active, Bits, Element, Here, Kinds, Shape, elements, is_total},
    cell::{Cell, Keys},
    decider::Dimension,
    set::{Range, SetId, Sets, intersection, meets, normal},
};

/// Limits of the work on one pair of lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) until: Instant,
    /// The most numbers of entries in all parts that are remembered at a time, of four bytes each, and of cells.
    pub(super) memory: usize,
}

/// There was no time, or no memory.
#[derive(Debug)]
pub(super) struct Exhausted;

/// An entry of the other list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Other {
    pub(super) shape: Shape,
    pub(super) number: u32,
    /// Whether it is a difference to report where it and the focus decide.
    pub(super) differs: bool,
}

/// What to find: the packets that one entry decides, and that the other list judges differently.
#[derive(Debug)]
pub(super) struct Problem {
    /// The number of the entry.
    pub(super) focus: u32,
    /// What it matches.
    pub(super) keys: [Box<[Range]>; Dimension::ALL.len()],
    /// What is left, within that, of the entries before it in its own list.
    pub(super) before: Vec<Shape>,
    /// What could decide in the other list, in order, to the first that matches everything.
    pub(super) others: Vec<Other>,
}

impl Problem {
    /// The packets, as disjoint cells. `keys` are those of the focus.
    ///
    /// # Errors
    /// If there is no time, or no memory.
    pub(super) fn solve(self, mut keys: Keys, sets: &Sets, bounds: Bounds) -> Result<Vec<Cell>, Exhausted> {
        let Self { focus, keys: base, before, others } = self;
        let mut diagram = Diagram {
            focus,
            base,
            shapes: Vec::new(),
            shape_ids: HashMap::new(),
            others,
            nodes: vec![Node::Alike],
            known: HashMap::new(),
            parts: HashMap::new(),
            remembered: 0,
            bounds,
        };
        let mut before: Vec<u32> = before.into_iter().map(|shape| diagram.shape_id(shape)).collect();
        before.sort_unstable();
        before.dedup();
        let others = 0..diagram.others.len() as u32;
        let part: Part = [before.len() as u32].into_iter().chain(before).chain(others).collect();
        let root = diagram.solve(ALL, &part, sets)?;
        let mut cells = Vec::new();
        diagram.walk(root, &mut keys, &mut cells);
        Ok(cells)
    }
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

/// What can decide: the number of shapes of entries before the focus, those in order, and places of the other list's entries. Of
/// entries before the focus, only what they match matters; what these match already, and what the other list has had, decides
/// nothing.
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

struct Diagram {
    focus: u32,
    /// The keys of the entry in focus.
    base: [Box<[Range]>; Dimension::ALL.len()],
    shapes: Vec<Shape>,
    shape_ids: HashMap<Shape, u32>,
    others: Vec<Other>,
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
    parts: HashMap<(u8, Part), NodeId>,
    remembered: usize,
    bounds: Bounds,
}

impl Diagram {
    fn shape_id(&mut self, shape: Shape) -> u32 {
        *self.shape_ids.entry(shape).or_insert_with(|| {
            self.shapes.push(shape);
            self.shapes.len() as u32 - 1
        })
    }

    /// The shape of what has this place in a part, with these dimensions left.
    fn shape(&self, of: Element, left: u8) -> Shape {
        let mut shape = match of {
            Element::Before(id) => self.shapes.get(id as usize).copied(),
            Element::Other(place) => self.others.get(place as usize).map(|other| other.shape),
        }
        .unwrap_or([SetId::FULL; Dimension::ALL.len()]);
        for (dimension, set) in shape.iter_mut().enumerate() {
            if left >> dimension & 1 == 0 {
                *set = SetId::FULL;
            }
        }
        shape
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
        let elements = elements(part);
        let is_difference = |element: &Element| match *element {
            Element::Before(_) => false,
            Element::Other(place) => self.others.get(place as usize).is_some_and(|other| other.differs),
        };
        if !elements.iter().any(is_difference) {
            return Ok(ALIKE);
        }
        let Some(dimension) = self.dimension(left, &elements, sets) else {
            // Nothing before the focus, and the first of the others matches everything.
            let number = match elements.first() {
                Some(Element::Other(place)) => self.others.get(*place as usize).filter(|other| other.differs),
                _ => None,
            };
            let number = number.map(|other| other.number);
            return Ok(number.map_or(ALIKE, |number| self.add(Node::Differ(number))));
        };
        let left = left & !(1 << dimension);
        let mut edges: Vec<(Vec<Range>, NodeId)> = Vec::new();
        let mut by_node: HashMap<NodeId, usize> = HashMap::new();
        let Parts { leaves, groups } = self.split(dimension, left, &elements, sets)?;
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
    fn dimension(&self, left: u8, elements: &[Element], sets: &Sets) -> Option<u8> {
        let shapes: Vec<Shape> = elements.iter().map(|&element| self.shape(element, left)).collect();
        let ranges_in = |dimension: u8| {
            let set = |shape: &Shape| shape.get(usize::from(dimension)).copied().unwrap_or(SetId::FULL);
            let mut found: Vec<SetId> = shapes.iter().map(set).filter(|set| *set != SetId::FULL).collect();
            found.sort_unstable();
            found.dedup();
            found.into_iter().map(|set| sets.ranges(set).len()).sum::<usize>()
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
        &mut self,
        dimension: u8,
        left: u8,
        elements: &[Element],
        sets: &Sets,
    ) -> Result<Parts, Exhausted> {
        let place = usize::from(dimension);
        let kinds = self.kinds(left, elements);
        let Some(base) = self.base.get(place) else { return Ok(Parts::default()) };
        let mut state = Active {
            before: Bits::new(kinds.ids.len()),
            counts: vec![0; kinds.ids.len()],
            total_before: 0,
            others: Bits::new(elements.len()),
        };
        let toggle = |state: &mut Active, index: usize, is_on: bool| match (
            elements.get(index),
            kinds.of.get(index),
        ) {
            (Some(Element::Before(_)), Some(&kind)) => state.count(kind, is_on, &kinds.total),
            (Some(Element::Other(_)), _) => state.others.toggle(index),
            _ => {}
        };
        let mut by_set: HashMap<SetId, Vec<usize>> = HashMap::new();
        for (index, &element) in elements.iter().enumerate() {
            match self.shape(element, 1 << dimension).get(place).copied().unwrap_or(SetId::FULL) {
                SetId::FULL => toggle(&mut state, index, true),
                set => by_set.entry(set).or_default().push(index),
            }
        }
        let by_set: Vec<_> = by_set.into_iter().collect();
        // At each key, what begins or ends there.
        let mut bounds: Vec<(u128, bool, usize)> = vec![(0, true, usize::MAX)];
        for (number, (set, _)) in by_set.iter().enumerate() {
            for range in sets.ranges(*set) {
                bounds.push((range.first, true, number));
                bounds.extend(range.last.checked_add(1).map(|next| (next, false, number)));
            }
        }
        bounds.sort_unstable();
        let (mut leaves, mut groups) = <(HashMap<u32, Vec<Range>>, HashMap<Part, Vec<Range>>)>::default();
        let (mut part, mut stamps, mut steps) = (Vec::new(), vec![0; kinds.ids.len()], 0_u32);
        let mut bounds = bounds.into_iter().peekable();
        while let Some((key, is_on, number)) = bounds.next() {
            for &index in by_set.get(number).map_or(&[][..], |(_, members)| members) {
                toggle(&mut state, index, is_on);
            }
            let last = match bounds.peek() {
                Some((next, ..)) if *next == key => continue,
                Some((next, ..)) => next - 1,
                None => u128::MAX,
            };
            let here = Range::new(key, last);
            if state.total_before > 0 || !meets(&[here], base) {
                continue;
            }
            steps += 1;
            if steps.is_multiple_of(256) && Instant::now() >= self.bounds.until {
                return Err(Exhausted);
            }
            match self.part_here(&state, &kinds, elements, (steps, &mut stamps), &mut part) {
                Here::Alike => continue,
                Here::Leaf(number) => {
                    leaves.entry(number).or_default().push(here);
                    continue;
                }
                Here::Part => {}
            }
            match groups.get_mut(part.as_slice()) {
                Some(ranges) => ranges.push(here),
                None => drop(groups.insert(part.as_slice().into(), vec![here])),
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

    /// What elements are once these dimensions are left.
    fn kinds(&mut self, left: u8, elements: &[Element]) -> Kinds {
        let mut shapes = Vec::with_capacity(elements.len());
        for &element in elements {
            let shape = self.shape(element, left);
            shapes.push(self.shape_id(shape));
        }
        let mut ids = shapes.clone();
        ids.sort_unstable();
        ids.dedup();
        let of = shapes.iter().map(|shape| ids.partition_point(|id| id < shape)).collect();
        let total = ids.iter().map(|&id| self.shapes.get(id as usize).is_some_and(is_total)).collect();
        Kinds { ids, of, total }
    }

    /// Writes the part of the keys at hand. `step` is another number each time, and `stamps` are for it.
    fn part_here(
        &self,
        state: &Active,
        kinds: &Kinds,
        elements: &[Element],
        (step, stamps): (u32, &mut [u32]),
        part: &mut Vec<u32>,
    ) -> Here {
        part.clear();
        part.push(0);
        part.extend(state.before.iter().filter_map(|kind| kinds.ids.get(kind)));
        let before = part.len() - 1;
        // Behind the last difference, nothing matters.
        let (mut end, mut is_leaf) = (before + 1, false);
        for index in state.others.iter() {
            let (Some(&Element::Other(place)), Some(&kind)) = (elements.get(index), kinds.of.get(index))
            else {
                continue;
            };
            let Some(stamp) = stamps.get_mut(kind) else { continue };
            if *stamp == step || state.before.has(kind) {
                continue;
            }
            *stamp = step;
            part.push(place);
            if self.others.get(place as usize).is_some_and(|other| other.differs) {
                end = part.len();
            }
            if kinds.total.get(kind).copied().unwrap_or(false) {
                is_leaf = before == 0 && part.len() == 2;
                break;
            }
        }
        part.truncate(end);
        let Some(first) = part.get(before + 1).and_then(|&place| self.others.get(place as usize)) else {
            return Here::Alike;
        };
        if is_leaf {
            return Here::Leaf(first.number);
        }
        if let Some(count) = part.first_mut() {
            *count = before as u32;
        }
        Here::Part
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
