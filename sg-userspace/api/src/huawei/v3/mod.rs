//! VPC v3: one file a noun, each with its own table. An operation reads the parameters that it declares, runs one operation of the
//! domain and formats the result; it must never have quotas or refusals of its own.

mod address_groups;
mod common;
mod described;
mod groups;
mod ports;
mod quotas;
mod rules;

pub(super) use address_groups::ADDRESS_GROUPS;
pub(super) use common::{name, submit, time};
pub(super) use groups::GROUPS;
pub(super) use ports::PORTS;
pub(super) use quotas::QUOTAS;
pub(super) use rules::{RULES, form as rule_form, shown as shown_rule};
