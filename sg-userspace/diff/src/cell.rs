//! Paths of a diagram as cells: for each dimension the keys, and what decides before and after. It must never know what a key means.
//! `compare` calls it.

use foldhash::{HashMap, HashMapExt as _};

use super::{
    decider::Dimension,
    diagram::{Diagram, Node, NodeId},
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

/// What a diagram says.
#[derive(Debug, Default)]
pub(super) struct Cells {
    /// Disjoint.
    pub(super) differ: Vec<Cell>,
    /// Entries that could decide where there was no time to find out.
    pub(super) undecided: Vec<u32>,
}

impl Cells {
    /// All of a diagram, as few as merging finds.
    pub(super) fn of(diagram: &Diagram<'_, '_>, root: NodeId) -> Self {
        let tops = diagram.tops();
        let mut cells = Self::default();
        cells.walk(diagram, root, &mut Keys::default());
        cells.undecided.sort_unstable();
        cells.undecided.dedup();
        cells.merge(&tops);
        cells
    }

    fn walk(&mut self, diagram: &Diagram<'_, '_>, id: NodeId, keys: &mut Keys) {
        match diagram.node(id) {
            Node::Equal => {}
            &Node::Differ(before, after) => self.differ.push(Cell { keys: keys.clone(), before, after }),
            Node::Undecided(entries) => self.undecided.extend(entries),
            Node::Split(dimension, edges) => {
                for (ranges, next) in edges {
                    if let Some(place) = keys.get_mut(usize::from(*dimension)) {
                        *place = Some(ranges.clone());
                    }
                    self.walk(diagram, *next, keys);
                }
                if let Some(place) = keys.get_mut(usize::from(*dimension)) {
                    *place = None;
                }
            }
        }
    }

    /// Joins cells that differ in one dimension only, until none do.
    fn merge(&mut self, tops: &[u128; Dimension::ALL.len()]) {
        loop {
            let cells = self.differ.len();
            for (dimension, &top) in tops.iter().enumerate() {
                let mut known: HashMap<(Keys, u32, u32), usize> = HashMap::with_capacity(self.differ.len());
                let mut merged: Vec<Cell> = Vec::with_capacity(self.differ.len());
                for mut cell in self.differ.drain(..) {
                    let Some(own) = cell.keys.get_mut(dimension).and_then(Option::take) else {
                        merged.push(cell);
                        continue;
                    };
                    if matches!(*own, [Range { first: 0, last }] if last >= top) {
                        merged.push(cell);
                        continue;
                    }
                    let key = (cell.keys.clone(), cell.before, cell.after);
                    let other = known.get(&key).and_then(|&place| merged.get_mut(place));
                    if let Some(Some(ranges)) = other.and_then(|other| other.keys.get_mut(dimension)) {
                        let all = ranges.iter().chain(&own).copied().collect();
                        *ranges = normal(all).into();
                    } else {
                        known.insert(key, merged.len());
                        if let Some(place) = cell.keys.get_mut(dimension) {
                            *place = Some(own);
                        }
                        merged.push(cell);
                    }
                }
                self.differ = merged;
            }
            // What was merged to all keys may merge once more.
            if self.differ.len() == cells {
                return;
            }
        }
    }
}
