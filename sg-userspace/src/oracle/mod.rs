//! The verdict by walking the rules as they are written, and the explanation of it.
//!
//! This is the opinion that the compiled tables are measured against, so it is written to be read beside the
//! documentation: no tables, no cleverness, one rule after the other. It depends on the model and on probes;
//! it must never share code with `compile` or `sg_common::image`, nor with `sg_common::exceptions`, which it
//! says again in its own words. `sgctl check` and every test of the engines ask it.

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
