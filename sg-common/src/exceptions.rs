//! The traffic that works without a rule: without it a NIC could not find its neighbours or get its address.
//!
//! This is the whole list, and it is as short as it can be (`docs/exceptions.md` says it for users):
//!
//! | what | direction | only where |
//! |---|---|---|
//! | ARP | both | EtherType 0x0806 ([`crate::packet::parse`]); of a guarded guest about itself only ([`crate::guest`]) |
//! | router solicitation | egress | ICMPv6 133, hop limit 255 |
//! | router advertisement | ingress | ICMPv6 134, hop limit 255 |
//! | neighbour solicitation and advertisement | both | ICMPv6 135, 136, hop limit 255 |
//! | multicast listener report, done | egress | ICMPv6 131, 132, 143, hop limit 1, from `fe80::/10` or `::` |
//! | multicast listener query | ingress | ICMPv6 130, hop limit 1, from `fe80::/10` |
//! | DHCPv4 | egress | UDP 68 to 67, from `0.0.0.0` to `255.255.255.255`, or from an own address |
//! | DHCPv4 | ingress | UDP 67 to 68, to an own address or `255.255.255.255` |
//! | DHCPv6 | egress | UDP 546 to 547, from `fe80::/10` to `ff02::1:2` |
//! | DHCPv6 | ingress | UDP 547 to 546, from `fe80::/10` to `fe80::/10` |
//!
//! Hop limits: a router lowers them, so 255 proves that the sender is on the link (RFC 4861 11.2); 1 does not
//! leave it (RFC 3810 5). Neighbour discovery and multicast listener messages pass without a fragment header only: their
//! receivers ignore others (RFC 6980 5). ICMP errors about an accepted flow pass too; that is the flow table's answer, not
//! an exception.

use crate::{
    flow::Direction,
    packet::{Family, Packet, protocol},
    verdict::Reason,
};

const DHCP4_SERVER: u16 = 67;
const DHCP4_CLIENT: u16 = 68;
const DHCP6_CLIENT: u16 = 546;
const DHCP6_SERVER: u16 = 547;
const BROADCAST: u64 = 0xffff_ffff;
/// `ff02::1:2`, `All_DHCP_Relay_Agents_and_Servers` (RFC 8415 7.1).
const DHCP6_SERVERS: (u64, u64) = (0xff02_0000_0000_0000, 0x0000_0000_0001_0002);

/// Why `packet` passes without a rule, or none where it needs one. `own` tells whether the local address of
/// the packet belongs to the NIC.
#[inline(always)]
pub fn passes(packet: &Packet, direction: Direction, own: impl FnOnce() -> bool) -> Option<Reason> {
    match (packet.family, packet.protocol) {
        (Family::V6, protocol::ICMPV6) if is_link_control(packet, direction) => {
            Some(Reason::NeighbourDiscovery)
        }
        (family, protocol::UDP) if is_dhcp(packet, family, direction, own) => Some(Reason::Dhcp),
        _ => None,
    }
}

#[inline(always)]
fn is_link_control(packet: &Packet, direction: Direction) -> bool {
    if packet.payload != 0 {
        return false;
    }
    let discovery = packet.hop_limit == 255;
    let listener = packet.hop_limit == 1;
    let source = packet.source;
    match (packet.detail >> 8, direction) {
        (133, Direction::Egress) | (134, Direction::Ingress) | (135 | 136, _) => discovery,
        (130, Direction::Ingress) => listener && source.is_link_local(),
        (131 | 132 | 143, Direction::Egress) => {
            listener && (source.is_link_local() || source.is_unspecified())
        }
        _ => false,
    }
}

#[inline(always)]
fn is_dhcp(packet: &Packet, family: Family, direction: Direction, own: impl FnOnce() -> bool) -> bool {
    match (family, direction, packet.source_port, packet.detail) {
        (Family::V4, Direction::Egress, DHCP4_CLIENT, DHCP4_SERVER)
        | (Family::V4, Direction::Ingress, DHCP4_SERVER, DHCP4_CLIENT) => {
            let nobody_yet = match direction {
                Direction::Egress => packet.source.is_unspecified() && packet.destination.high == BROADCAST,
                Direction::Ingress => packet.destination.high == BROADCAST,
            };
            nobody_yet || own()
        }
        (Family::V6, Direction::Egress, DHCP6_CLIENT, DHCP6_SERVER) => {
            let to = packet.destination;
            packet.source.is_link_local() && (to.high, to.low) == DHCP6_SERVERS
        }
        (Family::V6, Direction::Ingress, DHCP6_SERVER, DHCP6_CLIENT) => {
            packet.source.is_link_local() && packet.destination.is_link_local()
        }
        _ => false,
    }
}
