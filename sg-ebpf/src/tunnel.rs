//! Packets without an Ethernet header: where they begin, and what they are. It must never decide. Called by [`crate::hook::tc`]
//! for NICs whose device is a tunnel.

#![expect(unsafe_code, reason = "global functions take pointers")]

use aya_ebpf::{
    bindings::{__sk_buff, bpf_hdr_start_off::BPF_HDR_START_NET},
    helpers::generated::bpf_skb_load_bytes_relative,
    programs::TcContext,
};
use sg_common::{
    packed::FrameWord,
    packet::{ETHERNET, Payload, announced},
    verdict::Reason,
};

use crate::{context::View, subprograms};

const _: subprograms::Payload<__sk_buff> = sg_layer_3;

/// The payload of the packet, as a [`FrameWord`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sg_layer_3(raw: *mut __sk_buff) -> u64 {
    let ctx = TcContext::new(raw);
    // SAFETY: `raw` is the context, and a classifier may read this of it.
    let kind = u16::from_be(unsafe { (*raw).protocol } as u16);
    let linear = View::of(&ctx).linear() as u32;
    let payload = match begin(raw, linear) {
        Some(offset) => announced(kind, offset),
        None => Payload::Refused(Reason::Malformed),
    };
    FrameWord::from_payload(payload).word()
}

/// Offset of the IP header. An Ethernet header may precede it although the device has none: the kernel decrypts in place and
/// leaves the one of the received packet (`xfrm4_remove_tunnel_encap`, `net/xfrm/xfrm_input.c`); a test run has one too.
///
/// The kernel does not expose the offset, but reads relative to it, and reads nothing behind the linear part of the buffer.
#[inline(always)]
fn begin(raw: *mut __sk_buff, linear: u32) -> Option<usize> {
    let reads = |offset: u32| {
        let mut byte = 0_u8;
        let into = (&raw mut byte).cast();
        // SAFETY: `raw` is the context; the kernel writes one byte.
        unsafe { bpf_skb_load_bytes_relative(raw.cast(), offset, into, 1, BPF_HDR_START_NET) == 0 }
    };
    // It is at `before` bytes or less if `linear - before` bytes or more can be read.
    let no_later_than = |before: u32| linear > before && reads(linear - before - 1);
    if no_later_than(0) {
        return Some(0);
    }
    let ethernet = ETHERNET as u32;
    (no_later_than(ethernet) && !no_later_than(ethernet - 1)).then_some(ETHERNET)
}
