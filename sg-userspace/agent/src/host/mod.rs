//! This host: its network devices, and what an agent has and leaves on it: its lock, its catalog, its pins, its counters.
//!
//! `sgctl` uses all of it without an agent, so this folder knows nothing of the rest of the crate and must never import it. It
//! decides nothing: the agent does, and writes here what others read. Called by the agent, `sgd`, `sgctl` and `sg-api`.

pub(crate) mod catalog;
pub mod devices;
pub(crate) mod error;
pub(crate) mod instance;
pub(crate) mod lock;
pub(crate) mod numbers;
pub(crate) mod pins;
pub(crate) mod shared;
pub(crate) mod ssh;

pub use catalog::{CandidateRecord, Catalog, CatalogError, Left, NicRecord, PendingRecord};
pub use error::HostError;
pub use instance::Instance;
pub use lock::InstanceLock;
pub use numbers::{GroupNumbers, Numbers, Outcome, RuleNumber, nic_block};
pub use pins::{Removed, read_counters, teardown};
pub use shared::Shared;
