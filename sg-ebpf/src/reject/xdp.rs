//! Rejects at XDP: the frame becomes the reject, which the driver sends back at once.

#![expect(unsafe_code, reason = "the kernel's calls that change a packet take pointers")]

use aya_ebpf::{
    bindings::{xdp_action, xdp_md},
    helpers::generated::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_load_bytes, bpf_xdp_store_bytes},
    programs::XdpContext,
};
use sg_common::{
    packet::ETHERNET,
    reject::{Delivery, MAX_QUOTE, Source, Trust, Words},
    verdict::Reason,
};

use super::{MAX_ETHERNET, Prepared, WORD, added, bounded, count, prepare, sound, source, summed, written};
use crate::{context::Context as _, pipeline::Hook, subprograms};

/// Returns the action for a packet that was rejected at XDP.
#[inline(always)]
pub fn at_xdp(ctx: &XdpContext) -> u32 {
    sg_xdp_reject(ctx.ctx) as u32
}

const _: subprograms::Payload<xdp_md> = sg_xdp_reject;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_xdp_reject(raw: *mut xdp_md) -> u64 {
    let ctx = XdpContext::new(raw);
    bounced(&ctx, raw).unwrap_or(u64::from(xdp_action::XDP_DROP))
}

const _: subprograms::OfOffset<xdp_md> = sg_xdp_build_reject;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_xdp_build_reject(raw: *mut xdp_md, offset: u64) -> u64 {
    written(&Bare(raw), offset)
}

const _: subprograms::OfOffset<xdp_md> = sg_xdp_checksums;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_xdp_checksums(raw: *mut xdp_md, offset: u64) -> u64 {
    // A packet from a device of this host, a veth or tap, may have no checksum yet, and XDP does not tell.
    sound(&Bare(raw), offset, Trust::Unsure)
}

#[inline(always)]
fn bounced(ctx: &XdpContext, raw: *mut xdp_md) -> Option<u64> {
    let before = ctx.len();
    let Prepared { reject, nic, offset, length } = prepare(
        ctx,
        Hook::Received,
        |_| Delivery::Unknown,
        |offset| sg_xdp_checksums(raw, offset),
        |offset| sg_xdp_build_reject(raw, offset),
    )?;
    let offset = bounded(u64::from(offset), ETHERNET as u64, MAX_ETHERNET)?;
    let whole = offset + length;
    let ethernet = reject.ethernet.as_ptr().cast_mut().cast();
    let words = reject.words.as_ptr().cast_mut().cast();
    // SAFETY: as in `sent_back`; the kernel only reads the buffers.
    unsafe {
        // There is always headroom, but not always tailroom (`XDP_PACKET_HEADROOM`, include/uapi/linux/bpf.h).
        let more = whole.cast_signed() - before.cast_signed();
        let resized = if more > 0 { bpf_xdp_adjust_head(raw, -more) } else { bpf_xdp_adjust_tail(raw, more) };
        if resized != 0
            || bpf_xdp_store_bytes(raw, 0, ethernet, offset) != 0
            || bpf_xdp_store_bytes(raw, offset, words, length) != 0
        {
            return None;
        }
    }
    count(&nic, Reason::RejectSent, whole);
    Some(u64::from(xdp_action::XDP_TX))
}

/// A packet without an skb, at XDP.
struct Bare(*mut xdp_md);

impl Bare {
    /// As above.
    #[inline(always)]
    fn load(&self, offset: u64, length: u32, into: *mut u32) -> bool {
        // SAFETY: as above.
        unsafe { bpf_xdp_load_bytes(self.0, offset as u32, into.cast(), length) == 0 }
    }
}

source!(Bare, xdp_md, sg_xdp_sum);
