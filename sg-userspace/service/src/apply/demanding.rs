//! What a document demands of every later change: its tests and the packets that it keeps, with ids in place of positions.
//!
//! It must never ask whether it is met: `demands` does. `apply` calls it once everything else of the document is made.

use std::convert::Infallible;

use sg_api_types::{Changed, Happens};
use sg_document::{KeptProbe, Loaded};
use sg_records::{DemandedPacket, DemandedTest, Demands, DocumentName, PolicyTest};

use super::{plan::Plan, rules::ById};
use crate::demands;

impl Plan<'_> {
    /// Stores what the document demands.
    pub(super) fn demand(&mut self, loaded: &Loaded) {
        let tests = loaded.tests.iter().enumerate().map(|(number, test)| {
            let test =
                PolicyTest::of(test, &mut ById(self)).unwrap_or_else(|never: Infallible| match never {});
            DemandedTest { place: loaded.test_place(number), test }
        });
        let tests: Vec<_> = tests.collect();
        let keep = loaded
            .guard
            .keep
            .iter()
            .map(|KeptProbe { place, line }| DemandedPacket { place: place.clone(), probe: line.clone() });
        let document = DocumentName(self.owner.to_owned());
        let wanted = Demands { document: document.clone(), tests, keep: keep.collect() };
        let counts =
            |demands: &Demands| format!("{} tests, {} kept packets", demands.tests.len(), demands.keep.len());
        let (after, is_left) = (counts(&wanted), !wanted.is_empty());
        let before = self.tx.demands_of(&document).map(|before| counts(before));
        if !demands::put(self.tx, wanted) {
            return;
        }
        let (action, detail) = match (before, is_left) {
            (None, _) => (Happens::Add, after),
            (Some(_), false) => (Happens::Remove, String::new()),
            (Some(before), true) => (Happens::Change, format!("{before} → {after}")),
        };
        let detail = if detail.is_empty() { Vec::new() } else { vec![detail] };
        let name = self.owner.to_owned();
        self.changes.push(Changed { action, kind: "demands".to_owned(), id: name.clone(), name, detail });
    }
}
