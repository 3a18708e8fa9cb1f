//! The user-space side of the security group engine, in rooms:
//!
//! | room | owns |
//! |---|---|
//! | [`document`] | YAML or JSON → policy, or an error with its place |
//! | [`model`] | groups, rules, lists, NICs; the only place that knows precedence |
//! | [`compile`] | effective policy → image |
//! | [`kernel`] | load, attach, publish, pin, counters, test runs |

pub mod compile;
pub mod document;
pub mod kernel;
pub mod model;
