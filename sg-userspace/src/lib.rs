//! The user-space side of the security group engine, in rooms:
//!
//! | room | owns |
//! |---|---|
//! | [`document`] | YAML or JSON → policy, or an error with its place |
//! | [`model`] | groups, rules, lists, NICs; the only place that knows precedence |
//! | [`probe`] | what can be asked about a policy, and what is answered |
//! | [`oracle`] | the verdict by walking the rules as written, and the explanation |
//! | [`check`] | the engines that answer probes, and the stream of probes through one |
//! | [`cli`] | `sgctl`, the client |
//! | [`compile`] | effective policy → image |
//! | [`kernel`] | load, attach, publish, pin, counters, test runs |

pub mod check;
pub mod cli;
pub mod compile;
pub mod document;
pub mod kernel;
pub mod model;
pub mod oracle;
pub mod probe;
