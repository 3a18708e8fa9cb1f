//! The REST protocols of Huawei Cloud VPC and ECS, as their unmodified clients use them: VPC v3 and v1, Neutron v2.0, ECS v1, Nova
//! v2.1, and as much of the identity service as clients need before anything else.
//!
//! ```text
//! request ── wire ──► authenticate ──► Call ──► handler ──► Response or Fault ── reply ──► JSON in the form of its version
//!            decode    key, signature,  route,   one operation
//!                      time; or token   names    of the domain
//! ```
//!
//! * `state`: what the API holds between requests, for all of these.
//! * `wire`: the request as received, decoded; nothing in it is believed.
//! * `authenticate`: a signature SDK-HMAC-SHA256, or a token of `token`.
//! * [`Operation`], `route`: one table of all operations; `v3`, `v1`, `neutron`, `ecs` and `identity` have its parts. An operation
//!   reads parameters, runs one operation of the domain, and formats the result.
//! * `declaration`, `parameters`, `compare`: what a request says is compared with what its operation declares, so nothing is ignored.
//! * `project`, `ids`: the vendor's projects and UUIDs for regions and ids.
//! * `fault`, `problem`, `refusals`: why a request is refused, in the codes of each version.
//! * `paging`, `reply`: parts of lists, and responses.
//!
//! This API must never decide what is a valid group or rule, nor log the content of a request.

mod authenticate;
mod call;
mod compare;
mod declaration;
mod dialect;
mod ecs;
mod fault;
mod identity;
mod ids;
mod json;
mod neutron;
mod objects;
mod operation;
mod paging;
mod parameters;
mod ports;
mod problem;
mod project;
mod refusals;
mod reply;
mod route;
mod router;
mod selection;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod token;
mod v1;
mod v3;
mod wire;

pub use call::Call;
pub use declaration::Declaration;
pub use dialect::Dialect;
pub use fault::Fault;
pub use operation::Operation;
pub use parameters::{Kind, Parameter, Place, Support};
pub use reply::Response;
pub use route::{NOUNS, Noun};
pub use router::router;
pub use state::Huawei;
pub use token::Tokens;
