//! The records other than rules and lists: VPCs, groups, instances, NICs, access keys, settings.
//!
//! Records are also responses of the native API, except [`AccessKey`], which only the verifier of signatures reads. They must
//! never refer to each other by name. A change of a record's form needs a new `SCHEMA` in the store, and a migration.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccessKeyId, Established, GroupId, GroupType, Hook, InstanceId, NicId, NicType, Role, VpcId};

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
    /// Name of the applied document that owns the object. Absent if no document does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// How the rules of several groups on one NIC combine.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The rules of all groups together, by priority. At equal priority: drop, then reject, then accept.
    #[default]
    Merged,
    /// Group after group, in the order of the NIC's groups. Within a group by priority; at equal priority: drop, then reject,
    /// then accept.
    Sequence,
}

impl From<Order> for sg_model::Precedence {
    fn from(order: Order) -> Self {
        match order {
            Order::Merged => Self::Merged,
            Order::Sequence => Self::Sequence,
        }
    }
}

/// A VPC: a namespace of groups and NICs, with the settings that its NICs share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vpc {
    /// Id of the VPC.
    pub id: VpcId,
    /// Region of the VPC.
    pub region: String,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: Label,
    /// How the rules of several groups combine on the VPC's NICs. Default: `merged`.
    #[serde(default)]
    pub order: Order,
    /// Effect of a policy change on live flows of the VPC's NICs. Default: `revalidate`.
    #[serde(default)]
    pub established: Established,
    /// What happens to TCP packets that are no SYN and belong to no known flow. Default: `loose`.
    #[serde(default)]
    pub mid_stream: sg_model::MidStream,
    /// With `mid_stream: loose`: how long after a NIC was first filtered the rules of one direction are enough to take over such
    /// a connection. A number of seconds, `established` or `forever`. Default: `established`.
    #[serde(default)]
    pub takeover: sg_model::Takeover,
    /// What happens to packets that no rule matches and that are not accepted by default. Default: `drop`.
    #[serde(default)]
    pub default: sg_model::Unmatched,
}

/// A security group. Its rules are separate records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Id of the group.
    pub id: GroupId,
    /// Region of the group.
    pub region: String,
    /// Id of the group's VPC. `null` in the classic network.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: Label,
    /// Type of the group: `basic` or `enterprise`.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// Whether members accept inbound traffic from each other without a rule. Always false for enterprise groups.
    pub inner_access: bool,
    /// Whether this is the default group of its region and VPC, for NICs that are registered without a group.
    #[serde(default)]
    pub default: bool,
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

/// Address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "IPv4")]
    #[value(name = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "IPv6")]
    #[value(name = "ipv6")]
    V6,
}

