//! VPC v1: groups, rules and ports as before v3, without actions and priorities. One file a noun, each with its own table. An
//! operation reads the parameters that it declares, runs one operation of the domain and formats the result; it must never have
//! quotas or refusals of its own.

mod groups;
mod paging;
mod ports;
mod quotas;
mod rules;

pub(super) use groups::GROUPS;
pub(super) use ports::PORTS;
pub(super) use quotas::QUOTAS;
pub(super) use rules::{RULES, given, shown as shown_rule, wanted as wanted_rule};
