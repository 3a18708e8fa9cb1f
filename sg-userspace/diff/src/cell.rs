//! A cell: packets with keys in one set for each dimension, all decided alike. Merges cells into as few as it finds. It must never
//! know what a key means. `diagram` makes cells, `compare` merges them, `line` writes them.

use foldhash::{HashMap, HashMapExt as _};

use super::{
    decider::Dimension,
    set::{Range, normal},
};

/// Keys by dimension; `None` is all of them.
pub(super) type Keys = [Option<Box<[Range]>>; Dimension::ALL.len()];

/// Packets that one entry of each list decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) keys: Keys,
    pub(super) before: u32,
    pub(super) after: u32,
}

/// Joins disjoint cells that differ in one dimension only, until none do. `tops` are the largest keys.
pub(super) fn merged(mut cells: Vec<Cell>, tops: &[u128; Dimension::ALL.len()]) -> Vec<Cell> {
    loop {
        let before = cells.len();
        for (dimension, &top) in tops.iter().enumerate() {
            let mut known: HashMap<(Keys, u32, u32), usize> = HashMap::with_capacity(cells.len());
            let mut merged: Vec<Cell> = Vec::with_capacity(cells.len());
            for mut cell in cells {
                let own = cell.keys.get_mut(dimension).and_then(Option::take);
                let is_all = |own: &[Range]| matches!(*own, [Range { first: 0, last }] if last >= top);
                let Some(own) = own.filter(|own| !is_all(own)) else {
                    merged.push(cell);
                    continue;
                };
                let key = (cell.keys.clone(), cell.before, cell.after);
                let other = known.get(&key).and_then(|&place| merged.get_mut(place));
                if let Some(Some(ranges)) = other.and_then(|other| other.keys.get_mut(dimension)) {
                    *ranges = normal(ranges.iter().chain(&own).copied().collect()).into();
                } else {
                    known.insert(key, merged.len());
                    if let Some(place) = cell.keys.get_mut(dimension) {
                        *place = Some(own);
                    }
                    merged.push(cell);
                }
            }
            cells = merged;
        }
        if cells.len() == before {
            return cells;
        }
    }
}
