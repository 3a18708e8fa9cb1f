//! Reads of packet parts: the parser of `sg_common` as global functions over packet memory. Also the clock and the counters. It
//! must never decide. Called from everywhere.

#![expect(unsafe_code, reason = "global functions take pointers, and maps give them")]

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::bpf_jiffies64,
    programs::{TcContext, XdpContext},
};
use sg_common::{
    abi::Counter,
    flow::Direction,
    guest::{self, Claim},
    packet::{Family, Packet, embedded_offset, network},
    verdict::Reason,
};

use crate::{
    context::{Context, MAX_OFFSET, View},
    maps::COUNTERS,
    scratch::Scratch,
};

/// Bytes to make linear if headers lie outside the linear part of the buffer: first enough for nearly all headers, then for any.
const PULLS: [u32; 2] = [256, MAX_OFFSET as u32];

// What `claim` reads.
const NEIGHBOUR: u64 = 2;
/// Or-ed with the direction.
const ARP: u64 = 0;

/// Parses the packet that the ICMP error in [`Scratch::packet`] quotes into [`Scratch::embedded`]. Returns false if that fails.
#[inline(always)]
pub fn read_quoted(ctx: &impl Context, scratch: &mut Scratch) -> bool {
    ctx.quoted(scratch) == 0
}

#[inline(always)]
fn quoted(ctx: &impl Context, scratch: *mut Scratch) -> u64 {
    // SAFETY: as in `parse`.
    let Some(Scratch { packet, embedded, .. }) = (unsafe { scratch.as_mut() }) else {
        return Reason::Malformed as u64;
    };
    // An ICMP error quotes a packet of its own network.
    embedded.vlan = packet.vlan;
    let (family, offset, end) = (packet.family as u64, embedded_offset(packet) as u64, packet.end as u64);
    let mut read = || ctx.parse(family, offset, end, embedded);
    retried(ctx, Reason::Malformed as u64, read(), read)
}

/// Retries `read`, whose result was `said`, as long as the result is `malformed` and more can be made linear.
#[inline(always)]
pub fn retried(ctx: &impl Context, malformed: u64, mut said: u64, mut read: impl FnMut() -> u64) -> u64 {
    for wanted in PULLS {
        if said == malformed && ctx.pull(wanted) {
            said = read();
        }
    }
    said
}

/// Returns zero, or the number of the [`Reason`].
#[inline(always)]
fn parse(ctx: &impl Context, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> u64 {
    let family = Family::of(family);
    let quotation = if quotation == 0 { None } else { Some(quotation as usize) };
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return Reason::Malformed as u64 };
    match network(&View::of(ctx), family, offset as usize, quotation, packet) {
        Ok(()) => 0,
        Err(reason) => reason as u64,
    }
}

/// The source Ethernet address of the frame.
#[inline(always)]
pub fn sender(ctx: &impl Context) -> Option<u64> {
    guest::sender(&View::of(ctx))
}

/// Reads the sender that the ARP packet at `offset` claims. Returns false if it is not valid ARP of this network.
#[inline(always)]
pub fn arp(ctx: &impl Context, direction: Direction, offset: usize, claimed: &mut Claim) -> bool {
    ctx.claim(ARP | u64::from(direction as u8), offset as u64, 0, claimed) == 0
}

/// Reads the address that `packet`, a neighbour advertisement, announces.
#[inline(always)]
pub fn advertised(ctx: &impl Context, packet: &Packet, claimed: &mut Claim) -> bool {
    ctx.claim(NEIGHBOUR, packet.transport as u64, packet.end as u64, claimed) == 0
}

#[inline(always)]
fn claim(ctx: &impl Context, what: u64, offset: u64, end: u64, claimed: *mut Claim) -> u64 {
    // SAFETY: as in `parse`.
    let Some(claimed) = (unsafe { claimed.as_mut() }) else { return 1 };
    // A neighbour advertisement was made linear when it was parsed.
    let view = View::of(ctx);
    if what == NEIGHBOUR {
        let Some(found) = guest::advertised(&view, offset as usize, end as usize) else { return 1 };
        claimed.address = found;
    } else {
        let Some(found) = guest::arp(&view, offset as usize, Direction::of(what)) else { return 1 };
        *claimed = found;
    }
    0
}

