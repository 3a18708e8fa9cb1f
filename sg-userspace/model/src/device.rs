//! A device: whose it is, and facts about it that documents do not repeat: its addresses, networks and Ethernet address.
//!
//! The model must never look at devices itself: the agent and `sgctl` scan them and fill in the facts.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Mac;

/// The owner of the device: this host, or a guest.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The device is the host's own: packets that the device receives are inbound.
    #[default]
    Host,
    /// The device is the host end of a guest's NIC, such as a veth or tap: packets that the device receives are the guest's
    /// outbound traffic.
    Guest,
}

/// Whether `address` identifies a host wherever it is seen, which a link-local address does not.
// Inline: the compiler, in another crate, asks it of each of a hundred thousand members.
#[inline]
#[must_use]
pub const fn identifies(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local(),
    }
}

/// The facts about a NIC's device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Whether packets begin with an IP header, without an Ethernet header before it. Such a device is a tunnel.
    pub is_layer_3: bool,
    /// Its Ethernet address.
    pub mac: Option<Mac>,
    /// Its addresses, including link-local ones. Its owner may send from each of them.
    pub addresses: Vec<IpAddr>,
    /// The same addresses with their configured prefixes.
    pub connected: Vec<IpNet>,
    /// The addresses of the devices above it, with their prefixes: of its VLAN devices, and of the bridge, bond or VRF that it is
    /// a port of.
    pub above: Vec<IpNet>,
}

impl DeviceFacts {
    /// The addresses of the device's owner. For a host's device they include those of the devices above it. For a guest's they do
    /// not: what the host configures above the device belongs to the host.
    #[must_use]
    pub fn addresses_of(&self, role: Role) -> Vec<IpAddr> {
        let mut addresses = self.addresses.clone();
        addresses.extend(self.above_for(role).iter().map(IpNet::addr));
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// The networks that it is connected to, without link-local ones.
    pub fn networks(&self, role: Role) -> impl Iterator<Item = IpNet> {
        self.nets(role).filter(|net| identifies(net.addr())).map(IpNet::trunc)
    }

    /// The addresses of its networks that no host has. For IPv4 these are the first and the last of each network, which are
    /// broadcasts (RFC 1122 3.2.1.3); for IPv6 it is the first, which is the anycast address of any router (RFC 4291 2.6.1).
    /// Networks of two addresses have none (RFC 3021, RFC 6164).
    pub fn nobody(&self, role: Role) -> impl Iterator<Item = IpAddr> {
        self.nets(role).filter(|net| net.prefix_len() + 1 < net.max_prefix_len()).flat_map(|net| {
            let last = matches!(net, IpNet::V4(_)).then(|| net.broadcast());
            [Some(net.network()), last].into_iter().flatten()
        })
    }

    /// The configured prefixes of the owner's addresses.
    pub fn nets(&self, role: Role) -> impl Iterator<Item = &IpNet> {
        self.connected.iter().chain(self.above_for(role))
    }

    fn above_for(&self, role: Role) -> &[IpNet] {
        match role {
            Role::Host => &self.above,
            Role::Guest => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_local_address_connects_to_no_network() {
        let connected =
            ["10.77.1.2/23", "169.254.3.4/16", "fd77::2/64", "fe80::1/64"].map(|net| net.parse().unwrap());
        let facts = DeviceFacts { connected: connected.to_vec(), ..DeviceFacts::default() };
        let networks: Vec<_> = facts.networks(Role::Host).map(|net| net.to_string()).collect();
        assert_eq!(networks, ["10.77.0.0/23", "fd77::/64"]);
    }

    #[test]
    fn a_network_has_addresses_that_are_nobodys() {
        let nobody = |nets: &[&str]| {
            let connected = nets.iter().map(|net| net.parse().unwrap()).collect();
            let facts = DeviceFacts { connected, ..DeviceFacts::default() };
            facts.nobody(Role::Host).map(|address| address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(nobody(&["10.77.1.2/23"]), ["10.77.0.0", "10.77.1.255"]);
        assert_eq!(nobody(&["fd77::2/64"]), ["fd77::"]);
        assert!(nobody(&["10.0.0.1/32", "10.0.0.4/31", "fd77::1/128", "fd77::2/127"]).is_empty());
    }
    #[test]
    fn what_stands_on_a_hosts_device_is_the_hosts() {
        let net = |net: &str| net.parse::<IpNet>().unwrap();
        let facts = DeviceFacts {
            addresses: vec![net("10.77.1.2/23").addr()],
            connected: vec![net("10.77.1.2/23")],
            above: vec![net("10.5.0.2/24"), net("10.77.1.2/23")],
            ..DeviceFacts::default()
        };
        let of = |role| {
            let addresses = facts.addresses_of(role);
            (addresses, facts.networks(role).count(), facts.nobody(role).count())
        };
        let [own, vlans] = ["10.77.1.2", "10.5.0.2"].map(|address| address.parse().unwrap());
        assert_eq!(of(Role::Host), (vec![vlans, own], 3, 6));
        assert_eq!(of(Role::Guest), (vec![own], 1, 2));
    }
}
