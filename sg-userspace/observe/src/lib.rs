//! What happened to traffic, as records: of accepted flows, of denials, of changes of the policy, and of losses.
//!
//! The observer of the agent makes a [`Record`](record::Record) of what the kernel counted; this crate filters, sums, remembers,
//! formats and delivers them. It must never know the kernel's maps, HTTP or command lines, and nothing in it decides a packet or
//! makes whoever does so wait. `sg-observer`, `sg-api`, `sg-metrics`, `sgd` and `sgctl` call it.

// Others build on this crate, without reading it.
#![warn(missing_docs)]

pub mod aggregate;
pub mod filter;
pub mod format;
pub mod history;
pub mod ipfix;
pub mod options;
pub mod pcapng;
pub mod record;
pub mod sink;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use text::NoRecord;
pub use words::UnknownWord;
