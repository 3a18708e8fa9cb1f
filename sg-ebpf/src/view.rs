//! Reading packet memory. The only file here whose business is unsafe code, besides the pointers into maps of
//! [`crate::flows`].

#![expect(unsafe_code, reason = "packet memory is two numbers and a promise to the verifier")]

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_jiffies64, programs::TcContext};
use sg_common::{
    abi::Counter,
    flow::FlowEntry,
    fragment::{FragmentEntry, FragmentKey},
    image::Keys,
    packet::{Family, Frame, Packet, Payload, Window, ethernet, network},
    verdict::{Decision, Reason},
};

use crate::maps::SCRATCH;

/// No header of a packet begins further in. A bound that the verifier can hold on to: it refuses packet
/// pointers whose offset may pass 65,535 (`MAX_PACKET_OFF`).
const MAX_OFFSET: usize = 0x3fff;

/// How much is pulled in front when headers lie outside the linear part of the buffer.
const PULL: u32 = 256;

/// The linear part of a packet.
#[derive(Clone, Copy)]
struct View {
    data: usize,
    end: usize,
    length: usize,
}

impl View {
    #[inline(always)]
    fn of(ctx: &TcContext) -> Self {
        Self { data: ctx.data(), end: ctx.data_end(), length: ctx.len() as usize }
    }

    /// Whether bytes of the packet lie outside the linear part.
    #[inline(always)]
    fn is_partial(&self) -> bool {
        self.end - self.data < self.length
    }
}

/// What the Ethernet header announces.
#[inline(always)]
pub fn payload(ctx: &TcContext) -> Payload {
    let word = sg_payload(ctx.skb.skb);
    let offset = (word >> 8) as usize;
    match word & 0xff {
        V4 => Payload::Ip(Family::V4, offset),
        V6 => Payload::Ip(Family::V6, offset),
        ARP => Payload::Arp,
        NOT_IP => Payload::Refused(Reason::NotIp),
        _ => Payload::Refused(Reason::Malformed),
    }
}

/// What [`sg_payload`] says in its lowest byte. Above stands where an IP packet begins.
const V4: u64 = 1;
const V6: u64 = 2;
const ARP: u64 = 3;
const NOT_IP: u64 = 4;

/// A global function, as [`sg_packet`] is: what follows need not be checked for each number of VLAN tags.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_payload(skb: *mut __sk_buff) -> u64 {
    // No frame is shorter than an Ethernet header, and no driver leaves that outside the linear part.
    match ethernet(&View::of(&TcContext::new(skb))) {
        Payload::Ip(Family::V4, offset) => V4 | (offset as u64) << 8,
        Payload::Ip(Family::V6, offset) => V6 | (offset as u64) << 8,
        Payload::Arp => ARP,
        Payload::Refused(Reason::NotIp) => NOT_IP,
        Payload::Refused(_) => 0,
    }
}

/// Reads the IP packet at `offset` into `packet`.
#[inline(always)]
pub fn read(ctx: &TcContext, family: Family, offset: usize, packet: &mut Packet) -> Result<(), Reason> {
    const TOO_MANY_HEADERS: u64 = Reason::TooManyHeaders as u64;
    match sg_packet(ctx.skb.skb, family as u64, offset as u64, packet) {
        0 => Ok(()),
        TOO_MANY_HEADERS => Err(Reason::TooManyHeaders),
        _ => Err(Reason::Malformed),
    }
}

