//! The recipes against requests of the vendors' unmodified clients, recorded on the wire, and against the examples in
//! the vendors' documentation.

mod documented;
pub(crate) mod huawei;
mod recorded;

pub(crate) use recorded::{Recorded, recorded};
