//! Packets at XDP: a frame before the kernel allocates an skb for it.

#![expect(unsafe_code, reason = "global functions are found by name")]

use aya_ebpf::{bindings::xdp_md, helpers::generated::bpf_xdp_load_bytes, programs::XdpContext};
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
    scratch::Scratch,
    subprograms, verifier, view,
};

/// A frame without an skb. It is linear as a whole: the program does not declare support for fragmented XDP buffers, and a driver
/// that needs them refuses it. It is never large: devices coalesce later.
impl Context for XdpContext {
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
        (self.data_end() - self.data()) as u32
    }
    #[inline(always)]
    fn device(&self) -> u32 {
        self.ingress_ifindex() as u32
    }
    /// A tag that a device stripped is invisible here: such devices are refused.
    #[inline(always)]
    fn tag(&self) -> Option<Tag> {
        None
    }
    /// A packet that is decrypted later does not return to this hook.
    #[inline(always)]
    fn is_delivered(&self, _scratch: *const Scratch, _direction: Direction) -> bool {
        false
    }
    /// The agent attaches no XDP program to a device without an Ethernet header: malformed.
    #[inline(always)]
    fn find_layer_3(&self) -> FrameWord {
        FrameWord::MALFORMED
    }
    /// XDP has no place for it.
    #[inline(always)]
    fn note(&self, _decision: Decision) {}
    #[inline(always)]
    fn find(&self) -> FrameWord {
        FrameWord::of(sg_xdp_payload(self.ctx))
    }
    #[inline(always)]
    fn ethertype(&self) -> u64 {
        sg_xdp_ethertype(self.ctx)
    }
    #[inline(always)]
    fn frame(&self, scratch: *mut Scratch, scope: FlowScope) -> FrameWord {
        FrameWord::of(sg_xdp_frame(self.ctx, scratch, scope.word()))
    }
    /// The whole frame is linear.
    #[inline(always)]
    fn frame_again(&self, _scratch: *mut Scratch, _scope: FlowScope) -> FrameWord {
        FrameWord::MALFORMED
    }
    #[inline(always)]
    fn bare_frame(&self, scratch: *mut Scratch) -> FrameWord {
        FrameWord::of(sg_xdp_bare_frame(self.ctx, scratch))
    }
    #[inline(always)]
    fn is_large(&self) -> bool {
        false
    }
    #[inline(always)]
    fn parse(&self, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> ParseResult {
        ParseResult::of(sg_xdp_packet(self.ctx, family, offset, quotation, packet))
    }
    #[inline(always)]
    fn quoted(&self, scratch: *mut Scratch) -> ParseResult {
        ParseResult::of(sg_xdp_quoted(self.ctx, scratch))
    }
    #[inline(always)]
    fn pull(&self, _wanted: u32) -> bool {
        false
    }
    #[inline(always)]
    fn exception(&self, packet: *const Packet, args: ExceptionArgs) -> ExceptionResult {
        ExceptionResult::of(sg_xdp_linear_exception(self.ctx, packet, args.word()))
    }
    #[inline(always)]
    fn denied(&self, scratch: *mut Scratch, decision: Decision, scope: DeniedScope) {
        sg_xdp_report(self.ctx, scratch, decision.word(), scope.word());
    }
    #[inline(always)]
    fn event(&self, scratch: *mut Scratch, decision: Decision, args: EventArgs) {
        sg_xdp_event(self.ctx, scratch, decision.word(), args.word());
    }
    #[inline(always)]
    fn capture(&self, to: *mut u8, length: u32) -> bool {
        if length == 0 || length > CAPTURE as u32 {
            return false;
        }
        let length = verifier::from_one_to::<CAPTURE>(length);
        // SAFETY: the caller has room for as many bytes.
        unsafe { bpf_xdp_load_bytes(self.ctx, 0, to.cast(), length) == 0 }
    }
    #[inline(always)]
    fn walk(&self, list: List, at: usize, end: usize) -> State {
        State::from_word(sg_xdp_options(self.ctx, u64::from(list as u8), at as u64, end as u64))
    }
    #[inline(always)]
    fn claim(&self, kind: ClaimKind, offset: u64, end: u64, claimed: *mut Claim) -> u64 {
        sg_xdp_claim(self.ctx, kind.word(), offset, end, claimed)
    }
}

packet_functions!(
    XdpContext,
    xdp_md,
    sg_xdp_frame,
    sg_xdp_bare_frame,
    sg_xdp_payload,
    sg_xdp_ethertype,
    sg_xdp_packet,
    sg_xdp_quoted,
    sg_xdp_claim,
    sg_xdp_step,
    sg_xdp_options,
    sg_xdp_exception,
    sg_xdp_linear_exception,
    sg_xdp_event,
    sg_xdp_report
);
