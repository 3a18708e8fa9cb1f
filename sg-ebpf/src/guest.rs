//! Anti-spoofing: a guest speaks for itself only, in its own network, to its neighbours too, and is no server of theirs.
//! What it claims is read by `sg_common::guest`; what is its own, the image says. Called by [`crate::pipeline`] for what
//! a guarded NIC sends.

use sg_common::{
    flow::packet_keys,
    guest::{self, Claim},
    image::{Dimension, Keys},
    packet::{Address, ETHERNET, Family, Payload},
    verdict::Reason,
};

use crate::{
    pipeline::Nic,
    view::{self, Context, Scratch},
};

/// Whether the frame may be sent, as far as Ethernet and ARP say; its Ethernet address is in the keys then.
#[inline(always)]
pub fn check_frame(
    ctx: &impl Context,
    nic: &Nic,
    payload: Payload,
    scratch: &mut Scratch,
) -> Result<(), Reason> {
    let offset = match payload {
        Payload::Ip(_, offset) | Payload::Arp(offset) => offset,
        Payload::Refused(reason) => return Err(reason),
    };
    if offset != ETHERNET || ctx.is_tagged() {
        return Err(Reason::VlanTag);
    }
    scratch.sender = view::sender(ctx).ok_or(Reason::Malformed)?;
    claim(&mut scratch.keys, &Claim { mac: scratch.sender, ..Claim::default() });
    if !nic.image.may_send(&scratch.keys) {
        return Err(Reason::AntiSpoofing);
    }
    if let Payload::Arp(offset) = payload {
        let Scratch { keys, claimed, .. } = scratch;
        if !view::arp(ctx, offset, claimed) {
            return Err(Reason::Malformed);
        }
        claim(keys, claimed);
        let own = if claimed.address.is_unspecified() {
            nic.image.may_send(keys)
        } else {
            nic.image.speaks_for(Family::V4, keys)
        };
        if !own {
            return Err(Reason::NeighbourSpoofing);
        }
    }
    Ok(())
}

/// Whether the packet comes from an address that is not its own. Errs where nothing lets it pass.
#[inline(always)]
pub fn check_packet(ctx: &impl Context, nic: &Nic, scratch: &mut Scratch) -> Result<bool, Reason> {
    let Scratch { packet, keys, claimed, sender, .. } = scratch;
    if guest::is_server(packet) {
        return Err(Reason::RogueServer);
    }
    if guest::is_advertisement(packet) {
        claimed.mac = *sender;
        if !view::advertised(ctx, packet.transport, claimed) {
            return Err(Reason::Malformed);
        }
        claim(keys, claimed);
        let own = nic.image.speaks_for(Family::V6, keys)
            || claimed.address.is_link_local() && !nic.has(sg_common::image::flags::MAC);
        if !own {
            return Err(Reason::NeighbourSpoofing);
        }
    }
    *keys = packet_keys(nic.direction, packet);
    keys[Dimension::Ethernet as usize] = *sender;
    Ok(!nic.image.speaks_for(packet.family, keys))
}

/// What the image is asked about who claims to be somebody.
#[inline(always)]
fn claim(keys: &mut Keys, claim: &Claim) {
    let Address { high, low } = claim.address;
    // One by one, as in `flow::packet_keys`.
    (keys[Dimension::LocalHigh as usize], keys[Dimension::LocalLow as usize]) = (high, low);
    keys[Dimension::Ethernet as usize] = claim.mac;
}
