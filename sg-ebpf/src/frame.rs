//! Parses a frame and looks up the flow of its packet, both in one global function, because most packets need no more. It must
//! never decide: the decision it returns was taken on an earlier packet of the flow. Called by [`crate::pipeline`] and
//! [`crate::reject`].

#![expect(unsafe_code, reason = "global functions take pointers")]

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    programs::{TcContext, XdpContext},
};
use sg_common::{
    abi::reason_counter,
    flow::Direction,
    image::flags,
    packet::{ETHERNET, Family, Part, Payload, Vlan, ethernet, finish_plain, is_icmp, is_plain, plain},
    verdict::{Decision, Reason, Verdict},
};

use crate::{
    context::{Context, View},
    fast_path,
    flow_table::FlowLookup,
    fragments,
    scratch::{self, Scratch},
    view,
};

/// The NIC and direction in which a packet's flow is looked up.
#[derive(Clone, Copy)]
pub struct FlowScope {
    /// Slot of the NIC.
    pub slot: u16,
    /// Direction of the packet.
    pub direction: Direction,
}

impl FlowScope {
    /// Encodes the scope as an argument of global functions.
    #[inline(always)]
    pub fn word(self) -> u64 {
        u64::from(self.slot) << SLOT | self.direction as u64
    }

    /// Decodes [`Self::word`].
    #[inline(always)]
    pub fn of(word: u64) -> Self {
        Self { slot: (word >> SLOT) as u16, direction: Direction::of(word & DIRECTION) }
    }
}

/// Result of parsing a frame.
#[derive(Clone, Copy)]
pub struct Read {
    word: u64,
}

impl Read {
    /// Decision on the packet's flow. If there is one, nothing else needs checking.
    #[inline(always)]
    pub fn decision(self) -> Option<Decision> {
        Decision::from_word(self.word)
    }

    /// The payload that the Ethernet header announces.
    #[inline(always)]
    pub fn payload(self) -> Payload {
        payload_of(self.word)
    }

    /// Offset of the payload.
    #[inline(always)]
    pub fn network(self) -> usize {
        (self.word as u32 >> OFFSET) as usize
    }

    /// Whether the frame holds a parsed IP packet.
    #[inline(always)]
    pub fn is_ip(self) -> bool {
        // Only IP packets have a decision.
        self.decision().is_some() || self.word & IP != 0
    }

    /// Whether the packet belongs to a flow.
    #[inline(always)]
    pub fn has_flow(self) -> bool {
        self.word & HAS_FLOW != 0
    }

    /// Result of the flow lookup, or `None` if a full lookup is required.
    #[inline(always)]
    pub fn known(self) -> Option<FlowLookup> {
        let said = self.word >> KNOWN;
        if said == 0 { None } else { Some(FlowLookup::of(said)) }
    }
}

/// Parses a frame: returns the payload that its Ethernet header announces, and fills [`Scratch::packet`] with an IP packet and
/// [`Scratch::key`] with its flow key, if it has one. Also looks the flow up and records the packet, unless it is a fragment or
/// [guarded].
#[inline(always)]
pub fn read(ctx: &impl Context, scope: FlowScope, scratch: &mut Scratch) -> Read {
    let mut word = ctx.frame(scratch, scope.word());
    if word == MALFORMED {
        word = ctx.frame_again(scratch, scope.word());
    }
    Read { word }
}

/// Parses a frame without a flow lookup.
#[inline(always)]
pub fn read_bare(ctx: &impl Context, scratch: &mut Scratch) -> Payload {
    payload_of(ctx.bare_frame(scratch))
}

/// The payload that the Ethernet header announces, or, without one, the kernel.
#[inline(always)]
pub fn payload(ctx: &impl Context) -> Payload {
    payload_of(ctx.find())
}

#[inline(always)]
fn payload_of(word: u64) -> Payload {
    let offset = Read { word }.network();
    if word & IP != 0 {
        return Payload::Ip(Family::of(word & 1), offset);
    }
    match word & KIND {
        ARP => Payload::Arp(offset),
        NOT_IP => Payload::Refused(Reason::NotIp),
        TOO_MANY_HEADERS => Payload::Refused(Reason::TooManyHeaders),
        _ => Payload::Refused(Reason::Malformed),
    }
}

// A parsed frame as a word: the lowest bits are the number of the family for IP, else the kind; above them is the offset of the
// payload.
const KIND: u64 = 7;
const MALFORMED: u64 = 0;
const ARP: u64 = 1;
const NOT_IP: u64 = 2;
const TOO_MANY_HEADERS: u64 = 3;
const IP: u64 = 8;
const HAS_FLOW: u64 = 16;
const OFFSET: u32 = 8;
/// Above it is the result of [`fast_path::lookup_and_update`].
const KNOWN: u32 = 32;

// Bits of a scope word.
const DIRECTION: u64 = 1;
const SLOT: u32 = 32;

/// [`Context::parse`] found more headers than it walks.
const TOO_MANY: u64 = Reason::TooManyHeaders as u64;

#[inline(always)]
fn find(ctx: &impl Context) -> u64 {
    let Some(scratch) = scratch::scratch() else { return MALFORMED };
    word_of(found(ctx, &View::of(ctx), scratch.header.flags).0)
}

