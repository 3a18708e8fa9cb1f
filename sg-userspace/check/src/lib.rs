//! Checks a packet against a policy: engines that evaluate probes, and the stream of probes through one of them.
//!
//! | engine | what it runs |
//! |---|---|
//! | oracle | the rules as written |
//! | image | the compiled image, read in user space |
//! | kernel | the eBPF program, on a real packet |
//!
//! The three must always agree; tests and `sgctl check` compare them. This crate must never touch an interface, nor decide
//! anything itself. `sgctl`, `sg-service`, `sg-inspect` and the tests call it.

mod engine;
mod image;
mod kernel;
mod kind;
mod oracle;
mod stream;

pub use engine::{Engine, EngineError, ImageFault};
pub use image::{CompiledNic, ImageEngine};
pub use kernel::KernelEngine;
pub use kind::{EngineKind, UnknownEngine};
pub use oracle::OracleEngine;
pub use stream::{Form, StreamError, stream};
