//! Puts policies in force: takes the steps of a plan, in the kernel and in the catalog, and reports what happened.
//!
//! It must never wait, watch or print. Called by `lifecycle`, and by tests and benchmarks with an [`Enforcer`] of their own.

pub(crate) mod agent;
pub(crate) mod candidate;
pub(crate) mod enforcer;
pub(crate) mod execute;
pub(crate) mod pending;
pub(crate) mod report;
#[cfg(test)]
pub(crate) mod tests;

pub use agent::{Agent, Load};
pub use candidate::WantedCandidate;
pub use enforcer::{Enforcer, EnforcerError, Settle, Settled};
pub use pending::{Confirm, Standing};
pub use report::Report;
