//! Why a file is no export.

use std::io;

use thiserror::Error;

/// Why an export cannot be imported. Nothing of it is.
#[derive(Debug, Error)]
pub enum ImportError {
    /// The file cannot be read.
    #[error("line {line}: {source}")]
    Io {
        /// The line that was reached.
        line: u64,
        source: io::Error,
    },
    /// The first line is not the head of an export.
    #[error(
        "line 1 is not the head of an export: {reason}; it begins with {{\"format\":\"sgd state\",\"schema\":…"
    )]
    Head { reason: String },
    /// A newer program wrote it.
    #[error(
        "line 1: the export has schema {found}, this program knows up to {known}: import it with the program that wrote it"
    )]
    Newer {
        /// The schema of the export.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// An older program wrote it, and it cannot be migrated to the schema of this one.
    #[error("line 1: the export has schema {found} and cannot be brought to {known}: {reason}")]
    Migration {
        /// The schema of the export.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
        reason: String,
    },
    /// A line is longer than any record.
    #[error("line {line} is longer than {limit} bytes")]
    TooLong {
        line: u64,
        /// The maximum length.
        limit: usize,
    },
    /// A line is no record.
    #[error("line {line} is no record: {reason}")]
    Record { line: u64, reason: String },
    /// A record occurs twice.
    #[error("line {line}: {key} was on line {first} already")]
    Twice {
        /// The line of the second.
        line: u64,
        /// The line of the first.
        first: u64,
        key: String,
    },
    /// There are more records than the head says.
    #[error(
        "line {line}: the head says that {said} records follow, and this is one more; where the change was meant, \
         correct the number"
    )]
    More {
        /// The first line beyond that number.
        line: u64,
        /// The number in the head.
        said: u64,
    },
    /// There are fewer records than the head says.
    #[error(
        "line 1: the head says that {said} records follow, and {found} do: the file was truncated or changed; where the change was \
         meant, correct the number"
    )]
    Count {
        /// The number in the head.
        said: u64,
        /// The number that was found.
        found: u64,
    },
}
