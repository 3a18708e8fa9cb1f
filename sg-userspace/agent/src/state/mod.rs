//! What the agent knows: what is in force for each NIC, and which image each input gives; and the part of it that others read.
//!
//! It must never decide what comes next, and never touch the kernel. `plan` compares with it, `apply` keeps it true.

pub(crate) mod candidate;
pub(crate) mod filtered;
pub(crate) mod image_cache;
pub(crate) mod images;
pub(crate) mod in_force;
pub(crate) mod inputs;
pub(crate) mod records;

pub use candidate::{CandidateCounts, CandidateInForce, CandidateNic, ImageDigest};
pub use filtered::Filtered;
pub use in_force::{Applied, Cause, InForce, Origin, PublishedImage, Refused};
