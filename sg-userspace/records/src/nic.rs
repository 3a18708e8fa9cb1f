//! NICs, and the instances that they belong to.
//!
//! These types must never refer to another record by its name. The native API sends them as they are stored: a change of their form
//! needs a new `SCHEMA` in the store, and a migration.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{GroupId, Hook, InstanceId, Label, NicId, NicType, Role, VpcId};

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
