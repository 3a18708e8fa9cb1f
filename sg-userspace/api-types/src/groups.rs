//! Requests that create, change and delete groups, and the names, descriptions and tags in them.
//!
//! The service checks quotas, values and whether the fields fit together; these types must never do so. The native API and `sgctl`
//! exchange them as JSON, and the ECS API builds them. Requests about other objects have the same labels.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sg_records::GroupType;
use utoipa::ToSchema;

/// Creates a group, and the rules that it begins with.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateGroup {
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Default: the region of the VPC, or `local` in the classic network.
    pub region: String,
    /// Id or name of the VPC. Default: the classic network, except that a closed group without a VPC belongs to its region: NICs of
    /// every VPC there may hold it. Enterprise groups require a VPC.
    pub vpc: Option<String>,
    /// Type of the group: `basic`, `enterprise` or `closed`. Default: `basic`.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// Whether members accept inbound traffic from each other without a rule. Must be false for enterprise and closed groups.
    /// Default: true for basic groups, otherwise false.
    pub inner_access: Option<bool>,
    /// The rules that the group begins with: `none` or `standard`. Default: `none`.
    pub template: GroupTemplate,
}

/// The rules that a new group begins with. They are rules like any other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupTemplate {
    /// No rules.
    #[default]
    None,
    /// Those of a new group in the clouds' consoles, with priority 100. Basic and enterprise, which need a VPC: TCP to 80, 443, 22 and
    /// 3389 and ping from every IPv4 address; enterprise also everything outbound. Closed: from itself, and everything outbound.
    Standard,
}

/// Changes a group. Unspecified fields are left unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyGroup {
    /// Id or name of the group. Taken from the path.
    pub group: String,
    /// New name, description and tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// Whether members accept inbound traffic from each other without a rule. Must be false for enterprise and closed groups.
    pub inner_access: Option<bool>,
}

/// Deletes groups and their rules. Refused if a group has members, or if rules of a group that is not deleted name it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteGroups {
    /// Ids or names of the groups. Either all of them are deleted or none.
    pub groups: Vec<String>,
}

/// Name, description and tags of a new object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct NewLabel {
    /// Name: 2 to 128 letters, digits, `:`, `_`, `.` and `-`, beginning with a letter; of closed groups and lists,
    /// also fewer, and beginning with anything else. Need not be unique. Default: no name.
    pub name: String,
    /// Description: 2 to 256 characters, not beginning with `http://` or `https://`; of closed groups and lists, any up to 256.
    /// Default: none.
    pub description: String,
    /// Tags: keys of 1 to 128 characters with values of up to 128. Their number is limited by the quota `tags`. Default: none.
    pub tags: BTreeMap<String, String>,
}

/// Changes of an object's name, description and tags. Unspecified fields are left unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LabelChange {
    /// New name: 2 to 128 letters, digits, `:`, `_`, `.` and `-`, beginning with a letter; of closed groups and
    /// lists, also fewer, and beginning with anything else. Empty: remove the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// New description: 2 to 256 characters, not beginning with `http://` or `https://`; of closed groups and lists, any up to 256.
    /// Empty: remove the description.
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
