//! What is left of a box of packets without other boxes, as disjoint boxes. A box has a set of keys for each dimension.
//!
//! It is an interval decision diagram, as Liu and Gouda make them of firewalls: each step splits one dimension into sets of keys that
//! the same boxes have, and parts with the same boxes are one. Keys with the same rest come together at each step, so that boxes are
//! never written apart and joined later. What a box takes along one dimension only is taken at once, from the keys of that dimension.
//!
//! It must never know what a key means, but for the order of service and source port. `lists` calls it.

use std::{rc::Rc, time::Instant};

use foldhash::{HashMap, HashMapExt as _};

use super::{
    cell::{Boxes, Shape},
    decider::{Dimension, is_ported},
    set::{Range, Set, SetId, Sets, Within, normal},
};

/// Limits of the work on two lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) until: Instant,
    /// The most bytes for what is remembered.
    pub(super) memory: usize,
}

impl Bounds {
    /// Whether there is time, and memory for so many bytes.
    pub(super) fn hold(&self, bytes: usize) -> Result<(), Exhausted> {
        if bytes > self.memory || Instant::now() >= self.until { Err(Exhausted) } else { Ok(()) }
    }
}

/// There was no time, or no memory.
#[derive(Debug)]
pub(super) struct Exhausted;

/// The dimensions that are not done, as bits.
type Left = u8;

const ALL: Left = (1 << Dimension::ALL.len()) - 1;

/// A box, and what is to be taken out of it.
type Part = (Left, Shape, Box<[Shape]>);

/// Some of several sets, by place, and the keys that are in all of these and in no other one.
type Kind = (Vec<u32>, Vec<Range>);

/// The boxes of a part by their sets in one dimension, in which they have all keys here.
struct Parts {
    /// Those without a condition.
    everywhere: Vec<Shape>,
    /// Those with the same condition.
    groups: Vec<Vec<Shape>>,
    /// Which groups there are where. The last is where there are none.
    kinds: Vec<Kind>,
}

/// The boxes where some groups are.
fn here(everywhere: &[Shape], groups: &[Vec<Shape>], members: &[u32]) -> Vec<Shape> {
    let own = members.iter().filter_map(|member| groups.get(*member as usize)).flatten();
    everywhere.iter().chain(own).copied().collect()
}

/// The number of what is left.
type RestId = usize;

/// Nothing is left.
const NOTHING: RestId = 0;

/// Takes boxes out of boxes. It remembers what is left of each part, for boxes that have parts in common.
pub(super) struct Rests<'s> {
    pub(super) sets: &'s mut Sets,
    tops: [u128; Dimension::ALL.len()],
    bounds: Bounds,
    all: Vec<Rc<[Shape]>>,
    numbers: HashMap<Rc<[Shape]>, RestId>,
    known: HashMap<Part, RestId>,
    bytes: usize,
    /// So many ranges are worth the boxes that it takes to have fewer.
    large: usize,
}

impl<'s> Rests<'s> {
    pub(super) fn new(sets: &'s mut Sets, tops: [u128; Dimension::ALL.len()], bounds: Bounds) -> Self {
        Self::of_large(sets, tops, bounds, 1 << 14)
    }

    /// The same with another idea of what is large.
    pub(super) fn of_large(
        sets: &'s mut Sets,
        tops: [u128; Dimension::ALL.len()],
        bounds: Bounds,
        large: usize,
    ) -> Self {
        let nothing: Rc<[Shape]> = Rc::new([]);
        Self {
            sets,
            tops,
            bounds,
            all: vec![Rc::clone(&nothing)],
            numbers: [(nothing, NOTHING)].into_iter().collect(),
            known: HashMap::new(),
            bytes: 0,
            large,
        }
    }

    /// The packets of `domain` that are in none of `taken`, as disjoint boxes.
    ///
    /// # Errors
    /// If there is no time, or no memory.
    pub(super) fn of(
        &mut self,
        domain: Shape,
        taken: impl Iterator<Item = Shape>,
    ) -> Result<Boxes, Exhausted> {
        let rest = self.solve(ALL, domain, taken.collect())?;
        Ok(self.all.get(rest).map_or_else(Vec::new, |boxes| boxes.to_vec()))
    }

