//! What the rooms share of the host: lock files that name who holds them, and work spread over its processors.
//!
//! It must never know groups, packets or requests. The store, the agent, the kernel room and the API's sockets call it.

pub mod lock_file;
pub mod parallel;
