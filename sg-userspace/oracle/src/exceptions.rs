//! Exceptions: what passes without a rule, as far as a probe can represent it.
//!
//! Neighbour discovery and listener reports require hop limits of 255 and 1; a probe has 64. No request precedes a probe, so it
//! is no reply. What is left is an outbound request of a DHCP client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sg_model::{Direction, Nic};
use sg_probe::{Content, Ends, Probe};

/// The IANA protocol number of UDP.
const UDP: u8 = 17;

/// The destination of DHCPv6 clients: all relay agents and servers of the link.
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// Whether the packet is a request for an address of `nic`, to all servers of its link, or to one that it may contact directly.
pub(super) fn is_dhcp(probe: &Probe, nic: &Nic) -> bool {
    let (UDP, Content::Ports { source: from, destination: to }) = (probe.protocol(), probe.content()) else {
        return false;
    };
    if probe.direction() == Direction::Ingress {
        return false;
    }
    let server = |address: IpAddr| {
        let of_the_link = match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let connected = nic.device_facts.networks(nic.role).any(|network| network.contains(&address));
        of_the_link || connected || nic.dhcp_servers.contains(&address)
    };
    let asks_one = nic.addresses.contains(&probe.source()) && server(probe.destination());
    match probe.ends() {
        Ends::V4 { destination, .. } => {
            let asks_all = destination == Ipv4Addr::BROADCAST;
            (from, to) == (68, 67) && (asks_all || asks_one && !destination.is_multicast())
        }
        Ends::V6 { source, destination } => {
            let link = destination == ALL_SERVERS || destination.is_unicast_link_local();
            let asks_all = source.is_unicast_link_local() && link;
            (from, to) == (546, 547) && (asks_all || asks_one && !destination.is_multicast())
        }
    }
}
