//! ECS v1 and Nova v2.1, as far as groups and interfaces of servers go. One file a noun, each with its own table. An operation reads
//! the parameters that it declares, runs one operation of the domain and formats the result; it must never have quotas or refusals
//! of its own.

mod find;
mod groups;
mod interfaces;
mod membership;
mod servers;

pub(super) use groups::GROUPS;
pub(super) use interfaces::INTERFACES;
pub(super) use servers::SERVERS;
