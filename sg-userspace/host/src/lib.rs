//! What several crates need of the host: lock files that name who holds them, log files that are
//! rotated, and work spread over its processors.
//!
//! It must never know groups, packets or requests. `sg-agent`, `sg-api`, `sg-kernel`, `sg-observe`,
//! `sg-service` and `sg-store` call it.

pub mod lock_file;
pub mod parallel;
pub mod rotated;
