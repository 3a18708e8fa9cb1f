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
    set::Sets,
};

const DIMENSIONS: usize = Dimension::ALL.len();

/// Where most boxes are apart.
const LOOKED_AT: [Dimension; 3] = [Dimension::Remote, Dimension::Local, Dimension::Service];

/// The upper bits of a key: keys that are in order stay so.
fn upper(key: u128, top: u128) -> u64 {
    (key.min(top) >> top.checked_ilog2().map_or(0, |last| last.saturating_sub(63))) as u64
}

/// A packet: a key for each dimension.
type Packet = [u128; DIMENSIONS];

/// How many packets of a rule are looked at before it is looked at as a whole.
const TRIES: usize = 16;

/// The list. Each place has a rule, inner access or, at last, the default.
pub(super) struct Ruled<'s, 'a> {
    pub(super) list: Vec<Decider<'a>>,
    pub(super) family: Family,
    pub(super) sets: &'s mut Sets,
    tops: [u128; DIMENSIONS],
    /// By place: the lowest and the highest key of those that tell most apart, as far as 64 bits say.
    spans: Vec<[(u64, u64); LOOKED_AT.len()]>,
    is_out: Vec<bool>,
    places: HashMap<By<'a>, usize>,
}

impl<'s, 'a> Ruled<'s, 'a> {
    /// Of everything that decides. What is before the rules is no rule's affair.
    pub(super) fn new(mut list: Vec<Decider<'a>>, family: Family, sets: &'s mut Sets) -> Self {
        list.retain(|decider| !matches!(decider.by, By::Reason(_)));
        let tops = Dimension::ALL.map(|dimension| dimension.top(family));
        let span = |decider: &Decider<'a>, dimension: Dimension| {
            let (ranges, top) = (sets.ranges(decider.set(dimension)), dimension.top(family));
            let ends = ranges.first().zip(ranges.last());
            ends.map_or((0, 0), |(first, last)| (upper(first.first, top), upper(last.last, top)))
        };
        let spans = list.iter().map(|decider| LOOKED_AT.map(|dimension| span(decider, dimension))).collect();
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

    /// Does something as if nothing had been left out.
    pub(super) fn with_all<T>(&mut self, ask: impl FnOnce(&mut Self) -> T) -> T {
        let all = vec![false; self.is_out.len()];
        let is_out = std::mem::replace(&mut self.is_out, all);
        let result = ask(self);
        self.is_out = is_out;
        result
    }

    /// Whether what is at a place decides some packet.
    pub(super) fn decides(&mut self, place: usize, bounds: Bounds) -> Result<bool, Exhausted> {
        bounds.hold(0)?;
        let is_before = |packet: &Packet| (0..place).any(|other| self.has(other, packet));
        if self.tries(place).any(|packet| !is_before(&packet)) {
            return Ok(true);
        }
        let Some(own) = self.shape(place) else { return Ok(false) };
        let taken = self.near(place, 0..place);
        self.is_some(own, place, &taken, bounds)
    }

