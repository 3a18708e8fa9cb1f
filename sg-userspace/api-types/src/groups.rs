//! Requests that create, change and delete groups.
//!
//! The service checks quotas and whether the fields fit together; these types must never do so. The native API and `sgctl`
//! exchange them as JSON, and the ECS API builds them.

use serde::{Deserialize, Serialize};
use sg_records::GroupType;
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Creates a group without rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateGroup {
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Default: the region of the VPC, or `local` in the classic network.
    pub region: String,
    /// Id or name of the VPC. Default: the classic network. Enterprise groups require a VPC.
    pub vpc: Option<String>,
    /// Type of the group: `basic` or `enterprise`. Default: `basic`.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// Whether members accept inbound traffic from each other without a rule. Must be false for enterprise groups. Default: true
    /// for basic groups, false for enterprise groups.
    pub inner_access: Option<bool>,
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
    /// Whether members accept inbound traffic from each other without a rule. Must be false for enterprise groups.
    pub inner_access: Option<bool>,
}

/// Deletes groups and their rules. Refused if a group has members, or if rules of a group that is not deleted name it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteGroups {
    /// Ids or names of the groups. Either all of them are deleted or none.
    pub groups: Vec<String>,
}
