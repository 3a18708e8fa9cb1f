//! A document being applied: what it has come to so far, and how its changes are recorded.
//!
//! It must never decide what changes: `steps`, `lists` and `rules` do, which call it.

use std::collections::{BTreeMap, BTreeSet};

use sg_api_types::{Changed, Happens};
use sg_records::{GroupId, Label, PortListId, PrefixListId};

use crate::{Kind, Tx};

/// A document being applied.
pub(super) struct Plan<'a> {
    pub(super) tx: &'a mut Tx,
    pub(super) owner: &'a str,
    pub(super) region: String,
    pub(super) changes: Vec<Changed>,
    pub(super) prefix_lists: Vec<PrefixListId>,
    pub(super) port_lists: Vec<PortListId>,
    pub(super) groups: Vec<GroupId>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(tx: &'a mut Tx, owner: &'a str, region: String) -> Self {
        let (prefix_lists, port_lists, groups) = (Vec::new(), Vec::new(), Vec::new());
        Self { tx, owner, region, changes: Vec::new(), prefix_lists, port_lists, groups }
    }

    /// Records a change of an object.
    pub(super) fn note(&mut self, action: Happens, kind: Kind, id: &str, name: &str, detail: Vec<String>) {
        let (id, name) = (id.to_owned(), name.to_owned());
        self.changes.push(Changed { action, kind: kind.to_string(), id, name, detail });
    }

    pub(super) fn label(&self, name: &str, description: &str) -> Label {
        Label {
            name: name.to_owned(),
            description: description.to_owned(),
            tags: BTreeMap::new(),
            created: self.tx.now(),
            updated: self.tx.now(),
            owner: Some(self.owner.to_owned()),
        }
    }

    pub(super) fn owns(&self, label: &Label) -> bool {
        label.owner.as_deref() == Some(self.owner)
    }
}

/// Describes how two values of a field differ; empty if they are equal.
pub(super) fn differs<T: PartialEq + std::fmt::Debug>(field: &str, before: &T, after: &T) -> Vec<String> {
    if before == after { Vec::new() } else { vec![format!("{field}: {before:?} → {after:?}")] }
}

/// Describes how two sets differ.
pub(super) fn sets(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    const SHOWN: usize = 10;
    let gone = before.difference(after).map(|text| format!("- {text}"));
    let mut all: Vec<String> = gone.chain(after.difference(before).map(|text| format!("+ {text}"))).collect();
    if all.is_empty() {
        all.push("another order".to_owned());
    }
    if all.len() > SHOWN {
        let more = all.len() - SHOWN;
        all.truncate(SHOWN);
        all.push(format!("and {more} more"));
    }
    all
}