/// A global function: the verifier checks it once, and its callers know nothing of the packet but that it was
/// read. Inlined, every way to read a packet would be followed through everything that comes after.
///
/// Returns zero, or the number of the [`Reason`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_packet(skb: *mut __sk_buff, family: u64, offset: u64, packet: *mut Packet) -> u64 {
    let ctx = TcContext::new(skb);
    let family = if family == Family::V4 as u64 { Family::V4 } else { Family::V6 };
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(packet) = (unsafe { packet.as_mut() }) else { return Reason::Malformed as u64 };
    let view = View::of(&ctx);
    let mut read = network(&view, family, offset as usize);
    if read == Err(Reason::Malformed) && view.is_partial() {
        // Copies, so it is worth it only now: of a bulk TCP packet the headers are linear and the rest is not.
        let wanted = if ctx.len() < PULL { ctx.len() } else { PULL };
        if ctx.pull_data(wanted).is_ok() {
            read = network(&View::of(&ctx), family, offset as usize);
        }
    }
    match read {
        Ok(found) => {
            *packet = found;
            0
        }
        Err(reason) => reason as u64,
    }
}

impl Frame for View {
    type Window<const N: usize> = Pointer;

    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn window<const N: usize>(&self, offset: usize) -> Option<Pointer> {
        if offset > MAX_OFFSET {
            return None;
        }
        let start = self.data + offset;
        if start + N > self.end { None } else { Some(Pointer(start)) }
    }
}

/// Some bytes that were checked to be there.
#[derive(Clone, Copy)]
pub struct Pointer(usize);

impl Pointer {
    /// Loads in one instruction: the kernel runs this only where unaligned loads are cheap, and the verifier
    /// knows (`check_pkt_ptr_alignment`); a byte-wise read would be eight instructions instead.
    #[inline(always)]
    fn load<T: Copy>(self, offset: usize) -> T {
        // SAFETY: `window::<N>` checked that N bytes are there, and parsers read inside N; the verifier proves
        // it again at load time and rejects the program otherwise.
        unsafe { *((self.0 + offset) as *const T) }
    }
}

impl Window for Pointer {
    #[inline(always)]
    fn byte(self, offset: usize) -> u8 {
        self.load(offset)
    }
    #[inline(always)]
    fn be16(self, offset: usize) -> u16 {
        u16::from_be(self.load(offset))
    }
    #[inline(always)]
    fn be32(self, offset: usize) -> u32 {
        u32::from_be(self.load(offset))
    }
    #[inline(always)]
    fn be64(self, offset: usize) -> u64 {
        u64::from_be(self.load(offset))
    }
}

/// Leaves the decision in the packet's control block, where programs on the same hook and
/// `BPF_PROG_TEST_RUN` can read it: word 0 the counter's number, word 1 verdict and reason.
#[inline(always)]
pub fn note(ctx: &TcContext, decision: Decision) {
    let skb = ctx.skb.skb;
    // SAFETY: `skb` is the context that the kernel gave us; `cb` is ours to write in a classifier
    // (`tc_cls_act_is_valid_access`).
    unsafe {
        (*skb).cb[0] = decision.number();
        (*skb).cb[1] = (decision.word() >> 32) as u32;
    }
}

/// The number of the device that the packet came in on or leaves by.
#[inline(always)]
pub fn device(ctx: &TcContext) -> u32 {
    // SAFETY: as in `note`.
    unsafe { (*ctx.skb.skb).ifindex }
}

/// Whether the kernel took a VLAN tag off the packet.
#[inline(always)]
pub fn is_tagged(ctx: &TcContext) -> bool {
    // SAFETY: as in `note`.
    unsafe { (*ctx.skb.skb).vlan_present != 0 }
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

/// Where a packet is worked on: the stack of a program has 512 bytes only.
pub struct Scratch {
    /// The packet.
    pub packet: Packet,
    /// The packet that an ICMP error speaks of.
    pub embedded: Packet,
    /// What the policy is asked about the packet.
    pub keys: Keys,
    /// What the policy is asked about the flow it belongs to.
    pub original: Keys,
    /// A new flow.
    pub entry: FlowEntry,
    /// The datagram that a fragment belongs to.
    pub datagram: FragmentKey,
    /// What is remembered of it.
    pub fragment: FragmentEntry,
}

/// This CPU's own. A program is not interrupted by another packet on its CPU.
#[inline(always)]
pub fn scratch() -> Option<&'static mut Scratch> {
    // SAFETY: as above; the pointer is valid until the program ends.
    SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}
