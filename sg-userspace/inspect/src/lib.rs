//! What is in force, as rows for people and programs: counters, flows, the effective rules of a NIC, and when each rule was used
//! last.
//!
//! ```text
//! catalog, pinned counters and flows ─► stats, flows       with or without an agent: sgctl
//! what an agent published            ─► show               the API of an agent
//! counters, every minute             ─► last_hits ─► file  over restarts and reboots
//! ```
//!
//! | module | owns |
//! |---|---|
//! | [`stats`] | the counters of rules, defaults and reasons |
//! | [`flows`] | the flows in the tables: which, and deleting them |
//! | [`show`] | the rules of a NIC in order of evaluation |
//! | [`candidate`] | what a candidate would have decided |
//! | [`impact`] | what another policy would do to live flows |
//! | [`last_hits`] | when a counter moved last, and since when it is observed |
//!
//! It reads; all that it changes are flows that somebody asks it to delete. It must never decide what is in force, and never know
//! who asks. `sg-api` and, without an agent, `sgctl` call it; `sgd` starts the observation of counters.

pub mod candidate;
mod error;
pub mod flows;
pub mod impact;
pub mod last_hits;
pub mod show;
pub mod stats;

pub use error::InspectError;
