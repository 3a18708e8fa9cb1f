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
//! | `rest` | what is left of a box without other boxes: an interval decision diagram |
//! | `cell` | boxes, and what decides them |
//! | `line` | a box as the match fields of a rule |
//! | `nets` | addresses of a line |
//! | `lint` | rules that are for nothing, or let many in |
//! | `ruled` | what of a NIC's rules could be left out |
//! | `open` | rules that let many addresses in |
//! | `finding` | what lint finds, in words |
//! | `written` | a line as JSON |
//! | `words` | a line for people |
//! | `start` | the line that a packet is in |

mod align;
mod ask;
mod cell;
mod compare;
mod decider;
mod expect;
mod finding;
mod line;
mod lint;
mod lists;
mod nets;
mod open;
mod rest;
mod ruled;
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
    finding::{Finding, Kind, Reachable, What},
    line::{Counts, Effect, Line, Outcome, Span},
    lint::{Scope, lint, lint_all},
    nets::{Nets, all_but},
    search::{Found, search},
    start::{Finder, Start},
    words::{AS_WRITTEN, Called},
    written::{Sample, SampleProtocol, WrittenFound, WrittenLine, WrittenOutcome, WrittenPackets},
};
