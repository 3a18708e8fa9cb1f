//! The exact set of packets that start a flow and that two policies judge differently, as lines. It must never touch the kernel,
//! and shares no code with the compiler nor the oracle, which tests hold it against. `sgctl` and the API call it.
//!
//! | file | owns |
//! |---|---|
//! | `compare` | two policies, NIC by NIC |
//! | `decider` | everything that can decide, in order, as sets of keys |
//! | `set` | sets of keys of one dimension |
//! | `align` | which deciders of two lists have changed |
//! | `lists` | what to ask around a decider that has changed |
//! | `diagram` | where a changed decider makes a difference: an interval decision diagram |
//! | `active` | what of a part matches the keys at hand |
//! | `cell` | the paths of diagrams, merged |
//! | `line` | a path as the match fields of a rule |
//! | `written` | a line as JSON |
//! | `words` | a line for people |
//! | `start` | the line that a packet is in |

mod active;
mod align;
mod cell;
mod compare;
mod decider;
mod diagram;
mod line;
mod lists;
mod set;
mod start;
#[cfg(test)]
mod tests;
mod words;
mod written;

pub use self::{
    compare::{Difference, Options, Undecided, compare},
    decider::{By, Named},
    line::{Effect, Line, Outcome, Span, all_but},
    start::{Finder, Start},
    words::{AS_WRITTEN, Called},
    written::{Sample, SampleProtocol, WrittenLine, WrittenOutcome},
};
