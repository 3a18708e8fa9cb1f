//! Packets at tc, TCX or clsact: an skb, whose headers may lie outside the linear part of its buffer.

#![expect(unsafe_code, reason = "an skb is read and written through a pointer")]

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes, programs::TcContext};
use sg_common::{
    event::CAPTURE,
    flow::Direction,
    guest::Claim,
    options::{self, List, State},
    packed::{
        ClaimKind, DeniedScope, EventArgs, ExceptionArgs, ExceptionResult, FlowScope, FrameWord, ParseResult,
    },
    packet::{Packet, Tag},
    verdict::Decision,
};

use super::packet_functions;
use crate::{
    context::{Context, View},
    denied, ethertypes, events, exceptions, frame,
    ipsec::sg_delivered,
    scratch::Scratch,
    subprograms,
    tunnel::sg_layer_3,
    verifier, view,
};

/// Stores a word in the packet's control block.
#[inline(always)]
pub fn note(ctx: &TcContext, word: u64) {
    let skb = ctx.skb.skb;
    // SAFETY: `skb` is the context that the kernel passed; a classifier may write `cb` (`tc_cls_act_is_valid_access`).
    unsafe {
        (*skb).cb[0] = word as u32;
        (*skb).cb[1] = (word >> 32) as u32;
    }
}

impl Context for TcContext {
    #[inline(always)]
    fn data(&self) -> usize {
        self.data()
    }
    #[inline(always)]
    fn data_end(&self) -> usize {
        self.data_end()
    }
    #[inline(always)]
    fn len(&self) -> u32 {
        self.len()
    }
    #[inline(always)]
    fn device(&self) -> u32 {
        // SAFETY: as in `note`.
        unsafe { (*self.skb.skb).ifindex }
    }
    #[inline(always)]
    fn tag(&self) -> Option<Tag> {
        // SAFETY: as in `note`.
        let skb = unsafe { &*self.skb.skb };
        if skb.vlan_present == 0 {
            return None;
        }
        Some(Tag { kind: u16::from_be(skb.vlan_proto as u16), control: skb.vlan_tci as u16 })
    }
    #[inline(always)]
    fn is_delivered(&self, scratch: *const Scratch, direction: Direction) -> bool {
        sg_delivered(self.skb.skb, scratch, direction as u64) != 0
    }
    #[inline(always)]
    fn find_layer_3(&self) -> FrameWord {
        FrameWord::of(sg_layer_3(self.skb.skb))
    }
    /// Stores it in the control block: word 0 is the counter's number, word 1 verdict and reason.
    #[inline(always)]
    fn note(&self, decision: Decision) {
        note(self, decision.word());
    }
    #[inline(always)]
    fn find(&self) -> FrameWord {
        FrameWord::of(sg_payload(self.skb.skb))
    }
    #[inline(always)]
    fn ethertype(&self) -> u64 {
        sg_ethertype(self.skb.skb)
    }
    #[inline(always)]
    fn frame(&self, scratch: *mut Scratch, scope: FlowScope) -> FrameWord {
        FrameWord::of(sg_frame(self.skb.skb, scratch, scope.word()))
    }
    #[inline(always)]
    fn frame_again(&self, scratch: *mut Scratch, scope: FlowScope) -> FrameWord {
        FrameWord::of(sg_frame_again(self.skb.skb, scratch, scope.word()))
    }
    #[inline(always)]
    fn bare_frame(&self, scratch: *mut Scratch) -> FrameWord {
        FrameWord::of(sg_bare_frame(self.skb.skb, scratch))
    }
    #[inline(always)]
    fn is_large(&self) -> bool {
        // SAFETY: as in `note`.
        unsafe { (*self.skb.skb).gso_size != 0 }
    }
    #[inline(always)]
    fn parse(&self, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> ParseResult {
        ParseResult::of(sg_packet(self.skb.skb, family, offset, quotation, packet))
    }
    #[inline(always)]
    fn quoted(&self, scratch: *mut Scratch) -> ParseResult {
        ParseResult::of(sg_quoted(self.skb.skb, scratch))
    }
    #[inline(always)]
    fn pull(&self, wanted: u32) -> bool {
        sg_pull(self.skb.skb, wanted.into()) != 0
    }
    #[inline(always)]
    fn exception(&self, packet: *const Packet, args: ExceptionArgs) -> ExceptionResult {
        ExceptionResult::of(sg_linear_exception(self.skb.skb, packet, args.word()))
    }
    #[inline(always)]
    fn denied(&self, scratch: *mut Scratch, decision: Decision, scope: DeniedScope) {
        sg_report(self.skb.skb, scratch, decision.word(), scope.word());
    }
    #[inline(always)]
    fn event(&self, scratch: *mut Scratch, decision: Decision, args: EventArgs) {
        sg_event(self.skb.skb, scratch, decision.word(), args.word());
    }
    #[inline(always)]
    fn capture(&self, to: *mut u8, length: u32) -> bool {
        if length == 0 || length > CAPTURE as u32 {
            return false;
        }
        let length = verifier::from_one_to::<CAPTURE>(length);
        // SAFETY: the caller has room for as many bytes.
        unsafe { bpf_skb_load_bytes(self.skb.skb.cast(), 0, to.cast(), length) == 0 }
    }
    #[inline(always)]
    fn walk(&self, list: List, at: usize, end: usize) -> State {
        State::from_word(sg_options(self.skb.skb, u64::from(list as u8), at as u64, end as u64))
    }
    #[inline(always)]
    fn claim(&self, kind: ClaimKind, offset: u64, end: u64, claimed: *mut Claim) -> u64 {
        sg_linear_claim(self.skb.skb, kind.word(), offset, end, claimed)
    }
}

packet_functions!(
    TcContext,
    __sk_buff,
    sg_frame,
    sg_bare_frame,
    sg_payload,
    sg_ethertype,
    sg_packet,
    sg_quoted,
    sg_claim,
    sg_step,
    sg_options,
    sg_exception,
    sg_linear_exception,
    sg_event,
    sg_report
);

const _: subprograms::Frame<__sk_buff> = sg_frame_again;

/// [`sg_frame`], after making more of the frame linear.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_frame_again(raw: *mut __sk_buff, scratch: *mut Scratch, scope: u64) -> u64 {
    const MALFORMED: u64 = FrameWord::MALFORMED.word();
    view::retried(&TcContext::new(raw), MALFORMED, MALFORMED, || sg_frame(raw, scratch, scope))
}

const _: subprograms::Pull = sg_pull;

/// Makes up to `wanted` bytes linear. It copies, so it is called only if necessary: in a bulk TCP packet the headers are linear
/// and the rest is not.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_pull(raw: *mut __sk_buff, wanted: u64) -> u64 {
    let ctx = TcContext::new(raw);
    let view = View::of(&ctx);
    let wanted = wanted as u32;
    let wanted = if ctx.len() < wanted { ctx.len() } else { wanted };
    u64::from(view.linear() < wanted as usize && ctx.pull_data(wanted).is_ok())
}

const _: subprograms::Claim<__sk_buff> = sg_linear_claim;

/// [`sg_claim`], after making the packet linear if necessary.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_linear_claim(
    raw: *mut __sk_buff,
    kind: u64,
    offset: u64,
    end: u64,
    claimed: *mut Claim,
) -> u64 {
    let read = || sg_claim(raw, kind, offset, end, claimed);
    view::retried(&TcContext::new(raw), view::UNREAD, read(), read)
}
