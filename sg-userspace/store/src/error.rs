//! Errors of a store.

use std::{io, path::PathBuf};

use sg_host::lock_file::{LockError, user};
use thiserror::Error;

/// Why a store could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// An operation on the file or its directory failed.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// Another process uses the store.
    #[error("the store {} is in use by another process: one sgd serves one store", path.display())]
    InUse { path: PathBuf },
    /// Users other than the owner could read or change it.
    #[error(
        "{0} has mode {mode:04o}: others could read the secrets in the store or change it; `chmod {remedy:04o} {0}`, and \
         make its access keys anew if somebody may have read them",
        path.display()
    )]
    Exposed {
        /// The file or its directory.
        path: PathBuf,
        mode: u32,
        /// The mode that it should have.
        remedy: u32,
    },
    /// Another user owns it.
    #[error(
        "{} belongs to {}, who could change the store: give it to root, or to the user that sgd runs as",
        path.display(),
        user(*owner)
    )]
    NotOurs {
        /// The file or its directory.
        path: PathBuf,
        /// The uid of its owner.
        owner: u32,
    },
    /// The directory's lock could not be taken.
    #[error("{source}")]
    Lock { source: LockError },
    /// A newer program wrote it.
    #[error(
        "the store {} has schema {found}, this program knows up to {known}: use the program that wrote it, or export there \
         and import here",
        path.display()
    )]
    Newer {
        path: PathBuf,
        /// The schema of the store.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// An older program wrote it, and it cannot be migrated to the schema of this one.
    #[error("the store {} has schema {found} and cannot be brought to {known}: {reason}", path.display())]
    Migration {
        path: PathBuf,
        /// The schema of the store.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
        reason: String,
    },
    /// A record cannot be read.
    #[error("the record {key} of the store {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, key: String, reason: String },
    /// A record could be written but not read again.
    #[error("the record {key} cannot be stored: {reason}")]
    Unwritable { key: String, reason: String },
    /// The disk failed during a commit, and what it holds is unknown. Only loading everything again tells.
    #[error("whether the last change is in the store {} is not known: {reason}; start sgd again", path.display())]
    Doubtful { path: PathBuf, reason: String },
    /// An operation of the database failed.
    #[error("cannot {doing} the store {}: {reason}", path.display())]
    Database { doing: &'static str, path: PathBuf, reason: String },
}
