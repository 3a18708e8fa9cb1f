//! Turns a rejected packet into the answer to it, and sends that back the way the packet came. What it says is made by
//! `sg_common::reject`; here are the calls that the kernel has for it. Called by the programs after the verdict, so
//! other packets pay for it by one look at their mark.
//!
//! At tc the answer is redirected to the other end of the same device, and so meets this filter again: a mark that only
//! the agent knows lets it pass, and goes before anybody sees it. From XDP it leaves by the device at once.

#![expect(unsafe_code, reason = "the kernel's calls that change a packet take pointers")]

use core::hint::black_box;

use aya_ebpf::{
    bindings::{__sk_buff, BPF_F_INGRESS, TC_ACT_REDIRECT, TC_ACT_SHOT, xdp_action, xdp_md},
    helpers::generated::{
        bpf_ktime_get_ns, bpf_redirect, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes,
        bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
    },
    programs::{TcContext, XdpContext},
};
use sg_common::{
    abi::reason_counter,
    image::flags,
    packet::{ETHERNET, Payload},
    reject::{Answer, MAX, MAX_QUOTE, MIN, Source, is_answered, may_answer},
    verdict::Reason,
};

use crate::{
    context::Context,
    frame,
    maps::{ANSWER_MARK, ANSWERS, settings},
    pipeline::{self, Hook, Nic},
    scratch::{self, Scratch},
};

/// Bytes of an Ethernet header with as many tags as are looked through.
const MAX_ETHERNET: u64 = 22;
/// Nothing shorter is copied.
const WORD: u64 = 4;

/// The action for a packet that was rejected at `hook`.
#[inline(always)]
pub fn at_tc(ctx: &TcContext, hook: Hook) -> i32 {
    sg_reject(ctx.skb.skb, hook as u64) as i32
}

/// The action for a packet that was rejected before it had a buffer.
#[inline(always)]
pub fn at_xdp(ctx: &XdpContext) -> u32 {
    sg_xdp_reject(ctx.ctx) as u32
}

/// Whether the packet is an answer on its way; then it has no mark any more.
#[inline(always)]
pub fn is_answer(ctx: &TcContext) -> bool {
    // SAFETY: `skb` is the context that the kernel gave us, and a classifier may read and write the mark
    // (`tc_cls_act_is_valid_access`).
    let mark = unsafe { &mut (*ctx.skb.skb).mark };
    if *mark == 0 {
        return false;
    }
    let is_ours = ANSWER_MARK.get(0) == Some(&*mark);
    if is_ours {
        *mark = 0;
    }
    is_ours
}

