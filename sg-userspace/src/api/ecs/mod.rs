//! The RPC protocol of Alibaba Cloud ECS (version 2014-05-26), as its unmodified clients speak it.
//!
//! ```text
//! request ── wire ──► authenticate ──► Call ──► actions ──► Response or Fault ── reply ──► JSON or XML
//!            decode    key, signature,          one operation
//!                      time, nonce              of the domain
//! ```
//!
//! * `wire`: three places for parameters (query of a GET, query of a POST, form) become one map.
//! * `authenticate`: both signatures. A nonce is remembered once its signature is right, so nobody without a key can
//!   burn nonces or fill the memory for them.
//! * [`params`]: parameters as what they should be, 1-based arrays included; what does not fit is a documented code.
//! * `actions`: one file a noun; an action reads parameters, calls one operation, and says what came of it.
//! * `reply`, `xml`: the answer in the format that was asked for.
//!
//! This room must never decide what a group or a rule may be, nor log what a request holds: the vendor's answer to a
//! wrong signature repeats every parameter, and the answer alone does.

mod actions;
mod authenticate;
mod call;
mod fault;
mod keys;
mod nonces;
pub mod params;
mod reply;
mod router;
#[cfg(test)]
mod tests;
mod wire;
mod xml;

pub use call::{Call, Format};
pub use fault::Fault;
pub use keys::{Keys, Secret};
pub use nonces::Nonces;
pub use reply::Response;
pub use router::{Clock, Ecs, Region, router, system_clock};
