//! The database of a store: three tables, and every operation on them.
//!
//! ```text
//! records  "rule sgr-…"   ─► {"kind":"rule","record":{…}}
//! history  7              ─► an entry
//! numbers  "schema"       ─► 2
//!          "commits"      ─► number of commits
//!          "history"      ─► number of commits up to which the history is complete
//!          "history from" ─► the first entry from which on it is
//! ```
//!
//! A program that knows no history counts its commits and leaves the other two numbers as they are: that is how a gap is noticed.
//!
//! It must never decide what a failure means for the store's caller; the store does.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, Error, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition,
    WriteTransaction,
};

use super::super::{Change, HistoryEdit, Record, SCHEMA, StoreError, StoredHistory, migrate::migrate, text};

const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const HISTORY: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("history");
/// The entries of the numbers.
const WRITTEN_SCHEMA: &str = "schema";
const COMMITS: &str = "commits";
const HISTORY_COMMITS: &str = "history";
const HISTORY_FROM: &str = "history from";

/// Everything is read once and then kept elsewhere: the cache serves commits only.
const CACHE: usize = 32 << 20;

pub(super) struct Base {
    path: PathBuf,
    database: Database,
}

/// A key and its new value; none: delete it.
pub(super) type Entry = (String, Option<Vec<u8>>);

/// The entry that a change writes.
pub(super) fn entry(change: &Change) -> Result<Entry, StoreError> {
    Ok(match change {
        Change::Put(record) => (record.key().to_string(), Some(text::encode_checked(record)?)),
        Change::Delete(key) => (key.to_string(), None),
    })
}

/// Maps an error of the database to one of the store.
pub(super) fn failed(path: &Path, doing: &'static str, error: impl Into<Error>) -> StoreError {
    let path = path.to_owned();
    match error.into() {
        Error::DatabaseAlreadyOpen => StoreError::InUse { path },
        Error::Io(source) => StoreError::Io { doing, path, source },
        Error::Corrupted(reason) => {
            let reason = format!("it is damaged ({reason}); make it anew from an export");
            StoreError::Database { doing, path, reason }
        }
        error => StoreError::Database { doing, path, reason: error.to_string() },
    }
}

impl Base {
    /// Creates an empty database.
    pub(super) fn make(path: &Path, backend: impl StorageBackend) -> Result<Self, StoreError> {
        let base = Self::raw(path, "make", backend)?;
        base.transaction("make", |transaction| {
            transaction.open_table(RECORDS)?;
            transaction.open_table(HISTORY)?;
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(WRITTEN_SCHEMA, u64::from(SCHEMA))?;
            numbers.insert(COMMITS, 0)?;
            numbers.insert(HISTORY_COMMITS, 0)?;
            numbers.insert(HISTORY_FROM, 0)?;
            Ok(())
        })?;
        Ok(base)
    }

    /// Opens a database, and migrates what an older program left to the schema of this one.
    pub(super) fn open(path: &Path, backend: impl StorageBackend) -> Result<Self, StoreError> {
        let base = Self::raw(path, "open", backend)?;
        let found = u32::try_from(base.number(WRITTEN_SCHEMA)?).unwrap_or(u32::MAX);
        if found > SCHEMA {
            return Err(StoreError::Newer { path: path.to_owned(), found, known: SCHEMA });
        }
        if found < SCHEMA {
            base.migrate(found)?;
            tracing::info!("the store {} was brought from schema {found} to {SCHEMA}", path.display());
        }
        base.close_gap()?;
        Ok(base)
    }

    /// Reads the whole file once and compares all checksums: a flipped bit must not become another rule. After a crash the
    /// database does so by itself; after a shutdown it trusts the file.
    fn raw(path: &Path, doing: &'static str, backend: impl StorageBackend) -> Result<Self, StoreError> {
        let open = || -> Result<_, Error> {
            let mut database = Builder::new().set_cache_size(CACHE).create_with_backend(backend)?;
            if !database.check_integrity()? {
                tracing::warn!(
                    "the store {} was damaged where no record is, and is repaired",
                    path.display()
                );
            }
            Ok(database)
        };
        // It reads some of the file before it compares checksums, and panics at values that it takes for impossible.
        let panicked = |_| Err(Error::Corrupted("something impossible is in it".to_owned()));
        let database = catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(panicked);
        let database = database.map_err(|error| failed(path, doing, error))?;
        Ok(Self { path: path.to_owned(), database })
    }

    fn migrate(&self, found: u32) -> Result<(), StoreError> {
        let mut old = Vec::new();
        self.each(|key, value| {
            let read = serde_json::from_slice(value);
            old.push(read.map_err(|_| self.damaged(key, "it is no JSON".to_owned()))?);
            Ok(())
        })?;
        let failed = |reason| StoreError::Migration { path: self.path.clone(), found, known: SCHEMA, reason };
        let records = migrate(found, old).map_err(failed)?;
        let entries = records.into_iter().map(|record| entry(&Change::Put(record)));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        self.transaction("migrate", |transaction| {
            transaction.delete_table(RECORDS)?;
            put(transaction, &entries)?;
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(WRITTEN_SCHEMA, u64::from(SCHEMA))?;
            // The history has records of the old schema.
            numbers.remove(HISTORY_COMMITS)?;
            Ok(())
        })
    }

