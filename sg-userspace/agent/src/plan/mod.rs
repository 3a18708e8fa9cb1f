//! From a policy, the devices and what is in force to the steps that are missing: everything that can refuse a policy is found
//! here, before the first step.
//!
//! Pure: it must never touch the kernel or a file. Called by `apply`.

pub(crate) mod guard;
pub(crate) mod leaving;
mod names;
pub(crate) mod prepare;
pub(crate) mod renumber;
pub(crate) mod steps;
pub(crate) mod unfiltered;
