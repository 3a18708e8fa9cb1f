//! Operations on groups, and the default group for NICs that are registered without one.

use serde::{Deserialize, Serialize};
use sg_records::GroupType;
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Make a group without rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateGroup {
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Where; with a VPC its region.
    pub region: String,
    /// The VPC's id or name; none: the classic network.
    pub vpc: Option<String>,
    /// Basic or enterprise.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// Whether members may talk to each other; yes for basic where nothing is said, never for enterprise.
    pub inner_access: Option<bool>,
}

/// Change a group; what is left out stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyGroup {
    /// Its id or name.
    pub group: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// Whether members may talk to each other.
    pub inner_access: Option<bool>,
}

/// Delete groups that have no members and that no rule of another group names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteGroups {
    /// Their ids or names. All are deleted, or none.
    pub groups: Vec<String>,
}