impl Family {
    /// The family of a prefix.
    #[must_use]
    pub const fn of(net: IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An instance: a virtual machine with its NICs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Id of the instance.
    pub id: InstanceId,
    /// Region of the instance.
    pub region: String,
    /// Id of the instance's VPC. `null` in the classic network.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: Label,
}

/// A NIC, and the groups that it holds in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nic {
    /// Id of the NIC.
    pub id: NicId,
    /// Region of the NIC.
    pub region: String,
    /// Id of the NIC's VPC. `null` in the classic network.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: Label,
    /// Id of the instance that the NIC belongs to. `null` if there is none.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// Whether this is the primary NIC of its instance, which is meant where a request names the instance.
    #[serde(default)]
    pub primary: bool,
    /// Name of the network device on this host. `null` if the NIC is on another host.
    #[serde(default)]
    pub device: Option<String>,
    /// Owner of the device: `host` or `guest`.
    #[serde(default)]
    pub role: Role,
    /// Private addresses. Empty: those that are configured on the device.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Whether the NIC may send only from its own addresses and its allowed address pairs. Default: false for a host, true for a
    /// guest that has `addresses`.
    #[serde(default)]
    pub anti_spoofing: Option<bool>,
    /// Whether inbound packets from the NIC's own addresses are evaluated by the rules. If false, they are dropped as spoofed.
    #[serde(default)]
    pub accept_own_source: bool,
    /// DHCP servers that the NIC may contact directly, in addition to those in its networks and those that gave it an address.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub dhcp_servers: Vec<IpAddr>,
    /// Ethernet address and allowed address pairs.
    #[serde(flatten)]
    pub senders: sg_model::AllowedSources,
    /// Hook for packets that the device receives: `tc` or `xdp`.
    #[serde(default)]
    pub hook: Hook,
    /// What happens to packets that IPsec decrypted for the NIC. Default: `pass` for a host, except on a device without an
    /// Ethernet header; otherwise `judge`.
    #[serde(default)]
    pub ipsec: Option<sg_model::Ipsec>,
    /// Non-IP frames that pass in both directions, up to 8 kinds.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub ethertypes: Vec<sg_model::Ethertype>,
    /// Network that a NIC of the classic network faces: `intranet` or `internet`. Always `intranet` in a VPC.
    #[serde(default)]
    pub nic_type: NicType,
    /// Ids of the groups that the NIC holds, in order; at least one. Under the order `sequence`, earlier groups are evaluated
    /// first.
    pub groups: Vec<GroupId>,
}

/// An access key, which authenticates requests. The secret is stored in clear text, because verifying a signature needs it; only
/// the owner of the store's file can read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Id of the key.
    pub id: AccessKeyId,
    /// The secret.
    pub secret: String,
    /// Description. Empty if there is none.
    pub description: String,
    /// Time of creation.
    pub created: Timestamp,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The stored response to a request with an idempotency key. A repetition gets this response and is not run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The caller, `/`, and the idempotency key that it sent.
    pub token: String,
    /// Digest of the request. A request with another digest and the same key is refused.
    pub fingerprint: String,
    /// The response.
    pub answer: serde_json::Value,
    /// Time of the first request.
    pub created: Timestamp,
}

/// Quotas: the maximum numbers of resources. Exceeding one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Groups on one NIC. Range: 1 to 10. Default: 5.
    pub groups_per_nic: u32,
    /// Rules on one NIC, over all its groups and both directions. A rule that names a list counts as the list's `max_entries`
    /// rules. Default: 1000.
    pub rules_per_nic: u32,
    /// Member addresses of one basic group. Default: 6000.
    pub members_per_basic_group: u32,
    /// Members of one enterprise group: NICs, and addresses on other hosts. Default: 65536.
    pub members_per_enterprise_group: u32,
    /// Rules of one group whose remote is a group. Default: 20.
    pub group_references_per_group: u32,
    /// Groups in one region. Default: 5000.
    pub groups_per_region: u32,
    /// Largest `max_entries` of a prefix list. Default: 200.
    pub entries_per_prefix_list: u32,
    /// Largest `max_entries` of a port list. Default: 2000.
    pub entries_per_port_list: u32,
    /// Rules in one imported file. Default: 200.
    pub rules_per_import: u32,
    /// Rules in one request that adds rules. Default: 100.
    pub rules_per_operation: u32,
    /// Tags of one object. Default: 20.
    pub tags: u32,
}

impl Default for Quotas {
    /// The quotas that Alibaba Cloud documents, as far as it does.
    fn default() -> Self {
        Self {
            groups_per_nic: 5,
            rules_per_nic: 1_000,
            members_per_basic_group: 6_000,
            members_per_enterprise_group: 65_536,
            group_references_per_group: 20,
            groups_per_region: 5_000,
            entries_per_prefix_list: 200,
            entries_per_port_list: 2_000,
            rules_per_import: 200,
            rules_per_operation: 100,
            tags: 20,
        }
    }
}

/// Settings of the whole store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Quotas.
    pub quotas: Quotas,
    /// Serial number of the next rule: greater than that of every existing rule.
    pub serial: u64,
}
