//! Two lists of entries, and what to ask around one that has changed: what it matches, what decides before it in its own list, and
//! what the other list has.
//!
//! One entry at a time is enough. Say that two lists judge a packet differently, and that what decides it in either list is in both:
//! then the earlier of these two matches in both lists, and would decide in both. So one of them has changed.
//!
//! It must never know what a key means. `compare` and `ask` call it.

use super::{
    align::Entry,
    cell::{Cell, Overlap, Shape, merged, overlap},
    decider::{Decider, Dimension},
    rest::{Bounds, Exhausted, Rests},
    set::{Range, Sets},
};

/// Two lists of entries, numbered through.
#[derive(Debug)]
pub(super) struct Lists<'a> {
    entries: Vec<Entry<'a>>,
    /// The number of entries of the first list.
    first: u32,
    /// By entry: the lowest and the highest key of remote, local and service, to leave most entries out at a glance.
    spans: Vec<[Range; 3]>,
    /// By entry: how many unchanged ones its list has before it. Those with one number are the same in both lists.
    ranks: Vec<u32>,
    /// The largest keys.
    tops: [u128; Dimension::ALL.len()],
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

const LOOKED_AT: [Dimension; 3] = [Dimension::Remote, Dimension::Local, Dimension::Service];

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
        Self { entries, first, spans, ranks, tops }
    }

    pub(super) fn entry(&self, number: u32) -> Option<&Entry<'a>> {
        self.entries.get(number as usize)
    }

    /// The entries that have changed, in order.
    pub(super) fn changed(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.is_changed).map(|(number, _)| number)
    }

    /// Adds the packets that entry `focus` decides and where what is sought decides in the other list, without those that a changed
    /// entry of the first list decides there. Disjoint.
    ///
    /// # Errors
    /// If there is no time, or no memory. What was added is true.
    pub(super) fn around(
        &self,
        focus: u32,
        sought: Sought<'_, 'a>,
        sets: &mut Sets,
        bounds: Bounds,
        cells: &mut Vec<Cell>,
    ) -> Result<(), Exhausted> {
        let Some(entry) = self.entry(focus) else { return Ok(()) };
        bounds.hold(0)?;
        let all = self.entries.len() as u32;
        let (own, other) =
            if focus < self.first { (0..focus, self.first..all) } else { (self.first..focus, 0..self.first) };
        let own = if matches!(sought, Sought::Such(_)) { focus..focus } else { own };
        // What has its like before the focus matches nothing where the focus decides.
        let rank = |number: u32| self.ranks.get(number as usize).copied().unwrap_or_default();
        let is_behind = |number: &u32| {
            rank(*number) >= rank(focus) || self.entry(*number).is_some_and(|entry| entry.is_changed)
        };
        let base = entry.decider.sets;
        let mut before: Vec<(u32, Shape)> = Vec::new();
        for number in own.filter(|number| self.may_meet(*number, focus)) {
            match self.sets_of(number).map(|shape| (shape, overlap(shape, base, sets))) {
                Some((_, Overlap::Everything)) => return Ok(()),
                Some((shape, Overlap::Some(_))) => before.push((number, shape)),
                Some((_, Overlap::Nothing)) | None => {}
            }
        }
        let mut others: Vec<(u32, Shape)> = Vec::new();
        for number in other.filter(is_behind).filter(|number| self.may_meet(*number, focus)) {
            let Some(shape) = self.sets_of(number) else { continue };
            let found = overlap(shape, base, sets);
            if found != Overlap::Nothing {
                others.push((number, shape));
            }
            if found == Overlap::Everything {
                break;
            }
        }
        for (place, &(number, shape)) in others.iter().enumerate() {
            if !self.differs(number, focus, sought) {
                continue;
            }
            let domain = match overlap(base, shape, sets) {
                Overlap::Nothing => continue,
                Overlap::Everything => shape,
                Overlap::Some(both) => both,
            };
            let taken = before.iter().chain(others.get(..place).unwrap_or_default());
            let taken = taken.filter(|one| self.may_meet(one.0, number)).map(|one| one.1);
            let mark = sets.count();
            let boxes = Rests::new(sets, self.tops, bounds).of(domain, taken);
            let mut boxes = boxes.map(|boxes| merged(boxes, &self.tops, sets, bounds.until));
            sets.forget(mark, boxes.iter_mut().flatten().flatten());
            let [before, after] = if focus < number { [focus, number] } else { [number, focus] };
            cells.extend(boxes?.into_iter().map(|keys| Cell { keys, before, after }));
        }
        Ok(())
    }

    fn sets_of(&self, number: u32) -> Option<Shape> {
        self.entry(number).map(|entry| entry.decider.sets)
    }

    /// Whether two entries may have packets in common, at a glance.
    fn may_meet(&self, one: u32, other: u32) -> bool {
        let [Some(one), Some(other)] = [one, other].map(|number| self.spans.get(number as usize)) else {
            return false;
        };
        one.iter().zip(other).all(|(one, other)| one.first <= other.last && other.first <= one.last)
    }

    /// Whether an entry of the other list that decides where the focus does is a difference to report.
    fn differs(&self, number: u32, focus: u32, sought: Sought<'_, 'a>) -> bool {
        let (Some(entry), Some(focus)) = (self.entry(number), self.entry(focus)) else { return false };
        // Where both have changed, the entry of the first list reports it.
        let is_reported = entry.is_changed && number < self.first;
        let is_other = || entry.decider.verdict != focus.decider.verdict;
        !is_reported
            && match sought {
                Sought::OtherVerdict => is_other(),
                Sought::OtherDecider => is_other() || entry.decider.by != focus.decider.by,
                Sought::Such(is_such) => is_such(&entry.decider),
            }
    }
}
