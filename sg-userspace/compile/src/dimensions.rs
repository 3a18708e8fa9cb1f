//! Sets of dimensions, and the dimensions in which rules have conditions.

use sg_common::image::{DIMENSIONS, Dimension};

/// A set of dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dimensions(u16);

impl Dimensions {
    pub(super) const ALL: Self = Self(((1_u32 << Dimension::ALL.len()) - 1) as u16);

    pub(super) const NONE: Self = Self(0);

    /// The upper halves of addresses.
    const HIGHS: Self = {
        let (mut highs, mut number) = (0, 0);
        while number < Dimension::ALL.len() {
            if Dimension::ALL[number].lower_half().is_some() {
                highs |= 1 << number;
            }
            number += 1;
        }
        Self(highs)
    };

    pub(super) const fn only(dimension: Dimension) -> Self {
        Self(1 << dimension as u8)
    }

    /// `dimension` alone if the condition holds, else the empty set.
    pub(super) const fn only_if(condition: bool, dimension: Dimension) -> Self {
        Self((condition as u16) << dimension as u8)
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
        // A lower half is the dimension after its upper half.
        Self((self.0 & Self::HIGHS.0) << 1)
    }

    /// The set as a number, for hashing.
    pub(super) const fn bits(self) -> u16 {
        self.0
    }
}

/// The dimensions in which rules have conditions of their own, in the order in which rules are separated by them: addresses, which
/// tell most rules apart, and then as they are numbered.
pub(super) const OF_RULES: [Dimension; OF_RULES_COUNT] = {
    let mut found = [Dimension::Ethernet; OF_RULES_COUNT];
    let mut next = 0;
    let mut pass = 0;
    while pass < 2 {
        let mut number = 0;
        while number < Dimension::ALL.len() {
            let dimension = Dimension::ALL[number];
            let is_address = dimension.lower_half().is_some();
            if dimension.is_of_rules() && is_address == (pass == 0) {
                found[next] = dimension;
                next += 1;
            }
            number += 1;
        }
        pass += 1;
    }
    found
};

const OF_RULES_COUNT: usize = {
    let (mut count, mut number) = (0, 0);
    while number < Dimension::ALL.len() {
        count += Dimension::ALL[number].is_of_rules() as usize;
        number += 1;
    }
    count
};

const _: () = assert!(Dimension::ALL.len() <= DIMENSIONS && DIMENSIONS <= u16::BITS as usize);