/// Defines the global functions that read packets, for one context type: the verifier knows it by the type of the pointer
/// (`btf_prepare_func_args`). It checks them once, and their callers know only that the packet was read. Inlined, every way to
/// parse a packet would be checked through everything that follows.
macro_rules! readers {
    ($context:ident, $raw:ty, $parse:ident, $quoted:ident, $claim:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $parse(
            raw: *mut $raw,
            family: u64,
            offset: u64,
            quotation: u64,
            packet: *mut Packet,
        ) -> u64 {
            parse(&$context::new(raw), family, offset, quotation, packet)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $quoted(raw: *mut $raw, scratch: *mut Scratch) -> u64 {
            quoted(&$context::new(raw), scratch)
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $claim(
            raw: *mut $raw,
            what: u64,
            offset: u64,
            end: u64,
            claimed: *mut Claim,
        ) -> u64 {
            claim(&$context::new(raw), what, offset, end, claimed)
        }
    };
}
readers!(TcContext, __sk_buff, sg_packet, sg_quoted, sg_claim);
readers!(XdpContext, xdp_md, sg_xdp_packet, sg_xdp_quoted, sg_xdp_claim);

/// Makes up to `wanted` bytes linear. It copies, so it is called only if necessary: in a bulk TCP packet the headers are linear
/// and the rest is not.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sg_pull(raw: *mut __sk_buff, wanted: u64) -> u64 {
    let ctx = TcContext::new(raw);
    let view = View::of(&ctx);
    let wanted = wanted as u32;
    let wanted = if ctx.len() < wanted { ctx.len() } else { wanted };
    u64::from(view.linear() < wanted as usize && ctx.pull_data(wanted).is_ok())
}

/// [`sg_claim`], after making the packet linear if necessary.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sg_linear_claim(
    raw: *mut __sk_buff,
    what: u64,
    offset: u64,
    end: u64,
    claimed: *mut Claim,
) -> u64 {
    const UNREAD: u64 = 1;
    let read = || sg_claim(raw, what, offset, end, claimed);
    retried(&TcContext::new(raw), UNREAD, read(), read)
}

/// The kernel's clock in jiffies. Free: the verifier replaces the call with a load (`jit_requested` in `do_misc_fixups`).
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() }
}

/// Draws the next ticket, a number that no other CPU draws. Rust has no atomic addition for this target.
#[inline(always)]
pub fn draw(count: *mut u64) -> u64 {
    let mut ticket = 1;
    #[cfg(target_arch = "bpf")]
    // SAFETY: a pointer from a map lookup is valid until the program ends, and nothing but this writes there.
    unsafe {
        core::arch::asm!(
            "{ticket} = atomic_fetch_add((u64 *)({count} + 0), {ticket})",
            count = in(reg) count,
            ticket = inout(reg) ticket,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = count;
        ticket -= 1;
    }
    ticket
}

/// Compare-and-swap: writes `after` if the word is `before`, and returns whether it was. Rust has no such operation for this
/// target.
#[inline(always)]
pub fn exchange(word: &mut u64, before: u64, after: u64) -> bool {
    let mut found = before;
    #[cfg(target_arch = "bpf")]
    // SAFETY: a valid word, which other CPUs change only in this way.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {after})",
            word = in(reg) word,
            after = in(reg) after,
            inout("r0") found,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = (word, after);
        found = !before;
    }
    found == before
}

/// Counts a packet of `length` bytes with the counter `number`.
#[inline(always)]
pub fn count(number: u32, length: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(number) {
        add(counter, u64::from(length));
    }
}

/// Counts a packet of `length` bytes in this CPU's own slot, which nobody else writes.
#[inline(always)]
fn add(counter: *mut Counter, length: u64) {
    // SAFETY: a pointer from a map lookup is valid until the program ends.
    let counter = unsafe { &mut *counter };
    counter.packets += 1;
    counter.bytes += length;
}
