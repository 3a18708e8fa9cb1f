//! The store of one host: a file, in which every list of changes is one durable transaction.
//!
//! After a disk failure, the database refuses everything until it is reopened. The store reopens it, and the number of commits in
//! it tells whether the failed one happened: no change is lost or applied twice, and when a full disk has room again, nothing has
//! to be restarted. Called by the program that starts the service, and by the service through [`Store`]; it must never know what
//! is in a record.

mod base;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use redb::{
    StorageBackend,
    backends::{FileBackend, InMemoryBackend},
};

use super::{Change, HistoryEdit, Record, Store, StoreError, StoredHistory, directory::Directory};
use base::Base;

/// A [`Store`] in a file.
pub struct RedbStore {
    path: PathBuf,
    /// None: it failed and has to be reopened.
    base: Option<Base>,
    /// The number of commits that the caller knows of.
    commits: u64,
    /// Also holds the lock of the directory; fields are dropped in their order.
    open: Box<dyn FnMut() -> Result<Base, StoreError> + Send>,
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl RedbStore {
    /// Opens the store in `directory`, or creates one there. This process has exclusive use of it until it is dropped.
    ///
    /// # Errors
    /// If it cannot be opened: used by another process, open to others, damaged, or of a newer program.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_through(directory, |file| file)
    }

    /// As [`Self::open`], with a layer between the store and its file: tests make it fail.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_through<B: StorageBackend>(
        directory: &Path,
        mut through: impl FnMut(FileBackend) -> B + Send + 'static,
    ) -> Result<Self, StoreError> {
        let directory = Directory::open(directory)?;
        let path = directory.file();
        if !directory.has_file()? {
            let file = FileBackend::new(directory.begin_file()?);
            let file = file.map_err(|error| base::failed(&path, "make", error))?;
            drop(Base::make(&path, through(file))?);
            directory.finish_file()?;
        }
        let open = {
            let path = path.clone();
            move || {
                let file = FileBackend::new(directory.open_file()?);
                Base::open(&path, through(file.map_err(|error| base::failed(&path, "open", error))?))
            }
        };
        Self::start(path, open)
    }

    /// A store on something other than a file, called `name` in errors. `backend` is called again after the previous one failed;
    /// it must return what the previous one made durable.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn with_backend<B: StorageBackend>(
        name: &str,
        mut backend: impl FnMut() -> io::Result<B> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let path = PathBuf::from(name);
        let open = {
            let path = path.clone();
            move || {
                let backend = backend().map_err(|error| base::failed(&path, "open", error))?;
                if backend.len().map_err(|error| base::failed(&path, "open", error))? == 0 {
                    return Base::make(&path, backend);
                }
                Base::open(&path, backend)
            }
        };
        Self::start(path, open)
    }

    /// A store that is lost when the process ends.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut memory = Some(InMemoryBackend::new());
        Self::with_backend("in memory", move || memory.take().ok_or_else(|| io::Error::other("it is gone")))
    }

    fn start(
        path: PathBuf,
        mut open: impl FnMut() -> Result<Base, StoreError> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let base = open()?;
        Ok(Self { path, commits: base.commits()?, base: Some(base), open: Box::new(open) })
    }

    /// The database, reopened if it failed.
    fn base(&mut self) -> Result<&Base, StoreError> {
        let base = match self.base.take() {
            Some(base) => base,
            None => (self.open)()?,
        };
        Ok(self.base.insert(base))
    }

    /// The database, provided that it has no commit that the caller does not know of.
    fn known(&mut self) -> Result<&Base, StoreError> {
        let known = self.commits;
        let stored = self.base()?.commits()?;
        if stored != known {
            let reason = format!("{stored} commits are stored, {known} are known to be");
            return Err(StoreError::Doubtful { path: self.path.clone(), reason });
        }
        self.base()
    }
}

impl Store for RedbStore {
    fn load(&mut self) -> Result<Vec<Record>, StoreError> {
        let base = self.base()?;
        let (commits, records) = (base.commits()?, base.load()?);
        self.commits = commits;
        Ok(records)
    }

    fn history(&mut self) -> Result<StoredHistory, StoreError> {
        self.known()?.history()
    }

    fn commit_with(&mut self, changes: &[Change], history: &HistoryEdit) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let entries = changes.iter().map(base::entry).collect::<Result<Vec<_>, _>>()?;
        let commits = self.commits + 1;
        let Err(error) = self.known()?.write(&entries, history, commits) else {
            self.commits = commits;
            return Ok(());
        };
        self.base = None;
        match self.base().and_then(Base::commits) {
            // Opening made durable what it found, as it does after a crash of the host.
            Ok(stored) if stored == commits => {
                tracing::warn!("{error}; opened again, it was stored");
                self.commits = commits;
                Ok(())
            }
            Ok(_) => Err(error),
            Err(again) => {
                let reason = format!("{error}; then: {again}");
                Err(StoreError::Doubtful { path: self.path.clone(), reason })
            }
        }
    }
}
