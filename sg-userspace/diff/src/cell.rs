//! A cell: packets with keys in one set for each dimension, all decided alike. Merges them into as few as it finds. It must never
//! know what a key means. `rest` and `lists` make cells, `line` writes them.

use std::time::Instant;

use foldhash::{HashMap, HashMapExt as _};

use super::{
    decider::Dimension,
    set::{SetId, Sets, Within},
};

/// A set of keys for each dimension: a box.
pub(super) type Shape = [SetId; Dimension::ALL.len()];

/// Boxes that have no packet in common.
pub(super) type Boxes = Vec<Shape>;

/// Packets that one entry of each list decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) keys: Shape,
    pub(super) before: u32,
    pub(super) after: u32,
}

/// Joins disjoint boxes that differ in one dimension only, until none do or there is no time. `tops` are the largest keys.
pub(super) fn merged(
    mut boxes: Boxes,
    tops: &[u128; Dimension::ALL.len()],
    sets: &mut Sets,
    until: Instant,
) -> Boxes {
    loop {
        let before = boxes.len();
        for (dimension, &top) in tops.iter().enumerate() {
            if before < 2 || Instant::now() >= until {
                break;
            }
            // By what they are in the other dimensions.
            let mut alike: HashMap<Shape, Vec<SetId>> = HashMap::with_capacity(boxes.len());
            for mut shape in boxes.iter().copied() {
                let own = std::mem::replace(&mut shape[dimension], SetId::FULL);
                alike.entry(shape).or_default().push(own);
            }
            if alike.len() == boxes.len() {
                continue;
            }
            boxes.clear();
            for (mut shape, parts) in alike {
                let ranges = parts.iter().flat_map(|part| sets.ranges(*part)).copied().collect();
                if let Some(all) = sets.id(ranges, top) {
                    shape[dimension] = all;
                    boxes.push(shape);
                }
            }
        }
        if boxes.len() == before {
            boxes.sort_unstable();
            return boxes;
        }
    }
}

/// What a box has of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overlap {
    Nothing,
    Everything,
    /// Both, in part.
    Some(Shape),
}

/// What `shape` has of `of`.
pub(super) fn overlap(shape: Shape, of: Shape, sets: &mut Sets) -> Overlap {
    let (mut both, mut is_everything) = (of, true);
    for (own, set) in both.iter_mut().zip(shape) {
        match sets.within(set, *own) {
            Within::Nothing => return Overlap::Nothing,
            Within::Everything => {}
            Within::Some(part) => {
                *own = part;
                is_everything = false;
            }
        }
    }
    if is_everything { Overlap::Everything } else { Overlap::Some(both) }
}
