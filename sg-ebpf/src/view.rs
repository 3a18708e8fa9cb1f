//! Reads of packet parts: the parser of `sg_common` over packet memory. It must never decide. [`crate::hook`] makes global
//! functions of what is public here and takes raw pointers; the others are called by the datapath.

#![expect(unsafe_code, reason = "global functions take pointers")]

use sg_common::{
    flow::Direction,
    guest::{self, Claim},
    packed::{ClaimKind, ParseResult},
    packet::{Family, Packet, embedded_offset, network},
};

use crate::{
    context::{Context, MAX_OFFSET, View},
    scratch::Scratch,
};

/// Bytes to make linear if headers lie outside the linear part of the buffer: first enough for nearly all headers, then for any.
const PULLS: [u32; 2] = [256, MAX_OFFSET as u32];

/// Result of [`claim`] if nothing could be read.
pub const UNREAD: u64 = 1;

/// Parses the packet that the ICMP error in [`Scratch::packet`] quotes into [`Scratch::embedded`]. Returns false if that fails.
#[inline(always)]
pub fn read_quoted(ctx: &impl Context, scratch: &mut Scratch) -> bool {
    ctx.quoted(scratch) == ParseResult::READ
}

/// As [`read_quoted`].
#[inline(always)]
pub fn quoted(ctx: &impl Context, scratch: *mut Scratch) -> ParseResult {
    // SAFETY: as in `parse`.
    let Some(Scratch { packet, embedded, .. }) = (unsafe { scratch.as_mut() }) else {
        return ParseResult::MALFORMED;
    };
    // An ICMP error quotes a packet of its own network.
    embedded.vlan = packet.vlan;
    let (family, offset, end) = (packet.family as u64, embedded_offset(packet) as u64, packet.end as u64);
    let mut read = || ctx.parse(family, offset, end, embedded);
    retried(ctx, ParseResult::MALFORMED, read(), read)
}

/// Retries `read`, whose result was `result`, as long as the result is `malformed` and more can be made linear.
#[inline(always)]
pub fn retried<T: PartialEq + Copy>(
    ctx: &impl Context,
    malformed: T,
    mut result: T,
    mut read: impl FnMut() -> T,
) -> T {
    for wanted in PULLS {
        if result == malformed && ctx.pull(wanted) {
            result = read();
        }
    }
    result
}

/// Parses the IP packet at `offset`, see [`Context::parse`].
#[inline(always)]
pub fn parse(
    ctx: &impl Context,
    family: u64,
    offset: u64,
    quotation: u64,
    packet: *mut Packet,
) -> ParseResult {
    let family = Family::of(family);
    let quotation = if quotation == 0 { None } else { Some(quotation as usize) };
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return ParseResult::MALFORMED };
    ParseResult::from_result(network(&View::of(ctx), family, offset as usize, quotation, packet))
}

/// The source Ethernet address of the frame.
#[inline(always)]
pub fn sender(ctx: &impl Context) -> Option<u64> {
    guest::sender(&View::of(ctx))
}

/// Reads the sender that the ARP packet at `offset` claims. Returns false if it is not valid ARP of this network.
#[inline(always)]
pub fn arp(ctx: &impl Context, direction: Direction, offset: usize, claimed: &mut Claim) -> bool {
    ctx.claim(ClaimKind::arp(direction), offset as u64, 0, claimed) == 0
}

/// Reads the address that `packet`, a neighbour advertisement, announces.
#[inline(always)]
pub fn advertised(ctx: &impl Context, packet: &Packet, claimed: &mut Claim) -> bool {
    ctx.claim(ClaimKind::ADVERTISEMENT, packet.transport as u64, packet.end as u64, claimed) == 0
}

/// Reads a claim of the packet that begins at `offset` and ends at `end`. Returns zero, or [`UNREAD`].
#[inline(always)]
pub fn claim(ctx: &impl Context, kind: ClaimKind, offset: u64, end: u64, claimed: *mut Claim) -> u64 {
    // SAFETY: as in `parse`.
    let Some(claimed) = (unsafe { claimed.as_mut() }) else { return UNREAD };
    // A neighbour advertisement was made linear when it was parsed.
    let view = View::of(ctx);
    if kind == ClaimKind::ADVERTISEMENT {
        let Some(found) = guest::advertised(&view, offset as usize, end as usize) else { return UNREAD };
        claimed.address = found;
    } else {
        let Some(found) = guest::arp(&view, offset as usize, kind.direction()) else { return UNREAD };
        *claimed = found;
    }
    0
}
