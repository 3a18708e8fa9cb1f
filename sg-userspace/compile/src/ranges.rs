//! Sets of keys as sorted, disjoint ranges.

use std::{rc::Rc, slice};

use smallvec::SmallVec;

/// Ranges of keys. Most rules name one, which then needs no heap allocation.
pub(super) type Ranges<K = u64> = SmallVec<[Range<K>; 1]>;

/// Keys from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Range<K = u64> {
    pub(super) first: K,
    pub(super) last: K,
}

impl Range {
    /// Every key of a dimension.
    pub(super) const FULL: Self = Self { first: 0, last: u64::MAX };
}

impl<K: Copy + Ord + From<u8> + std::ops::Add<Output = K> + PartialEq> Range<K> {
    /// Sorts, and merges ranges that overlap or touch. `top` is the largest key.
    pub(super) fn normalise(ranges: &mut Ranges<K>, top: K) {
        if ranges.len() == 1 {
            return;
        }
        // By beginning only, because lists of prefixes are mostly in that order already.
        ranges.sort_unstable_by_key(|range| range.first);
        ranges.dedup_by(|range, before| {
            let touches = before.last == top || range.first <= before.last + K::from(1);
            if touches {
                before.last = before.last.max(range.last);
            }
            touches
        });
    }
}

/// Addresses as the two dimensions see them: upper halves, and the lower halves that belong to each. IPv4 addresses have upper
/// halves only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Addresses {
    /// The common case, without a heap allocation.
    One(Piece),
    /// Sorted, disjoint; shared by all rules that name them.
    Many(Rc<Vec<Piece>>),
}

/// Upper halves that have the same lower halves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) high: Range,
    /// `None` means all of them.
    pub(super) low: Option<Vec<Range>>,
}

impl Addresses {
    /// Every address of a family.
    pub(super) const fn any() -> Self {
        Self::One(Piece { high: Range::FULL, low: None })
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::One(Piece { high: Range::FULL, low: None }))
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        match self {
            Self::One(piece) => slice::from_ref(piece),
            Self::Many(pieces) => pieces,
        }
    }

    pub(super) fn v4(mut ranges: Ranges) -> Self {
        let top = u64::from(u32::MAX);
        let widen = |range: Range| if range == (Range { first: 0, last: top }) { Range::FULL } else { range };
        let piece = |&range: &Range| Piece { high: widen(range), low: None };
        Range::normalise(&mut ranges, top);
        match &ranges[..] {
            [only] => Self::One(piece(only)),
            ranges => Self::Many(Rc::new(ranges.iter().map(piece).collect())),
        }
    }

    pub(super) fn v6(mut ranges: Ranges<u128>) -> Self {
        Range::normalise(&mut ranges, u128::MAX);
        let mut pieces: SmallVec<[Piece; 1]> = SmallVec::new();
        for range in ranges {
            split(range, |high, low| match (pieces.last_mut(), low) {
                // The same upper half again: its lower halves form a list.
                (Some(Piece { high: before, low: Some(lows) }), Some(low)) if *before == high => {
                    lows.push(low);
                }
                (_, low) => pieces.push(Piece { high, low: low.map(|low| vec![low]) }),
            });
        }
        Self::of(pieces)
    }

    /// From sorted, disjoint pieces.
    fn of(pieces: SmallVec<[Piece; 1]>) -> Self {
        match pieces.into_inner() {
            Ok([only]) => Self::One(only),
            Err(pieces) => Self::Many(Rc::new(pieces.into_vec())),
        }
    }
}

impl Addresses {
    /// The addresses whose upper halves are in `range`, given that the key is known to be in it: a piece that covers all of
    /// `range` is no condition. `None` if there are none.
    pub(super) fn within(&self, range: Range) -> Option<Self> {
        let first = self.pieces().partition_point(|piece| piece.high.last < range.first);
        let inside = self.pieces()[first..].iter().take_while(|piece| piece.high.first <= range.last);
        let clipped = |piece: &Piece| {
            let covers = piece.high.first <= range.first && range.last <= piece.high.last;
            let high = if covers {
                Range::FULL
            } else {
                Range { first: piece.high.first.max(range.first), last: piece.high.last.min(range.last) }
            };
            Piece { high, low: piece.low.clone() }
        };
        let pieces: SmallVec<[Piece; 1]> = inside.map(clipped).collect();
        (!pieces.is_empty()).then(|| Self::of(pieces))
    }
}

/// Splits a range of 128-bit keys into upper halves with all lower halves, and those at its ends with only some.
fn split(range: Range<u128>, mut piece: impl FnMut(Range, Option<Range>)) {
    let halves = |key: u128| ((key >> 64) as u64, key as u64);
    let ((mut high, low), (last_high, last_low)) = (halves(range.first), halves(range.last));
    let one = |high| Range { first: high, last: high };
    if high == last_high {
        let low = Range { first: low, last: last_low };
        return piece(one(high), (low != Range::FULL).then_some(low));
    }
    if low != 0 {
        piece(one(high), Some(Range { first: low, last: u64::MAX }));
        high += 1;
    }
    let whole_to = if last_low == u64::MAX { Some(last_high) } else { last_high.checked_sub(1) };
    if let Some(last) = whole_to
        && high <= last
    {
        piece(Range { first: high, last }, None);
    }
    if last_low != u64::MAX {
        piece(one(last_high), Some(Range { first: 0, last: last_low }));
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    fn range<K>(first: K, last: K) -> Range<K> {
        Range { first, last }
    }

    #[test]
    fn ranges_that_touch_are_joined() {
        let joined = |ranges: &[Range], top| {
            let mut ranges = Ranges::from(ranges);
            Range::normalise(&mut ranges, top);
            ranges.to_vec()
        };
        let apart = [range(5, 9), range(0, 4), range(20, 30), range(25, 26)];
        assert_eq!(joined(&apart, u64::MAX), [range(0, 9), range(20, 30)]);
        assert_eq!(joined(&[range(1, u64::MAX), range(7, 8)], u64::MAX), [range(1, u64::MAX)]);
    }

    #[test]
    fn an_ipv6_range_is_split_at_its_upper_halves() {
        let at = |high: u128, low: u128| high << 64 | low;
        let addresses = Addresses::v6(smallvec![range(at(1, 5), at(4, 7))]);
        assert_eq!(
            addresses.pieces(),
            [
                Piece { high: range(1, 1), low: Some(vec![range(5, u64::MAX)]) },
                Piece { high: range(2, 3), low: None },
                Piece { high: range(4, 4), low: Some(vec![range(0, 7)]) },
            ]
        );
        assert!(Addresses::v6(smallvec![range(0, u128::MAX)]).is_any());
        let hosts = Addresses::v6(smallvec![range(at(1, 5), at(1, 5)), range(at(1, 9), at(1, 9))]);
        assert_eq!(hosts.pieces(), [Piece { high: range(1, 1), low: Some(vec![range(5, 5), range(9, 9)]) }]);
    }
}
