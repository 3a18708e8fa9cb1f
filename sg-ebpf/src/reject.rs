//! Turns a rejected packet into its reject, a TCP reset or ICMP error, and sends that back the way the packet came.
//! `sg_common::reject` decides its content, receiver and rate; this module has the kernel calls. Called by the programs after the
//! verdict, so other packets pay only for one look at their mark.
//!
//! At tc the reject is redirected to the other side of the same device, and so meets this filter again: see [`is_own_reject`].
//! XDP sends it through the device at once.

#![expect(unsafe_code, reason = "the kernel's calls that change a packet take pointers")]

use core::{hint::black_box, ptr::null_mut};

use aya_ebpf::{
    bindings::{
        __sk_buff, BPF_CSUM_LEVEL_INC, BPF_CSUM_LEVEL_QUERY, BPF_F_INGRESS, TC_ACT_REDIRECT, TC_ACT_SHOT,
        bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, xdp_action, xdp_md,
    },
    helpers::generated::{
        bpf_csum_diff, bpf_csum_level, bpf_csum_update, bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_redirect,
        bpf_skb_adjust_room, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
        bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
    },
    programs::{TcContext, XdpContext},
};
use sg_common::{
    abi::reason_counter,
    flow::Direction,
    image::{Dimension, flags},
    packet::{ETHERNET, Payload},
    reject::{
        Delivery, Link, MAX, MAX_QUOTE, MAX_SUMMED, MIN, Mark, RateLimit, RejectPacket, Source, Trust, Words,
        between, gets_reject, local, remote,
    },
    verdict::Reason,
};

use crate::{
    context::{Context, View},
    frame,
    image::Image,
    maps::{REJECT_BUDGET, REJECT_MARK, REJECT_PEERS, settings},
    pipeline::{self, Hook, Nic},
    scratch::{self, Scratch},
    view,
};

/// Length of an Ethernet header with the maximum number of VLAN tags that are parsed.
const MAX_ETHERNET: u64 = 22;
/// Minimum length of a copy.
const WORD: u64 = 4;
/// Bytes summed at once: `MAX_BPF_STACK`, include/linux/filter.h.
pub const PART: usize = 512;
/// Index of the token in the control block of a reject: the last word, away from what the pipeline stores.
const TOKEN: usize = 4;

/// Returns the action for a packet that was rejected at `hook`.
#[inline(always)]
pub fn at_tc(ctx: &TcContext, hook: Hook) -> i32 {
    sg_reject(ctx.skb.skb, hook as u64) as i32
}

