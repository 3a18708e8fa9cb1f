//! Traffic that passes without a rule: without it a NIC could not find its neighbours or get its address.
//!
//! This is the whole list, kept as short as possible (documented for users in `docs/use/exceptions.md`):
//!
//! | what | where |
//! |---|---|
//! | ARP, for a guarded guest only about its own addresses | [`crate::guest::arp`] |
//! | neighbour, router and multicast listener discovery | [`crate::discovery`] |
//! | DHCP, as a client: requests, and the replies to them | [`crate::dhcp`] |
//!
//! All of them are whole packets without a fragment header: receivers ignore others (RFC 6980 5). What some of them depend on
//! beyond themselves is in [`crate::exchange`] and in the image. ICMP errors about an accepted flow pass too; the flow table
//! decides those, they are no exception.

use crate::{
    dhcp, discovery,
    flow::Direction,
    options::{self, List, State},
    packet::{Family, Frame, Packet, protocol},
};

/// The exception under which a packet passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Neighbour, router or multicast listener discovery.
    Discovery(discovery::Message),
    /// DHCP.
    Dhcp(dhcp::Message),
}

/// Whether a packet may be an exception by its protocol, type and ports, and its message is worth parsing.
#[inline(always)]
#[must_use]
pub fn may_be(packet: &Packet) -> bool {
    // Of a fragment, one that is the whole datagram included, that is no zero.
    packet.payload == 0
        && match (packet.family, packet.protocol) {
            (Family::V6, protocol::ICMPV6) => discovery::may_be(packet),
            (_, protocol::UDP) => dhcp::may_be(packet),
            _ => false,
        }
}

/// The exception under which `packet` passes, or `None` if it needs a rule. Its IP header is at `network` in `frame`.
#[inline(always)]
pub fn find<F: Frame>(frame: &F, network: usize, packet: &Packet, direction: Direction) -> Option<Exception> {
    find_with(frame, network, packet, direction, |list, at, end| {
        options::walk(at, |state| options::step(frame, list, end, state))
    })
}

/// As [`find`], with another implementation of the walk through lists.
#[inline(always)]
pub fn find_with<F: Frame>(
    frame: &F,
    network: usize,
    packet: &Packet,
    direction: Direction,
    walk: impl Fn(List, usize, usize) -> State,
) -> Option<Exception> {
    if !may_be(packet) {
        return None;
    }
    if packet.protocol == protocol::UDP {
        return dhcp::read(frame, network, packet, direction, walk).map(Exception::Dhcp);
    }
    discovery::read(frame, network, packet, direction, walk).map(Exception::Discovery)
}
