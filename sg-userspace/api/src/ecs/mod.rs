//! The RPC protocol of Alibaba Cloud ECS (version 2014-05-26), as its unmodified clients use it.
//!
//! ```text
//! request ── wire ──► authenticate ──► Call ──► actions ──► Response or Fault ── reply ──► JSON or XML
//!            decode    key, signature,          understood?
//!                      time, nonce              one operation
//!                                               of the domain
//! ```
//!
//! * `state`: what the API holds between requests, for all of these.
//! * `wire`: three places for parameters (query of a GET, query of a POST, form) become one map.
//! * `authenticate`: both signatures. A nonce is remembered only after its signature was verified, so nobody without a key can
//!   burn nonces or fill the memory for them.
//! * [`params`]: typed parameters, 1-based arrays included; a value that does not fit gets a documented code.
//! * `understood`: a request with a parameter that its action does not know is refused by name, before anything is done.
//! * `actions`: one file a noun; an action reads parameters, runs one operation, and formats the result.
//! * `reply`, `xml`: the response in the requested format.
//!
//! This API must never decide what is a valid group or rule, nor log the content of a request: the vendor's response to a wrong
//! signature repeats every parameter, and only the response may.

mod actions;
mod authenticate;
mod call;
mod fault;
mod nonces;
pub mod params;
mod reply;
mod reports;
mod router;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod understood;
mod wire;
mod xml;

pub use actions::{Action, EVERY, Effect, NOUNS, Noun, Parameter};
pub use call::{Call, Format};
pub use fault::Fault;
pub use nonces::Nonces;
pub use reply::Response;
pub use reports::Reports;
pub use router::router;
pub use state::{Ecs, Region};