    /// Whether some packet of `domain` is in none of `taken`. It looks at no more than it takes to find one.
    ///
    /// # Errors
    /// If there is no time, or no memory.
    pub(super) fn is_some(
        &mut self,
        domain: Shape,
        taken: impl Iterator<Item = Shape>,
    ) -> Result<bool, Exhausted> {
        self.any(ALL, domain, taken.collect())
    }

    fn any(&mut self, left: Left, mut domain: Shape, taken: Vec<Shape>) -> Result<bool, Exhausted> {
        self.bounds.hold(self.bytes + self.sets.bytes())?;
        let Some(taken) = self.reduced(left, &mut domain, taken) else { return Ok(false) };
        let Some(dimension) = self.dimension(&domain, &taken) else { return Ok(true) };
        let part = (left, domain, taken.into_boxed_slice());
        if let Some(&known) = self.known.get(&part) {
            return Ok(known != NOTHING);
        }
        // Where the fewest boxes are, first.
        let Parts { everywhere, groups, kinds } = self.parts(&domain, &part.2, dimension)?;
        for (members, _) in kinds.into_iter().rev() {
            let here = here(&everywhere, &groups, &members);
            if self.any(left & !(1 << dimension as Left), all_of(domain, dimension), here)? {
                return Ok(true);
            }
        }
        self.remember(part, NOTHING);
        Ok(false)
    }

    fn remember(&mut self, part: Part, rest: RestId) {
        self.bytes += 2 * size_of::<(Part, RestId)>() + size_of_val(&*part.2);
        self.known.insert(part, rest);
    }

    fn number(&mut self, mut boxes: Boxes) -> RestId {
        // What is left is the same in whatever order.
        boxes.sort_unstable();
        if let Some(&number) = self.numbers.get(boxes.as_slice()) {
            return number;
        }
        let (number, boxes) = (self.all.len(), Rc::from(boxes));
        self.bytes += size_of_val(&*boxes) + size_of::<[usize; 8]>();
        self.all.push(Rc::clone(&boxes));
        self.numbers.insert(boxes, number);
        number
    }

    fn solve(&mut self, left: Left, mut domain: Shape, taken: Vec<Shape>) -> Result<RestId, Exhausted> {
        self.bounds.hold(self.bytes + self.sets.bytes())?;
        let Some(taken) = self.reduced(left, &mut domain, taken) else { return Ok(NOTHING) };
        if taken.is_empty() {
            return Ok(self.number(vec![domain]));
        }
        let part = (left, domain, taken.into_boxed_slice());
        if let Some(&known) = self.known.get(&part) {
            return Ok(known);
        }
        let (_, _, taken) = &part;
        let Some(dimension) = self.dimension(&domain, taken) else { return Ok(NOTHING) };
        let found = match self.blocks(&domain, taken, dimension) {
            Some(blocks) => self.by_block(left, domain, taken, blocks)?,
            None => self.split(left, domain, taken, dimension)?,
        };
        self.remember(part, found);
        Ok(found)
    }

