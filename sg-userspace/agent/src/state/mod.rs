//! What the agent knows: what is in force for each NIC, and which image each input gives.
//!
//! It must never decide what comes next, and never touch the kernel. `plan` compares with it, `apply` keeps it true.

pub(crate) mod image_cache;
pub(crate) mod images;
pub(crate) mod inputs;
pub(crate) mod records;
