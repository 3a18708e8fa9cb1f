//! The APIs of `sgd serve`: how a request reaches the domain, and how its response goes back.
//!
//! | module | owns |
//! |---|---|
//! | [`listen`] | sockets and connections: who may connect, how many, how slowly, how much |
//! | [`media`] | the declared format of a request's body, against what the route reads |
//! | `request_id` | the id of a request, in its log lines and its response |
//! | [`recording`] | what is written about a request: the audit trail, the access log |
//! | [`keys`] | access keys: what verifies their signatures, what they may do |
//! | [`clock`] | the time by which requests are judged |
//! | [`attempts`] | wrong secrets: how many, of which keys, and how long their responses are delayed |
//! | [`signature`] | the vendors' recipes for signing a request, as pure functions |
//! | [`native`] | our own API: JSON, described by an `OpenAPI` document |
//! | [`ecs`] | the RPC protocol of the clients of Alibaba Cloud ECS |
//! | [`huawei`] | the REST protocols of the clients of Huawei Cloud VPC and ECS |
//!
//! An API must never decide anything about groups and rules: it reads a request, runs one operation and formats the result. The
//! sender of a request is unknown until the API has authenticated it; everything here is written for malicious input.

pub mod attempts;
pub mod clock;
pub mod ecs;
pub mod huawei;
pub mod keys;
pub mod listen;
pub mod media;
pub mod native;
pub mod recording;
mod request_id;
pub mod signature;
#[cfg(test)]
mod tests;
