//! The history of changes as it is stored: numbered texts beside the records, written in the transaction of the change.
//!
//! The store must never know what a text says. It knows whether the history goes on up to the records: a program that knows none
//! may have changed them meanwhile, and a migration rewrites them. The service reads and writes it.

/// What a commit does to the history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryEdit {
    /// Entries that are new, or replace those with their numbers.
    pub put: Vec<(u64, Vec<u8>)>,
    /// The first number that stays.
    pub oldest: u64,
}

/// The history that a store has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredHistory {
    /// The entries, by number.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The first number from which on every change of the records has an entry. What was done before it without one has the number
    /// before it.
    pub complete_from: u64,
}
