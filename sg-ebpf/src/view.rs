//! Reading a packet: the parser of `sg_common` as global functions over packet memory, and clock and counters. It must
//! never decide. Called by [`crate::pipeline`], [`crate::guest`] and [`crate::reject`].

#![expect(unsafe_code, reason = "global functions take pointers, and maps give them")]

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::bpf_jiffies64,
    programs::{TcContext, XdpContext},
};
use sg_common::{
    abi::Counter,
    flow::{Direction, FlowKey},
    guest::{self, Claim},
    packet::{ETHERNET, Family, Packet, Payload, ethernet, network},
    verdict::Reason,
};

use crate::{
    context::{Context, View},
    scratch::Scratch,
};

/// How much is pulled in front when headers lie outside the linear part of the buffer.
const PULL: u32 = 256;

/// Whose flow a packet may belong to.
#[derive(Clone, Copy)]
pub struct Whose {
    /// The NIC.
    pub slot: u16,
    /// Which way the packet goes.
    pub direction: Direction,
}

/// What was read of a frame.
#[derive(Clone, Copy)]
pub struct Read {
    word: u64,
}

impl Read {
    /// What the Ethernet header announces.
    #[inline(always)]
    pub fn payload(self) -> Payload {
        payload_of(self.word)
    }

    /// Whether the packet belongs to a flow.
    #[inline(always)]
    pub fn has_flow(self) -> bool {
        self.word & HAS_FLOW != 0
    }
}

/// Reads a frame: what its Ethernet header announces, an IP packet into [`Scratch::packet`], and the flow it belongs to into
/// [`Scratch::key`], if it has one.
#[inline(always)]
pub fn read(ctx: &impl Context, whose: Whose, scratch: &mut Scratch) -> Read {
    let whose = u64::from(whose.slot) << SLOT | whose.direction as u64;
    let mut word = ctx.frame(scratch, whose);
    if word == MALFORMED && ctx.pull() {
        word = ctx.frame(scratch, whose);
    }
    Read { word }
}

/// The same of a packet whose flow nobody asks for.
#[inline(always)]
pub fn read_bare(ctx: &impl Context, scratch: &mut Scratch) -> Payload {
    payload_of(ctx.bare_frame(scratch))
}

/// What the Ethernet header announces.
#[inline(always)]
pub fn payload(ctx: &impl Context) -> Payload {
    payload_of(ctx.find())
}

#[inline(always)]
fn payload_of(word: u64) -> Payload {
    let offset = (word >> OFFSET) as usize;
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

// What a frame is, in a word. Its lowest bits are the number of a family where it is IP, and else say what it is; above
// stands where the payload begins.
const KIND: u64 = 7;
const MALFORMED: u64 = 0;
const ARP: u64 = 1;
const NOT_IP: u64 = 2;
const TOO_MANY_HEADERS: u64 = 3;
const IP: u64 = 8;
const HAS_FLOW: u64 = 16;
const OFFSET: u32 = 8;

/// Where the slot stands in what a frame is read for; below is the direction.
const SLOT: u32 = 32;

#[inline(always)]
fn find(ctx: &impl Context) -> u64 {
    // No frame is shorter than an Ethernet header, and no driver leaves that outside the linear part.
    word_of(ethernet(&View::of(ctx)))
}

#[inline(always)]
fn word_of(payload: Payload) -> u64 {
    match payload {
        Payload::Ip(family, offset) => IP | family as u64 | (offset as u64) << OFFSET,
        Payload::Arp(offset) => ARP | (offset as u64) << OFFSET,
        Payload::Refused(Reason::NotIp) => NOT_IP,
        Payload::Refused(Reason::TooManyHeaders) => TOO_MANY_HEADERS,
        Payload::Refused(_) => MALFORMED,
    }
}

/// Returns a [`Payload`] as a word.
#[inline(always)]
fn frame(ctx: &impl Context, scratch: *mut Scratch, whose: Option<u64>) -> u64 {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(Scratch { packet, key, .. }) = (unsafe { scratch.as_mut() }) else { return MALFORMED };
    let view = View::of(ctx);
    let payload = ethernet(&view);
    match payload {
        // What most packets are, here: with a place that is known when this is compiled the parser is half as long.
        Payload::Ip(Family::V4, ETHERNET) => match network(&view, Family::V4, ETHERNET, packet) {
            Ok(()) => word_of(payload) | named(key, packet, whose),
            Err(reason) => word_of(Payload::Refused(reason)),
        },
        Payload::Ip(family, offset) => match ctx.parse(family as u64, offset as u64, packet) {
            0 => word_of(payload) | named(key, packet, whose),
            TOO_MANY => TOO_MANY_HEADERS,
            _ => MALFORMED,
        },
        Payload::Arp(_) | Payload::Refused(_) => word_of(payload),
    }
}

/// Names the flow of `packet`, and tells whether it has one.
#[inline(always)]
fn named(key: &mut FlowKey, packet: &Packet, whose: Option<u64>) -> u64 {
    let Some(whose) = whose else { return 0 };
    let has_flow = key.name((whose >> SLOT) as u16, Direction::of(whose & 1), packet, packet.icmp());
    if has_flow { HAS_FLOW } else { 0 }
}

/// What [`parse`] says of more headers than are walked.
const TOO_MANY: u64 = Reason::TooManyHeaders as u64;

/// Reads the IP packet at `offset` into `packet`; false where it cannot be read.
#[inline(always)]
pub fn read_at(ctx: &impl Context, family: Family, offset: usize, packet: &mut Packet) -> bool {
    let (family, offset) = (family as u64, offset as u64);
    let mut read = ctx.parse(family, offset, packet);
    if read == Reason::Malformed as u64 && ctx.pull() {
        read = ctx.parse(family, offset, packet);
    }
    read == 0
}

/// Returns zero, or the number of the [`Reason`].
#[inline(always)]
fn parse(ctx: &impl Context, family: u64, offset: u64, packet: *mut Packet) -> u64 {
    let family = Family::of(family);
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return Reason::Malformed as u64 };
    match network(&View::of(ctx), family, offset as usize, packet) {
        Ok(()) => 0,
        Err(reason) => reason as u64,
    }
}

