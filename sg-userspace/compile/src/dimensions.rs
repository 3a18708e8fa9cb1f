//! A set of dimensions.

use sg_common::image::Dimension;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dimensions(u8);

impl Dimensions {
    pub(super) const ALL: Self = Self(0x7f);

    pub(super) const fn only(dimension: Dimension) -> Self {
        Self(1 << dimension as u8)
    }

    /// `dimension` alone if the condition holds, else the empty set.
    pub(super) const fn only_if(condition: bool, dimension: Dimension) -> Self {
        Self((condition as u8) << dimension as u8)
    }

    pub(super) const fn has(self, dimension: Dimension) -> bool {
        self.0 & Self::only(dimension).0 != 0
    }

    pub(super) const fn without(self, dimension: Dimension) -> Self {
        Self(self.0 & !Self::only(dimension).0)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn is_one(self) -> bool {
        self.0.is_power_of_two()
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lower halves whose upper halves are in the set.
    pub(super) const fn lows_to_come(self) -> Self {
        const HIGHS: Dimensions =
            Dimensions::only(Dimension::RemoteHigh).or(Dimensions::only(Dimension::LocalHigh));
        // A lower half is the dimension after its upper half.
        Self((self.0 & HIGHS.0) << 1)
    }

    /// The set as a number, for hashing.
    pub(super) const fn bits(self) -> u8 {
        self.0
    }
}
