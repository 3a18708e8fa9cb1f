//! Parameters of list requests, the pages of the responses, and the views of groups and lists in them.
//!
//! Queries run on a snapshot and change nothing. A page names the last id that it contains, and the next one continues after it, so
//! objects that are created or deleted meanwhile cause no repetition and no gap. The service evaluates queries and fills pages; the
//! native API and `sgctl` exchange these types.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_records::{Direction, Group, GroupId, GroupType, NicType, RuleId, Uuid};
use utoipa::{IntoParams, ToSchema};

use super::Age;

/// A group, with the numbers of its rules and members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupView {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// UUID of the group: the same for as long as its id is.
    #[schema(value_type = String, format = "uuid")]
    pub uuid: Uuid,
    /// Number of rules, in both directions.
    pub rules: usize,
    /// Number of NICs that hold the group.
    pub nics: usize,
    /// Number of members that are addresses on other hosts.
    pub remote_members: usize,
    /// Number of members that can still be added before the quota is reached.
    pub room: u64,
}

/// Selects groups, in addition to the common filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct GroupQuery {
    /// Groups of this type only: `basic`, `enterprise` or `closed`.
    #[serde(rename = "type")]
    pub kind: Option<GroupType>,
    /// Groups only that this NIC holds: id, name or device. The id or name of an instance means its primary NIC.
    pub target: Option<String>,
}

/// Selects rules of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct RuleQuery {
    /// Rules of this direction only.
    pub direction: Option<Direction>,
    /// Rules for NICs that face this network only: `intranet` or `internet`.
    pub nic_type: Option<NicType>,
    /// Only rules that decided no packet on this host for at least so long, such as `30d`, and were observed as long.
    #[param(value_type = Option<String>)]
    pub unused: Option<Age>,
}

/// Selects NICs, in addition to the common filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct NicQuery {
    /// NICs only that hold this group: id or name.
    pub group: Option<String>,
    /// NICs only of this instance: id or name.
    pub instance: Option<String>,
    /// The NIC of this device of this host only.
    pub device: Option<String>,
    /// NICs only that have this address.
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// If true, only NICs of this host; if false, only NICs of other hosts. Default: both.
    pub local: Option<bool>,
}

/// A prefix list or port list, and how many groups use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListView<L> {
    /// The list.
    #[serde(flatten)]
    pub list: L,
    /// UUID of the list: the same for as long as its id is.
    #[schema(value_type = String, format = "uuid")]
    pub uuid: Uuid,
    /// Number of groups with rules that name the list.
    pub associations: usize,
}

/// A group whose rules name the object in question, with those rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    /// Id of the group.
    pub group: GroupId,
    /// Name of the group.
    pub name: String,
    /// Ids of the rules that name the object.
    pub rules: Vec<RuleId>,
}

/// Selects a page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// Maximum number of items on the page. Range: 1 to 1000. Default: 100.
    pub limit: Option<usize>,
    /// Token of the page: `next` of the previous page. Default: the first page.
    pub after: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// Items on this page.
    pub items: Vec<T>,
    /// Number of items on all pages.
    pub total: usize,
    /// Token of the next page, to be sent as `after`. `null` on the last page.
    pub next: Option<String>,
}

/// The maximum number of items on one page.
pub const LARGEST_PAGE: usize = 1_000;
