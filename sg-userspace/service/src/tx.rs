//! A running operation: a state under change, and the changes for the store.
//!
//! It never commits anything: the writer does. Operations change records only through it.

use std::{ops::Deref, sync::Arc};

use jiff::Timestamp;
use sg_agent::Filtered;
use sg_audit::{Changes, Entry};
use sg_records::Settings;
use sg_store::{Change, Key, Record};

use super::{State, history::History};

/// A state under change.
#[derive(Debug)]
pub struct Tx {
    state: State,
    changes: Vec<Change>,
    history: History,
    now: Timestamp,
    /// The devices that are filtered before the change.
    filtered: Filtered,
}

/// A point to roll back to.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) state: State,
    changes: usize,
    history: History,
}

impl Tx {
    /// Starts changing `state` at the time `now`.
    pub(super) fn new(state: State, now: Timestamp) -> Self {
        Self { state, changes: Vec::new(), history: History::default(), now, filtered: Filtered::default() }
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

    /// The time of all changes.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Inserts a record, or replaces the one with its key.
    pub fn put(&mut self, record: impl Into<Record>) {
        let record = record.into();
        self.state.put(record.clone());
        self.changes.push(Change::Put(record));
    }

    /// Removes the record with this key.
    pub fn delete(&mut self, key: Key) {
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
        Mark { state: self.state.clone(), changes: self.changes.len(), history: self.history.clone() }
    }

    pub(super) fn go_back(&mut self, mark: Mark) {
        self.state = mark.state;
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
