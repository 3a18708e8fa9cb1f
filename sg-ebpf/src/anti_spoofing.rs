//! Anti-spoofing: a guest sends only from its own addresses, untagged, advertises only itself to its neighbours, and is no DHCP
//! server or router. `sg_common::guest` reads the claimed addresses; the image tells which are the guest's own. Called by
//! [`crate::pipeline`] for packets that a guarded NIC sends.

use sg_common::{
    guest,
    image::{Dimension, flags},
    packet::Payload,
    verdict::Reason,
};

use crate::{context::Context, scratch::Scratch, view};

/// Fills the source keys with the sender that an ARP packet claims.
#[inline(always)]
pub fn claim_of_arp(scratch: &mut Scratch) {
    let address = scratch.claimed.address;
    scratch.keys.set(Dimension::LocalHigh, address.high);
    scratch.keys.set(Dimension::LocalLow, address.low);
}

/// Makes the checks that need no image, and fills the Ethernet key. Returns the reason to drop the packet.
#[inline(always)]
pub fn check(ctx: &impl Context, payload: Payload, scratch: &mut Scratch) -> Result<(), Reason> {
    let has_ethernet = scratch.header.flags & flags::LAYER_3 == 0;
    let sender = if has_ethernet { view::sender(ctx).ok_or(Reason::Malformed)? } else { 0 };
    scratch.keys.set(Dimension::Ethernet, sender);
    let is_arp = match payload {
        Payload::Ip(..) => false,
        Payload::Arp(_) => true,
        Payload::Refused(reason) => return Err(reason),
    };
    // A priority tag (VLAN 0) names no other network.
    if !scratch.packet.vlan.is_none() {
        return Err(Reason::VlanTag);
    }
    if is_arp {
        return if scratch.claimed.mac == sender { Ok(()) } else { Err(Reason::NeighbourSpoofing) };
    }
    if guest::is_server(&scratch.packet) {
        return Err(Reason::RogueServer);
    }
    if guest::is_advertisement(&scratch.packet) {
        let from = scratch.packet.source;
        if !view::advertised(ctx, &scratch.packet, &mut scratch.claimed) {
            return Err(Reason::Malformed);
        }
        let of = scratch.claimed.address;
        if (of.high, of.low) != (from.high, from.low) {
            return Err(Reason::NeighbourSpoofing);
        }
    }
    Ok(())
}
