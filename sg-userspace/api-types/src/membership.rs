//! Which NICs hold which groups, in which order; and members on other hosts.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Let NICs hold groups, behind those they hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Ids or names of groups.
    pub groups: Vec<String>,
    /// Ids, names or devices of NICs; ids or names of instances mean their primary NIC.
    pub targets: Vec<String>,
    /// The place of the first of them, from 0; none: the last.
    #[serde(default)]
    pub place: Option<usize>,
}

/// Take groups from NICs. Each keeps at least one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// Ids or names of groups.
    pub groups: Vec<String>,
    /// Ids, names or devices of NICs; ids or names of instances mean their primary NIC.
    pub targets: Vec<String>,
}

/// Say which groups a NIC holds, and in which order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetGroups {
    /// The NIC's id, name or device; an instance's id or name means its primary NIC.
    #[serde(default)]
    pub target: String,
    /// Ids or names of groups; the first has the highest priority.
    pub groups: Vec<String>,
}

/// Where a group goes among those of a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Move {
    /// One place towards the first.
    Up,
    /// One place towards the last.
    Down,
    /// To a place, from 0.
    To(usize),
}

/// Change the place of a group among those of a NIC.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveGroup {
    /// The NIC's id, name or device; an instance's id or name means its primary NIC.
    #[serde(default)]
    pub target: String,
    /// The group's id or name.
    pub group: String,
    /// Where it goes. Beyond an end it stays at that end.
    pub to: Move,
}

/// Say which addresses on other hosts are members of a group.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeMembers {
    /// The group's id or name.
    pub group: String,
    /// New ones. One that is there already is not added again.
    #[schema(value_type = Vec<String>)]
    pub add: Vec<IpAddr>,
    /// Former ones.
    #[schema(value_type = Vec<String>)]
    pub remove: Vec<IpAddr>,
}
