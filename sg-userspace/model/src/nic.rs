//! A NIC: a filtered device, the groups that it holds, and its settings.
//!
//! This file owns the settings and their defaults; it must never look at devices or addresses of the host. `sg-document` and
//! `sg-service` build NICs; the compiler and the oracle read them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Action, AllowedSources, DeviceFacts, Established, Ethertype, GroupIndex, Mac, MidStream, Role, Takeover,
};

/// The hook for packets that a device receives.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// At tc, after the kernel has allocated a packet buffer. Works on every device.
    #[default]
    Tc,
    /// At XDP, in the driver, which must support native XDP. Only for the role `host`.
    Xdp,
}

/// What happens to packets that IPsec decrypted for a NIC: they arrive a second time, after the encrypted packet that carried
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ipsec {
    /// They pass, because the encrypted packet was evaluated by the rules. Only for the role `host`.
    Pass,
    /// They are evaluated by the rules, too. Not with the hook `xdp`.
    Judge,
}

/// How the rules of several groups combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precedence {
    /// Group after group, in the NIC's order. Within a group by priority; at equal priority drop before reject before accept,
    /// then as written. This is the order of Huawei Cloud.
    #[default]
    Sequence,
    /// The rules of all groups together, by priority; at equal priority drop before reject before accept, then by the order of
    /// the groups, then as written. This is the order of Alibaba Cloud.
    Merged,
}

/// What happens to packets that no rule matches and that are not accepted by default.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Unmatched {
    /// They are dropped silently.
    #[default]
    Drop,
    /// They are dropped, and their sender is told.
    Reject,
}

impl From<Unmatched> for Action {
    fn from(unmatched: Unmatched) -> Self {
        match unmatched {
            Unmatched::Drop => Self::Drop,
            Unmatched::Reject => Self::Reject,
        }
    }
}

/// A NIC of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// The name of the device, unique within the policy.
    pub device: String,
    /// The owner of the device.
    pub role: Role,
    /// Its private addresses. With `addresses_from_device`: those that were configured on the device at the last scan.
    pub addresses: Vec<IpAddr>,
    /// Whether the addresses are those of the device, because the document gives none.
    pub addresses_from_device: bool,
    /// The facts about its device on this host, if the device exists. For a guest, they are those of the host end.
    pub device_facts: DeviceFacts,
    /// The setting as written; see [`Nic::anti_spoofing`].
    pub anti_spoofing_written: Option<bool>,
    /// DHCP servers that it may contact directly, in addition to those in its networks and those that gave it an address.
    pub dhcp_servers: Vec<IpAddr>,
    /// Whether inbound packets from its own addresses are evaluated by the rules. If not, they are dropped.
    pub accept_own_source: bool,
    /// The addresses that it may send from, in addition to its own.
    pub senders: AllowedSources,
    /// The hook of the receive side; [`Hook::Xdp`] only with [`Role::Host`].
    pub hook: Hook,
    /// Non-IP frames that pass in both directions: at most [`super::MAX_ETHERTYPES`] kinds, each once.
    pub ethertypes: Vec<Ethertype>,
    /// The setting as written; see [`Nic::ipsec`].
    pub ipsec_written: Option<Ipsec>,
    /// How the rules of its groups combine.
    pub precedence: Precedence,
    /// The effect of a policy change on its live flows.
    pub established: Established,
    /// What happens to TCP packets that are no SYN and belong to no known flow.
    pub mid_stream: MidStream,
    /// How long such a connection may be taken over by the rules of one direction.
    pub takeover: Takeover,
    /// What happens to packets that no rule matches and that are not accepted by default.
    pub default: Unmatched,
    /// Its groups in order: 1 to the [maximum](super::GroupType::max_per_nic) of their type, which is one.
    pub groups: Vec<GroupIndex>,
}

impl Nic {
    /// Creates a NIC of the host that holds `groups`, without addresses; all other settings have the defaults of documents. For
    /// tests and samples. Code that reads or stores NICs names every field instead, so that the compiler finds where a new one is
    /// missing.
    #[must_use]
    pub fn new(device: &str, groups: impl IntoIterator<Item = GroupIndex>) -> Self {
        Self {
            device: device.to_owned(),
            role: Role::Host,
            addresses: Vec::new(),
            addresses_from_device: false,
            device_facts: DeviceFacts::default(),
            ipsec_written: None,
            ethertypes: Vec::new(),
            anti_spoofing_written: None,
            dhcp_servers: Vec::new(),
            accept_own_source: false,
            senders: AllowedSources::default(),
            hook: Hook::default(),
            precedence: Precedence::default(),
            established: Established::default(),
            mid_stream: MidStream::default(),
            takeover: Takeover::default(),
            default: Unmatched::default(),
            groups: groups.into_iter().collect(),
        }
    }

    /// Whether packets from the NIC must have one of its addresses as their source.
    ///
    /// Default: off for a host, on for a guest. A guest without known addresses could send nothing at all, so for it the default
    /// is off.
    #[must_use]
    pub fn anti_spoofing(&self) -> bool {
        self.anti_spoofing_written.unwrap_or(self.role == Role::Guest && !self.addresses.is_empty())
    }

    /// What happens to packets that IPsec decrypted for it.
    ///
    /// Default: they pass on a device of the host that has an Ethernet header. A device without one may be a tunnel of IPsec,
    /// whose packets are the decrypted ones, so the rules judge them there. A guest handles its own IPsec.
    #[must_use]
    pub fn ipsec(&self) -> Ipsec {
        match self.ipsec_written {
            Some(written) => written,
            None if self.role == Role::Host && !self.device_facts.is_layer_3 => Ipsec::Pass,
            None => Ipsec::Judge,
        }
    }

    /// Its Ethernet address, if known: the written one, otherwise that of the device if the host owns it.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.senders.mac.or(match self.role {
            Role::Host => self.device_facts.mac,
            Role::Guest => None,
        })
    }

    /// The addresses that only this NIC sends from: an inbound packet from one of them is spoofed. Empty if
    /// [`Nic::accept_own_source`] is set. Allowed address pairs are not included, because other NICs may have them. Neither are
    /// the addresses of a guest's device, which belong to the host.
    pub fn own_sources(&self) -> impl Iterator<Item = IpAddr> {
        let hosts = self.role == Role::Guest && self.addresses_from_device;
        let known: &[IpAddr] = if self.accept_own_source || hosts { &[] } else { &self.addresses };
        known.iter().copied().filter(|address| !address.is_multicast() && !address.is_unspecified())
    }

    /// Every pair of addresses that it may send from while [`Nic::anti_spoofing`] is on. `None` means any Ethernet address.
    pub fn pairs(&self) -> impl Iterator<Item = (IpNet, Option<Mac>)> {
        self.senders.pairs(&self.addresses)
    }

    /// The Ethernet address that it uses with the address `source`, if known.
    #[must_use]
    pub fn mac_for(&self, source: IpAddr) -> Option<Mac> {
        let pair = self.pairs().find(|(net, _)| net.contains(&source));
        pair.map_or(self.senders.mac, |(_, mac)| mac)
    }
}