/// Returns the action for a packet that was rejected at XDP.
#[inline(always)]
pub fn at_xdp(ctx: &XdpContext) -> u32 {
    sg_xdp_reject(ctx.ctx) as u32
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

// Global functions: the verifier checks each once, whatever the datapath state at the call.

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_reject(raw: *mut __sk_buff, hook: u64) -> u64 {
    let ctx = TcContext::new(raw);
    let hook = if hook == Hook::Received as u64 { Hook::Received } else { Hook::Sent };
    sent_back(&ctx, raw, hook).unwrap_or(TC_ACT_SHOT as u64)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_xdp_reject(raw: *mut xdp_md) -> u64 {
    let ctx = XdpContext::new(raw);
    bounced(&ctx, raw).unwrap_or(u64::from(xdp_action::XDP_DROP))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_build_reject(raw: *mut __sk_buff, offset: u64) -> u64 {
    written(&Buffered(raw), offset)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_xdp_build_reject(raw: *mut xdp_md, offset: u64) -> u64 {
    written(&Bare(raw), offset)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_checksums(raw: *mut __sk_buff, offset: u64) -> u64 {
    sound(&Buffered(raw), offset, trust_of(raw))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_xdp_checksums(raw: *mut xdp_md, offset: u64) -> u64 {
    // A packet from a device of this host, a veth or tap, may have no checksum yet, and XDP does not tell.
    sound(&Bare(raw), offset, Trust::Unsure)
}

/// Whether the packet and its frame allow a reject to the sender. Returns zero if not.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_gets_reject(slot: u64, direction: u64, delivery: u64) -> u64 {
    let Some(Scratch { packet, link, .. }) = scratch::scratch() else { return 0 };
    if !gets_reject(packet) || !link.is_between_two() {
        return 0;
    }
    sg_of_nic(slot, direction, delivery)
}

/// Whether the image confirms the packet as one of the NIC. Returns zero if not. Looks the image up again: kept over the call,
/// its size class would be checked through everything that follows.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_of_nic(slot: u64, direction: u64, delivery: u64) -> u64 {
    let (direction, delivery) = (Direction::of(direction), Delivery::of(delivery));
    let Some(Scratch { packet, link, keys, .. }) = scratch::scratch() else { return 0 };
    // The reject comes from the local address or goes to it: that must be the NIC's. What it says about the remote address must
    // be true too.
    let (local, remote, family) = (local(packet, direction), remote(packet, direction), packet.family);
    keys[Dimension::Ethernet as usize] = link.local(direction);
    keys[Dimension::LocalHigh as usize] = local.high;
    keys[Dimension::LocalLow as usize] = local.low;
    let Some(image) = Image::of(slot as u32) else { return 0 };
    if !delivery.is_own(*link, direction, image.mac()) || !image.is_allowed_source(family, keys) {
        return 0;
    }
    keys[Dimension::LocalHigh as usize] = remote.high;
    keys[Dimension::LocalLow as usize] = remote.low;
    u64::from(!image.suppresses_reject(family, keys))
}

/// Writes the reject for the packet at `offset`. Returns zero if there is none.
#[inline(always)]
fn written(frame: &impl Source, offset: u64) -> u64 {
    let Some(Scratch { packet, reject, .. }) = scratch::scratch() else { return 0 };
    u64::from(reject.to(frame, offset as usize, packet))
}

/// Whether the checksums of the packet at `offset` are correct. Returns zero if one is wrong.
#[inline(always)]
fn sound(frame: &impl Source, offset: u64, trust: Trust) -> u64 {
    let Some(Scratch { packet, reject, .. }) = scratch::scratch() else { return 0 };
    u64::from(reject.is_sound(frame, offset as usize, packet, trust))
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
    let between = between(&scratch::scratch()?.packet, offset as usize);
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

/// A reject, ready to send.
struct Prepared {
    reject: &'static RejectPacket,
    nic: Nic,
    /// Its offset in the frame: behind the Ethernet header, if there is one.
    offset: u32,
    /// Its length in bytes.
    length: u32,
}

/// Prepares the reject, if one may be sent. Every check that can prevent it comes before the costly work, and budgets are charged
/// only for rejects sent.
#[inline(always)]
fn prepare(
    ctx: &impl Context,
    hook: Hook,
    delivery: impl FnOnce(&Nic) -> Delivery,
    sound: impl FnOnce(u64) -> u64,
    write: impl FnOnce(u64) -> u64,
) -> Option<Prepared> {
    let nic = pipeline::nic_of(ctx, hook).ok()?;
    scratch::scratch()?.link =
        if nic.has(flags::LAYER_3) { Link::TUNNEL } else { Link::read(&View::of(ctx))? };
    if sg_gets_reject(u64::from(nic.slot), nic.direction as u64, delivery(&nic) as u64) == 0 {
        return None;
    }
    let Payload::Ip(_, offset) = frame::payload(ctx) else { return None };

    let [first, second] = settings().peer_secret;
    // SAFETY: helpers without arguments.
    let (now, dice) = unsafe { (bpf_ktime_get_ns(), bpf_get_prandom_u32() as u32) };
    let limit = RateLimit { now, interval: u64::from(settings().reject_interval) };
    let secret = u64::from(first) << 32 | u64::from(second);
    let of_nic = REJECT_BUDGET.get_ptr_mut(u32::from(nic.slot))?;
    let remote = remote(&scratch::scratch()?.packet, nic.direction);
    let of_peer = REJECT_PEERS.get_ptr_mut(limit.peer(secret, nic.slot, remote))?;
    // SAFETY: valid until the program ends; words; a lost update allows one more reject.
    let (of_nic, of_peer) = unsafe { (&mut *of_nic, &mut *of_peer) };
    if !limit.allows(*of_nic, *of_peer, dice) {
        if limit.interval != 0 {
            count(&nic, Reason::RejectRateLimited, ctx.len());
        }
        return None;
    }
    if sound(offset as u64) == 0 || write(offset as u64) == 0 {
        return None;
    }
    limit.spend(of_nic, of_peer, dice);
    // Loaded only now, because the call wrote it, which the verifier does not see.
    let reject = &scratch::scratch()?.reject;
    let offset = bounded(u64::from(reject.offset), 0, MAX_ETHERNET)?;
    let length = bounded(u64::from(reject.length), MIN as u64, MAX as u64)?;
    Some(Prepared { reject, nic, offset, length })
}

/// Bounds the number as the verifier requires: it wants both bounds of a length, and before Linux 6.8 learns nothing from a
/// comparison with zero (`reg_set_min_max`, kernel/bpf/verifier.c), which the compiler makes of one with a minimum of one. So
/// compare the excess over the minimum.
#[inline(always)]
fn bounded(number: u64, least: u64, most: u64) -> Option<u32> {
    let beyond = black_box(number.wrapping_sub(least));
    if beyond > most - least { None } else { Some(black_box(beyond + least) as u32) }
}

#[inline(always)]
fn count(nic: &Nic, reason: Reason, length: u32) {
    view::count(reason_counter(nic.header.counters, nic.direction, reason), length);
}

/// Sums the bytes that `load` reads from `offset` on, in parts; the last part is padded with zeros to a whole word. Returns zero
/// on failure.
#[inline(always)]
fn summed(load: impl Fn(u64, u32, *mut u32) -> bool, offset: u64, length: u64, seed: u64) -> u64 {
    const PARTS: usize = MAX_SUMMED / PART;
    let Some(Scratch { part: room, .. }) = scratch::scratch() else { return 0 };
    let (mut at, mut left, mut sum) = (offset, length, seed as u32);
    for _ in 0..PARTS {
        if left < PART as u64 {
            break;
        }
        if !load(at, PART as u32, room.as_mut_ptr()) {
            return 0;
        }
        sum = added(room.as_mut_ptr(), PART as u32, sum);
        at += PART as u64;
        left -= PART as u64;
    }
    if left == 0 {
        return u64::from(sum);
    }
    let Some(last) = bounded(left, 1, PART as u64 - 1) else { return 0 };
    let Some(beyond) = room.get_mut(last as usize / 4) else { return 0 };
    *beyond = 0;
    if !load(at, last, room.as_mut_ptr()) {
        return 0;
    }
    let Some(words) = bounded(u64::from((last + 3) & !3), WORD, PART as u64) else { return 0 };
    u64::from(added(room.as_mut_ptr(), words, sum))
}

/// Adds `length` bytes, whole words, to a sum.
#[inline(always)]
fn added(words: *mut u32, length: u32, sum: u32) -> u32 {
    // SAFETY: the callers give the length of the buffer, the verifier checks it, and the kernel only reads. It fails for more
    // than [`PART`] bytes.
    let sum = unsafe { bpf_csum_diff(null_mut(), 0, words, length, sum) };
    sum.cast_unsigned() as u32
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

/// Implements [`Source`] for both. Their sums are global functions, called for the headers of a packet and for its segment.
macro_rules! source {
    ($frame:ident, $raw:ty, $sum:ident) => {
        impl Source for $frame {
            #[inline(always)]
            fn copy(&self, offset: usize, length: usize, into: &mut [u32]) -> bool {
                let room = into.len() * 4;
                let Some(length) = bounded(length as u64, WORD, MAX_QUOTE as u64) else { return false };
                if room < length as usize {
                    return false;
                }
                self.load(offset as u64, length, into.as_mut_ptr())
            }

            #[inline(always)]
            fn sum(&self, offset: usize, length: usize, seed: u32) -> u32 {
                $sum(self.0, offset as u64, length as u64, u64::from(seed)) as u32
            }

            #[inline(always)]
            fn sum_of(words: &Words, seed: u32) -> u32 {
                added(words.as_ptr().cast_mut(), size_of::<Words>() as u32, seed)
            }
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $sum(raw: *mut $raw, offset: u64, length: u64, seed: u64) -> u64 {
            summed(|at, part, room| $frame(raw).load(at, part, room), offset, length, seed)
        }
    };
}
source!(Buffered, __sk_buff, sg_sum);
source!(Bare, xdp_md, sg_xdp_sum);
