//! What decides the packets of a NIC from its first rule on, in one family, and what of it could be left out. It must never know what
//! is made of that. `lint` and `open` call it.

use foldhash::{HashMap, HashMapExt as _};
use sg_common::verdict::Verdict;
use sg_model::Family;

use super::{
    cell::{Boxes, Overlap, Shape, overlap},
    decider::{By, Decider, Dimension},
    finding::Instead,
    nets::has_key,
    rest::{Bounds, Exhausted, Rests},
    set::{Range, Sets},
};

const DIMENSIONS: usize = Dimension::ALL.len();

/// A packet: a key for each dimension.
type Packet = [u128; DIMENSIONS];

/// How many packets of a rule are looked at before it is looked at as a whole.
const TRIES: usize = 4;

/// The list. Each place has a rule, inner access or, at last, the default.
pub(super) struct Ruled<'s, 'a> {
    pub(super) list: Vec<Decider<'a>>,
    pub(super) family: Family,
    pub(super) sets: &'s mut Sets,
    tops: [u128; DIMENSIONS],
    /// By place: the lowest and the highest keys.
    spans: Vec<[Range; DIMENSIONS]>,
    is_out: Vec<bool>,
    places: HashMap<By<'a>, usize>,
}

impl<'s, 'a> Ruled<'s, 'a> {
    /// Of everything that decides. What is before the rules is no rule's affair.
    pub(super) fn new(mut list: Vec<Decider<'a>>, family: Family, sets: &'s mut Sets) -> Self {
        list.retain(|decider| !matches!(decider.by, By::Reason(_)));
        let tops = Dimension::ALL.map(|dimension| dimension.top(family));
        let span = |ranges: &[Range]| {
            let ends = ranges.first().zip(ranges.last());
            ends.map_or(Range::one(0), |(first, last)| Range::new(first.first, last.last))
        };
        let spans = list.iter().map(|decider| decider.sets.map(|set| span(sets.ranges(set)))).collect();
        let mut places = HashMap::with_capacity(list.len());
        for (place, decider) in list.iter().enumerate() {
            places.insert(decider.by, place);
        }
        Self { is_out: vec![false; list.len()], list, family, sets, tops, spans, places }
    }

    /// Where a rule is, unless it matches no packet of the family.
    pub(super) fn place(&self, by: By<'a>) -> Option<usize> {
        self.places.get(&by).copied().filter(|place| self.is_in(*place))
    }

    pub(super) fn verdict(&self, place: usize) -> Verdict {
        self.list.get(place).map_or(Verdict::Drop, |decider| decider.verdict)
    }

    /// From now on, the list is without it.
    pub(super) fn leave_out(&mut self, place: usize) {
        if let Some(is_out) = self.is_out.get_mut(place) {
            *is_out = true;
        }
    }

    /// Whether what is at a place decides some packet.
    pub(super) fn decides(&mut self, place: usize, bounds: Bounds) -> Result<bool, Exhausted> {
        let is_before = |packet: &Packet| (0..place).any(|other| self.has(other, packet));
        if self.tries(place).any(|packet| !is_before(&packet)) {
            return Ok(true);
        }
        let Some(own) = self.shape(place) else { return Ok(false) };
        self.is_some(own, &[place], 0..place, bounds)
    }

