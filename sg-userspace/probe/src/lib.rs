//! Probes and their results: a packet that starts a flow, in words, as JSON and as the bytes of a frame; and the verdict with its
//! reason.
//!
//! It uses the model only for names in probes and results. It must never decide anything. The oracle and the engines of `sg-check`
//! read probes and build results; `sg-service`, `sgctl check` and tests ask them.

mod check_result;
mod frame;
mod line;
mod question;

pub use check_result::{CheckResult, WrittenResult};
pub use frame::HOP_LIMIT;
pub use line::{LineReason, Reader};
pub use question::{Content, DEFAULT_SOURCE_PORT, Ends, InvalidProbe, Probe, ProbeParts};
