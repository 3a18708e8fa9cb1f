//! The observer: one thread that names what the agent and the kernel report about traffic, remembers it, and hands it to sinks and
//! to whoever watches.
//!
//! ```text
//! agent ── reports of flows, counts of denials ──┐
//!          what is in force ── names ────────────┼─► translate ─► records ─► memory, watchers, sinks
//! kernel ─ single events, while somebody watches ┘
//! ```
//!
//! | module | owns |
//! |---|---|
//! | `names` | what the numbers in reports mean |
//! | `translate` | reports → records |
//! | `totals` | packets and bytes of each NIC, by verdict |
//! | `quiet` | NICs without a record in an interval |
//! | `watching` | what the program is told that somebody wants to see |
//! | `thread` | the thread |
//!
//! Nobody waits for it: the agent drops what finds no room, and says how much. It must never decide a verdict or change what is in
//! force. `sgd` starts it; `sg-api` reads what it remembers through [`sg_observe::Observed`].

mod names;
mod quiet;
#[cfg(test)]
mod samples;
mod thread;
mod totals;
mod translate;
mod watching;

pub use names::{NicLabels, NoLabels, WithLabels};
pub use thread::{Observer, ObserverError, ObserverOptions, Tally};
pub use totals::{NicTotals, Totals, VERDICTS};
