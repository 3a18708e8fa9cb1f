//! Frames that are not IP, and that the policy names. It must never let one pass that is not named, nor be asked about others.
//! Called by [`crate::pipeline`] where a frame was refused as no IP.

#![expect(unsafe_code, reason = "global functions are found by name")]

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use sg_common::{
    image::{Dimension, Keys},
    packet::{self, Family, NAMED},
    verdict::Reason,
};

use crate::{
    context::{Context, View},
    policy::Image,
    view,
};

/// Errs with why the frame does not pass. Of what a guarded NIC sends, the sender's address is asked about, too: as that of
/// somebody who has no IP address yet, which each Ethernet address of its pairs may send as.
#[inline(always)]
pub fn check(ctx: &impl Context, image: Image, guarded: bool, keys: &mut Keys) -> Result<(), Reason> {
    // Drivers leave no more than the Ethernet header in the linear part, where they do not know what follows.
    ctx.pull(NAMED as u32);
    let name = ctx.name();
    if name == NONE || !image.names(name as u16) {
        return Err(Reason::NotIp);
    }
    if !guarded {
        return Ok(());
    }
    keys[Dimension::Ethernet as usize] = view::sender(ctx).ok_or(Reason::Malformed)?;
    keys[Dimension::LocalHigh as usize] = 0;
    keys[Dimension::LocalLow as usize] = 0;
    if image.is_allowed_source(Family::V4, keys) { Ok(()) } else { Err(Reason::AntiSpoofing) }
}

/// No name.
const NONE: u64 = 0;

#[inline(always)]
fn name(ctx: &impl Context) -> u64 {
    packet::name(&View::of(ctx)).map_or(NONE, u64::from)
}

/// The global functions, for a type of context, as in [`crate::view`].
macro_rules! named {
    ($context:ident, $raw:ty, $name:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $name(raw: *mut $raw) -> u64 {
            name(&$context::new(raw))
        }
    };
}
named!(TcContext, __sk_buff, sg_name);
named!(XdpContext, xdp_md, sg_xdp_name);
