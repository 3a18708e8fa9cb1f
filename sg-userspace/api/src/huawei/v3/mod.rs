//! VPC v3: one file a noun, each with its own table. An operation reads the parameters that it declares, runs one operation of the
//! domain and formats the result; it must never have quotas or refusals of its own.

mod common;
mod groups;
mod rules;

pub(super) use groups::GROUPS;
