//! Parses a frame and looks up the flow of its packet, both in one global function, because most packets need no more. It must
//! never decide: the decision it returns was taken on an earlier packet of the flow. Called by [`crate::pipeline`] and
//! [`crate::reject`]; [`crate::hook`] makes global functions of [`find`] and [`frame`].

#![expect(unsafe_code, reason = "global functions take pointers")]

use sg_common::{
    abi::reason_counter,
    flow::Direction,
    image::flags,
    packed::{FlowScope, FrameWord, ParseResult},
    packet::{ETHERNET, Family, Part, Payload, Vlan, ethernet, finish_plain, is_icmp, is_plain, plain},
    verdict::{Decision, Reason, Verdict},
};

use crate::{
    context::{Context, View},
    fast_path, fragments, maps,
    scratch::Scratch,
};

/// Parses a frame: returns the payload that its Ethernet header announces, and fills [`Scratch::packet`] with an IP packet and
/// [`Scratch::key`] with its flow key, if it has one. Also looks the flow up and records the packet, unless it is a fragment or
/// [guarded].
#[inline(always)]
pub fn read(ctx: &impl Context, scope: FlowScope, scratch: &mut Scratch) -> FrameWord {
    let mut word = ctx.frame(scratch, scope);
    if word == FrameWord::MALFORMED {
        word = ctx.frame_again(scratch, scope);
    }
    word
}

/// Parses a frame without a flow lookup.
#[inline(always)]
pub fn read_bare(ctx: &impl Context, scratch: &mut Scratch) -> Payload {
    ctx.bare_frame(scratch).payload()
}

/// The payload that the Ethernet header announces, or, without one, the kernel.
#[inline(always)]
pub fn payload(ctx: &impl Context) -> Payload {
    ctx.find().payload()
}

/// The payload that the Ethernet header announces, or, without one, the kernel.
#[inline(always)]
pub fn find(ctx: &impl Context) -> FrameWord {
    let Some(scratch) = maps::scratch() else { return FrameWord::MALFORMED };
    FrameWord::from_payload(found(ctx, &View::of(ctx), scratch.header.flags).0)
}

/// The payload and network of a packet, for a NIC whose image has `nic_flags`.
#[inline(always)]
fn found<C: Context>(ctx: &C, view: &View<'_, C>, nic_flags: u32) -> (Payload, Vlan) {
    if nic_flags & flags::LAYER_3 != 0 {
        return (ctx.find_layer_3().payload(), Vlan::NONE);
    }
    // No frame is shorter than an Ethernet header, and no driver leaves that outside the linear part.
    ethernet(view)
}

/// Whether anti-spoofing applies to a packet in `direction`, for a NIC whose image has `nic_flags`.
#[inline(always)]
pub fn guarded(nic_flags: u32, direction: Direction) -> bool {
    direction == Direction::Egress && nic_flags & flags::ANTI_SPOOFING != 0
}

/// Returns [`FrameWord::MALFORMED`] out of line: otherwise the compiler stores it before each check that may end there.
#[inline(always)]
fn malformed() -> FrameWord {
    core::hint::black_box(());
    FrameWord::MALFORMED
}

/// Parses a frame. With a `scope`, also looks its flow up. That is the word of a [`FlowScope`], decoded only where it is needed:
/// this is the path of most packets.
#[inline(always)]
pub fn frame(ctx: &impl Context, scratch: *mut Scratch, scope: Option<u64>) -> FrameWord {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return malformed() };
    let view = View::of(ctx);
    let nic_flags = scratch.header.flags;
    let looks = |scope: u64| !guarded(nic_flags, FlowScope::of(scope).direction);
    let (word, has_flow);
    // The common case, inlined: with an offset known at compile time the parser is half as long.
    if nic_flags & flags::LAYER_3 == 0 && is_plain(&view) {
        if plain(&view, &mut scratch.packet).is_err() {
            return malformed();
        }
        word = FrameWord::from_payload(Payload::Ip(Family::V4, ETHERNET));
        if let Some(scope) = scope
            && looks(scope)
            && !is_icmp(Family::V4, scratch.packet.protocol)
        {
            let result =
                fast_path::lookup_and_update_plain(scratch, FlowScope::of(scope), u64::from(ctx.len()));
            if let Some(decision) = result.decision() {
                return FrameWord::from_decision(decision);
            }
            finish_plain(&mut scratch.packet);
            return word.with_lookup(result);
        }
        finish_plain(&mut scratch.packet);
        has_flow = named(scratch, scope);
    } else {
        let (payload, vlan) = found(ctx, &view, nic_flags);
        scratch.packet.vlan = vlan;
        word = FrameWord::from_payload(payload);
        has_flow = match payload {
            Payload::Ip(family, offset) => {
                match ctx.parse(family as u64, offset as u64, 0, &raw mut scratch.packet) {
                    ParseResult::READ => named(scratch, scope),
                    ParseResult::TOO_MANY_HEADERS => return FrameWord::TOO_MANY_HEADERS,
                    _ => return FrameWord::MALFORMED,
                }
            }
            Payload::Arp(_) | Payload::Refused(_) => false,
        };
    }
    let Some(scope) = scope else { return word };
    if word.announces_ip() && scratch.packet.part != Part::Whole {
        if scratch.packet.part == Part::First && !fragments::may_begin(scratch, FlowScope::of(scope)) {
            let (counters, direction) = (scratch.header.counters, FlowScope::of(scope).direction);
            let number = reason_counter(counters, direction, Reason::FragmentOverlap);
            let decision = Decision::new(Verdict::Drop, Reason::FragmentOverlap, number);
            return FrameWord::from_decision(decision);
        }
        return if has_flow { word.with_flow() } else { word };
    }
    if !has_flow {
        return word;
    }
    if !looks(scope) {
        return word.with_flow();
    }
    let result = fast_path::lookup_and_update(scratch, FlowScope::of(scope).direction, u64::from(ctx.len()));
    match result.decision() {
        Some(decision) => FrameWord::from_decision(decision),
        None => word.with_lookup(result),
    }
}

/// Builds the flow key of the packet. Returns whether it has one.
#[inline(always)]
fn named(Scratch { packet, key, .. }: &mut Scratch, scope: Option<u64>) -> bool {
    scope.map(FlowScope::of).is_some_and(|scope| key.name(scope.slot, scope.direction, packet, packet.icmp()))
}
