//! Arguments that several commands share: their flags, their help, and how their values are parsed and written.
//!
//! It must never contact anything. The commands use it.

pub(crate) mod common;
pub(crate) mod filter;
pub(crate) mod label;
pub(crate) mod nic_spec;
pub(crate) mod numbers;
pub(crate) mod policy;
pub(crate) mod rule;
pub(crate) mod service_name;
pub(crate) mod values;
