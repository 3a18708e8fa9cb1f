//! What several crates need of the host: lock files that name who holds them, log files that are
//! rotated, work spread over its processors, and the SSH session of a process.
//!
//! It must never know groups, packets or requests. `sg-agent`, `sg-api`, `sg-kernel`, `sg-observe`,
//! `sg-service`, `sg-store`, `sgctl` and `sgd` call it.

pub mod lock_file;
pub mod parallel;
pub mod rotated;
pub mod ssh_session;
