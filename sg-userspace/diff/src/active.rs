//! What of a part matches the keys at hand, while a dimension is walked from its first key to its last. It must never know keys.
//! `diagram` calls it.

use super::{decider::Dimension, set::SetId};

/// What is left to be asked, within the packets of the focus: all keys in the dimensions that are done.
pub(super) type Shape = [SetId; Dimension::ALL.len()];

pub(super) fn is_total(shape: &Shape) -> bool {
    shape.iter().all(|set| *set == SetId::FULL)
}

/// What elements of a part are once one more dimension is done.
pub(super) struct Kinds {
    /// Shapes, each once, in order.
    pub(super) ids: Vec<u32>,
    /// By element, the place of its shape.
    pub(super) of: Vec<usize>,
    /// By shape, whether it is everything.
    pub(super) total: Vec<bool>,
}

/// What is known of some keys.
pub(super) enum Here {
    /// No difference.
    Alike,
    /// The focus decides, and this entry of the other list.
    Leaf(u32),
    /// More is to be asked.
    Part,
}

/// One of a part.
#[derive(Clone, Copy, Debug)]
pub(super) enum Element {
    /// A shape before the focus.
    Before(u32),
    /// The place of an entry of the other list.
    Other(u32),
}

pub(super) fn elements(part: &[u32]) -> Vec<Element> {
    let Some((&count, ids)) = part.split_first() else { return Vec::new() };
    let (before, others) = ids.split_at_checked(count as usize).unwrap_or((ids, &[]));
    let before = before.iter().map(|id| Element::Before(*id));
    before.chain(others.iter().map(|place| Element::Other(*place))).collect()
}

/// What of a part matches the keys at hand.
pub(super) struct Active {
    /// Kinds of shapes before the focus.
    pub(super) before: Bits,
    /// How many of each kind.
    pub(super) counts: Vec<u32>,
    /// How many of those match everything that is left.
    pub(super) total_before: u32,
    /// Elements that are others.
    pub(super) others: Bits,
}

impl Active {
    pub(super) fn count(&mut self, kind: usize, is_on: bool, total: &[bool]) {
        let Some(count) = self.counts.get_mut(kind) else { return };
        let was = *count > 0;
        *count = if is_on { *count + 1 } else { count.saturating_sub(1) };
        if was != (*count > 0) {
            self.before.toggle(kind);
            if total.get(kind).copied().unwrap_or(false) {
                self.total_before = if was { self.total_before - 1 } else { self.total_before + 1 };
            }
        }
    }
}

/// A set of small numbers, in order.
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn new(numbers: usize) -> Self {
        Self(vec![0; numbers.div_ceil(64)])
    }

    pub(super) fn toggle(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word ^= 1 << (number % 64);
        }
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 != 0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(place, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(place * 64 + bit)
            })
        })
    }
}
