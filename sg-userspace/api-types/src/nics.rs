//! Requests that register, change and remove NICs and instances, and the view of an instance.
//!
//! A NIC without a device is on another host: only its addresses are known here. The service checks the values; these types must
//! never do so. The native API and `sgctl` exchange them as JSON.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_model::{AddressPair, AllowedSources, Ethertype, Ipsec, Mac};
use sg_records::{GroupType, Hook, Instance, Nic, NicType, Role, Uuid, uuid_of};
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Registers a NIC.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RegisterNic {
    /// Id of the NIC: `eni-` and letters, digits, `-` or `_`, up to 64 characters. Default: a generated id.
    pub id: Option<String>,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Ignored with `instance`. Default: the region of the VPC, or `local` in the classic network.
    pub region: String,
    /// Id or name of the VPC. Default: the VPC of the instance, otherwise the classic network.
    pub vpc: Option<String>,
    /// Id or name of the instance that the NIC belongs to. The first NIC of an instance is its primary NIC. Default: none.
    pub instance: Option<String>,
    /// Name of the network device on this host, 1 to 15 characters. Default: none; the NIC is on another host.
    pub device: Option<String>,
    /// Owner of the device: `host` or `guest`. Default: `host`.
    pub role: Role,
    /// Private addresses. Required without `device`. Default: the addresses that are configured on the device.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// Whether the NIC may send only from its own addresses and its allowed address pairs. Default: false for a host, true for a
    /// guest that has `addresses`.
    pub anti_spoofing: Option<bool>,
    /// Whether inbound packets from the NIC's own addresses are evaluated by the rules. If false, they are dropped as spoofed.
    /// Default: false.
    pub accept_own_source: bool,
    /// DHCP servers that the NIC may contact directly, in addition to those in its networks and those that gave it an address.
    /// Default: none.
    #[schema(value_type = Vec<String>)]
    pub dhcp_servers: Vec<IpAddr>,
    /// Ethernet address and allowed address pairs.
    #[serde(flatten)]
    pub senders: AllowedSources,
    /// Hook for packets that the device receives: `tc` or `xdp`. `xdp` requires the role `host`. Default: `tc`.
    pub hook: Hook,
    /// What happens to packets that IPsec decrypted for the NIC. `pass` requires the role `host`; `judge` is not possible with
    /// the hook `xdp`. Default: `pass` for a host, except on a device without an Ethernet header; otherwise `judge`.
    pub ipsec: Option<Ipsec>,
    /// Non-IP frames that pass in both directions, up to 8 kinds: `lldp`, `eapol`, `lacp`, `stp`, `ptp`, or `EtherType` numbers
    /// such as `0x8915`. Default: none.
    #[schema(value_type = Vec<String>)]
    pub ethertypes: Vec<Ethertype>,
    /// Network that a NIC of the classic network faces: `intranet` or `internet`. Always `intranet` in a VPC. Default:
    /// `intranet`.
    pub nic_type: NicType,
    /// Ids or names of the groups that the NIC holds, in order. Default: the default group of the region and VPC, which is
    /// created if there is none.
    pub groups: Vec<String>,
    /// Type of that default group: `basic`, or `closed`, which is one for the region. Only without `groups`. Default: `basic`.
    pub default_type: Option<GroupType>,
}

/// Changes a NIC. Unspecified fields are left unchanged. Other requests change its groups.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyNic {
    /// Id, name or device of the NIC. Taken from the path.
    pub nic: String,
    /// New name, description and tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// Name of the network device on this host. Empty: the NIC is on another host from now on.
    pub device: Option<String>,
    /// Owner of the device: `host` or `guest`.
    pub role: Option<Role>,
    /// Private addresses; they replace the existing ones. Empty: those that are configured on the device.
    #[schema(value_type = Option<Vec<String>>)]
    pub addresses: Option<Vec<IpAddr>>,
    /// Whether the NIC may send only from its own addresses and its allowed address pairs.
    pub anti_spoofing: Option<bool>,
    /// Whether inbound packets from the NIC's own addresses are evaluated by the rules. If false, they are dropped as spoofed.
    pub accept_own_source: Option<bool>,
    /// DHCP servers that the NIC may contact directly; they replace the existing ones.
    #[schema(value_type = Option<Vec<String>>)]
    pub dhcp_servers: Option<Vec<IpAddr>>,
    /// Ethernet address of the NIC.
    #[schema(value_type = Option<String>)]
    pub mac: Option<Mac>,
    /// Allowed address pairs; they replace the existing ones.
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// Hook for packets that the device receives: `tc` or `xdp`. `xdp` requires the role `host`.
    pub hook: Option<Hook>,
    /// What happens to packets that IPsec decrypted for the NIC. `pass` requires the role `host`; `judge` is not possible with
    /// the hook `xdp`.
    pub ipsec: Option<Ipsec>,
    /// Non-IP frames that pass in both directions, up to 8 kinds; they replace the existing ones.
    #[schema(value_type = Option<Vec<String>>)]
    pub ethertypes: Option<Vec<Ethertype>>,
}

/// Removes NICs from the store. Devices of this host are no longer filtered afterwards: everything passes on them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveNics {
    /// Ids, names or devices of the NICs. Either all of them are removed or none.
    pub nics: Vec<String>,
}

/// Registers an instance with its NICs. The first NIC is its primary NIC.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RegisterInstance {
    /// Id of the instance: `i-` and letters, digits, `-` or `_`, up to 64 characters. Default: a generated id.
    pub id: Option<String>,
    /// Name, description and tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region. Default: the region of the VPC, or `local` in the classic network.
    pub region: String,
    /// Id or name of the VPC. Default: the classic network.
    pub vpc: Option<String>,
    /// NICs to register, the primary NIC first. Default: none.
    pub nics: Vec<RegisterNic>,
}

/// A field of a NIC that its device may determine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceField {
    /// `addresses`.
    Addresses,
    /// `mac`.
    Mac,
}

/// A NIC with what its device says, and with what clients of other APIs call it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NicView {
    /// The NIC.
    #[serde(flatten)]
    pub nic: Nic,
    /// UUID of the NIC: the same for as long as its id is.
    #[serde(default)]
    #[schema(value_type = String, format = "uuid")]
    pub uuid: Uuid,
    /// Fields that the NIC leaves to its device, with what is configured there now: `addresses`, without link-local ones, and
    /// `mac`.
    #[serde(default)]
    pub from_device: Vec<DeviceField>,
}

/// As it is stored: nothing is of the device.
impl From<&Nic> for NicView {
    fn from(nic: &Nic) -> Self {
        Self { nic: nic.clone(), uuid: uuid_of(&nic.id), from_device: Vec::new() }
    }
}

/// An instance and its NICs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// UUID of the instance: the same for as long as its id is.
    #[serde(default)]
    #[schema(value_type = String, format = "uuid")]
    pub uuid: Uuid,
    /// NICs of the instance, the primary NIC first.
    pub nics: Vec<NicView>,
}

/// Removes instances and their NICs from the store.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveInstances {
    /// Ids or names of the instances. Either all of them are removed or none.
    pub instances: Vec<String>,
}
