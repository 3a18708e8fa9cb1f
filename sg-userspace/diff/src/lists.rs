//! Two lists of entries, and what to ask around one that has changed: what it matches, what decides before it in its own list, and
//! what the other list has.
//!
//! One entry at a time is enough. Say that two lists judge a packet differently, and that what decides it in either list is in both:
//! then the earlier of these two matches in both lists, and would decide in both. So one of them has changed.
//!
//! It must never know what a key means. `compare` and `ask` call it.

use std::time::Instant;

use foldhash::HashMap;

use super::{
    active::{Shape, is_total},
    align::Entry,
    cell::Cell,
    decider::{Decider, Dimension},
    diagram::{Bounds, Exhausted, Other, Problem},
    set::{Range, SetId, Sets, intersection},
};

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

const LOOKED_AT: [Dimension; 2] = [Dimension::Remote, Dimension::Service];

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

    /// The packets that entry `focus` decides and where what is sought decides in the other list, without those that a changed entry
    /// of the first list decides there. Disjoint.
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
        let all = self.entries.len() as u32;
        let (own, other) =
            if focus < self.first { (0..focus, self.first..all) } else { (self.first..focus, 0..self.first) };
        let own = if matches!(sought, Sought::Such(_)) { focus..focus } else { own };
        // What has its like before the focus matches nothing where the focus decides.
        let rank = |number: u32| self.ranks.get(number as usize).copied().unwrap_or_default();
        let is_behind = |number: &u32| {
            rank(*number) >= rank(focus) || self.entry(*number).is_some_and(|entry| entry.is_changed)
        };
        let mut clips = Clips::default();
        let mut before = Vec::new();
        for number in own {
            if let Some(shape) = self.clipped(number, focus, &mut clips, sets) {
                if is_total(&shape) {
                    return Ok(Vec::new());
                }
                before.push(shape);
            }
        }
        let mut others = Vec::new();
        for number in other.filter(is_behind) {
            if let Some(shape) = self.clipped(number, focus, &mut clips, sets) {
                others.push(Other { shape, number, differs: self.differs(number, focus, sought) });
                if is_total(&shape) {
                    break;
                }
            }
        }
        if !others.iter().any(|other| other.differs) {
            return Ok(Vec::new());
        }
        let mut keys = self.all.map(|all| -> Box<[Range]> { all.into() });
        for (keys, set) in keys.iter_mut().zip(base) {
            if set != SetId::FULL {
                *keys = sets.ranges(set).into();
            }
        }
        let named = base.map(|set| (set != SetId::FULL).then(|| sets.ranges(set).into()));
        Problem { focus, keys, before, others }.solve(named, sets, bounds)
    }

    /// What is left of an entry within the packets of the focus; `None` if that is nothing.
    fn clipped(&self, number: u32, focus: u32, clips: &mut Clips, sets: &mut Sets) -> Option<Shape> {
        let spans = [number, focus].map(|number| self.spans.get(number as usize));
        let [Some(spans), Some(own)] = spans else { return None };
        if spans.iter().zip(own).any(|(span, own)| span.first > own.last || own.first > span.last) {
            return None;
        }
        let (mut shape, base) = (self.entry(number)?.decider.sets, self.entry(focus)?.decider.sets);
        for ((set, base), dimension) in shape.iter_mut().zip(base).zip(0..) {
            if *set == SetId::FULL || *set == base {
                *set = SetId::FULL;
            } else if base != SetId::FULL {
                let clip = || {
                    let both = intersection(sets.ranges(*set), sets.ranges(base));
                    if both == sets.ranges(base) { Some(SetId::FULL) } else { sets.id(both, u128::MAX) }
                };
                *set = (*clips.entry((*set, dimension)).or_insert_with(clip))?;
            }
        }
        Some(shape)
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

/// Sets within the focus, by dimension, that are known.
type Clips = HashMap<(SetId, u8), Option<SetId>>;
