//! Lists that rules name: prefix lists as their remote, port lists as their ports.
//!
//! A list of any kind is an [`EntryList`]. Its kind is the type of its entries: this file has both, with how their entries are
//! written and which quota they have. It must never know which rules name a list. The service changes lists; the APIs and
//! `sgctl` parse and show them.

use std::{
    fmt::{self, Debug},
    hash::Hash,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use sg_model::{Addresses, AddressesError};

use super::{Id, Label, PortListId, PortSet, PortSetError, PrefixListId, Quotas, shortest};

/// An entry of a list, and with it a kind of list.
pub trait ListEntry:
    Clone + Debug + Eq + Serialize + DeserializeOwned + ToSchema + Send + Sync + 'static
{
    /// Id of a list.
    type Id: Id;
    /// What an entry has beside its description. A list has each value at most once.
    type Value: Clone + Debug + Eq + Hash + Serialize + DeserializeOwned + Send + Sync + 'static;
    /// Fields that only lists of this kind have.
    type Extra: Clone + Debug + Default + Eq + Serialize + DeserializeOwned + ToSchema + Send + Sync + 'static;

    /// The noun for a list.
    const NOUN: &'static str;
    /// The quota that limits `max_entries`: its name and its value.
    const QUOTA: (&'static str, fn(&Quotas) -> u32);

    /// An entry of a value.
    fn new(value: Self::Value, description: String) -> Self;

    /// The entry's value.
    fn value(&self) -> &Self::Value;

    /// The entry's description.
    fn description(&self) -> &str;

    /// Parses a value.
    ///
    /// # Errors
    /// What is allowed.
    fn parse(text: &str) -> Result<Self::Value, String>;

    /// A value in the form that [`Self::parse`] parses.
    fn show(value: &Self::Value) -> String;
}

/// A list of entries, which rules can name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(bound = "")]
pub struct EntryList<E: ListEntry> {
    /// Id of the list.
    #[schema(value_type = String)]
    pub id: E::Id,
    /// Region of the list.
    pub region: String,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: Label,
    /// Fields that only lists of this kind have.
    #[serde(flatten)]
    #[schema(inline)]
    pub extra: E::Extra,
    /// Maximum number of entries. A rule that names the list counts as this many rules against the quota `rules_per_nic`.
    pub max_entries: u32,
    /// Entries, each value at most once.
    pub entries: Vec<E>,
}

/// A prefix list, which rules can name as their remote.
pub type PrefixList = EntryList<PrefixEntry>;

/// A port list, which rules can name as their ports.
pub type PortList = EntryList<PortEntry>;

/// An entry of a prefix list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixEntry {
    /// Address, prefix with host bits zero, or range of addresses such as `10.0.0.1-10.0.0.9`. Required. The name `cidr` of
    /// earlier versions is accepted, too.
    #[schema(value_type = String)]
    #[serde(alias = "cidr")]
    pub addresses: Addresses,
    /// Description, up to 256 characters. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The field of a prefix list that other lists do not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrefixFamily {
    /// Address family of the entries. Required for a new list. `null`: both families, which only lists of applied documents can
    /// have.
    #[serde(default)]
    pub family: Option<Family>,
}

impl ListEntry for PrefixEntry {
    type Id = PrefixListId;
    type Value = Addresses;
    type Extra = PrefixFamily;

    const NOUN: &'static str = "prefix list";
    const QUOTA: (&'static str, fn(&Quotas) -> u32) =
        ("entries_per_prefix_list", |quotas| quotas.entries_per_prefix_list);

    fn new(addresses: Addresses, description: String) -> Self {
        Self { addresses, description }
    }

    fn value(&self) -> &Addresses {
        &self.addresses
    }

    fn description(&self) -> &str {
        &self.description
    }

    /// Host bits are zeroed.
    fn parse(text: &str) -> Result<Addresses, String> {
        text.parse().map(Addresses::trunc).map_err(|error: AddressesError| error.to_string())
    }

    fn show(addresses: &Addresses) -> String {
        match addresses {
            Addresses::Net(net) => shortest(*net),
            Addresses::Range(range) => range.to_string(),
        }
    }
}

/// An entry of a port list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortEntry {
    /// Ports and port ranges, such as `22` or `8000-8100`. Required.
    pub ports: PortSet,
    /// Description, up to 256 characters. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// No field: a port list has those of every list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoExtra {}

impl ListEntry for PortEntry {
    type Id = PortListId;
    type Value = PortSet;
    type Extra = NoExtra;

    const NOUN: &'static str = "port list";
    const QUOTA: (&'static str, fn(&Quotas) -> u32) =
        ("entries_per_port_list", |quotas| quotas.entries_per_port_list);

    fn new(ports: PortSet, description: String) -> Self {
        Self { ports, description }
    }

    fn value(&self) -> &PortSet {
        &self.ports
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn parse(text: &str) -> Result<PortSet, String> {
        text.parse().map_err(|error: PortSetError| error.to_string())
    }

    fn show(ports: &PortSet) -> String {
        ports.to_string()
    }
}

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "IPv4")]
    #[value(name = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    #[value(name = "ipv6")]
    V6,
}

impl From<Family> for sg_model::Family {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::V4,
            Family::V6 => Self::V6,
        }
    }
}

