//! What can go wrong with a store.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::lock_file::{LockError, user};

/// Why a store could not be opened, read or written.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file or its directory.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the store {} is in use by another process: one sgd serves one store", path.display())]
    InUse {
        /// Where it is.
        path: PathBuf,
    },
    /// Others than its owner could read or change it.
    #[error(
        "{0} has mode {mode:04o}: others could read the secrets in the store or change it; `chmod {remedy:04o} {0}`, and \
         make its access keys anew if somebody may have read them",
        path.display()
    )]
    Exposed {
        /// The file or its directory.
        path: PathBuf,
        /// What it has.
        mode: u32,
        /// What it is to have.
        remedy: u32,
    },
    /// Somebody else owns it.
    #[error(
        "{} belongs to {}, who could change the store: give it to root, or to the user that sgd runs as",
        path.display(),
        user(*owner)
    )]
    NotOurs {
        /// The file or its directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The lock of the directory cannot be had.
    #[error("{source}")]
    Lock {
        /// Why.
        source: LockError,
    },
    /// A newer program wrote it.
    #[error(
        "the store {} has schema {found}, this program knows up to {known}: use the program that wrote it, or export there \
         and import here",
        path.display()
    )]
    Newer {
        /// Where it is.
        path: PathBuf,
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// An older program wrote it, and it cannot be brought to the schema of this one.
    #[error("the store {} has schema {found} and cannot be brought to {known}: {reason}", path.display())]
    Migration {
        /// Where it is.
        path: PathBuf,
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
        /// Why not.
        reason: String,
    },
    /// A record that cannot be read.
    #[error("the record {key} of the store {} is damaged: {reason}", path.display())]
    Damaged {
        /// Where it is.
        path: PathBuf,
        /// Which.
        key: String,
        /// Why.
        reason: String,
    },
    /// A record that could be written and not be read again.
    #[error("the record {key} cannot be stored: {reason}")]
    Unwritable {
        /// Which.
        key: String,
        /// Why not.
        reason: String,
    },
    /// The disk failed in the middle of a commit, and what it holds cannot be seen. Only who loads everything again
    /// knows.
    #[error("whether the last change is in the store {} is not known: {reason}; start sgd again", path.display())]
    Doubtful {
        /// Where it is.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The database.
    #[error("cannot {doing} the store {}: {reason}", path.display())]
    Database {
        /// What was tried.
        doing: &'static str,
        /// Where it is.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}