// Global functions: the verifier checks each once, whatever state the datapath is in when it calls them.

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
extern "C" fn sg_answer(raw: *mut __sk_buff, offset: u64) -> u64 {
    written(&Buffered(raw), offset)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_xdp_answer(raw: *mut xdp_md, offset: u64) -> u64 {
    written(&Bare(raw), offset)
}

/// Writes the answer to the packet at `offset`. Returns zero where there is none.
#[inline(always)]
fn written(frame: &impl Source, offset: u64) -> u64 {
    let Some(Scratch { packet, answer, .. }) = scratch::scratch() else { return 0 };
    u64::from(answer.to(frame, offset as usize, packet))
}

#[inline(always)]
fn sent_back(ctx: &TcContext, raw: *mut __sk_buff, hook: Hook) -> Option<u64> {
    let Prepared { answer, nic, offset, length } = prepare(ctx, |offset| sg_answer(raw, offset), hook)?;
    let whole = offset + length;
    let (ethernet, words) = (answer.ethernet.as_ptr().cast(), answer.words.as_ptr().cast());
    // SAFETY: `raw` is the context; the buffers are as long as said. Pointers into the packet are not used any more.
    unsafe {
        if bpf_skb_change_tail(raw, whole, 0) != 0
            || bpf_skb_store_bytes(raw, 0, ethernet, offset, 0) != 0
            || bpf_skb_store_bytes(raw, offset, words, length, 0) != 0
        {
            return None;
        }
        let way = match hook {
            Hook::Received => 0,
            Hook::Sent => u64::from(BPF_F_INGRESS),
        };
        // Who is judged at XDP has no filter at tc on the way in, which would take the mark off again.
        if hook == Hook::Received || !nic.has(flags::XDP) {
            (*raw).mark = *ANSWER_MARK.get(0)?;
        }
        count(&nic, Reason::Answered, whole);
        let action = bpf_redirect((*raw).ifindex, way);
        (action == i64::from(TC_ACT_REDIRECT)).then_some(TC_ACT_REDIRECT as u64)
    }
}

#[inline(always)]
fn bounced(ctx: &XdpContext, raw: *mut xdp_md) -> Option<u64> {
    let before = ctx.len();
    let Prepared { answer, nic, offset, length } =
        prepare(ctx, |offset| sg_xdp_answer(raw, offset), Hook::Received)?;
    let whole = offset + length;
    let ethernet = answer.ethernet.as_ptr().cast_mut().cast();
    let words = answer.words.as_ptr().cast_mut().cast();
    // SAFETY: as in `sent_back`; the kernel only reads the buffers.
    unsafe {
        // There is always room in front, and not always behind (`XDP_PACKET_HEADROOM`, include/uapi/linux/bpf.h).
        let more = whole.cast_signed() - before.cast_signed();
        let resized = if more > 0 { bpf_xdp_adjust_head(raw, -more) } else { bpf_xdp_adjust_tail(raw, more) };
        if resized != 0
            || bpf_xdp_store_bytes(raw, 0, ethernet, offset) != 0
            || bpf_xdp_store_bytes(raw, offset, words, length) != 0
        {
            return None;
        }
    }
    count(&nic, Reason::Answered, whole);
    Some(u64::from(xdp_action::XDP_TX))
}

/// An answer, and what it takes to send it.
struct Prepared {
    answer: &'static Answer,
    nic: Nic,
    /// Where in the frame it goes.
    offset: u32,
    /// Its length in bytes.
    length: u32,
}

/// Makes the answer, where one may be sent.
#[inline(always)]
fn prepare(ctx: &impl Context, write: impl Fn(u64) -> u64, hook: Hook) -> Option<Prepared> {
    let nic = pipeline::nic_of(ctx, hook).ok()?;
    if !is_answered(&scratch::scratch()?.packet) {
        return None;
    }
    let due = ANSWERS.get_ptr_mut(u32::from(nic.slot))?;
    // SAFETY: valid until the program ends; a word, and a lost update allows one answer more.
    let (due, now) = unsafe { (&mut *due, bpf_ktime_get_ns()) };
    let interval = u64::from(settings().answer_interval);
    if !may_answer(due, now, interval) {
        if interval != 0 {
            count(&nic, Reason::AnswerLimit, ctx.len());
        }
        return None;
    }
    let Payload::Ip(_, offset) = frame::payload(ctx) else { return None };
    if write(offset as u64) == 0 {
        return None;
    }
    // Taken up only now: the call wrote it. The verifier does not see what is behind the call.
    let answer = &scratch::scratch()?.answer;
    let offset = bounded(u64::from(answer.offset), ETHERNET as u64, MAX_ETHERNET)?;
    let length = bounded(u64::from(answer.length), MIN as u64, MAX as u64)?;
    Some(Prepared { answer, nic, offset, length })
}

/// The number, as the verifier believes it: it wants both bounds of a length, each by itself and of the same register, and
/// before Linux 6.8 it learns nothing from a comparison with zero (`reg_set_min_max`, kernel/bpf/verifier.c).
#[inline(always)]
fn bounded(number: u64, least: u64, most: u64) -> Option<u32> {
    let number = black_box(number);
    if number > most {
        return None;
    }
    let number = black_box(number);
    if number < least {
        return None;
    }
    Some(black_box(number) as u32)
}

#[inline(always)]
fn count(nic: &Nic, reason: Reason, length: u32) {
    pipeline::count(reason_counter(nic.header.counters, nic.direction, reason), length);
}

/// A packet with a buffer.
struct Buffered(*mut __sk_buff);

impl Source for Buffered {
    #[inline(always)]
    fn copy(&self, offset: usize, length: usize, into: &mut [u32; MAX_QUOTE / 4]) -> bool {
        let Some(length) = bounded(length as u64, WORD, MAX_QUOTE as u64) else { return false };
        // SAFETY: the buffer is as long as said.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset as u32, into.as_mut_ptr().cast(), length) == 0 }
    }
}

/// A packet without.
struct Bare(*mut xdp_md);

impl Source for Bare {
    #[inline(always)]
    fn copy(&self, offset: usize, length: usize, into: &mut [u32; MAX_QUOTE / 4]) -> bool {
        let Some(length) = bounded(length as u64, WORD, MAX_QUOTE as u64) else { return false };
        // SAFETY: as above.
        unsafe { bpf_xdp_load_bytes(self.0, offset as u32, into.as_mut_ptr().cast(), length) == 0 }
    }
}
