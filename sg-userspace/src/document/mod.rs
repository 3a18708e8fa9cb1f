//! The policy document: YAML (or JSON, its subset) as people write it → a [`Policy`](crate::model::Policy).
//!
//! A document is read in three steps, each in its file:
//!
//! 1. `yaml`: text → a tree of nodes, each of which knows its line and column. What is not
//!    YAML ends here, and so do documents that would cost too much time or memory.
//! 2. `lower` (with `names`, `rule`, `nic`, `ports`, `address`): the tree → the parts of a policy. It asks each node for
//!    what it should be (`read`), so every answer that does not fit has its place.
//! 3. [`Policy::new`](crate::model::Policy::new): the parts → a policy. Its complaints are led back to nodes.
//!
//! This room must never apply anything, nor ask the host about its devices. Whoever is given bytes or a path
//! may call it; it is made for documents that nobody has looked at before.

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
