//! The documents of `sgd run --confirm-changes`: the one that was confirmed last, and the one that is in force without. They are files
//! in the state directory, because a host that starts again must know what to go back to. This file must never decide what is in
//! force. Called by `run` and `session`.
//!
//! `confirmed-document` is whole at any time: a confirmation renames `unconfirmed-document` to it. The latter stays when a change is
//! taken back, so that the same text is not tried again by itself.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::host::error::HostError;

/// How `sgd run` has changes of its document confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmChanges {
    /// How long a change is in force without, in seconds; `None`: it needs no confirmation, and no documents are kept.
    pub seconds: Option<u32>,
    /// Where the documents are kept.
    pub directory: PathBuf,
}

/// The two documents.
#[derive(Debug)]
pub(crate) struct Documents {
    directory: PathBuf,
}

impl Documents {
    pub(crate) fn of(options: &ConfirmChanges) -> Self {
        Self { directory: options.directory.clone() }
    }

    /// The document that was confirmed last; `None` if there was none.
    pub(crate) fn confirmed(&self) -> Result<Option<Vec<u8>>, HostError> {
        read(&self.confirmed_path())
    }

    /// The document that was tried last and not confirmed.
    pub(crate) fn unconfirmed(&self) -> Result<Option<Vec<u8>>, HostError> {
        read(&self.path("unconfirmed-document"))
    }

    /// `text` is in force, and needs no confirmation.
    pub(crate) fn confirm_text(&self, text: &[u8]) -> Result<(), HostError> {
        self.try_text(text)?;
        self.confirm()
    }

    /// `text` is about to be in force until it is confirmed.
    pub(crate) fn try_text(&self, text: &[u8]) -> Result<(), HostError> {
        let (path, temporary) = (self.path("unconfirmed-document"), self.path("unconfirmed-document.new"));
        let write = || {
            fs::create_dir_all(&self.directory)?;
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            self.sync()
        };
        write().map_err(|source| HostError::Io { doing: "write", path: path.clone(), source })
    }

    /// The document that was tried is confirmed.
    pub(crate) fn confirm(&self) -> Result<(), HostError> {
        let path = self.confirmed_path();
        let renamed = match fs::rename(self.path("unconfirmed-document"), &path) {
            // It was renamed before, and then something failed.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
            renamed => renamed,
        };
        renamed.and_then(|()| self.sync()).map_err(|source| HostError::Io { doing: "write", path, source })
    }

    /// What was tried has not come into force.
    pub(crate) fn forget_unconfirmed(&self) -> Result<(), HostError> {
        remove(&self.path("unconfirmed-document"))
    }

    /// Nothing needs a confirmation any more: what was confirmed once is not to come back.
    pub(crate) fn forget(&self) -> Result<(), HostError> {
        self.forget_unconfirmed()?;
        remove(&self.confirmed_path())
    }

    /// Where the document is that was confirmed last.
    pub(crate) fn confirmed_path(&self) -> PathBuf {
        self.path("confirmed-document")
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, HostError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HostError::Io { doing: "read", path: path.to_owned(), source }),
    }
}

fn remove(path: &Path) -> Result<(), HostError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(HostError::Io { doing: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmation_makes_the_tried_document_the_confirmed_one() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents { directory: dir.path().join("state") };
        documents.forget().unwrap();
        assert_eq!((documents.confirmed().unwrap(), documents.unconfirmed().unwrap()), (None, None));
        documents.confirm_text(b"first").unwrap();
        assert_eq!(documents.confirmed().unwrap().as_deref(), Some(&b"first"[..]));
        documents.try_text(b"second").unwrap();
        assert_eq!(documents.confirmed().unwrap().as_deref(), Some(&b"first"[..]));
        assert_eq!(documents.unconfirmed().unwrap().as_deref(), Some(&b"second"[..]));
        documents.confirm().unwrap();
        assert_eq!(documents.confirmed().unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(documents.unconfirmed().unwrap(), None);
        documents.try_text(b"third").unwrap();
        documents.forget_unconfirmed().unwrap();
        assert_eq!(documents.unconfirmed().unwrap(), None);
        documents.forget().unwrap();
        assert_eq!(documents.confirmed().unwrap(), None);
    }
}
