//! A running operation: a state under change, and the changes for the store.
//!
//! It never commits anything: the writer does. Operations change records only through it.

use std::{collections::BTreeSet, ops::Deref, sync::Arc};

use jiff::Timestamp;
use sg_agent::Filtered;
use sg_audit::{Changes, Entry};
use sg_records::{DocumentName, Settings};
use sg_store::{Change, Key, Record};

use super::{
    State,
    dated::{Dated, dated},
    history::History,
};

/// On what a caller insists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Insists {
    /// Whether access may be lost, also that which documents keep.
    pub force: bool,
    /// Whether tests may fail.
    pub skip_tests: bool,
}

/// A state under change.
#[derive(Debug)]
pub struct Tx {
    state: State,
    changes: Vec<Change>,
    history: History,
    now: Timestamp,
    /// The devices that are filtered before the change.
    filtered: Filtered,
    asking: Asking,
}

/// How the demands are asked of the change.
#[derive(Clone, Debug, Default)]
struct Asking {
    insists: Insists,
    /// Documents that the change sets anew.
    strict: BTreeSet<DocumentName>,
    /// Documents whose tests were asked of this state.
    asked: BTreeSet<DocumentName>,
}

/// A point to roll back to.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) state: State,
    changes: usize,
    asking: Asking,
    history: History,
}

impl Tx {
    /// Starts changing `state` at the time `now`.
    pub(super) fn new(state: State, now: Timestamp) -> Self {
        let (changes, history, asking) = (Vec::new(), History::default(), Asking::default());
        Self { state, changes, history, now, filtered: Filtered::default(), asking }
    }

    /// The same on a host where these devices are filtered.
    pub(super) fn on(self, filtered: Filtered) -> Self {
        Self { filtered, ..self }
    }

    /// The same with the history of changes so far.
    pub(super) fn after(self, history: History) -> Self {
        Self { history, ..self }
    }

    /// The history of changes so far.
    pub(super) const fn history(&self) -> &History {
        &self.history
    }

    /// Adds what changed since a mark to the history, with what undoes it; returns its number, if it changed the policy.
    pub(super) fn remember(&mut self, undo: &[Change], entry: &Entry, changes: &Changes) -> Option<u64> {
        self.history.add(undo, entry, changes, self.now)
    }

    /// The devices that are filtered before the change.
    pub(super) const fn filtered(&self) -> &Filtered {
        &self.filtered
    }

    /// On what the caller insists.
    pub(super) const fn insists(&self) -> Insists {
        self.asking.insists
    }

    /// Insists on this, too.
    pub(super) const fn insist(&mut self, Insists { force, skip_tests }: Insists) {
        let insists = &mut self.asking.insists;
        *insists = Insists { force: insists.force || force, skip_tests: insists.skip_tests || skip_tests };
    }

    /// Forgets how the demands were asked of the change before.
    #[cfg(test)]
    pub(super) fn end(&mut self) {
        self.asking = Asking::default();
    }

    /// Asks everything that this document demands, whatever was before.
    pub(super) fn be_strict(&mut self, document: &DocumentName) {
        self.asking.strict.insert(document.clone());
    }

    pub(super) fn is_strict(&self, document: &DocumentName) -> bool {
        self.asking.strict.contains(document)
    }

    /// Says that the tests of this document were asked of the state as it is.
    pub(super) fn asked(&mut self, document: &DocumentName) {
        self.asking.asked.insert(document.clone());
    }

    pub(super) fn is_asked(&self, document: &DocumentName) -> bool {
        self.asking.asked.contains(document)
    }

    /// The time of all changes.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// A record as [`Self::put`] leaves it: changed now if it is new, or says something else than the one with its key.
    pub(super) fn dated<R: Dated>(&self, record: R) -> R {
        record.dated(&self.state, self.now)
    }

    /// Inserts a record, or replaces the one with its key. Its time of change is that of the last change of what it says.
    pub fn put(&mut self, record: impl Into<Record>) {
        let record = dated(record.into(), &self.state, self.now);
        self.put_as_it_is(record);
    }

    /// Does so with the time of change that it has: an import does not change what it brings.
    pub(super) fn put_as_it_is(&mut self, record: Record) {
        if !matches!(record, Record::Token(_)) {
            self.asking.asked.clear();
        }
        self.state.put(record.clone());
        self.changes.push(Change::Put(record));
    }

    /// Removes the record with this key.
    pub fn delete(&mut self, key: Key) {
        if !matches!(key, Key::Token(_)) {
            self.asking.asked.clear();
        }
        self.state.delete(&key);
        self.changes.push(Change::Delete(key));
    }

    /// Allocates serial numbers for `count` rules and returns the first.
    pub fn serials(&mut self, count: usize) -> u64 {
        let settings = self.state.settings();
        let first = settings.serial;
        let next = Settings { serial: first.saturating_add(count as u64), ..settings.clone() };
        self.put(Record::Settings(Arc::new(next)));
        first
    }

    pub(super) fn mark(&self) -> Mark {
        let (changes, history) = (self.changes.len(), self.history.clone());
        Mark { state: self.state.clone(), changes, history, asking: self.asking.clone() }
    }

    pub(super) fn go_back(&mut self, mark: Mark) {
        (self.state, self.asking) = (mark.state, mark.asking);
        self.changes.truncate(mark.changes);
        self.history = mark.history;
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn changes_since(&self, mark: &Mark) -> &[Change] {
        self.changes.get(mark.changes..).unwrap_or_default()
    }

    pub(super) fn into_state(self) -> State {
        self.state
    }

    pub(super) fn into_parts(self) -> (State, History) {
        (self.state, self.history)
    }
}

impl Deref for Tx {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}
