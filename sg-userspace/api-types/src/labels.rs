//! Names, descriptions and tags: the allowed values, as Alibaba Cloud documents them, and how they change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a thing is to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NewLabel {
    /// 2 to 128 characters; none: it has no name.
    pub name: String,
    /// 2 to 256 characters.
    pub description: String,
    /// Keys and values.
    pub tags: BTreeMap<String, String>,
}

/// What a thing is to be called from now on; what is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LabelChange {
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// All tags.
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