    /// Lets the history begin anew if something changed the records without it.
    fn close_gap(&self) -> Result<(), StoreError> {
        let commits = self.commits()?;
        if self.find_number(HISTORY_COMMITS)? == Some(commits) {
            return Ok(());
        }
        let mut begun = 0;
        self.transaction("write", |transaction| {
            let history = transaction.open_table(HISTORY)?;
            let last = history.last()?.map(|(number, _)| number.value());
            // The number between is that of what was done without it.
            begun = last.map_or(0, |last| last.saturating_add(2));
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(HISTORY_COMMITS, commits)?;
            numbers.insert(HISTORY_FROM, begun)?;
            Ok(())
        })?;
        if begun > 0 {
            tracing::warn!(
                "another program changed the store {}: its history has a gap, and no earlier change can be gone back to",
                self.path.display()
            );
        }
        Ok(())
    }

    /// The history.
    pub(super) fn history(&self) -> Result<StoredHistory, StoreError> {
        let read = || -> Result<_, Error> {
            let table = self.database.begin_read()?.open_table(HISTORY)?;
            let mut entries = Vec::new();
            for entry in table.iter()? {
                let (number, text) = entry?;
                entries.push((number.value(), text.value().to_vec()));
            }
            Ok(entries)
        };
        let entries = read().map_err(|error| failed(&self.path, "read", error))?;
        Ok(StoredHistory { entries, complete_from: self.find_number(HISTORY_FROM)?.unwrap_or_default() })
    }

    /// The number of commits.
    pub(super) fn commits(&self) -> Result<u64, StoreError> {
        self.number(COMMITS)
    }

    pub(super) fn load(&self) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        self.each(|key, value| {
            let record = text::decode(value).map_err(|reason| self.damaged(key, reason))?;
            if record.key().to_string() != key {
                return Err(self.damaged(key, format!("it says that it is {}", record.key())));
            }
            records.push(record);
            Ok(())
        })?;
        Ok(records)
    }

    /// Writes `entries` in their order, and `edit`, all or none; durable when it returns.
    pub(super) fn write(
        &self,
        entries: &[Entry],
        edit: &HistoryEdit,
        commits: u64,
    ) -> Result<(), StoreError> {
        self.transaction("write", |transaction| {
            put(transaction, entries)?;
            if !edit.put.is_empty() {
                let mut history = transaction.open_table(HISTORY)?;
                for (number, text) in &edit.put {
                    history.insert(number, text.as_slice())?;
                }
                history.retain_in(..edit.oldest, |_, _| false)?;
            }
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(COMMITS, commits)?;
            numbers.insert(HISTORY_COMMITS, commits)?;
            Ok(())
        })
    }

    fn transaction(
        &self,
        doing: &'static str,
        work: impl FnOnce(&WriteTransaction) -> Result<(), Error>,
    ) -> Result<(), StoreError> {
        let transaction = || {
            let mut transaction = self.database.begin_write()?;
            // The pages are on the disk before anything refers to them. With one phase, recovery recognises a crash by checksums,
            // which whoever chooses the written data can forge.
            transaction.set_two_phase_commit(true);
            work(&transaction)?;
            Ok(transaction.commit()?)
        };
        transaction().map_err(|error: Error| failed(&self.path, doing, error))
    }

    fn number(&self, name: &str) -> Result<u64, StoreError> {
        self.find_number(name)?.ok_or_else(|| self.damaged(name, "there is none".to_owned()))
    }

    fn find_number(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let read = || -> Result<_, Error> {
            let numbers = self.database.begin_read()?.open_table(NUMBERS)?;
            Ok(numbers.get(name)?.map(|number| number.value()))
        };
        read().map_err(|error| failed(&self.path, "read", error))
    }

    /// Every key with its value.
    fn each(&self, mut take: impl FnMut(&str, &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let failed = |error: Error| failed(&self.path, "read", error);
        let transaction = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let records = transaction.open_table(RECORDS).map_err(|error| failed(error.into()))?;
        for entry in records.iter().map_err(|error| failed(error.into()))? {
            let (key, value) = entry.map_err(|error| failed(error.into()))?;
            take(key.value(), value.value())?;
        }
        Ok(())
    }

    fn damaged(&self, key: &str, reason: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), key: key.escape_debug().to_string(), reason }
    }
}

fn put(transaction: &WriteTransaction, entries: &[Entry]) -> Result<(), Error> {
    let mut records = transaction.open_table(RECORDS)?;
    for (key, value) in entries {
        match value {
            Some(value) => records.insert(key.as_str(), value.as_slice())?,
            None => records.remove(key.as_str())?,
        };
    }
    Ok(())
}
