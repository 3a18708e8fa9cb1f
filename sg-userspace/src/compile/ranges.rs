//! Sets of keys as sorted, disjoint ranges.

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
    /// Sorts, and joins what overlaps or touches. `top` is the largest key.
    pub(super) fn normalise(mut ranges: Vec<Self>, top: K) -> Vec<Self> {
        ranges.sort_unstable();
        let mut joined: Vec<Self> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(before) if before.last == top || range.first <= before.last + K::from(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => joined.push(range),
            }
        }
        joined
    }
}

/// A range of addresses as the two dimensions see it: upper halves, and the lower halves that go with each of
/// them. IPv4 addresses are all upper half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Sorted, disjoint.
    pub(super) pieces: Vec<Piece>,
}

/// Upper halves that go with the same lower halves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) high: Range,
    /// None: all of them.
    pub(super) low: Option<Vec<Range>>,
}

impl Addresses {
    /// Every address of a family.
    pub(super) fn any() -> Self {
        Self { pieces: vec![Piece { high: Range::FULL, low: None }] }
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(&self.pieces[..], [Piece { high: Range::FULL, low: None }])
    }

    /// IPv4 ranges.
    pub(super) fn v4(ranges: Vec<Range>) -> Self {
        let top = u64::from(u32::MAX);
        let pieces = Range::normalise(ranges, top).into_iter();
        let widen = |range: Range| if range == (Range { first: 0, last: top }) { Range::FULL } else { range };
        Self { pieces: pieces.map(|range| Piece { high: widen(range), low: None }).collect() }
    }

    /// IPv6 ranges.
    pub(super) fn v6(ranges: Vec<Range<u128>>) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for range in Range::normalise(ranges, u128::MAX) {
            split(range, |high, low| match (pieces.last_mut(), low) {
                // The same upper half again: its lower halves are a list.
                (Some(Piece { high: before, low: Some(lows) }), Some(low)) if *before == high => {
                    lows.push(low);
                }
                (_, low) => pieces.push(Piece { high, low: low.map(|low| vec![low]) }),
            });
        }
        Self { pieces }
    }
}

impl Addresses {
    /// Those whose upper halves are in `range`, as somebody sees them who knows that they are: all of them are no
    /// condition. None where there are none.
    pub(super) fn within(&self, range: Range) -> Option<Self> {
        let first = self.pieces.partition_point(|piece| piece.high.last < range.first);
        let inside = self.pieces[first..].iter().take_while(|piece| piece.high.first <= range.last);
        let cut = |piece: &Piece| {
            let covers = piece.high.first <= range.first && range.last <= piece.high.last;
            let high = if covers {
                Range::FULL
            } else {
                Range { first: piece.high.first.max(range.first), last: piece.high.last.min(range.last) }
            };
            Piece { high, low: piece.low.clone() }
        };
        let pieces: Vec<Piece> = inside.map(cut).collect();
        (!pieces.is_empty()).then_some(Self { pieces })
    }
}

/// Cuts a range of 128-bit keys where its upper half begins and ends.
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
    use super::*;

    fn range<K>(first: K, last: K) -> Range<K> {
        Range { first, last }
    }

    #[test]
    fn ranges_that_touch_are_joined() {
        let joined = Range::normalise(vec![range(5, 9), range(0, 4), range(20, 30), range(25, 26)], u64::MAX);
        assert_eq!(joined, [range(0, 9), range(20, 30)]);
        assert_eq!(Range::normalise(vec![range(1, u64::MAX), range(7, 8)], u64::MAX), [range(1, u64::MAX)]);
    }

    #[test]
    fn an_ipv6_range_is_cut_at_its_upper_halves() {
        let at = |high: u128, low: u128| high << 64 | low;
        let pieces = Addresses::v6(vec![range(at(1, 5), at(4, 7))]).pieces;
        assert_eq!(
            pieces,
            [
                Piece { high: range(1, 1), low: Some(vec![range(5, u64::MAX)]) },
                Piece { high: range(2, 3), low: None },
                Piece { high: range(4, 4), low: Some(vec![range(0, 7)]) },
            ]
        );
        assert!(Addresses::v6(vec![range(0, u128::MAX)]).is_any());
        let hosts = Addresses::v6(vec![range(at(1, 5), at(1, 5)), range(at(1, 9), at(1, 9))]).pieces;
        assert_eq!(hosts, [Piece { high: range(1, 1), low: Some(vec![range(5, 5), range(9, 9)]) }]);
    }
}