impl Family {
    /// The family of a prefix or range.
    #[must_use]
    pub fn of(addresses: impl Into<Addresses>) -> Self {
        match addresses.into().family() {
            sg_model::Family::V4 => Self::V4,
            sg_model::Family::V6 => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn list<E: ListEntry>(id: &str, own: &Value, entry: &Value) -> EntryList<E> {
        let mut list = json!({
            "id": id, "region": "local", "name": "web", "created": "1970-01-01T00:00:00Z",
            "updated": "1970-01-01T00:00:00Z", "max_entries": 2,
            "entries": [entry],
        });
        list.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        let read: EntryList<E> = serde_json::from_value(list.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), list);
        read
    }

    #[test]
    fn a_kind_of_list_has_its_own_fields_and_values() {
        let entry = json!({ "addresses": "10.0.0.1-10.0.0.9", "description": "here" });
        let prefixes = list::<PrefixEntry>("pl-1", &json!({ "family": "IPv4" }), &entry);
        assert_eq!(prefixes.extra.family, Some(Family::V4));
        let ports = list::<PortEntry>("prl-1", &json!({}), &json!({ "ports": "22,80-90" }));
        assert_eq!(ports.entries, [PortEntry::new("22,80-90".parse().unwrap(), String::new())]);
    }

    #[test]
    fn an_entry_of_an_earlier_version_is_read() {
        let entry: PrefixEntry = serde_json::from_value(json!({ "cidr": "10.0.0.0/8" })).unwrap();
        assert_eq!(serde_json::to_value(&entry).unwrap(), json!({ "addresses": "10.0.0.0/8" }));
        let twice = json!({ "cidr": "10.0.0.0/8", "addresses": "10.0.0.0/8" });
        serde_json::from_value::<PrefixEntry>(twice).unwrap_err();
    }

    #[test]
    fn what_is_shown_is_parsed() {
        for text in
            ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "10.0.0.1-10.0.0.9", "2001:db8::-2001:db8::9"]
        {
            assert_eq!(PrefixEntry::show(&PrefixEntry::parse(text).unwrap()), text);
        }
        for text in ["22", "22,80-90"] {
            assert_eq!(PortEntry::show(&PortEntry::parse(text).unwrap()), text);
        }
        assert_eq!(PrefixEntry::show(&PrefixEntry::parse("10.1.2.3/8").unwrap()), "10.0.0.0/8");
        assert!(PrefixEntry::parse("web").unwrap_err().contains("either family"));
        assert!(PrefixEntry::parse("10.0.0.9-10.0.0.1").unwrap_err().contains("write 10.0.0.1-10.0.0.9"));
        assert!(PortEntry::parse("90-80").unwrap_err().contains("the lower first"));
    }
}
