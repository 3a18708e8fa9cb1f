//! One out of several.

use fastrand::Rng;
use sg_model::Family;

/// One of a fixed list, which is not empty; what stands there twice comes twice as often.
pub(super) fn of<T: Copy, const N: usize>(random: &mut Rng, list: [T; N]) -> T {
    const { assert!(N > 0) };
    list[random.usize(..N)]
}

/// One of those that there are, if any.
pub(super) fn among<T>(random: &mut Rng, items: impl IntoIterator<Item = T>) -> Option<T> {
    let items: Vec<T> = items.into_iter().collect();
    random.choice(items)
}

/// Either family.
pub(super) fn family(random: &mut Rng) -> Family {
    of(random, [Family::V4, Family::V6])
}
