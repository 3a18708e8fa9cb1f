//! A packet as its hook passes it, and its memory. It must never know what the bytes mean: [`crate::frame`] and [`crate::view`]
//! have them parsed.

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
    ethertypes::{sg_ethertype, sg_xdp_ethertype},
    exceptions::{sg_linear_exception, sg_options, sg_xdp_linear_exception, sg_xdp_options},
    frame::{
        sg_bare_frame, sg_frame, sg_frame_again, sg_payload, sg_xdp_bare_frame, sg_xdp_frame, sg_xdp_payload,
    },
    ipsec::sg_delivered,
    scratch::Scratch,
    tunnel::sg_layer_3,
    view::{sg_linear_claim, sg_packet, sg_pull, sg_quoted, sg_xdp_claim, sg_xdp_packet, sg_xdp_quoted},
};

/// Maximum offset of a header in a packet. The bound keeps the verifier content: it rejects packet pointers whose offset may
/// exceed 65,535 (`MAX_PACKET_OFF`).
pub const MAX_OFFSET: usize = 0x3fff;

/// What the datapath needs of a packet, whatever its hook.
pub trait Context: EbpfContext {
    /// Start of the linear part.
    fn data(&self) -> usize;
    /// End of the linear part.
    fn data_end(&self) -> usize;
    /// Length of the frame in bytes, Ethernet header included.
    fn len(&self) -> u32;
    /// Index of the device that received or sends the packet.
    fn device(&self) -> u32;
    /// The VLAN tag that the kernel or a device stripped.
    fn tag(&self) -> Option<Tag>;
    /// Whether IPsec delivers the parsed packet, which goes in `direction`: it is inbound, was decrypted, and is no ESP itself.
    fn is_delivered(&self, scratch: *const Scratch, direction: Direction) -> bool;
    /// The payload of a packet without an Ethernet header, as the word that [`Self::find`] returns for others.
    fn find_layer_3(&self) -> u64;
    /// Stores the decision where programs on the same hook and `BPF_PROG_TEST_RUN` can read it, if the hook has such a place.
    fn note(&self, decision: Decision);
    /// The payload that the Ethernet header announces. This and the following methods call global functions, see [`crate::frame`]
    /// and [`crate::view`].
    fn find(&self) -> u64;
    /// The EtherType by which a policy may name the frame, see [`crate::ethertypes`].
    fn name(&self) -> u64;
    /// Parses the frame, builds its flow key, and looks the flow up.
    fn frame(&self, scratch: *mut Scratch, scope: u64) -> u64;
    /// As [`Self::frame`], after making more of the frame linear.
    fn frame_again(&self, scratch: *mut Scratch, scope: u64) -> u64;
    /// Parses the frame, without a flow lookup.
    fn bare_frame(&self, scratch: *mut Scratch) -> u64;
    /// Whether the packet is large, see [`Frame::is_large`].
    fn is_large(&self) -> bool;
    /// Parses the IP packet at `offset`. `quotation` is the end of the ICMP error that quotes it, or zero for the frame's own
    /// packet.
    fn parse(&self, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> u64;
    /// Parses the packet that an ICMP error quotes.
    fn quoted(&self, scratch: *mut Scratch) -> u64;
    /// Makes up to `wanted` bytes linear. Returns whether more can be read than before.
    fn pull(&self, wanted: u32) -> bool;
    /// Whether the packet passes without a rule.
    fn exception(&self, packet: *const Packet, scope: u64) -> u64;
    /// Walks the options of a message.
    fn walk(&self, list: u64, at: u64, end: u64) -> u64;
    /// Reads the claimed sender of a packet that ends at `end`. Returns zero on success.
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

    /// Length of the linear part in bytes.
    #[inline(always)]
    pub fn linear(&self) -> usize {
        self.end - self.data
    }
}

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
    fn find_layer_3(&self) -> u64 {
        sg_layer_3(self.skb.skb)
    }
    /// Stores it in the control block: word 0 is the counter's number, word 1 verdict and reason.
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
        sg_ethertype(self.skb.skb)
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

/// Bytes whose presence was checked.
#[derive(Clone, Copy)]
pub struct Pointer(usize);

impl Pointer {
    /// Loads in one instruction: the kernel runs this only where unaligned loads are cheap, and the verifier knows
    /// (`check_pkt_ptr_alignment`); a byte-wise read would take eight.
    #[inline(always)]
    fn load<T: Copy>(self, offset: usize) -> T {
        // SAFETY: `window::<N>` checked that N bytes are there, and parsers read inside N; the verifier proves it again at load
        // time and rejects the program otherwise.
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
    fn find_layer_3(&self) -> u64 {
        0
    }
    /// XDP has no place for it.
    #[inline(always)]
    fn note(&self, _decision: Decision) {}
    #[inline(always)]
    fn find(&self) -> u64 {
        sg_xdp_payload(self.ctx)
    }
    #[inline(always)]
    fn name(&self) -> u64 {
        sg_xdp_ethertype(self.ctx)
    }
    #[inline(always)]
    fn frame(&self, scratch: *mut Scratch, scope: u64) -> u64 {
        sg_xdp_frame(self.ctx, scratch, scope)
    }
    /// The whole frame is linear.
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
