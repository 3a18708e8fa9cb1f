//! What must survive: records, and the store that keeps them.
//!
//! A [`Store`] does two things: load all records, with the history of their changes, and commit a list of changes as a whole or not
//! at all. A store for one host
//! keeps them in a file; one for many hosts would have the same two. This crate must never know quotas, HTTP or aya; only
//! `sg-service` writes to it.

mod change;
mod directory;
mod error;
mod history;
mod migrate;
mod pending;
mod redb;
#[cfg(test)]
mod tests;
mod text;
pub mod transfer;

pub use change::{Change, Key, Record};
pub use error::StoreError;
pub use history::{HistoryEdit, StoredHistory};
pub use pending::{Pending, PendingUpdate};
pub use redb::RedbStore;
pub use transfer::{Export, ImportError, Imported, Importer, export, import};

/// The schema of the records. A store of an older one is migrated when it is opened; one of a newer one is refused.
pub const SCHEMA: u32 = 4;

/// A durable set of records.
pub trait Store: Send {
    /// All records, in no particular order.
    ///
    /// # Errors
    /// If a record cannot be read.
    fn load(&mut self) -> Result<Vec<Record>, StoreError>;

    /// The history of the records that were loaded.
    ///
    /// # Errors
    /// If it cannot be read.
    fn history(&mut self) -> Result<StoredHistory, StoreError>;

    /// Commits `changes` in their order, and `history`: all or none. When it returns, they survive a crash of the host.
    ///
    /// # Errors
    /// If they could not be written: then none of them happened. If even that is unknown, the error is [`StoreError::Doubtful`],
    /// and every commit gets it until everything has been loaded again.
    fn commit_with(&mut self, changes: &[Change], history: &HistoryEdit) -> Result<(), StoreError>;

    /// Commits changes that the history does not have.
    ///
    /// # Errors
    /// As [`Self::commit_with`].
    fn commit(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.commit_with(changes, &HistoryEdit::default())
    }

    /// The change that is to be confirmed.
    ///
    /// # Errors
    /// If it cannot be read.
    fn pending(&mut self) -> Result<Option<Pending>, StoreError>;

    /// As [`Self::commit_with`], and does `update` to the change that is to be confirmed: all of it or nothing.
    ///
    /// # Errors
    /// As there.
    fn commit_pending(
        &mut self,
        changes: &[Change],
        history: &HistoryEdit,
        update: PendingUpdate<'_>,
    ) -> Result<(), StoreError>;
}
