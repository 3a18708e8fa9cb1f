//! What the agent reacts to: the policy file, signals, devices, the clock, and the orders of a caller.
//!
//! Each file here notices or receives something and passes it on. It must never do what follows from it. Called by `lifecycle`;
//! callers of the agent hold a [`Control`].

pub(crate) mod control;
pub(crate) mod events;
pub(crate) mod policy_file;
pub(crate) mod sources;
pub(crate) mod trusted_file;

pub use control::{Control, Enforced, Enforcement, Orders, PolicyInForce, Tried, control};
pub use trusted_file::Untrusted;
