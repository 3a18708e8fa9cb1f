//! Why a file is no state.

use std::io;

use thiserror::Error;

/// Why an export cannot be imported. Nothing of it is.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("line {line}: {source}")]
    Io {
        /// How far it was read.
        line: u64,
        /// Why not.
        source: io::Error,
    },
    /// It does not begin as an export does.
    #[error(
        "line 1 is not the head of an export: {reason}; it begins with {{\"format\":\"sgd state\",\"schema\":…"
    )]
    Head {
        /// What is wrong with it.
        reason: String,
    },
    /// A newer program wrote it.
    #[error(
        "line 1: the export has schema {found}, this program knows up to {known}: import it with the program that wrote it"
    )]
    Newer {
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
    },
    /// An older program wrote it, and it cannot be brought to the schema of this one.
    #[error("line 1: the export has schema {found} and cannot be brought to {known}: {reason}")]
    Migration {
        /// What it has.
        found: u32,
        /// What is known.
        known: u32,
        /// Why not.
        reason: String,
    },
    /// A line is longer than any record.
    #[error("line {line} is longer than {limit} bytes")]
    TooLong {
        /// Which.
        line: u64,
        /// What is allowed.
        limit: usize,
    },
    /// A line is no record.
    #[error("line {line} is no record: {reason}")]
    Record {
        /// Which.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A record is there twice.
    #[error("line {line}: {key} was on line {first} already")]
    Twice {
        /// The second.
        line: u64,
        /// The first.
        first: u64,
        /// What names it.
        key: String,
    },
    /// There are more than the head says.
    #[error(
        "line {line}: the head says that {said} records follow, and this is one more; where the change was meant, \
         correct the number"
    )]
    More {
        /// The first that is too many.
        line: u64,
        /// What the head says.
        said: u64,
    },
    /// There are fewer than the head says.
    #[error(
        "line 1: the head says that {said} records follow, and {found} do: the file was cut off or changed; where the change was \
         meant, correct the number"
    )]
    Count {
        /// What the head says.
        said: u64,
        /// What was found.
        found: u64,
    },
}
