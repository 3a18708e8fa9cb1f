//! Requests that change which groups a NIC holds, their order, and the members of a group on other hosts.
//!
//! The service checks that groups and NICs are of one network, and the quotas; these types must never do so. The native API and
//! `sgctl` exchange them as JSON, and the ECS API builds them.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_records::{Nic, Order};
use utoipa::ToSchema;

/// Adds groups to NICs. Refused if a NIC already holds one of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Ids or names of the groups. Required.
    pub groups: Vec<String>,
    /// Ids, names or devices of the NICs. The id or name of an instance means its primary NIC. Required.
    pub targets: Vec<String>,
    /// Position of the first added group among the groups of each NIC, counted from 0. Default: after the last.
    #[serde(default)]
    pub place: Option<usize>,
}

/// Removes groups from NICs. Refused if a NIC does not hold one of them, or would be left without a group.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// Ids or names of the groups. Required.
    pub groups: Vec<String>,
    /// Ids, names or devices of the NICs. The id or name of an instance means its primary NIC. Required.
    pub targets: Vec<String>,
}

/// Replaces the groups of a NIC.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetGroups {
    /// Id, name or device of the NIC. The id or name of an instance means its primary NIC. Taken from the path.
    #[serde(default)]
    pub target: String,
    /// Ids or names of the groups, in order; at least one. Under the order `sequence`, earlier groups are evaluated first.
    /// Required.
    pub groups: Vec<String>,
}

/// Where to move a group among the groups of a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Move {
    /// One position up. The first group stays first.
    Up,
    /// One position down. The last group stays last.
    Down,
    /// To this position, counted from 0. Refused beyond the last position.
    To(usize),
}

/// Moves a group to another position among the groups of a NIC.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveGroup {
    /// Id, name or device of the NIC. The id or name of an instance means its primary NIC. Taken from the path.
    #[serde(default)]
    pub target: String,
    /// Id or name of the group. Required.
    pub group: String,
    /// Where to move it: `"up"`, `"down"` or `{"to": POSITION}`. Required.
    pub to: Move,
}

/// A NIC after one of its groups was moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Moved {
    /// The NIC.
    #[serde(flatten)]
    pub nic: Nic,
    /// How the rules of its groups combine: as its VPC says, and `sequence` if a group belongs to no VPC but to a region. Under `merged`, the place of a group changes no verdict.
    #[serde(default)]
    pub order: Order,
}

/// Adds and removes members of a group that are addresses on other hosts.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChangeMembers {
    /// Id or name of the group. Taken from the path.
    pub group: String,
    /// Addresses to add. Addresses that are already members are left unchanged.
    #[schema(value_type = Vec<String>)]
    pub add: Vec<IpAddr>,
    /// Addresses to remove. Each must be a member.
    #[schema(value_type = Vec<String>)]
    pub remove: Vec<IpAddr>,
}
