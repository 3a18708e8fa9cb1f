//! The user-space side of the security group engine, in rooms:
//!
//! | room | owns |
//! |---|---|
//! | [`document`] | YAML or JSON → policy, or an error with its place |
//! | [`model`] | groups, rules, lists, NICs; the only place that knows precedence |
//! | [`oracle`] | the verdict by walking the rules as written, and the explanation |
//! | [`compile`] | effective policy → image |
//! | [`kernel`] | load, attach, publish, pin, counters, test runs |
//! | [`agent`] | time: reconciling the wanted state with what is in force (`sgd`) |
//! | [`probe`] | described packets to check against a policy, and the results |
//! | [`check`] | the engines that check probes, and the stream of probes through one |
//! | [`store`] | what must survive: records, and the file that keeps them |
//! | [`service`] | the operations on them with quotas and refusals, once for every API |
//! | [`api`] | the APIs of `sgd serve`: sockets, signatures, requests and responses |
//! | [`cli`] | `sgctl`, the client |
//!
//! Dependencies point one way: cli → {agent, api, check, service}; api → service → {store, agent}; agent, check → {compile,
//! kernel, oracle} → model → `sg-common`. Of `api`, the client uses only the response types.

pub mod agent;
pub mod api;
pub mod check;
pub mod cli;
pub mod compile;
mod diff;
pub mod document;
pub mod kernel;
mod lock_file;
pub mod logging;
pub mod model;
pub mod oracle;
pub mod probe;
pub mod service;
pub mod store;
mod workers;
