//! Requests that create, change and delete prefix lists and port lists.
//!
//! A change of a list applies to every rule that names it. The service checks entries and quotas; these types must never do so.
//! The native API and `sgctl` exchange them as JSON, and the ECS API builds them.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sg_records::{Family, PortEntry, PortSet, PrefixEntry};
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Creates a prefix list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatePrefixList {
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Default: `local`.
    #[serde(default)]
    pub region: String,
    /// Address family of the entries. Required.
    pub family: Family,
    /// Maximum number of entries: 1 up to the quota `entries_per_prefix_list`. A rule that names the list counts as this many
    /// rules against the quota `rules_per_nic`. Required.
    pub max_entries: u32,
    /// Prefixes, each at most once. Default: none.
    #[serde(default)]
    pub entries: Vec<PrefixEntry>,
}

/// Changes a prefix list. Unspecified fields are left unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyPrefixList {
    /// Id or name of the list. Taken from the path.
    pub list: String,
    /// New name, description and tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// Maximum number of entries: 1 up to the quota `entries_per_prefix_list`, and at least the number of entries.
    pub max_entries: Option<u32>,
    /// Entries to add. If the prefix is already in the list, only its description changes.
    pub add: Vec<PrefixEntry>,
    /// Prefixes to remove. Each must be in the list.
    #[schema(value_type = Vec<String>)]
    pub remove: Vec<IpNet>,
}

/// Deletes prefix lists. Refused if a rule names one of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePrefixLists {
    /// Ids or names of the lists. Either all of them are deleted or none.
    pub lists: Vec<String>,
}

/// Creates a port list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatePortList {
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Default: `local`.
    #[serde(default)]
    pub region: String,
    /// Maximum number of entries: 1 up to the quota `entries_per_port_list`. A rule that names the list counts as this many rules
    /// against the quota `rules_per_nic`. Required.
    pub max_entries: u32,
    /// Entries: ports and port ranges, each at most once. Default: none.
    #[serde(default)]
    pub entries: Vec<PortEntry>,
}

/// Changes a port list. Unspecified fields are left unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyPortList {
    /// Id or name of the list. Taken from the path.
    pub list: String,
    /// New name, description and tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// Maximum number of entries: 1 up to the quota `entries_per_port_list`, and at least the number of entries.
    pub max_entries: Option<u32>,
    /// Entries to add. If the same ports are already an entry, only its description changes.
    pub add: Vec<PortEntry>,
    /// Ports to remove. Each must be an entry of the list.
    pub remove: Vec<PortSet>,
}

/// Deletes port lists. Refused if a rule names one of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePortLists {
    /// Ids or names of the lists. Either all of them are deleted or none.
    pub lists: Vec<String>,
}