/// The Ethernet address that the frame was sent from.
#[inline(always)]
pub fn sender(ctx: &impl Context) -> Option<u64> {
    guest::sender(&View::of(ctx))
}

/// Reads who the ARP packet at `offset` says its sender is. False where it is none of this network.
#[inline(always)]
pub fn arp(ctx: &impl Context, offset: usize, claimed: &mut Claim) -> bool {
    ctx.claim(ARP, offset as u64, claimed) == 0
}

/// Reads the address that the neighbour advertisement whose ICMP header stands at `offset` speaks of.
#[inline(always)]
pub fn advertised(ctx: &impl Context, offset: usize, claimed: &mut Claim) -> bool {
    ctx.claim(IP, offset as u64, claimed) == 0
}

#[inline(always)]
fn claim(ctx: &impl Context, what: u64, offset: u64, claimed: *mut Claim) -> u64 {
    // SAFETY: as in `parse`.
    let Some(claimed) = (unsafe { claimed.as_mut() }) else { return 1 };
    // An ARP packet that is not linear was not sent by a stack; a neighbour advertisement was pulled when it was read.
    let view = View::of(ctx);
    if what == ARP {
        let Some(found) = guest::arp(&view, offset as usize) else { return 1 };
        *claimed = found;
    } else {
        let Some(found) = guest::advertised(&view, offset as usize) else { return 1 };
        claimed.address = found;
    }
    0
}

/// The global functions that read packets, for a type of context: the verifier knows it by the type of the
/// pointer (`btf_prepare_func_args`). It checks them once, and their callers know nothing of the packet but that it was
/// read. Inlined, every number of VLAN tags and every way to read a packet would be followed through everything
/// that comes after.
macro_rules! readers {
    ($context:ident, $raw:ty, $find:ident, $frame:ident, $bare_frame:ident, $parse:ident, $claim:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $find(raw: *mut $raw) -> u64 {
            find(&$context::new(raw))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $frame(raw: *mut $raw, scratch: *mut Scratch, whose: u64) -> u64 {
            frame(&$context::new(raw), scratch, Some(whose))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $bare_frame(raw: *mut $raw, scratch: *mut Scratch) -> u64 {
            frame(&$context::new(raw), scratch, None)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $parse(raw: *mut $raw, family: u64, offset: u64, packet: *mut Packet) -> u64 {
            parse(&$context::new(raw), family, offset, packet)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $claim(raw: *mut $raw, what: u64, offset: u64, claimed: *mut Claim) -> u64 {
            claim(&$context::new(raw), what, offset, claimed)
        }
    };
}
readers!(TcContext, __sk_buff, sg_payload, sg_frame, sg_bare_frame, sg_packet, sg_claim);
readers!(XdpContext, xdp_md, sg_xdp_payload, sg_xdp_frame, sg_xdp_bare_frame, sg_xdp_packet, sg_xdp_claim);

/// Makes the headers linear. It copies, so it is done only where it must be: of a bulk TCP packet the headers are linear
/// and the rest is not.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sg_pull(raw: *mut __sk_buff) -> u64 {
    let ctx = TcContext::new(raw);
    let wanted = if ctx.len() < PULL { ctx.len() } else { PULL };
    u64::from(View::of(&ctx).is_partial() && ctx.pull_data(wanted).is_ok())
}

/// The kernel's clock in jiffies. Free: the verifier replaces the call by a load (`jit_requested` in
/// `do_misc_fixups`).
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() }
}

/// Counts a packet of `length` bytes. This CPU's own slot: nobody else writes it.
#[inline(always)]
pub fn add(counter: *mut Counter, length: u64) {
    // SAFETY: a pointer from a map lookup is valid until the program ends.
    let counter = unsafe { &mut *counter };
    counter.packets += 1;
    counter.bytes += length;
}