    /// What decides the packets of a place that decides none itself.
    pub(super) fn instead_of(&mut self, place: usize, bounds: Bounds) -> Result<Vec<Instead<'a>>, Exhausted> {
        let mut found = Vec::new();
        for other in 0..place {
            if let Some(both) = self.both(other, place)
                && self.is_some(both, &[place, other], 0..other, bounds)?
            {
                found.extend(self.list.get(other).map(|decider| (decider.by, decider.verdict)));
            }
        }
        Ok(found)
    }

    /// What would decide the packets that a place decides, if it were left out; `None` if some packet would be judged differently.
    pub(super) fn without(
        &mut self,
        place: usize,
        bounds: Bounds,
    ) -> Result<Option<Vec<Instead<'a>>>, Exhausted> {
        let (own, last) = (self.verdict(place), self.list.len());
        let next = |packet: &Packet| (0..last).find(|other| *other != place && self.has(*other, packet));
        let is_missed =
            |packet: Packet| next(&packet).is_some_and(|next| next > place && self.verdict(next) != own);
        if self.tries(place).any(is_missed) {
            return Ok(None);
        }
        // The default is what most rules differ from.
        for other in (place + 1..last).rev() {
            if self.verdict(other) != own && self.is_next(other, place, bounds)? {
                return Ok(None);
            }
        }
        let mut found = Vec::new();
        for other in place + 1..last {
            if self.verdict(other) == own && self.is_next(other, place, bounds)? {
                found.extend(self.list.get(other).map(|decider| (decider.by, decider.verdict)));
            }
        }
        Ok(Some(found))
    }

    /// Whether `other`, which is later, would decide some packet of `place` if that were left out.
    fn is_next(&mut self, other: usize, place: usize, bounds: Bounds) -> Result<bool, Exhausted> {
        let Some(both) = self.both(other, place) else { return Ok(false) };
        let before = (0..other).filter(|before| *before != place);
        self.is_some(both, &[place, other], before, bounds)
    }

    /// What of a box is in none of the places before `place`.
    pub(super) fn rest(&mut self, of: Shape, place: usize, bounds: Bounds) -> Result<Boxes, Exhausted> {
        let taken = self.meeting(&[place], 0..place);
        Rests::new(self.sets, self.tops, bounds).of(of, taken.into_iter())
    }

    /// Whether something of a box, which is in some `places`, is in none of `others`.
    fn is_some(
        &mut self,
        of: Shape,
        places: &[usize],
        others: impl Iterator<Item = usize>,
        bounds: Bounds,
    ) -> Result<bool, Exhausted> {
        let (taken, mark) = (self.meeting(places, others), self.sets.count());
        let found = Rests::new(self.sets, self.tops, bounds).is_some(of, taken.into_iter());
        self.sets.forget(mark, std::iter::empty());
        found
    }

    /// Those of `others` that may meet all of `places`.
    fn meeting(&self, places: &[usize], others: impl Iterator<Item = usize>) -> Boxes {
        let meet =
            |other: &usize| self.is_in(*other) && places.iter().all(|place| self.may_meet(*place, *other));
        others.filter(meet).filter_map(|other| self.shape(other)).collect()
    }

    fn shape(&self, place: usize) -> Option<Shape> {
        self.list.get(place).map(|decider| decider.sets)
    }

    fn is_in(&self, place: usize) -> bool {
        self.is_out.get(place).is_some_and(|is_out| !is_out)
    }

    fn may_meet(&self, one: usize, other: usize) -> bool {
        let [Some(one), Some(other)] = [one, other].map(|place| self.spans.get(place)) else { return false };
        one.iter().zip(other).all(|(one, other)| one.first <= other.last && other.first <= one.last)
    }

    /// What two places both match.
    fn both(&mut self, one: usize, other: usize) -> Option<Shape> {
        if !self.is_in(one) || !self.may_meet(one, other) {
            return None;
        }
        let (one, other) = (self.shape(one)?, self.shape(other)?);
        match overlap(one, other, self.sets) {
            Overlap::Nothing => None,
            Overlap::Everything => Some(other),
            Overlap::Some(both) => Some(both),
        }
    }

    /// Whether a packet is of a place.
    fn has(&self, place: usize, packet: &Packet) -> bool {
        let Some(spans) = self.spans.get(place) else { return false };
        spans.iter().zip(packet).all(|(span, key)| span.first <= *key && *key <= span.last)
            && self.is_in(place)
            && self.list.get(place).is_some_and(|decider| {
                decider.sets.iter().zip(packet).all(|(set, key)| has_key(self.sets.ranges(*set), *key))
            })
    }

    /// Some packets of a place, to look at first.
    fn tries(&self, place: usize) -> impl Iterator<Item = Packet> {
        let shape = self.shape(place);
        (0..TRIES).filter_map(move |turn| {
            let mut packet = [0; DIMENSIONS];
            for ((key, set), top) in packet.iter_mut().zip(shape?).zip(self.tops) {
                let ranges = self.sets.ranges(set);
                let range = ranges.get(turn * ranges.len() / TRIES)?;
                let (first, last) = (range.first, range.last.min(top));
                *key = if turn % 2 == 0 { last } else { first + (last - first) / 3 };
            }
            Some(packet)
        })
    }
}
