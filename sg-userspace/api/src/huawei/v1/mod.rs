//! VPC v1: groups, rules and ports as before v3, without actions and priorities. One file a noun, each with its own table. An
//! operation reads the parameters that it declares, runs one operation of the domain and formats the result; it must never have
//! quotas or refusals of its own.

mod groups;
mod paging;
mod ports;
mod quotas;
mod rules;

pub(super) use groups::{
    GROUPS, all as all_groups, delete as delete_group, find as find_group, new_group, rules_of,
};
pub(super) use paging::limit;
pub(super) use ports::{LABEL_AND_GROUPS, NEW_PORT, PORTS, delete as delete_port, registered, updated};
pub(super) use quotas::QUOTAS;
pub(super) use rules::{
    AddRule, NEW_RULE, RULES, all as all_rules, can_say, delete as delete_rule,
    find_shown as find_shown_rule, given as given_rule, shown as shown_rule,
};
