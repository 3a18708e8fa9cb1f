//! The policy document: YAML (or JSON, its subset) as people write it → a [`Policy`](crate::model::Policy).
//!
//! A document is processed in three steps, each in its file:
//!
//! 1. `yaml`: text → a tree of nodes, each of which knows its line and column. Text that is not YAML is refused here, and so are
//!    documents that would take too much time or memory.
//! 2. `lower` (with `names`, `rule`, `nic`, `ports`, `address`): the tree → the parts of a policy. It reads each node as the type
//!    it should have (`read`), so every value that does not fit has its place.
//! 3. [`Policy::new`](crate::model::Policy::new): the parts → a policy. Its errors are mapped back to nodes.
//!
//! This room must never apply anything, nor look at the host's devices. It may be called with any bytes or path, because it is
//! made for untrusted documents.

mod address;
mod error;
mod load;
mod lower;
mod names;
mod nic;
mod node;
mod outline;
mod place;
mod ports;
mod problem;
mod read;
mod rule;
#[cfg(test)]
mod tests;
mod words;
mod yaml;

pub use error::{DocumentError, Notice, Warning};
pub use load::{Loaded, MAX_BYTES, load, parse, read, read_opened};
pub use place::{KeyPath, Position, Step};
pub use problem::{Limit, Problem};
pub use words::{Excerpt, Names, Near};
