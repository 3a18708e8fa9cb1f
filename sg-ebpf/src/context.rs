//! A packet as its hook passes it, and its memory. It must never know what the bytes mean: [`crate::frame`] and [`crate::view`]
//! have them parsed. [`crate::hook`] implements it for each hook.

#![expect(unsafe_code, reason = "packet memory is two numbers and a promise to the verifier")]

use aya_ebpf::EbpfContext;
use sg_common::{
    flow::Direction,
    guest::Claim,
    options::{List, State},
    packed::{
        ClaimKind, DeniedScope, EventArgs, ExceptionArgs, ExceptionResult, FlowScope, FrameWord, ParseResult,
    },
    packet::{Frame, Packet, Tag, Window},
    verdict::Decision,
};

use crate::scratch::Scratch;

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
    /// The payload of a packet without an Ethernet header, as [`Self::find`] returns it for others.
    fn find_layer_3(&self) -> FrameWord;
    /// Stores the decision where programs on the same hook and `BPF_PROG_TEST_RUN` can read it, if the hook has such a place.
    fn note(&self, decision: Decision);
    /// The payload that the Ethernet header announces. This and the following methods call global functions.
    fn find(&self) -> FrameWord;
    /// The EtherType by which a policy may name the frame, see [`crate::ethertypes`].
    fn ethertype(&self) -> u64;
    /// Parses the frame, builds its flow key, and looks the flow up.
    fn frame(&self, scratch: *mut Scratch, scope: FlowScope) -> FrameWord;
    /// As [`Self::frame`], after making more of the frame linear.
    fn frame_again(&self, scratch: *mut Scratch, scope: FlowScope) -> FrameWord;
    /// Parses the frame, without a flow lookup.
    fn bare_frame(&self, scratch: *mut Scratch) -> FrameWord;
    /// Whether the packet is large, see [`Frame::is_large`].
    fn is_large(&self) -> bool;
    /// Parses the IP packet at `offset`. `quotation` is the end of the ICMP error that quotes it, or zero for the frame's own
    /// packet.
    fn parse(&self, family: u64, offset: u64, quotation: u64, packet: *mut Packet) -> ParseResult;
    /// Parses the packet that an ICMP error quotes.
    fn quoted(&self, scratch: *mut Scratch) -> ParseResult;
    /// Makes up to `wanted` bytes linear. Returns whether more can be read than before.
    fn pull(&self, wanted: u32) -> bool;
    /// Whether the packet passes without a rule.
    fn exception(&self, packet: *const Packet, args: ExceptionArgs) -> ExceptionResult;
    /// Counts and reports a packet that does not pass.
    fn denied(&self, scratch: *mut Scratch, decision: Decision, scope: DeniedScope);
    /// Sends an event about the packet, if somebody wants to see it.
    fn event(&self, scratch: *mut Scratch, decision: Decision, args: EventArgs);
    /// Copies the first `length` bytes of the packet, at most [`CAPTURE`](sg_common::event::CAPTURE). Returns whether that succeeded.
    fn capture(&self, to: *mut u8, length: u32) -> bool;
    /// Walks the options of a message.
    fn walk(&self, list: List, at: usize, end: usize) -> State;
    /// Reads the claimed sender of a packet that ends at `end`. Returns zero on success.
    fn claim(&self, kind: ClaimKind, offset: u64, end: u64, claimed: *mut Claim) -> u64;
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
