//! Time: a policy that changes, NICs that come and go, flows that end, agents that end before their filter.
//!
//! ```text
//! file, signals, netlink, clock ──> events (merged) ──> agent: number, compile, plan, act ──> enforcer
//!                                                          └── catalog: what every counter number means
//! ```
//!
//! The agent compares what the policy wants with what is in force and does what is missing; doing it again
//! changes nothing. It must never hold a second copy of the rules' meaning: that is `model` and `compile`.
//! `sgd` runs it; `sgctl stats` and `sgctl detach` read its [`Catalog`] and its [`Instance`].

mod announce;
mod catalog;
pub mod devices;
mod enforcer;
mod error;
mod events;
mod host;
mod images;
mod instance;
mod numbers;
mod plan;
mod policy_file;
mod prepare;
mod reconcile;
mod run;
mod slots;
mod sources;
mod start;
mod teardown;

pub use catalog::{Catalog, CatalogError, NicRecord, Outcome};
pub use enforcer::{EnforcerError, read_counters};
pub use error::AgentError;
pub use instance::{Instance, InstanceLock};
pub use numbers::{GroupNumbers, Numbers, RuleNumber, nic_block};
pub use run::{RunOptions, run};
pub use teardown::{Removed, teardown};