    /// The first that matches all packets of a place, if one alone does.
    pub(super) fn covering(&mut self, place: usize) -> Option<Instead<'a>> {
        let own = self.shape(place)?;
        let mut near = self.near(place, 0..place).into_iter();
        let first = near.find(|other| {
            let other = self.shape(*other);
            other.is_some_and(|other| overlap(other, own, self.sets) == Overlap::Everything)
        })?;
        self.list.get(first).map(|decider| (decider.by, decider.verdict))
    }

    /// What decides the packets of a place that decides none itself.
    pub(super) fn instead_of(&mut self, place: usize, bounds: Bounds) -> Result<Vec<Instead<'a>>, Exhausted> {
        let mut found = Vec::new();
        let near = self.near(place, 0..place);
        for (number, &other) in near.iter().enumerate() {
            let before = near.get(..number).unwrap_or_default();
            if let Some(both) = self.both(other, place)
                && self.is_some(both, other, before, bounds)?
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
        bounds.hold(0)?;
        let (own, last) = (self.verdict(place), self.list.len());
        let next = |packet: &Packet| (0..last).find(|other| *other != place && self.has(*other, packet));
        let is_missed =
            |packet: Packet| next(&packet).is_some_and(|next| next > place && self.verdict(next) != own);
        if self.tries(place).any(is_missed) {
            return Ok(None);
        }
        let near = self.near(place, 0..last);
        let later: Vec<usize> =
            (0..near.len()).filter(|at| near.get(*at).is_some_and(|at| *at > place)).collect();
        let mut found = Vec::new();
        // The default is what most rules differ from.
        for at in later.into_iter().rev() {
            let Some((&other, before)) = near.get(at).zip(near.get(..at)) else { continue };
            let Some(both) = self.both(other, place) else { continue };
            if self.is_some(both, other, before, bounds)? {
                if self.verdict(other) != own {
                    return Ok(None);
                }
                found.extend(self.list.get(other).map(|decider| (decider.by, decider.verdict)));
            }
        }
        found.reverse();
        Ok(Some(found))
    }

    /// What of a box is in none of the places before `place`.
    pub(super) fn rest(&mut self, of: Shape, place: usize, bounds: Bounds) -> Result<Boxes, Exhausted> {
        let taken: Boxes =
            self.near(place, 0..place).into_iter().filter_map(|other| self.shape(other)).collect();
        Rests::new(self.sets, self.tops, bounds).of(of, taken.into_iter())
    }

    /// Whether something of a box, which is in `place`, is in none of `others`.
    fn is_some(
        &mut self,
        of: Shape,
        place: usize,
        others: &[usize],
        bounds: Bounds,
    ) -> Result<bool, Exhausted> {
        let mark = self.sets.count();
        let taken = others.iter().filter(|other| self.may_meet(place, **other));
        let taken: Boxes = taken.filter_map(|other| self.shape(*other)).collect();
        let found = Rests::new(self.sets, self.tops, bounds).is_some(of, taken.into_iter());
        self.sets.forget(mark, std::iter::empty());
        found
    }

    /// Those of some places, without `place` itself, that may meet it, in order.
    fn near(&self, place: usize, of: std::ops::Range<usize>) -> Vec<usize> {
        of.filter(|other| *other != place && self.is_in(*other) && self.may_meet(place, *other)).collect()
    }

    fn shape(&self, place: usize) -> Option<Shape> {
        self.list.get(place).map(|decider| decider.sets)
    }

    fn is_in(&self, place: usize) -> bool {
        self.is_out.get(place).is_some_and(|is_out| !is_out)
    }

    fn may_meet(&self, one: usize, other: usize) -> bool {
        let [Some(one), Some(other)] = [one, other].map(|place| self.spans.get(place)) else { return false };
        one.iter().zip(other).all(|(one, other)| one.0 <= other.1 && other.0 <= one.1)
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
        let is_near = |(span, dimension): (&(u64, u64), Dimension)| {
            let key = upper(packet[dimension as usize], self.tops[dimension as usize]);
            span.0 <= key && key <= span.1
        };
        spans.iter().zip(LOOKED_AT).all(is_near)
            && self.is_in(place)
            && self.list.get(place).is_some_and(|decider| {
                decider.sets.iter().zip(packet).all(|(set, key)| has_key(self.sets.ranges(*set), *key))
            })
    }

    /// Some packets of a place, to look at first; the same every time.
    fn tries(&self, place: usize) -> impl Iterator<Item = Packet> {
        let shape = self.shape(place);
        let mut state = 0_u64;
        (0..TRIES).filter_map(move |_| {
            let mut packet = [0; DIMENSIONS];
            for ((key, set), top) in packet.iter_mut().zip(shape?).zip(self.tops) {
                let ranges = self.sets.ranges(set);
                let range = ranges.get(share(ranges.len() as u128, mixed(&mut state)) as usize)?;
                let (first, last) = (range.first, range.last.min(top));
                *key = first + share(last - first, mixed(&mut state));
            }
            Some(packet)
        })
    }
}

/// The next number of a sequence that looks like chance (`SplitMix64`).
fn mixed(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Of a number, as large a share as `of` is of all that it could be: less than the number, but for 0.
fn share(number: u128, of: u64) -> u128 {
    let of = u128::from(of);
    (number >> 64) * of + (((number & u128::from(u64::MAX)) * of) >> 64)
}
