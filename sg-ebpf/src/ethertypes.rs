//! Frames that are not IP, and whose EtherType the policy names. It must never accept one that is not named, nor judge IP. Called
//! by [`crate::pipeline`] for frames refused as not IP.

use sg_common::{
    image::{Dimension, Keys},
    packet::{self, Family, NAMED},
    verdict::Reason,
};

use crate::{
    context::{Context, View},
    image::Image,
    view,
};

/// Returns the reason if the frame must be dropped. For a guarded NIC, the sender's Ethernet address is checked too, like that of
/// a sender without an IP address yet: each Ethernet address of the NIC's pairs may send.
#[inline(always)]
pub fn check(ctx: &impl Context, image: Image, guarded: bool, keys: &mut Keys) -> Result<(), Reason> {
    // Drivers leave only the Ethernet header in the linear part if they do not know what follows.
    ctx.pull(NAMED as u32);
    let name = ctx.ethertype();
    if name == NONE || !image.names(name as u16) {
        return Err(Reason::NotIp);
    }
    if !guarded {
        return Ok(());
    }
    keys.set(Dimension::Ethernet, view::sender(ctx).ok_or(Reason::Malformed)?);
    keys.set(Dimension::LocalHigh, 0);
    keys.set(Dimension::LocalLow, 0);
    if image.is_allowed_source(Family::V4, keys) { Ok(()) } else { Err(Reason::AntiSpoofing) }
}

/// The frame has no name.
const NONE: u64 = 0;

/// The EtherType by which a policy may name the frame, or [`NONE`].
#[inline(always)]
pub fn ethertype(ctx: &impl Context) -> u64 {
    packet::name(&View::of(ctx)).map_or(NONE, u64::from)
}
