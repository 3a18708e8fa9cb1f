//! The titles of the columns that a command prints: what `--columns` and `--sort` may name. It must never ask a server. Called by
//! `completion`.

use sg_api_types::{
    AccessKeyView, CommonCheck, Finding, GroupView, ImportRow, InstanceView, ListView, ListedRule, NicView,
    Reference, Status,
};
use sg_audit::Entry;
use sg_records::{EntryList, Member, PortEntry, PrefixEntry, Rule, Vpc};

use crate::{
    commands::{flows, quota, show},
    render::table::titles,
};

/// The titles of the table of the command with these words; none if it prints none.
pub(super) fn of(path: &str) -> Vec<&'static str> {
    match path {
        "vpc list" | "vpc show" => titles::<Vpc>(true),
        "group list" | "group show" => titles::<GroupView>(true),
        "group references" | "prefix-list associations" | "port-list associations" => {
            titles::<Reference>(true)
        }
        "group import" => titles::<ImportRow>(false),
        "rule list" => titles::<ListedRule>(false),
        "rule show" => titles::<Rule>(true),
        "nic list" | "nic show" => titles::<NicView>(true),
        "instance list" | "instance show" => titles::<InstanceView>(true),
        "prefix-list list" => titles::<ListView<EntryList<PrefixEntry>>>(false),
        "prefix-list show" => titles::<EntryList<PrefixEntry>>(true),
        "port-list list" => titles::<ListView<EntryList<PortEntry>>>(false),
        "port-list show" => titles::<EntryList<PortEntry>>(true),
        "member list" => titles::<Member>(false),
        "access-key list" => titles::<AccessKeyView>(false),
        "lint" => titles::<Finding>(false),
        "check common" => titles::<CommonCheck>(false),
        "show" => titles::<show::Row>(false),
        "status" => titles::<Status>(true),
        "history" => titles::<Entry>(false),
        "flows" => flows::TITLES.to_vec(),
        "quota list" | "quota modify" => quota::TITLES.to_vec(),
        _ => Vec::new(),
    }
}
