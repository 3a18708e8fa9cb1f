//! Sets of keys of one dimension: sorted, disjoint ranges that do not touch, each set stored once. It must never know what a key
//! means, but for addresses. `decider` makes them, `diagram` walks them, `line` writes them.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use ipnet::IpNet;

/// Keys from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) first: u128,
    pub(super) last: u128,
}

impl Range {
    pub(super) const fn new(first: u128, last: u128) -> Self {
        Self { first, last }
    }

    pub(super) const fn one(key: u128) -> Self {
        Self { first: key, last: key }
    }
}

/// A set of keys.
pub(super) type Set = Arc<[Range]>;

/// Sorts, and joins ranges that overlap or touch.
pub(super) fn normal(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable_by_key(|range| range.first);
    ranges.dedup_by(|range, before| {
        let touches = before.last == u128::MAX || range.first <= before.last + 1;
        if touches {
            before.last = before.last.max(range.last);
        }
        touches
    });
    ranges
}

/// The addresses of a prefix.
pub(super) fn range_of(net: &IpNet) -> Range {
    match net {
        IpNet::V4(net) => Range::new(net.network().to_bits().into(), net.broadcast().to_bits().into()),
        IpNet::V6(net) => Range::new(net.network().to_bits(), net.broadcast().to_bits()),
    }
}

/// The keys of `all` that are not in `set`.
pub(super) fn without(all: &[Range], set: &[Range]) -> Vec<Range> {
    let mut left = Vec::new();
    let mut rest = set.iter().peekable();
    for &Range { mut first, last } in all {
        loop {
            while rest.next_if(|range| range.last < first).is_some() {}
            match rest.peek() {
                Some(range) if range.first <= last => {
                    if first < range.first {
                        left.push(Range::new(first, range.first - 1));
                    }
                    if range.last >= last {
                        break;
                    }
                    first = range.last + 1;
                }
                _ => {
                    left.push(Range::new(first, last));
                    break;
                }
            }
        }
    }
    left
}

/// The keys that are in both.
pub(super) fn intersection(one: &[Range], other: &[Range]) -> Vec<Range> {
    let (few, many) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let mut found = Vec::new();
    let mut rest = many;
    for range in few {
        let next = rest.partition_point(|other| other.last < range.first);
        rest = rest.get(next..).unwrap_or_default();
        let meeting = rest.iter().take_while(|other| other.first <= range.last);
        found.extend(
            meeting.map(|other| Range::new(range.first.max(other.first), range.last.min(other.last))),
        );
    }
    found
}

/// The number of a set in [`Sets`]. The full set of every dimension has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SetId(u32);

impl SetId {
    /// Every key of a dimension.
    pub(super) const FULL: Self = Self(0);
}

/// What becomes of a set within another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// They have no key in common.
    Nothing,
    /// It has every key of the other one.
    Everything,
    /// The keys that both have.
    Some(SetId),
}

/// Sets by number, each once, and what is known of pairs of them.
#[derive(Debug)]
pub(super) struct Sets {
    all: Vec<Set>,
    known: HashMap<Set, SetId>,
    within: HashMap<(SetId, SetId), Within>,
    /// Bytes of the ranges.
    bytes: usize,
}

impl Sets {
    pub(super) fn new() -> Self {
        let full: Set = [Range::new(0, u128::MAX)].into();
        Self { all: vec![full], known: HashMap::new(), within: HashMap::new(), bytes: 0 }
    }

    /// The number of the set of these ranges, of a dimension whose largest key is `top`; `None` if there are none.
    pub(super) fn id(&mut self, ranges: Vec<Range>, top: u128) -> Option<SetId> {
        self.of_normal(&normal(ranges), top)
    }

    /// The same of ranges that are sorted and do not touch.
    pub(super) fn of_normal(&mut self, ranges: &[Range], top: u128) -> Option<SetId> {
        match ranges {
            [] => None,
            [Range { first: 0, last }] if *last >= top => Some(SetId::FULL),
            _ => {
                if let Some(&id) = self.known.get(ranges) {
                    return Some(id);
                }
                let set: Set = ranges.into();
                let id = SetId(self.all.len() as u32);
                self.bytes += bytes_of(ranges);
                self.all.push(Arc::clone(&set));
                self.known.insert(set, id);
                Some(id)
            }
        }
    }

