//! Operations on prefix lists and port lists. A change reaches every rule that names the list.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sg_records::{Family, PortEntry, PortSet, PrefixEntry};
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Make a prefix list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatePrefixList {
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Where.
    #[serde(default)]
    pub region: String,
    /// The family of its entries.
    pub family: Family,
    /// How many entries it may hold; a rule that names the list counts as so many rules.
    pub max_entries: u32,
    /// The prefixes.
    #[serde(default)]
    pub entries: Vec<PrefixEntry>,
}

/// Change a prefix list; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyPrefixList {
    /// Its id or name.
    pub list: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// How many entries it may hold.
    pub max_entries: Option<u32>,
    /// New entries; one whose prefix is there gets the new description.
    pub add: Vec<PrefixEntry>,
    /// Prefixes that go.
    #[schema(value_type = Vec<String>)]
    pub remove: Vec<IpNet>,
}

/// Delete prefix lists that no rule names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePrefixLists {
    /// Their ids or names. All are deleted, or none.
    pub lists: Vec<String>,
}

/// Make a port list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CreatePortList {
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Where.
    #[serde(default)]
    pub region: String,
    /// How many entries it may hold; a rule that names the list counts as so many rules.
    pub max_entries: u32,
    /// The ports.
    #[serde(default)]
    pub entries: Vec<PortEntry>,
}

/// Change a port list; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyPortList {
    /// Its id or name.
    pub list: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// How many entries it may hold.
    pub max_entries: Option<u32>,
    /// New entries; one whose ports are there gets the new description.
    pub add: Vec<PortEntry>,
    /// Ports that go.
    pub remove: Vec<PortSet>,
}

/// Delete port lists that no rule names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletePortLists {
    /// Their ids or names. All are deleted, or none.
    pub lists: Vec<String>,
}
