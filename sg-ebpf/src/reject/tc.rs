//! Rejects at tc: the packet in the skb becomes the reject, which is redirected to the other side of the device.

#![expect(unsafe_code, reason = "the kernel's calls that change a packet take pointers")]

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_CSUM_LEVEL_INC, BPF_CSUM_LEVEL_QUERY, BPF_F_INGRESS, TC_ACT_REDIRECT, TC_ACT_SHOT,
        bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    helpers::generated::{
        bpf_csum_level, bpf_csum_update, bpf_redirect, bpf_skb_adjust_room, bpf_skb_change_tail,
        bpf_skb_load_bytes, bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use sg_common::{
    flow::Direction,
    image::flags,
    packet::ETHERNET,
    reject::{Delivery, MAX_QUOTE, Mark, Source, Trust, Words, between},
    verdict::Reason,
};

use super::{MAX_ETHERNET, Prepared, WORD, added, bounded, count, prepare, sound, source, summed, written};
use crate::{
    maps::{self, REJECT_MARK},
    pipeline::{Hook, Nic},
    subprograms,
};

/// Index of the token in the control block of a reject: the last word, away from what the pipeline stores.
const TOKEN: usize = 4;

/// Returns the action for a packet that was rejected at `hook`.
#[inline(always)]
pub fn at_tc(ctx: &TcContext, hook: Hook) -> i32 {
    sg_reject(ctx.skb.skb, hook as u64) as i32
}

/// Whether the packet is a reject of this filter; if so, its mark is cleared.
///
/// A redirected reject has the mark and the token, which nothing changes on the way. A packet of a process may have the mark, but
/// never the token; and a reject that is sent out came in by the same device, which no packet of a process did. (That the packet
/// has no socket proves nothing: through a veth pair it keeps that of its sender.)
#[inline(always)]
pub fn is_own_reject(ctx: &TcContext, hook: Hook) -> bool {
    // SAFETY: `skb` is the context that the kernel passed; a classifier may read these fields and write the mark and the control
    // block (`tc_cls_act_is_valid_access`).
    let skb = unsafe { &mut *ctx.skb.skb };
    if skb.mark == 0 {
        return false;
    }
    let Some(&word) = REJECT_MARK.get(0) else { return false };
    let ours = Mark::from_word(word);
    let is_ours = skb.mark == ours.mark()
        && skb.cb[TOKEN] == ours.token()
        && (hook == Hook::Received || skb.ingress_ifindex == skb.ifindex);
    if is_ours {
        skb.mark = 0;
        skb.cb[TOKEN] = 0;
    }
    is_ours
}

const _: subprograms::Reject = sg_reject;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_reject(raw: *mut __sk_buff, hook: u64) -> u64 {
    let ctx = TcContext::new(raw);
    let hook = if hook == Hook::Received as u64 { Hook::Received } else { Hook::Sent };
    sent_back(&ctx, raw, hook).unwrap_or(TC_ACT_SHOT as u64)
}

const _: subprograms::OfOffset<__sk_buff> = sg_build_reject;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_build_reject(raw: *mut __sk_buff, offset: u64) -> u64 {
    written(&Buffered(raw), offset)
}

const _: subprograms::OfOffset<__sk_buff> = sg_checksums;

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_checksums(raw: *mut __sk_buff, offset: u64) -> u64 {
    sound(&Buffered(raw), offset, trust_of(raw))
}

/// What the kernel knows of the checksum of a packet that goes no further (`skb->ip_summed`), derived from what its calls change:
/// the level rises from "no device checked" to "one did", and stays if the checksum has not been computed yet.
#[inline(always)]
fn trust_of(raw: *mut __sk_buff) -> Trust {
    // SAFETY: `raw` is the context.
    let level = |what: u32| unsafe { bpf_csum_level(raw, u64::from(what)) };
    if level(BPF_CSUM_LEVEL_QUERY) >= 0 {
        return Trust::Known;
    }
    level(BPF_CSUM_LEVEL_INC);
    // SAFETY: as above. It adds zero, and succeeds only if the device summed the whole packet.
    let is_summed = || unsafe { bpf_csum_update(raw, 0) } >= 0;
    if level(BPF_CSUM_LEVEL_QUERY) >= 0 || is_summed() { Trust::Whole } else { Trust::Known }
}

/// Whether the frame is addressed to the NIC. The kernel has compared the address for frames that a host's device receives; for
/// all others this is unknown.
#[inline(always)]
fn delivery_of(raw: *mut __sk_buff, nic: &Nic) -> Delivery {
    const PACKET_HOST: u32 = 0;
    if nic.has(flags::GUEST) || nic.direction == Direction::Egress {
        // A tunnel has two ends: a packet in it is for the other.
        return if nic.has(flags::LAYER_3) { Delivery::Own } else { Delivery::Unknown };
    }
    // SAFETY: `raw` is the context, and a classifier may read this of it.
    if unsafe { (*raw).pkt_type } == PACKET_HOST { Delivery::Own } else { Delivery::Other }
}

#[inline(always)]
fn sent_back(ctx: &TcContext, raw: *mut __sk_buff, hook: Hook) -> Option<u64> {
    let Prepared { reject, nic, offset, length } = prepare(
        ctx,
        hook,
        |nic| delivery_of(raw, nic),
        |offset| sg_checksums(raw, offset),
        |offset| sg_build_reject(raw, offset),
    )?;
    let whole = offset + length;
    let mark = Mark::from_word(*REJECT_MARK.get(0)?);
    let between = between(&maps::scratch()?.packet, offset as usize);
    let (ethernet, words) = (reject.ethernet.as_ptr().cast(), reject.words.as_ptr().cast());
    // SAFETY: `raw` is the context; the buffers have the given lengths. Pointers into the packet are not used any more.
    unsafe {
        shorten(raw, between);
        // A frame longer than its packet is fine, a shorter one is not.
        if bpf_skb_change_tail(raw, whole, 0) != 0 && (*raw).len < whole
            || bpf_skb_store_bytes(raw, offset, words, length, 0) != 0
        {
            return None;
        }
        if let Some(header) = bounded(u64::from(offset), ETHERNET as u64, MAX_ETHERNET)
            && bpf_skb_store_bytes(raw, 0, ethernet, header, 0) != 0
        {
            return None;
        }
        let way = match hook {
            Hook::Received => 0,
            Hook::Sent => u64::from(BPF_F_INGRESS),
        };
        // A NIC judged at XDP has no tc filter on ingress that would clear the mark.
        if hook == Hook::Received || !nic.has(flags::XDP) {
            (*raw).mark = mark.mark();
            (*raw).cb[TOKEN] = mark.token();
        }
        count(&nic, Reason::RejectSent, whole);
        let action = bpf_redirect((*raw).ifindex, way);
        (action == i64::from(TC_ACT_REDIRECT)).then_some(TC_ACT_REDIRECT as u64)
    }
}

/// Removes what is between the headers of the packet: options, extension headers. The kernel remembers the offsets of the
/// transport header and of a checksum left to a device, and makes no frame shorter than those (`__bpf_skb_min_len`,
/// net/core/filter.c), nor does it trim such a frame on ingress. If the kernel refuses, the frame keeps its length.
#[inline(always)]
fn shorten(raw: *mut __sk_buff, between: u32) {
    // `bpf_skb_adjust_room`; repeated as often as the longest chain of extension headers that is walked needs.
    const MOST: u32 = 0xffc;
    let mut left = between;
    for _ in 0..4 {
        if left == 0 {
            return;
        }
        let now = if left < MOST { left } else { MOST };
        // SAFETY: `raw` is the context.
        unsafe { bpf_skb_adjust_room(raw, -now.cast_signed(), BPF_ADJ_ROOM_MAC, 0) };
        left -= now;
    }
}

/// A packet in an skb.
struct Buffered(*mut __sk_buff);

impl Buffered {
    /// Reads into a buffer of this length.
    #[inline(always)]
    fn load(&self, offset: u64, length: u32, into: *mut u32) -> bool {
        // SAFETY: as the callers guarantee; the verifier checks it.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset as u32, into.cast(), length) == 0 }
    }
}

source!(Buffered, __sk_buff, sg_sum);
