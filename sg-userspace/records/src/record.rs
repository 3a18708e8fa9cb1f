//! The records beside rules: VPCs, groups, lists, instances, NICs, keys, settings.
//!
//! Records are also the responses of the native API, except [`AccessKey`], which only the verifier of signatures reads. A change
//! of a record's form is a new [`super::SCHEMA`] with a migration.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccessKeyId, GroupId, InstanceId, NicId, NicType, PortListId, PortSet, PrefixListId, VpcId};

/// What everything with a name has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Label {
    /// For people; need not be unique. Empty: none.
    pub name: String,
    /// For people. Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Keys and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// The applied document it belongs to. None: made by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// How the rules of several groups are put into one order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By priority over all groups, on a tie drop first.
    #[default]
    Merged,
    /// Group by group in the NIC's order, inside a group by priority.
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

/// What a change does to live flows.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Established {
    /// They are judged again on their next packet.
    #[default]
    Revalidate,
    /// They live on until they end.
    Keep,
}

impl From<Established> for sg_model::Established {
    fn from(established: Established) -> Self {
        match established {
            Established::Revalidate => Self::Revalidate,
            Established::Keep => Self::Keep,
        }
    }
}

/// A VPC: a network of groups and NICs that may know each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// The region it is in.
    pub region: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: Label,
    /// The order of rules on its NICs.
    #[serde(default)]
    pub order: Order,
    /// What a change does to live flows of its NICs.
    #[serde(default)]
    pub established: Established,
    /// What becomes of TCP packets from the middle of a connection that is not known.
    #[serde(default)]
    pub mid_stream: sg_model::MidStream,
    /// For how long after its NICs were first filtered such a connection may be taken over.
    #[serde(default)]
    pub takeover: sg_model::Takeover,
    /// What becomes of packets of its NICs that no rule matches, where they are not accepted.
    #[serde(default)]
    pub default: sg_model::Unmatched,
}

/// The type of a group; one NIC holds groups of one type.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum GroupType {
    /// What no rule matches may leave, and members may talk unless the group says otherwise.
    #[default]
    Basic,
    /// What no rule matches is dropped both ways; members are strangers.
    Enterprise,
}

impl From<GroupType> for sg_model::GroupType {
    fn from(kind: GroupType) -> Self {
        match kind {
            GroupType::Basic => Self::Basic,
            GroupType::Enterprise => Self::Enterprise,
        }
    }
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic => "basic",
            Self::Enterprise => "enterprise",
        })
    }
}

/// A security group. Its rules are records of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The region it is in.
    pub region: String,
    /// Its VPC; none: the classic network.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: Label,
    /// Basic or enterprise.
    #[serde(rename = "type")]
    pub kind: GroupType,
    /// Whether members may talk to each other. Never for enterprise.
    pub inner_access: bool,
    /// Made for NICs that are registered without a group.
    #[serde(default)]
    pub default: bool,
}

/// A member of a group that is no NIC here: an address on another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The group.
    pub group: GroupId,
    /// The private address.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// The applied document it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// IPv4 or IPv6.
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

/// An entry of a prefix list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixEntry {
    /// The prefix, host bits zero.
    #[schema(value_type = String)]
    pub cidr: IpNet,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A prefix list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PrefixList {
    /// Its id.
    pub id: PrefixListId,
    /// The region it is in.
    pub region: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: Label,
    /// The family of its entries; none: both (only documents make such lists).
    #[serde(default)]
    pub family: Option<Family>,
    /// How many entries it may hold; a rule that names the list counts as so many rules.
    pub max_entries: u32,
    /// The prefixes.
    pub entries: Vec<PrefixEntry>,
}

/// An entry of a port list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PortEntry {
    /// The ports.
    pub ports: PortSet,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// A port list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PortList {
    /// Its id.
    pub id: PortListId,
    /// The region it is in.
    pub region: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: Label,
    /// How many entries it may hold; a rule that names the list counts as so many rules.
    pub max_entries: u32,
    /// The ranges.
    pub entries: Vec<PortEntry>,
}

/// An instance: a machine with one or more NICs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The region it is in.
    pub region: String,
    /// Its VPC; none: the classic network.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: Label,
}

