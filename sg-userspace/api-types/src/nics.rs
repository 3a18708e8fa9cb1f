//! Operations on NICs and instances. A NIC without a device is on another host: only its addresses are known.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_model::{AddressPair, AllowedSources, Ethertype, Ipsec, Mac};
use sg_records::{Hook, Instance, Nic, NicType, Role};
use utoipa::ToSchema;

use crate::{LabelChange, NewLabel};

/// Register a NIC.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RegisterNic {
    /// An id of one's own, `eni-…`; none: one is made.
    pub id: Option<String>,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Where; with a VPC its region.
    pub region: String,
    /// The VPC's id or name; none: the classic network, or the instance's.
    pub vpc: Option<String>,
    /// The instance it belongs to. Its first NIC is its primary one.
    pub instance: Option<String>,
    /// The device on this host; none: it is on another host.
    pub device: Option<String>,
    /// Whose the device is.
    pub role: Role,
    /// Its private addresses. None: those configured on the device.
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    /// None: off for a host, on for a guest.
    pub anti_spoofing: Option<bool>,
    /// Inbound packets from its own addresses are judged by the rules; else they are dropped.
    pub accept_own_source: bool,
    /// DHCP servers that it may ask directly, beside those of its networks and those that gave it an address.
    #[schema(value_type = Vec<String>)]
    pub dhcp_servers: Vec<IpAddr>,
    /// Whom it may speak for, beside its addresses.
    #[serde(flatten)]
    pub senders: AllowedSources,
    /// Where what the device receives is judged; `xdp` for a host's NIC only.
    pub hook: Hook,
    /// What becomes of what IPsec delivers to it. None: to a host it passes.
    pub ipsec: Option<Ipsec>,
    /// Frames that are not IP and pass nevertheless, both ways: `lldp`, `eapol`, `lacp`, `stp`, `ptp`, or numbers such as
    /// `0x8915`.
    #[schema(value_type = Vec<String>)]
    pub ethertypes: Vec<Ethertype>,
    /// In the classic network: which network it faces.
    pub nic_type: NicType,
    /// Its groups in their order, ids or names. None: the default group, which is made where there is none.
    pub groups: Vec<String>,
}

/// Change a NIC; what is left out stays. Its groups have operations of their own.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ModifyNic {
    /// Its id, name or device.
    pub nic: String,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: LabelChange,
    /// The device; an empty text: it is on another host now.
    pub device: Option<String>,
    /// Whose the device is.
    pub role: Option<Role>,
    /// Its private addresses.
    #[schema(value_type = Option<Vec<String>>)]
    pub addresses: Option<Vec<IpAddr>>,
    /// Whether packets from it must have one of its addresses as their source.
    pub anti_spoofing: Option<bool>,
    /// Whether inbound packets from its own addresses are judged by the rules; else they are dropped.
    pub accept_own_source: Option<bool>,
    /// DHCP servers that it may ask directly: these, and no others from now on.
    #[schema(value_type = Option<Vec<String>>)]
    pub dhcp_servers: Option<Vec<IpAddr>>,
    /// Its Ethernet address.
    #[schema(value_type = Option<String>)]
    pub mac: Option<Mac>,
    /// What it may speak for beside its own addresses: these, and nothing else from now on.
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// Where what the device receives is judged; `xdp` for a host's NIC only.
    pub hook: Option<Hook>,
    /// What becomes of what IPsec delivers to it.
    pub ipsec: Option<Ipsec>,
    /// Frames that are not IP and pass nevertheless: these, and no others from now on.
    #[schema(value_type = Option<Vec<String>>)]
    pub ethertypes: Option<Vec<Ethertype>>,
}

/// Forget NICs. What filtered them is taken off.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveNics {
    /// Their ids, names or devices. All are removed, or none.
    pub nics: Vec<String>,
}

/// Register an instance with its NICs; the first is its primary one.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct RegisterInstance {
    /// An id of one's own, `i-…`; none: one is made.
    pub id: Option<String>,
    /// Name, description, tags.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Where; with a VPC its region.
    pub region: String,
    /// The VPC's id or name; none: the classic network.
    pub vpc: Option<String>,
    /// Its NICs.
    pub nics: Vec<RegisterNic>,
}

/// An instance and its NICs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// The instance.
    #[serde(flatten)]
    pub instance: Instance,
    /// Its NICs, the primary one first.
    pub nics: Vec<Nic>,
}

/// Forget instances and their NICs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveInstances {
    /// Their ids or names. All are removed, or none.
    pub instances: Vec<String>,
}
