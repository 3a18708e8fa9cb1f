//! Queries: filters, pages, and the views of objects in responses. Functions of a snapshot; they must never change anything.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_records::{Direction, Group, GroupId, GroupType, NicType, RuleId};
use utoipa::{IntoParams, ToSchema};

/// A group and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// How many rules it has.
    pub rules: usize,
    /// How many NICs hold it.
    pub nics: usize,
    /// How many addresses on other hosts are members.
    pub remote_members: usize,
    /// How many members it may still get.
    pub room: u64,
}

/// What groups are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct GroupQuery {
    /// `basic` or `enterprise`.
    #[serde(rename = "type")]
    pub kind: Option<GroupType>,
    /// A NIC or instance that holds them.
    pub target: Option<String>,
}

/// What rules are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct RuleQuery {
    /// Which way.
    pub direction: Option<Direction>,
    /// For which network.
    pub nic_type: Option<NicType>,
}

/// What NICs are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct NicQuery {
    /// A group that they hold.
    pub group: Option<String>,
    /// The instance that they belong to.
    pub instance: Option<String>,
    /// The device of this host.
    pub device: Option<String>,
    /// One of their addresses.
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// Only those of this host, or only others.
    pub local: Option<bool>,
}

/// A list and who uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListView<L> {
    /// The list.
    #[serde(flatten)]
    pub list: L,
    /// How many groups have rules that name it.
    pub associations: usize,
}

/// The groups whose rules name something, and those rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    /// The group whose rules they are.
    pub group: GroupId,
    /// Its name.
    pub name: String,
    /// The rules.
    pub rules: Vec<RuleId>,
}
