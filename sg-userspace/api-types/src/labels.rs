//! Names, descriptions and tags in requests that create or change an object.
//!
//! The service checks the values, which are those that Alibaba Cloud documents. Other requests embed these types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Name, description and tags of a new object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NewLabel {
    /// Name: 2 to 128 letters, digits, `:`, `_`, `.` and `-`, beginning with a letter. Need not be unique. Default: no name.
    pub name: String,
    /// Description: 2 to 256 characters, not beginning with `http://` or `https://`. Default: none.
    pub description: String,
    /// Tags: keys of 1 to 128 characters with values of up to 128. Their number is limited by the quota `tags`. Default: none.
    pub tags: BTreeMap<String, String>,
}

/// Changes of an object's name, description and tags. Unspecified fields are left unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LabelChange {
    /// New name: 2 to 128 letters, digits, `:`, `_`, `.` and `-`, beginning with a letter. Empty: remove the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New description: 2 to 256 characters, not beginning with `http://` or `https://`. Empty: remove the description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New tags. They replace all existing tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
}

impl LabelChange {
    /// Whether the change has no field.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.name.is_none() && self.description.is_none() && self.tags.is_none()
    }
}
