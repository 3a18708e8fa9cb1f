//! Everything that changes over time: policies, NICs, flows that expire, agents that end before their filter.
//!
//! ```text
//! file, signals, netlink, clock ──> events (merged) ──┐
//! orders of a caller (`Control`) ─────────────────────┴─> session ──> agent: prepare │ plan, act ──> enforcer
//!                                                       number, compile what changed ┘  └── catalog: what every
//!                                                                                           number means
//! ```
//!
//! The agent compares what the policy wants with what is in force and does what is missing; it is idempotent. It must never hold
//! a second copy of the rules' meaning, which belongs to `model` and `compile`. Policies come from a file ([`run`]) or from the
//! holder of a [`Control`] ([`serve`]); the rest is the same. `sgd` runs it; `sgctl stats` and `sgctl detach` read its
//! [`Catalog`] and its [`Instance`].

mod catalog;
mod control;
pub mod devices;
mod enforcer;
mod error;
mod events;
mod host;
mod image_cache;
mod images;
mod inputs;
mod instance;
mod numbers;
mod options;
mod plan;
mod policy_file;
mod prepare;
mod reconcile;
mod records;
mod rehearsal;
mod run;
mod session;
mod shared;
mod slots;
mod sources;
mod start;
mod status_events;
mod teardown;
mod trusted_file;
mod unfiltered;

pub use catalog::{Catalog, CatalogError, NicRecord, Outcome};
pub use control::{Control, Enforced, Enforcement, Orders, control};
pub use enforcer::{EnforcerError, read_counters};
pub use error::{AgentError, Delayed};
pub use instance::{Instance, InstanceLock};
pub use numbers::{GroupNumbers, Numbers, RuleNumber, nic_block};
pub use options::AgentOptions;
pub use rehearsal::Rehearsal;
pub use run::{AgentThread, run, serve};
pub use shared::Shared;
pub use teardown::{Removed, teardown};
pub use trusted_file::Untrusted;
pub use unfiltered::Left;

pub use crate::lock_file::{Holder, LockError};
