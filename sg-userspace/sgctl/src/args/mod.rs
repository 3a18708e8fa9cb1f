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
pub(crate) mod tried;
pub(crate) mod values;
pub(crate) mod watch;
pub(crate) mod words;

pub(crate) use common::{Common, Format};
pub(crate) use filter::{Filter, Length};
pub(crate) use label::{LabelChangeArgs, NewLabelArgs};
pub(crate) use nic_spec::nic;
pub(crate) use policy::PolicyArg;
pub(crate) use service_name::{numbered, port};
pub(crate) use values::{named, parse_bool, word, write_addresses, write_end, write_ids, write_time, yes_no};
pub(crate) use watch::Watch;
