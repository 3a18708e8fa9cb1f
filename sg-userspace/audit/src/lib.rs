//! Who changed what: every change that an API or a file requests, and its outcome, as lines of JSON that are only appended.
//!
//! ```text
//! API, document ─► Ticket: who, when, from where, what ─┐ done: objects before and after, by the writer of the store
//!                                                       ├─► queue ─► thread: lines, one sync a batch ─► then: the response
//!                                                       ┘ refused: code and message
//! audit.jsonl, audit.jsonl.1.gz, … ─► read ─► GET /v1/history, sgctl history
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `entry` | an entry of the trail: the only form in which anything gets into it |
//! | `trail` | the handle of the trail, its queue and its thread |
//! | `policy_change` | an entry in short, as the history of changes keeps it |
//! | `ticket` | an entry whose outcome is not known yet |
//! | `query`, `read` | which entries are wanted; reading them, the newest first |
//! | `access` | the access log: one line for each request, change or query |
//!
//! A change that was accepted is in the trail, on the disk, before its response goes out. If the trail cannot be written, changes
//! go on: what is missing is counted, logged, shown by the status, and reported in the trail once it can be written again.
//!
//! It must never know HTTP, the store or a policy: its callers say what happened. No secret may reach it.

// Others build on this crate, without reading it.
#![warn(missing_docs)]

mod access;
mod entry;
mod policy_change;
mod query;
mod read;
#[cfg(test)]
mod tests;
mod ticket;
mod trail;

use std::path::{Path, PathBuf};

pub use access::{Access, AccessLog, AccessThread};
pub use entry::{Api, Change, Changes, Entry, OBJECTS, Object, Outcome, Who};
pub use policy_change::{ChangedObject, LONGEST_REASON, PolicyChange, check_reason};
pub use query::{HistoryPage, HistoryQuery, LARGEST_PAGE};
pub use read::{ReadError, read};
pub use sg_host::rotated::Rotation;
pub use ticket::Ticket;
pub use trail::{AuditStatus, Limited, Trail, TrailThread};

/// Where the trail of an instance is unless somebody says otherwise: that of `sgd run`, and that of `sgd serve`.
#[must_use]
pub fn places(instance: &str) -> [PathBuf; 2] {
    [default_directory(instance).join(FILE), Path::new(STATE).join(FILE)]
}

/// The directory of the trail of `sgd run`, unless somebody says otherwise.
#[must_use]
pub fn default_directory(instance: &str) -> PathBuf {
    Path::new(STATE).join(instance)
}

/// The directory of what `sgd serve` keeps, unless somebody says otherwise; `sgd run` has one in it for each instance.
pub const STATE: &str = "/var/lib/sgd";

/// The name of the trail's file in the directory of the state.
pub const FILE: &str = "audit.jsonl";

/// When the trail is rotated, and how many older files stay: about half a million changes.
pub const ROTATION: Rotation = Rotation { max_bytes: 16 << 20, max_age: None, keep: 32 };
