//! Sets of keys of one dimension: sorted, disjoint ranges that do not touch, each set stored once. It must never know what a key
//! means, but for addresses. `decider` makes them, `diagram` walks them, `line` writes them.

use std::rc::Rc;

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
pub(super) type Set = Rc<[Range]>;

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
    let (mut one, mut other) = (one.iter().copied().peekable(), other.iter().copied().peekable());
    let mut found = Vec::new();
    while let (Some(a), Some(b)) = (one.peek().copied(), other.peek().copied()) {
        let (first, last) = (a.first.max(b.first), a.last.min(b.last));
        if first <= last {
            found.push(Range::new(first, last));
        }
        if a.last < b.last {
            one.next()
        } else {
            other.next()
        };
    }
    found
}

/// Whether some key is in both.
pub(super) fn meets(one: &[Range], other: &[Range]) -> bool {
    let (few, many) = if one.len() < other.len() { (one, other) } else { (other, one) };
    few.iter().any(|range| {
        let next = many.partition_point(|other| other.last < range.first);
        many.get(next).is_some_and(|other| other.first <= range.last)
    })
}

/// The number of a set in [`Sets`]. The full set of every dimension has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct SetId(u32);

impl SetId {
    /// Every key of a dimension.
    pub(super) const FULL: Self = Self(0);
}

/// Sets by number, each once.
#[derive(Debug)]
pub(super) struct Sets {
    all: Vec<Set>,
    known: HashMap<Set, SetId>,
}

impl Sets {
    pub(super) fn new() -> Self {
        let full: Set = [Range::new(0, u128::MAX)].into();
        Self { all: vec![full], known: HashMap::new() }
    }

    /// The number of the set of these ranges, of a dimension whose largest key is `top`; `None` if there are none.
    pub(super) fn id(&mut self, ranges: Vec<Range>, top: u128) -> Option<SetId> {
        let ranges = normal(ranges);
        match ranges.as_slice() {
            [] => None,
            [Range { first: 0, last }] if *last >= top => Some(SetId::FULL),
            _ => {
                let set: Set = ranges.into();
                if let Some(&id) = self.known.get(&set) {
                    return Some(id);
                }
                let id = SetId(self.all.len() as u32);
                self.all.push(Rc::clone(&set));
                self.known.insert(set, id);
                Some(id)
            }
        }
    }

    pub(super) fn ranges(&self, id: SetId) -> &[Range] {
        self.all.get(id.0 as usize).map_or(&[], |set| set)
    }
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
            assert_eq!(meets(&one, &other), !both.is_empty());
            let has = |set: &[Range], key| set.iter().any(|range| (range.first..=range.last).contains(&key));
            for key in 0..40 {
                assert_eq!(has(&left, key), has(&one, key) && !has(&other, key), "{one:?} {other:?} {key}");
                assert_eq!(has(&both, key), has(&one, key) && has(&other, key), "{one:?} {other:?} {key}");
            }
        }
    }
}
