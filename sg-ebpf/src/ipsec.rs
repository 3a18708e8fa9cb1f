//! IPsec: whether the kernel decrypted a packet. It must never decide what becomes of it. Called by [`crate::hook::tc`].
//!
//! The kernel keeps the states that decrypted a packet with it (`sec_path`, `net/xfrm/xfrm_input.c`): with the inner packet when
//! it passes the hook a second time, and with the ESP packet itself if a device decrypts.

#![expect(unsafe_code, reason = "global functions take pointers, and the agent writes a constant")]

use core::{mem::MaybeUninit, ptr::read_volatile};

use aya_ebpf::{
    bindings::{__sk_buff, bpf_xfrm_state},
    helpers::generated::bpf_skb_get_xfrm_state,
};
use sg_common::flow::Direction;

use crate::{scratch::Scratch, subprograms};

/// Whether the kernel has `bpf_skb_get_xfrm_state`. The agent writes zero for kernels built without IPsec, which lack it. A
/// constant, so that the verifier prunes the unreachable call before it checks it.
#[unsafe(no_mangle)]
static KNOWS_IPSEC: u32 = 1;

const _: subprograms::Delivered = sg_delivered;

/// Whether IPsec delivered the parsed packet. Returns zero if not.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn sg_delivered(raw: *mut __sk_buff, scratch: *const Scratch, direction: u64) -> u64 {
    // SAFETY: the caller passes a reference; the verifier checks its size.
    let Some(Scratch { packet, .. }) = (unsafe { scratch.as_ref() }) else { return 0 };
    if Direction::of(direction) != Direction::Ingress || packet.is_esp() {
        return 0;
    }
    // SAFETY: a constant; read as if it could change, since the compiler does not know its value.
    if unsafe { read_volatile(&raw const KNOWS_IPSEC) } == 0 {
        return 0;
    }
    let mut state = MaybeUninit::<bpf_xfrm_state>::uninit();
    // SAFETY: `raw` is the context; the kernel writes as many bytes as the buffer has, or fails.
    let said =
        unsafe { bpf_skb_get_xfrm_state(raw, 0, state.as_mut_ptr(), size_of::<bpf_xfrm_state>() as u32, 0) };
    u64::from(said == 0)
}
