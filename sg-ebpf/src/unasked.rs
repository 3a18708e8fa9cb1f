//! What passes without a rule, asked once: `sg_common::exceptions` as a global function, so that the verifier walks through
//! the list once, and not again from every state that the datapath is in. Called by [`crate::pipeline`].

#![expect(unsafe_code, reason = "global functions take pointers")]

use sg_common::{exceptions, flow::Direction, packet::Packet, verdict::Reason};

/// Why `packet` passes without a rule. `own` tells whether the local address of the packet belongs to the NIC; it is
/// asked only where that decides.
#[inline(always)]
pub fn passes(packet: &Packet, direction: Direction, own: impl FnOnce() -> bool) -> Option<Reason> {
    match sg_unasked(packet, u64::from(direction as u8)) {
        DHCP_OF_ITS_OWN if own() => Some(Reason::Dhcp),
        DHCP => Some(Reason::Dhcp),
        DISCOVERY => Some(Reason::NeighbourDiscovery),
        _ => None,
    }
}

const DHCP: u64 = 1;
const DISCOVERY: u64 = 2;
const DHCP_OF_ITS_OWN: u64 = 3;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_unasked(packet: *const Packet, direction: u64) -> u64 {
    let direction = Direction::of(direction);
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(packet) = (unsafe { packet.as_ref() }) else { return 0 };
    let mut asked = false;
    let found = exceptions::passes(packet, direction, || {
        asked = true;
        true
    });
    match found {
        Some(Reason::Dhcp) if asked => DHCP_OF_ITS_OWN,
        Some(Reason::Dhcp) => DHCP,
        Some(_) => DISCOVERY,
        None => 0,
    }
}
