//! Two lists of entries, and what to ask around one that has changed: what it matches, what decides before it in its own list, and
//! what the other list has.
//!
//! One entry at a time is enough. Say that two lists judge a packet differently, and that what decides it in either list is in both:
//! then the earlier of these two matches in both lists, and would decide in both. So one of them has changed.
//!
//! It must never know what a key means. `compare` calls it.

use std::time::Instant;

use foldhash::HashMap;

use super::{
    active::{Shape, is_total},
    align::Entry,
    cell::Cell,
    decider::Dimension,
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
    by_name: bool,
}

const LOOKED_AT: [Dimension; 2] = [Dimension::Remote, Dimension::Service];

impl<'a> Lists<'a> {
    /// The last entry of either list matches every packet. `tops` are the largest keys. `by_name`: another decider with the same verdict is a difference.
    pub(super) fn new(
        [before, after]: [Vec<Entry<'a>>; 2],
        sets: &Sets,
        tops: [u128; Dimension::ALL.len()],
        by_name: bool,
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
        Self { entries, first, spans, ranks, all: tops.map(|top| [Range::new(0, top)]), by_name }
    }

    pub(super) fn entry(&self, number: u32) -> Option<&Entry<'a>> {
        self.entries.get(number as usize)
    }

    /// The entries that have changed, in order.
    pub(super) fn changed(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.entries).filter(|(_, entry)| entry.is_changed).map(|(number, _)| number)
    }

    /// The packets that entry `focus` decides and that the other list judges differently, without those that a changed entry of the
    /// first list decides there. Disjoint.
    ///
    /// # Errors
    /// If there is no time.
    pub(super) fn around(&self, focus: u32, sets: &mut Sets, bounds: Bounds) -> Result<Vec<Cell>, Exhausted> {
        let Some(entry) = self.entry(focus) else { return Ok(Vec::new()) };
        if Instant::now() >= bounds.until {
            return Err(Exhausted);
        }
        let base = entry.decider.sets;
        let all = self.entries.len() as u32;
        let (own, other) =
            if focus < self.first { (0..focus, self.first..all) } else { (self.first..focus, 0..self.first) };
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
                others.push(Other { shape, number, differs: self.differs(number, focus) });
                if is_total(&shape) {
                    break;
                }
            }
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
    fn differs(&self, number: u32, focus: u32) -> bool {
        let (Some(entry), Some(focus)) = (self.entry(number), self.entry(focus)) else { return false };
        // Where both have changed, the entry of the first list reports it.
        let is_reported = entry.is_changed && number < self.first;
        let is_other = entry.decider.verdict != focus.decider.verdict;
        !is_reported && (is_other || self.by_name && entry.decider.by != focus.decider.by)
    }
}

/// Sets within the focus, by dimension, that are known.
type Clips = HashMap<(SetId, u8), Option<SetId>>;
