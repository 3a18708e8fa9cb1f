//! An agent from start to end: continues or replaces what an earlier one left, serves events and orders, and ends.
//!
//! It must never know how a policy is put in force: `apply` does. Called by `sgd`.

pub(crate) mod capabilities;
pub(crate) mod confirmed;
pub(crate) mod document_history;
pub(crate) mod document_trail;
pub(crate) mod measure;
pub(crate) mod publisher;
pub(crate) mod run;
pub(crate) mod session;
pub(crate) mod start;
pub(crate) mod traffic;

pub use confirmed::ConfirmChanges;
pub use document_history::{DocumentHistory, PastDocument};
pub use measure::Measure;
pub use publisher::InForceReader;
pub use run::{AgentThread, run, serve};
pub use start::AgentOptions;
pub use traffic::{Loaded, Traffic, TrafficNews, TrafficReceiver, TrafficSender, traffic};