    /// The ranges of a set, to keep.
    pub(super) fn shared(&self, id: SetId) -> Set {
        self.all.get(id.0 as usize).map_or_else(|| Arc::new([]), Arc::clone)
    }

    pub(super) fn ranges(&self, id: SetId) -> &[Range] {
        self.all.get(id.0 as usize).map_or(&[], |set| set)
    }

    /// What is left of `set` within `domain`.
    pub(super) fn within(&mut self, set: SetId, domain: SetId) -> Within {
        if set == SetId::FULL || set == domain {
            return Within::Everything;
        }
        if domain == SetId::FULL {
            return Within::Some(set);
        }
        if let Some(&known) = self.within.get(&(set, domain)) {
            return known;
        }
        let both = intersection(self.ranges(set), self.ranges(domain));
        let found = if both == self.ranges(domain) {
            Within::Everything
        } else {
            self.of_normal(&both, u128::MAX).map_or(Within::Nothing, Within::Some)
        };
        self.within.insert((set, domain), found);
        found
    }

    /// The keys of `domain` that are in none of `taken`; `None` if there are none.
    pub(super) fn without(
        &mut self,
        domain: SetId,
        taken: impl IntoIterator<Item = SetId>,
        top: u128,
    ) -> Option<SetId> {
        let taken: Vec<Range> = taken.into_iter().flat_map(|set| self.ranges(set)).copied().collect();
        let all = [Range::new(0, top)];
        let domain = if domain == SetId::FULL { &all } else { self.ranges(domain) };
        let left = without(domain, &normal(taken));
        self.of_normal(&left, top)
    }

    /// The bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.within.capacity() * size_of::<((SetId, SetId), Within)>()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all.len()
    }

    /// Forgets all sets but the first `count`, and what is known of pairs. Those of `kept` stay, and get their new numbers.
    pub(super) fn forget<'k>(&mut self, count: usize, kept: impl Iterator<Item = &'k mut SetId>) {
        let gone = self.all.split_off(count.min(self.all.len()));
        self.within = HashMap::new();
        for set in &gone {
            self.known.remove(set);
            self.bytes = self.bytes.saturating_sub(bytes_of(set));
        }
        for id in kept {
            if let Some(set) = (id.0 as usize).checked_sub(count).and_then(|place| gone.get(place)) {
                // Sets that are not all keys stay such.
                *id = self.of_normal(set, u128::MAX).unwrap_or(SetId::FULL);
            }
        }
    }
}

/// The bytes of a set, with its places in the two collections.
fn bytes_of(ranges: &[Range]) -> usize {
    size_of_val(ranges) + size_of::<(Set, Set, SetId)>() + size_of::<[usize; 4]>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranges: &[(u128, u128)]) -> Vec<Range> {
        ranges.iter().map(|&(first, last)| Range::new(first, last)).collect()
    }

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(normal(of(&[(5, 9), (0, 4), (20, 30), (25, 26)])), of(&[(0, 9), (20, 30)]));
        assert_eq!(normal(of(&[(1, u128::MAX), (7, 8)])), of(&[(1, u128::MAX)]));
    }

    #[test]
    fn what_is_left_meets_nothing_of_what_was_taken() {
        for seed in 0..2_000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut some = || {
                normal(
                    (0..random.usize(0..5))
                        .map(|_| {
                            let first = random.u128(0..30);
                            Range::new(first, first + random.u128(0..6))
                        })
                        .collect(),
                )
            };
            let (one, other) = (some(), some());
            let (left, both) = (without(&one, &other), intersection(&one, &other));
            let has = |set: &[Range], key| set.iter().any(|range| (range.first..=range.last).contains(&key));
            for key in 0..40 {
                assert_eq!(has(&left, key), has(&one, key) && !has(&other, key), "{one:?} {other:?} {key}");
                assert_eq!(has(&both, key), has(&one, key) && has(&other, key), "{one:?} {other:?} {key}");
            }
        }
    }
}
