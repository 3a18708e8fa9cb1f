//! The user-space side of the security group engine, in rooms:
//!
//! | room | owns |
//! |---|---|
//! | [`model`] | groups, rules, lists, NICs; the only place that knows precedence |
//! | [`document`] | YAML text ↔ model |
//! | [`compile`] | effective policy → image |
//! | [`kernel`] | load, attach, publish, pin, counters, test runs |
//! | [`agent`] | time: reconciling what is wanted with what is in force |
//! | [`cli`] | the commands of `sgctl` |

pub mod agent;
pub mod cli;
pub mod compile;
pub mod document;
pub mod kernel;
pub mod model;