/// Whose NIC a device is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The host's own.
    #[default]
    Host,
    /// The host end of a guest's NIC.
    Guest,
}

impl From<Role> for sg_model::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Host => Self::Host,
            Role::Guest => Self::Guest,
        }
    }
}

/// Where what a device receives is judged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// When the kernel has built a packet buffer: on every device.
    #[default]
    Tc,
    /// Before, in the driver, which must have native XDP. For a host's NIC only.
    Xdp,
}

impl From<Hook> for sg_model::Hook {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Tc => Self::Tc,
            Hook::Xdp => Self::Xdp,
        }
    }
}

/// A NIC and its ordered groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Nic {
    /// Its id.
    pub id: NicId,
    /// The region it is in.
    pub region: String,
    /// Its VPC; none: the classic network.
    #[serde(default)]
    pub vpc: Option<VpcId>,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: Label,
    /// The instance it belongs to.
    #[serde(default)]
    pub instance: Option<InstanceId>,
    /// The instance's first NIC: what is said of the instance is said of it.
    #[serde(default)]
    pub primary: bool,
    /// The device on this host; none: it is on another host.
    #[serde(default)]
    pub device: Option<String>,
    /// Whose the device is.
    #[serde(default)]
    pub role: Role,
    /// Its private addresses. Empty: those configured on the device.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// None: off for a host, on for a guest.
    #[serde(default)]
    pub anti_spoofing: Option<bool>,
    /// Inbound packets from its own addresses are judged by the rules; else they are dropped.
    #[serde(default)]
    pub accept_own_source: bool,
    /// DHCP servers that it may ask directly, beside those of its networks and those that gave it an address.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub dhcp_servers: Vec<IpAddr>,
    /// Whom it may speak for, beside its addresses.
    #[serde(flatten)]
    pub senders: sg_model::AllowedSources,
    /// Where what the device receives is judged.
    #[serde(default)]
    pub hook: Hook,
    /// What becomes of what IPsec delivers to it. None: to a host it passes.
    #[serde(default)]
    pub ipsec: Option<sg_model::Ipsec>,
    /// Frames that are not IP and pass nevertheless, both ways.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub ethertypes: Vec<sg_model::Ethertype>,
    /// In the classic network: which network it faces.
    #[serde(default)]
    pub nic_type: NicType,
    /// Its groups, the first has the highest priority. Never empty.
    pub groups: Vec<GroupId>,
}

/// A key that signs requests. Verifying a signature needs the secret in the clear; only the owner can read the store's file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// Its id.
    pub id: AccessKeyId,
    /// The secret that signs.
    pub secret: String,
    /// A text for people.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The response to an operation that came with a token: a repetition gets the same one and is not run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The caller and the token that it sent.
    pub token: String,
    /// A fingerprint of the operation, so that a token used for another one is refused.
    pub fingerprint: String,
    /// The response.
    pub answer: serde_json::Value,
    /// When it was made.
    pub created: Timestamp,
}

/// How many of what there may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Groups on a NIC; at most [`sg_model::MAX_GROUPS_PER_NIC`].
    pub groups_per_nic: u32,
    /// Rules over all groups of a NIC, both directions; lists count with `max_entries`.
    pub rules_per_nic: u32,
    /// Addresses of members of a basic group.
    pub members_per_basic_group: u32,
    /// NICs and addresses of an enterprise group.
    pub members_per_enterprise_group: u32,
    /// Rules of a group that name a group.
    pub group_references_per_group: u32,
    /// Groups in a region.
    pub groups_per_region: u32,
    /// Entries of a prefix list.
    pub entries_per_prefix_list: u32,
    /// Entries of a port list.
    pub entries_per_port_list: u32,
    /// Rules of one imported file.
    pub rules_per_import: u32,
    /// Rules of one operation.
    pub rules_per_operation: u32,
    /// Tags of one thing.
    pub tags: u32,
}

impl Default for Quotas {
    /// The values that Alibaba Cloud documents, where it does.
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

/// What holds for the whole store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Quotas.
    pub quotas: Quotas,
    /// The next rule's place: greater than that of every rule there is.
    pub serial: u64,
}
