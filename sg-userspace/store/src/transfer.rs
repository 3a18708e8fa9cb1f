//! The whole state as a file that people can read and compare: a head, then a record a line, ordered by kind and key.
//!
//! ```text
//! {"format":"sgd state","schema":4,"secrets":false,"records":2}
//! {"kind":"group","record":{"id":"sg-…", …}}
//! {"kind":"settings","record":{…}}
//! ```
//!
//! The head has the number of records, so that a truncated file is not taken for a smaller state. It must never know what
//! becomes of the records; called by the service, and by programs that inspect a file.

mod error;
mod export;
mod import;

pub use error::ImportError;
pub use export::{Export, export};
pub use import::{Imported, Importer, import};
use serde::{Deserialize, Serialize};

/// The maximum size of an import. A state of half a million rules fits.
pub const LONGEST: u64 = 256 << 20;

/// The `format` of the first line.
const FORMAT: &str = "sgd state";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    schema: u32,
    /// Whether secret records are included.
    secrets: bool,
    records: u64,
}
