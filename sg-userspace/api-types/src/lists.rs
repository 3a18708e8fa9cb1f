//! Requests that create, change and delete lists. A request for a kind of list is generic over its entries.
//!
//! A change of a list applies to every rule that names it. The service checks entries and quotas; these types must never do so.
//! The native API and `sgctl` exchange them as JSON, and the ECS API builds them.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use sg_records::ListEntry;
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Creates a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(bound = "")]
pub struct CreateList<E: ListEntry> {
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Default: `local`.
    #[serde(default)]
    pub region: String,
    /// Fields that only lists of this kind have.
    #[serde(flatten)]
    #[schema(inline)]
    pub extra: E::Extra,
    /// Maximum number of entries: 1 up to the quota `entries_per_prefix_list` or `entries_per_port_list`. A rule that names the
    /// list counts as this many rules against the quota `rules_per_nic`. Required.
    pub max_entries: u32,
    /// Entries, each value at most once. Default: none.
    #[serde(default)]
    pub entries: Vec<E>,
}

/// Changes a list. Unspecified fields are left unchanged.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(bound = "")]
pub struct ModifyList<E: ListEntry> {
    /// Id or name of the list. Taken from the path.
    #[serde(default)]
    pub list: String,
    /// New name, description and tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// Maximum number of entries: 1 up to the quota `entries_per_prefix_list` or `entries_per_port_list`, and at least the number
    /// of entries.
    #[serde(default)]
    pub max_entries: Option<u32>,
    /// The entries from now on, in this order, in place of all that there are; not with `add` or `remove`. Default: as `add` and
    /// `remove` say.
    #[serde(default)]
    pub entries: Option<Vec<E>>,
    /// Entries to add. If the list has an entry with the same value, only its description changes.
    #[serde(default)]
    pub add: Vec<E>,
    /// Values whose entries to remove, such as `10.0.0.0/8` or `8000-8100`. Each must be in the list.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub remove: Vec<E::Value>,
}

impl<E: ListEntry> Default for ModifyList<E> {
    fn default() -> Self {
        let (label, add, remove) = (LabelChange::default(), Vec::new(), Vec::new());
        Self { list: String::new(), label, max_entries: None, entries: None, add, remove }
    }
}

/// Deletes lists. Refused if a rule names one of them, unless the rules go, too.
#[derive(Clone, Debug, Serialize)]
#[serde(bound = "")]
pub struct DeleteLists<E: ListEntry> {
    /// Ids or names of the lists. Either all of them are deleted or none.
    pub lists: Vec<String>,
    /// Whether the rules that name one of them are deleted with them.
    pub with_rules: bool,
    #[serde(skip)]
    kind: PhantomData<fn() -> E>,
}

impl<E: ListEntry> DeleteLists<E> {
    /// A request to delete these lists, which are given by their ids or names.
    #[must_use]
    pub const fn new(lists: Vec<String>) -> Self {
        Self { lists, with_rules: false, kind: PhantomData }
    }

    /// The same, and to delete the rules that name them.
    #[must_use]
    pub fn with_rules(self, with_rules: bool) -> Self {
        Self { with_rules, ..self }
    }
}