/// The payload and network of a packet, for a NIC whose image has `nic_flags`.
#[inline(always)]
fn found<C: Context>(ctx: &C, view: &View<'_, C>, nic_flags: u32) -> (Payload, Vlan) {
    if nic_flags & flags::LAYER_3 != 0 {
        return (payload_of(ctx.find_layer_3()), Vlan::NONE);
    }
    // No frame is shorter than an Ethernet header, and no driver leaves that outside the linear part.
    ethernet(view)
}

/// Encodes a payload.
#[inline(always)]
pub fn word_of(payload: Payload) -> u64 {
    match payload {
        Payload::Ip(family, offset) => IP | family as u64 | (offset as u64) << OFFSET,
        Payload::Arp(offset) => ARP | (offset as u64) << OFFSET,
        Payload::Refused(Reason::NotIp) => NOT_IP,
        Payload::Refused(Reason::TooManyHeaders) => TOO_MANY_HEADERS,
        Payload::Refused(_) => MALFORMED,
    }
}

/// Whether anti-spoofing applies to a packet in `direction`, for a NIC whose image has `nic_flags`.
#[inline(always)]
pub fn guarded(nic_flags: u32, direction: Direction) -> bool {
    direction == Direction::Egress && nic_flags & flags::ANTI_SPOOFING != 0
}

/// Returns [`MALFORMED`] out of line: otherwise the compiler stores it before each check that may end there.
#[inline(always)]
fn malformed() -> u64 {
    core::hint::black_box(());
    MALFORMED
}

/// Returns a [`Read`] as a word.
#[inline(always)]
fn frame(ctx: &impl Context, scratch: *mut Scratch, scope: Option<u64>) -> u64 {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(scratch) = (unsafe { scratch.as_mut() }) else { return malformed() };
    let view = View::of(ctx);
    let nic_flags = scratch.header.flags;
    let looks = |scope: u64| !guarded(nic_flags, Direction::of(scope & DIRECTION));
    let (word, has_flow);
    // The common case, inlined: with an offset known at compile time the parser is half as long.
    if nic_flags & flags::LAYER_3 == 0 && is_plain(&view) {
        if plain(&view, &mut scratch.packet).is_err() {
            return malformed();
        }
        word = word_of(Payload::Ip(Family::V4, ETHERNET));
        if let Some(scope) = scope
            && looks(scope)
            && !is_icmp(Family::V4, scratch.packet.protocol)
        {
            let said =
                fast_path::lookup_and_update_plain(scratch, FlowScope::of(scope), u64::from(ctx.len()));
            if Decision::from_word(said).is_some() {
                return said;
            }
            finish_plain(&mut scratch.packet);
            return word | HAS_FLOW | said << KNOWN;
        }
        finish_plain(&mut scratch.packet);
        has_flow = named(scratch, scope);
    } else {
        let (payload, vlan) = found(ctx, &view, nic_flags);
        scratch.packet.vlan = vlan;
        word = word_of(payload);
        has_flow = match payload {
            Payload::Ip(family, offset) => {
                match ctx.parse(family as u64, offset as u64, 0, &raw mut scratch.packet) {
                    0 => named(scratch, scope),
                    TOO_MANY => return TOO_MANY_HEADERS,
                    _ => return MALFORMED,
                }
            }
            Payload::Arp(_) | Payload::Refused(_) => false,
        };
    }
    let Some(scope) = scope else { return word };
    if word & IP != 0 && scratch.packet.part != Part::Whole {
        if scratch.packet.part == Part::First && !fragments::may_begin(scratch, scope) {
            let (counters, direction) = (scratch.header.counters, Direction::of(scope & DIRECTION));
            let number = reason_counter(counters, direction, Reason::FragmentOverlap);
            return Decision::new(Verdict::Drop, Reason::FragmentOverlap, number).word();
        }
        return if has_flow { word | HAS_FLOW } else { word };
    }
    if !has_flow {
        return word;
    }
    if !looks(scope) {
        return word | HAS_FLOW;
    }
    let said = fast_path::lookup_and_update(scratch, Direction::of(scope & DIRECTION), u64::from(ctx.len()));
    if Decision::from_word(said).is_some() { said } else { word | HAS_FLOW | said << KNOWN }
}

/// Builds the flow key of the packet. Returns whether it has one.
#[inline(always)]
fn named(Scratch { packet, key, .. }: &mut Scratch, scope: Option<u64>) -> bool {
    scope.map(FlowScope::of).is_some_and(|scope| key.name(scope.slot, scope.direction, packet, packet.icmp()))
}

/// Defines the global functions for one context type, as in [`crate::view`]: inlined, each number of VLAN tags would be checked
/// through everything that follows.
macro_rules! frames {
    ($context:ident, $raw:ty, $find:ident, $frame:ident, $bare_frame:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $find(raw: *mut $raw) -> u64 {
            find(&$context::new(raw))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $frame(raw: *mut $raw, scratch: *mut Scratch, scope: u64) -> u64 {
            frame(&$context::new(raw), scratch, Some(scope))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $bare_frame(raw: *mut $raw, scratch: *mut Scratch) -> u64 {
            frame(&$context::new(raw), scratch, None)
        }
    };
}
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sg_frame_again(raw: *mut __sk_buff, scratch: *mut Scratch, scope: u64) -> u64 {
    view::retried(&TcContext::new(raw), MALFORMED, MALFORMED, || sg_frame(raw, scratch, scope))
}

frames!(TcContext, __sk_buff, sg_payload, sg_frame, sg_bare_frame);
frames!(XdpContext, xdp_md, sg_xdp_payload, sg_xdp_frame, sg_xdp_bare_frame);
