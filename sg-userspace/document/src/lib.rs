//! The policy document: YAML (or JSON, its subset) as people write it → a [`Policy`](sg_model::Policy).
//!
//! A document is processed in three steps, each in its file:
//!
//! 1. `yaml`: text → a tree of nodes, each of which knows its line and column. Text that is not YAML is refused here, and so are
//!    documents that would take too much time or memory.
//! 2. `lower` (with `rule`, `nic`, `guard`, `expected`, `ports`, `address`, `names`, `blame`): the tree → the parts of a policy. It reads each node as
//!    the type it should have (`read`), so every value that does not fit has its place. It goes on after a failure
//!    (`lowering`), and finds them all.
//! 3. [`Policy::checked`](sg_model::Policy::checked): the parts → a policy. Its errors are mapped back to nodes. Of a valid
//!    policy, `shadow` finds the rules that never decide.
//!
//! A test of a document is read here. Who applies the document asks whether it holds, and refuses the document with
//! [`Loaded::tested`] if one does not.
//!
//! `source` keeps the lines that faults are about, for those who may see them.
//!
//! This crate must never apply anything, nor look at the host's devices. It may be called with any bytes or path, because it is
//! made for untrusted documents. The agent, `sg-service` and `sgctl` call it.

mod address;
mod blame;
pub mod elsewhere;
mod error;
mod expected;
mod guard;
mod limits;
mod load;
mod lower;
mod lowering;
mod names;
mod nic;
mod node;
mod outline;
mod place;
mod ports;
mod problem;
mod read;
mod rule;
mod shadow;
mod source;
#[cfg(test)]
mod tests;
mod words;
mod yaml;

pub use error::{DocumentError, Fault, Instead, Notice, SourceLine, Warning};
pub use guard::{Guard, KeptProbe};
pub use limits::{Limit, MAX_BYTES};
pub use load::{Loaded, load, parse, read, read_opened};
pub use place::{KeyPath, Position, Step};
pub use problem::Problem;
pub use words::{Excerpt, Names, Near};
