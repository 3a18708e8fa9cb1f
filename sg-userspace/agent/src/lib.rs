//! Everything that changes over time: policies, NICs, flows that expire, agents that end before their filter.
//!
//! ```text
//! input: file, signals, netlink, clock ──> events (merged) ──┐
//!        orders of a caller (`Control`) ─────────────────────┴─> lifecycle: session ──> apply: agent ──> enforcer
//!                                                                                          │   └── catalog: what every
//!                                 state: what is in force <── plan: number, compile, steps ┘       number means
//! ```
//!
//! | folder | owns |
//! |---|---|
//! | `host` | the host's devices, and what an agent leaves there: lock, catalog, pins. It knows nothing of the other folders |
//! | `input` | what the agent reacts to |
//! | `state` | what is in force for each NIC, and its image; [`InForce`], which others read |
//! | `plan` | what refuses a policy; the steps to it |
//! | `apply` | taking the steps, by an [`Enforcer`] |
//! | `lifecycle` | start, events, end |
//!
//! The agent compares what the policy wants with what is in force and does what is missing; it is idempotent. It must never hold
//! a second copy of the rules' meaning, which belongs to `sg-model` and `sg-compile`. Policies come from a file ([`run()`]) or from
//! the holder of a [`Control`] ([`serve`]); the rest is the same. `sgd` runs it, `sg-service` holds the [`Control`] behind
//! [`Enforcement`], and `sgctl` and `sg-api` read its [`Catalog`] and [`Instance`].

mod apply;
mod error;
mod host;
mod input;
mod lifecycle;
mod plan;
#[cfg(test)]
mod samples;
mod state;

pub use apply::{
    Agent, Confirm, Enforcer, EnforcerError, Load, Report, Settle, Settled, Standing, WantedCandidate,
};
pub use error::{AgentError, Delayed, RefusalCause};
pub use host::{
    CandidateRecord, Catalog, CatalogError, GroupNumbers, HostError, Instance, InstanceLock, Left, NicRecord,
    Numbers, Outcome, PendingRecord, Removed, RuleNumber, Shared, devices, nic_block, read_counters,
    teardown,
};
pub use input::{Control, Enforced, Enforcement, Orders, PolicyInForce, Tried, Untrusted, control};
pub use lifecycle::{
    AgentOptions, AgentThread, ConfirmChanges, DocumentHistory, InForceReader, Loaded, Measure, PastDocument,
    Traffic, TrafficNews, TrafficReceiver, TrafficSender, run, serve, traffic,
};
pub use plan::leaving::{AllowUnfiltered, Leaving, Leavings};
pub use state::{
    Applied, CandidateCounts, CandidateInForce, CandidateNic, Cause, Filtered, ImageDigest, InForce, Origin,
    PublishedImage, Refused,
};

pub use sg_host::lock_file::{Holder, LockError};
