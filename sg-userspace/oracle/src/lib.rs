//! Judges packets by walking the rules as they are written, and explains the verdict.
//!
//! This is the reference that compiled images are tested against, so it is meant to be read next to the documentation: no tables,
//! no cleverness, one rule after the other. It depends on the model and on probes; it must never share code with `sg-compile`
//! or `sg_common::image`, nor with `sg_common::exceptions`, which it implements a second time. `sg-check`, `sg-service`,
//! `sgctl check` and every test of the engines call it.

mod addresses;
mod exceptions;
mod explanation;
mod guest;
mod judge;
mod matching;
#[cfg(test)]
mod tests;

pub use explanation::{Explanation, Step};
pub use judge::Oracle;
pub use matching::Mismatch;
