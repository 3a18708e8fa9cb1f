//! What can go wrong with a store.

use std::{io, path::PathBuf};

use thiserror::Error;

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
