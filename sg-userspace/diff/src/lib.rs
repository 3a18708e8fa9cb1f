//! Exact sets of packets that start a flow, as lines: those that two policies judge differently, those that one policy judges in
//! some way, and whether the tests of a document hold. It must never touch the kernel, and shares no code with the compiler nor the
//! oracle, which tests hold it against. `sgctl`, the agent and `sg-service` call it.
//!
//! | file | owns |
//! |---|---|
//! | `compare` | two policies, NIC by NIC |
//! | `ask` | one policy and sets of packets, NIC by NIC |
//! | `search` | the packets of a set that get some verdict |
//! | `expect` | whether tests hold |
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
mod ask;
mod cell;
mod compare;
mod decider;
mod diagram;
mod expect;
mod line;
mod lists;
mod search;
mod set;
mod start;
#[cfg(test)]
mod tests;
mod words;
mod written;

pub use self::{
    compare::{Difference, Options, Undecided, compare},
    decider::{By, Named},
    expect::{Failed, TIME, Tested, Why, test, test_called},
    line::{Counts, Effect, Line, Outcome, Span, all_but},
    search::{Found, search},
    start::{Finder, Start},
    words::{AS_WRITTEN, Called},
    written::{Sample, SampleProtocol, WrittenFound, WrittenLine, WrittenOutcome},
};
