//! Groups, their members on other hosts, and the label that groups share with VPCs, lists, instances and NICs.
//!
//! The rules of a group are records of their own. These types must never refer to another record by its name. The native API sends
//! them as they are stored: a change of their form needs a new `SCHEMA` in the store, and a migration.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{GroupId, GroupType, VpcId};

/// Name, description, tags and origin of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Label {
    /// Name for people; need not be unique. Empty if there is none.
    pub name: String,
    /// Description. Empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Tags: keys and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Time of the last change of the object itself: not of what refers to it.
    #[schema(value_type = String, format = DateTime)]
    pub updated: Timestamp,
    /// Name of the applied document that owns the object. Absent if no document does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// A security group. Its rules are separate records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Id of the group.
    pub id: GroupId,
    /// Region of the group.
    pub region: String,
    /// Id of the group's VPC. `null`: in the classic network; a closed group without a VPC belongs to its region, and NICs of every
    /// VPC there may hold it.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: Label,
    /// Type of the group: `basic`, `enterprise` or `closed`.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// Whether members accept inbound traffic from each other without a rule. Always false for enterprise and closed groups.
    pub inner_access: bool,
    /// Whether this is the default group of its region and VPC, for NICs that are registered without a group.
    #[serde(default)]
    pub default: bool,
}

impl Group {
    /// Whether it belongs to its region, and NICs of every VPC there may hold it. Members in different VPCs do not know each other
    /// by it.
    #[must_use]
    pub const fn is_regional(&self) -> bool {
        matches!(self.kind, GroupType::Closed) && self.vpc.is_none()
    }
}

/// A member of a group that is an address on another host, without a NIC in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Id of the group.
    pub group: GroupId,
    /// Private address of the member.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Name of the applied document that owns the member. Absent if no document does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}
