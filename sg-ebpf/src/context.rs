//! A packet as its hook hands it over, and its memory. It must never know what the bytes mean: [`crate::frame`] and
//! [`crate::view`] have them read.

#![expect(unsafe_code, reason = "packet memory is two numbers and a promise to the verifier")]

use aya_ebpf::{
    EbpfContext,
    programs::{TcContext, XdpContext},
};
use sg_common::{
    flow::Direction,
    guest::Claim,
    packet::{Frame, Packet, Tag, Window},
    verdict::Decision,
};

use crate::{
    exceptions::{sg_linear_exception, sg_options, sg_xdp_linear_exception, sg_xdp_options},
    frame::{
        sg_bare_frame, sg_frame, sg_frame_again, sg_payload, sg_xdp_bare_frame, sg_xdp_frame, sg_xdp_payload,
    },
    ipsec::sg_delivered,
    named::{sg_name, sg_xdp_name},
    scratch::Scratch,
    tunnel::sg_layer_3,
    view::{sg_linear_claim, sg_packet, sg_pull, sg_quoted, sg_xdp_claim, sg_xdp_packet, sg_xdp_quoted},
};

/// No header of a packet begins further in. A bound that the verifier can hold on to: it refuses packet
/// pointers whose offset may pass 65,535 (`MAX_PACKET_OFF`).
pub const MAX_OFFSET: usize = 0x3fff;

/// A packet as its hook hands it over: what the datapath asks of it.
pub trait Context: EbpfContext {
    /// Where the linear part begins.
    fn data(&self) -> usize;
    /// Where the linear part ends.
    fn data_end(&self) -> usize;
    /// Bytes of the frame, with its Ethernet header.
    fn len(&self) -> u32;
    /// The number of the device that the packet came in on or leaves by.
    fn device(&self) -> u32;
    /// The VLAN tag that the kernel or a device took off the packet.
    fn tag(&self) -> Option<Tag>;
    /// Whether IPsec delivers the packet, which was read and goes in `direction`: it is inbound, was decrypted, and is no ESP
    /// itself.
    fn is_delivered(&self, scratch: *const Scratch, direction: Direction) -> bool;
    /// What a packet without an Ethernet header is, as [`Self::find`] says it of others.
    fn find_layer_3(&self) -> u64;
    /// Leaves the decision where programs on the same hook and `BPF_PROG_TEST_RUN` can read it, if there is such a place.
    fn note(&self, decision: Decision);
    /// What the Ethernet header announces, as a global function, and so are those that follow: see [`crate::frame`] and
    /// [`crate::view`].
    fn find(&self) -> u64;
    /// What a policy may name the frame by, see [`crate::named`].
    fn name(&self) -> u64;
    /// Reads the frame, names its flow, and looks for it.
    fn frame(&self, scratch: *mut Scratch, scope: u64) -> u64;
    /// The same, where more of the frame must be made linear first.
    fn frame_again(&self, scratch: *mut Scratch, scope: u64) -> u64;
    /// Reads the frame only.
    fn bare_frame(&self, scratch: *mut Scratch) -> u64;
    /// Whether this is a large packet, see [`Frame::is_large`].
    fn is_large(&self) -> bool;
    /// Reads the IP packet at `offset`, which an ICMP error quotes that ends at `quotation`, or, where that is zero, is the
    /// frame's own.
    fn parse(&self, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> u64;
    /// Reads the packet that an ICMP error quotes.
    fn quoted(&self, scratch: *mut Scratch) -> u64;
    /// Makes so many bytes linear, or what there is of them, and tells whether that gave more to read than before.
    fn pull(&self, wanted: u32) -> bool;
    /// Whether the packet passes without a rule.
    fn exception(&self, packet: *const Packet, scope: u64) -> u64;
    /// Walks through the options of a message.
    fn walk(&self, list: u64, at: u64, end: u64) -> u64;
    /// Reads who a packet, which ends at `end`, says its sender is. Zero where it can be read.
    fn claim(&self, what: u64, offset: u64, end: u64, claimed: *mut Claim) -> u64;
}

/// The linear part of a packet.
pub struct View<'a, C> {
    ctx: &'a C,
    data: usize,
    end: usize,
    length: usize,
}

impl<'a, C: Context> View<'a, C> {
    #[inline(always)]
    pub fn of(ctx: &'a C) -> Self {
        Self { ctx, data: ctx.data(), end: ctx.data_end(), length: ctx.len() as usize }
    }

    /// How many bytes of the packet can be read.
    #[inline(always)]
    pub fn linear(&self) -> usize {
        self.end - self.data
    }
}

