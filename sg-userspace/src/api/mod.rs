//! The faces of `sgd serve`: how a request reaches the domain, and how its answer goes back.
//!
//! | room | owns |
//! |---|---|
//! | [`listen`] | sockets and connections: who may connect, how many, how slowly, how much |
//! | [`media`] | what a request says of its body, against what is read there |
//! | [`attempts`] | wrong secrets: how many, whose, and how long their answers wait |
//! | [`signature`] | the vendors' recipes for signing a request, as pure functions |
//! | [`native`] | our own API: JSON, described by an `OpenAPI` document |
//! | [`ecs`] | the RPC protocol that the clients of Alibaba Cloud ECS speak |
//!
//! A face must never decide anything about groups and rules: it reads a request, calls one operation and writes
//! what came of it. Whoever a request comes from is a stranger until its face has checked that; everything here
//! is made for bytes that somebody wrote to do harm.

pub mod attempts;
pub mod ecs;
pub mod listen;
pub mod media;
pub mod native;
pub mod signature;
