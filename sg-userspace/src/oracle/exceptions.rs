//! What passes without a rule, as far as a probe can be it.
//!
//! Neighbour discovery and listener reports ask for hop limits of 255 and 1; a probe has 64, so DHCP is all
//! that is left: a client's question out, a server's answer in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{
    model::{Direction, Nic},
    probe::{Content, Ends, Probe},
};

/// UDP's number with IANA.
const UDP: u8 = 17;

/// Where DHCPv6 clients send to: all relay agents and servers of the link.
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// Whether the packet asks for, or brings, an address of `nic`.
pub(super) fn is_dhcp(probe: &Probe, nic: &Nic) -> bool {
    let (UDP, Content::Ports { source: from, destination: to }) = (probe.protocol(), probe.content()) else {
        return false;
    };
    let own = |address| nic.addresses.contains(&IpAddr::V4(address));
    match (probe.ends(), probe.direction()) {
        (Ends::V4 { source, destination }, Direction::Egress) => {
            let asks_everyone = source == Ipv4Addr::UNSPECIFIED && destination == Ipv4Addr::BROADCAST;
            (from, to) == (68, 67) && (asks_everyone || own(source))
        }
        (Ends::V4 { destination, .. }, Direction::Ingress) => {
            (from, to) == (67, 68) && (destination == Ipv4Addr::BROADCAST || own(destination))
        }
        (Ends::V6 { source, destination }, Direction::Egress) => {
            (from, to) == (546, 547) && source.is_unicast_link_local() && destination == ALL_SERVERS
        }
        (Ends::V6 { source, destination }, Direction::Ingress) => {
            (from, to) == (547, 546) && source.is_unicast_link_local() && destination.is_unicast_link_local()
        }
    }
}