/// Leaves a word in the packet's control block.
#[inline(always)]
pub fn note(ctx: &TcContext, word: u64) {
    let skb = ctx.skb.skb;
    // SAFETY: `skb` is the context that the kernel gave us; `cb` is ours to write in a classifier
    // (`tc_cls_act_is_valid_access`).
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
    fn find_layer_3(&self) -> u64 {
        sg_layer_3(self.skb.skb)
    }
    /// In the packet's control block: word 0 the counter's number, word 1 verdict and reason.
    #[inline(always)]
    fn note(&self, decision: Decision) {
        note(self, decision.word());
    }
    #[inline(always)]
    fn find(&self) -> u64 {
        sg_payload(self.skb.skb)
    }
    #[inline(always)]
    fn name(&self) -> u64 {
        sg_name(self.skb.skb)
    }
    #[inline(always)]
    fn frame(&self, scratch: *mut Scratch, scope: u64) -> u64 {
        sg_frame(self.skb.skb, scratch, scope)
    }
    #[inline(always)]
    fn frame_again(&self, scratch: *mut Scratch, scope: u64) -> u64 {
        sg_frame_again(self.skb.skb, scratch, scope)
    }
    #[inline(always)]
    fn bare_frame(&self, scratch: *mut Scratch) -> u64 {
        sg_bare_frame(self.skb.skb, scratch)
    }
    #[inline(always)]
    fn is_large(&self) -> bool {
        // SAFETY: as in `note`.
        unsafe { (*self.skb.skb).gso_size != 0 }
    }
    #[inline(always)]
    fn parse(&self, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> u64 {
        sg_packet(self.skb.skb, family, offset, quotation, packet)
    }
    #[inline(always)]
    fn quoted(&self, scratch: *mut Scratch) -> u64 {
        sg_quoted(self.skb.skb, scratch)
    }
    #[inline(always)]
    fn pull(&self, wanted: u32) -> bool {
        sg_pull(self.skb.skb, wanted.into()) != 0
    }
    #[inline(always)]
    fn exception(&self, packet: *const Packet, scope: u64) -> u64 {
        sg_linear_exception(self.skb.skb, packet, scope)
    }
    #[inline(always)]
    fn walk(&self, list: u64, at: u64, end: u64) -> u64 {
        sg_options(self.skb.skb, list, at, end)
    }
    #[inline(always)]
    fn claim(&self, what: u64, offset: u64, end: u64, claimed: *mut Claim) -> u64 {
        sg_linear_claim(self.skb.skb, what, offset, end, claimed)
    }
}

impl<C: Context> Frame for View<'_, C> {
    type Window<const N: usize> = Pointer;

    #[inline(always)]
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn is_large(&self) -> bool {
        self.ctx.is_large()
    }

    #[inline(always)]
    fn tag(&self) -> Option<Tag> {
        self.ctx.tag()
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

/// A frame that no packet buffer was built for yet. All of it is linear: the program does not say that it takes
/// frames in several buffers, and a driver that would need them refuses it. None is large: what a device coalesces, it
/// coalesces later.
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
    /// One that a device took off is not to be seen here: such devices are refused.
    #[inline(always)]
    fn tag(&self) -> Option<Tag> {
        None
    }
    /// What is decrypted later does not come back.
    #[inline(always)]
    fn is_delivered(&self, _scratch: *const Scratch, _direction: Direction) -> bool {
        false
    }
    /// No program is attached to such a device: nothing that can be read.
    #[inline(always)]
    fn find_layer_3(&self) -> u64 {
        0
    }
    /// There is no place for it.
    #[inline(always)]
    fn note(&self, _decision: Decision) {}
    #[inline(always)]
    fn find(&self) -> u64 {
        sg_xdp_payload(self.ctx)
    }
    #[inline(always)]
    fn name(&self) -> u64 {
        sg_xdp_name(self.ctx)
    }
    #[inline(always)]
    fn frame(&self, scratch: *mut Scratch, scope: u64) -> u64 {
        sg_xdp_frame(self.ctx, scratch, scope)
    }
    /// All of it is linear.
    #[inline(always)]
    fn frame_again(&self, _scratch: *mut Scratch, _whose: u64) -> u64 {
        0
    }
    #[inline(always)]
    fn bare_frame(&self, scratch: *mut Scratch) -> u64 {
        sg_xdp_bare_frame(self.ctx, scratch)
    }
    #[inline(always)]
    fn is_large(&self) -> bool {
        false
    }
    #[inline(always)]
    fn parse(&self, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> u64 {
        sg_xdp_packet(self.ctx, family, offset, quotation, packet)
    }
    #[inline(always)]
    fn quoted(&self, scratch: *mut Scratch) -> u64 {
        sg_xdp_quoted(self.ctx, scratch)
    }
    #[inline(always)]
    fn pull(&self, _wanted: u32) -> bool {
        false
    }
    #[inline(always)]
    fn exception(&self, packet: *const Packet, scope: u64) -> u64 {
        sg_xdp_linear_exception(self.ctx, packet, scope)
    }
    #[inline(always)]
    fn walk(&self, list: u64, at: u64, end: u64) -> u64 {
        sg_xdp_options(self.ctx, list, at, end)
    }
    #[inline(always)]
    fn claim(&self, what: u64, offset: u64, end: u64, claimed: *mut Claim) -> u64 {
        sg_xdp_claim(self.ctx, what, offset, end, claimed)
    }
}
