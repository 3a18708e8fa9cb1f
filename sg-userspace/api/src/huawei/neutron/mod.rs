//! Neutron v2.0: groups, rules and ports for clients of `OpenStack`, without a project in the path. One file a noun, each with its own
//! table. An operation reads the parameters that it declares, runs one operation of the domain and formats the result; it must never
//! have quotas or refusals of its own.
//!
//! It differs from `v1` in paths, statuses, times, links to parts of lists, and the form of refusals.

mod groups;
mod paging;
mod ports;
mod rules;

pub(super) use groups::GROUPS;
pub(super) use ports::PORTS;
pub(super) use rules::RULES;