    /// What of `taken` there is within the domain, once what is taken along one dimension only is taken out of it; sorted. `None` if
    /// nothing of the domain is left.
    fn reduced(&mut self, left: Left, domain: &mut Shape, mut taken: Vec<Shape>) -> Option<Vec<Shape>> {
        loop {
            let mut slabs: [Vec<SetId>; Dimension::ALL.len()] = Default::default();
            let mut inside = Vec::with_capacity(taken.len());
            'taken: for mut one in taken {
                let (mut conditions, mut last) = (0, 0);
                for ((set, within), dimension) in one.iter_mut().zip(*domain).zip(0..) {
                    if left >> dimension & 1 == 0 {
                        *set = SetId::FULL;
                        continue;
                    }
                    match self.sets.within(*set, within) {
                        Within::Nothing => continue 'taken,
                        Within::Everything => *set = SetId::FULL,
                        Within::Some(both) => {
                            *set = both;
                            (conditions, last) = (conditions + 1, dimension);
                        }
                    }
                }
                match (conditions, slabs.get_mut(last), one.get(last)) {
                    (0, ..) => return None,
                    (1, Some(slabs), Some(set)) => slabs.push(*set),
                    _ => inside.push(one),
                }
            }
            taken = inside;
            if slabs.iter().all(Vec::is_empty) {
                taken.sort_unstable();
                taken.dedup();
                return Some(taken);
            }
            for ((slabs, set), top) in slabs.into_iter().zip(domain.iter_mut()).zip(self.tops) {
                if !slabs.is_empty() {
                    *set = self.sets.without(*set, slabs, top)?;
                }
            }
        }
    }

    fn split(
        &mut self,
        left: Left,
        domain: Shape,
        taken: &[Shape],
        dimension: Dimension,
    ) -> Result<RestId, Exhausted> {
        let (place, top) = (dimension as usize, self.tops[dimension as usize]);
        let mut rests: HashMap<RestId, Vec<Range>> = HashMap::new();
        let Parts { everywhere, groups, kinds } = self.parts(&domain, taken, dimension)?;
        for (members, ranges) in kinds {
            let here = here(&everywhere, &groups, &members);
            let rest = self.solve(left & !(1 << place), all_of(domain, dimension), here)?;
            if rest != NOTHING {
                rests.entry(rest).or_default().extend(ranges);
            }
        }
        let mut found: Boxes = Vec::new();
        for (rest, ranges) in rests {
            let Some(keys) = self.sets.id(ranges, top) else { continue };
            for mut shape in self.all.get(rest).into_iter().flat_map(|boxes| boxes.iter().copied()) {
                shape[place] = keys;
                found.push(shape);
            }
        }
        Ok(self.number(found))
    }

    /// The sets of keys of one dimension that the same boxes have.
    fn parts(&mut self, domain: &Shape, taken: &[Shape], dimension: Dimension) -> Result<Parts, Exhausted> {
        let (place, top) = (dimension as usize, self.tops[dimension as usize]);
        let mut taken = taken.to_vec();
        // Those without a condition are first: theirs is the first set.
        taken.sort_by_key(|one| one[place]);
        let everywhere = taken.partition_point(|one| one[place] == SetId::FULL);
        let (everywhere, some) = taken.split_at(everywhere);
        let (mut sets, mut groups) = (Vec::new(), Vec::new());
        for group in some.chunk_by(|one, other| one[place] == other[place]) {
            sets.extend(group.first().map(|one| one[place]));
            groups.push(group.iter().map(|one| all_of(*one, dimension)).collect());
        }
        let mut kinds = self.kinds(&sets)?;
        if let Some(none) = self.sets.without(domain[place], sets, top) {
            kinds.push((Vec::new(), self.sets.ranges(none).to_vec()));
        }
        Ok(Parts { everywhere: everywhere.to_vec(), groups, kinds })
    }

    /// Where splitting one dimension would leave many boxes with large sets in another one: that other dimension, and parts of the
    /// domain's keys there. In each part there is little to be taken, so that few boxes have many keys. `None` if sets are small,
    /// or something to be taken has no condition there: it would be in every part.
    fn blocks(&self, domain: &Shape, taken: &[Shape], split: Dimension) -> Option<(Dimension, Vec<Set>)> {
        let ranges = |dimension: Dimension| self.sets.ranges(domain[dimension as usize]);
        let is_of_all = |dimension: &Dimension| {
            *dimension != split && taken.iter().all(|one| one[*dimension as usize] != SetId::FULL)
        };
        let largest = Dimension::ALL.into_iter().filter(is_of_all).max_by_key(|one| ranges(*one).len())?;
        let (own, others) = (ranges(split).len(), ranges(largest).len());
        // A part has `others / parts` ranges in most boxes, and `own` in the one box that has what is far from all taken.
        let parts = (taken.len() * others / own.max(1)).isqrt();
        let size = others / parts.max(1);
        let is_worth_it = taken.len() * others >= self.large && parts > 2 && size > 0;
        is_worth_it.then(|| (largest, ranges(largest).chunks(size).map(Set::from).collect()))
    }

    fn by_block(
        &mut self,
        left: Left,
        domain: Shape,
        taken: &[Shape],
        (dimension, blocks): (Dimension, Vec<Set>),
    ) -> Result<RestId, Exhausted> {
        let mut found: Boxes = Vec::new();
        for block in blocks {
            let mut domain = domain;
            let Some(set) = self.sets.of_normal(&block, u128::MAX) else { continue };
            domain[dimension as usize] = set;
            let rest = self.solve(left, domain, taken.to_vec())?;
            found.extend(self.all.get(rest).into_iter().flat_map(|boxes| boxes.iter()));
        }
        Ok(self.number(found))
    }

    /// The dimension to split: the one in which the fewest boxes have no condition, as these are left in each part.
    fn dimension(&self, domain: &Shape, taken: &[Shape]) -> Option<Dimension> {
        let cost = |dimension: Dimension| {
            let everywhere = taken.iter().filter(|one| one[dimension as usize] == SetId::FULL).count();
            (everywhere < taken.len()).then_some(everywhere)
        };
        // Packets without ports have no source port: where it matters, the service is known.
        let services = self.sets.ranges(domain[Dimension::Service as usize]);
        let is_early = |dimension| {
            dimension == Dimension::SourcePort && !is_ported(services) && cost(Dimension::Service).is_some()
        };
        let costs = Dimension::ALL.into_iter().filter(|dimension| !is_early(*dimension));
        costs
            .filter_map(|dimension| Some((cost(dimension)?, dimension)))
            .min_by_key(|one| one.0)
            .map(|one| one.1)
    }

    /// The keys that are in some of these sets, by the places of those.
    fn kinds(&self, groups: &[SetId]) -> Result<Vec<Kind>, Exhausted> {
        // At each key, what begins or ends there.
        let mut bounds: Vec<(u128, u32)> = Vec::new();
        for (number, set) in (0..).zip(groups) {
            for range in self.sets.ranges(*set) {
                bounds.push((range.first, number));
                bounds.extend(range.last.checked_add(1).map(|next| (next, number)));
            }
        }
        bounds.sort_unstable();
        let mut kinds: HashMap<Vec<u32>, Vec<Range>> = HashMap::new();
        let (mut active, mut steps, mut bytes): (Vec<u32>, u32, usize) = (Vec::new(), 0, 0);
        let mut bounds = bounds.into_iter().peekable();
        while let Some((key, number)) = bounds.next() {
            match active.binary_search(&number) {
                Ok(place) => drop(active.remove(place)),
                Err(place) => active.insert(place, number),
            }
            let last = match bounds.peek() {
                Some((next, _)) if *next == key => continue,
                Some((next, _)) => next - 1,
                None => u128::MAX,
            };
            if active.is_empty() {
                continue;
            }
            steps += 1;
            if steps.is_multiple_of(64) {
                self.bounds.hold(self.bytes + self.sets.bytes() + bytes)?;
            }
            if let Some(ranges) = kinds.get_mut(&active) {
                ranges.push(Range::new(key, last));
            } else {
                bytes += size_of_val(&*active) + 2 * size_of::<(Kind, Range)>();
                kinds.insert(active.clone(), vec![Range::new(key, last)]);
            }
        }
        let kinds = kinds.into_iter().map(|(members, ranges)| (members, normal(ranges)));
        let mut kinds: Vec<Kind> = kinds.collect();
        // In an order that is the same every time.
        kinds.sort_unstable_by(|one, other| one.1.cmp(&other.1));
        Ok(kinds)
    }
}

/// With all keys of one dimension.
fn all_of(mut shape: Shape, dimension: Dimension) -> Shape {
    shape[dimension as usize] = SetId::FULL;
    shape
}
