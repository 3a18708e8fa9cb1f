//! Packets from templates, one after the other, each written whole: the kernel runs the program over the same few
//! pages again and again, and the hosts on a packet's way have written into them (`Documentation/bpf/bpf_prog_run.rst`).

#![expect(unsafe_code, reason = "packet memory is two numbers and a promise to the verifier")]

use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::Array,
    macros::{btf_map, xdp},
    programs::XdpContext,
};

/// Bytes of a frame, in words. `tests/src/lab/generator.rs` says the same.
const WORDS: usize = 8;
const TEMPLATES: usize = 1 << 16;

#[btf_map]
pub static LAB_FRAMES: Array<[u64; WORDS], TEMPLATES> = Array::new();

/// How many templates there are; which bits of source address and port vary; which template is next; how many packets
/// were made that vary.
#[btf_map]
pub static LAB_PLAN: Array<u32, 4> = Array::new();
const COUNT: u32 = 0;
const VARYING: u32 = 1;
const NEXT: u32 = 2;
const VARIED: u32 = 3;

/// Odd, so that its multiples take every value before one comes again, whatever bits of them count: chance would give one
/// batch the same packet twice, and connection tracking drops the second that is on its way before the first is through.
const STEP: u32 = 0x9e37_79b1;

#[xdp]
pub fn lab_generate(ctx: XdpContext) -> u32 {
    match next(ctx.data(), ctx.data_end()) {
        Some(()) => xdp_action::XDP_PASS,
        None => xdp_action::XDP_ABORTED,
    }
}

#[inline(always)]
fn next(data: usize, end: usize) -> Option<()> {
    let (count, varying) = (*LAB_PLAN.get(COUNT)?, *LAB_PLAN.get(VARYING)?);
    let place = LAB_PLAN.get_ptr_mut(NEXT)?;
    // SAFETY: an element of an array is always there. One processor at a time runs the program.
    let template = unsafe {
        let template = *place;
        *place = if template + 1 < count { template + 1 } else { 0 };
        template
    };
    let template = LAB_FRAMES.get(template)?;
    if data + WORDS * 8 > end {
        return None;
    }
    // SAFETY: so many bytes are there. BPF has no alignment that x86_64 and aarch64 ask for.
    let frame = unsafe { &mut *(data as *mut [u64; WORDS]) };
    #[expect(clippy::manual_memcpy, reason = "in BPF a memcpy of that size is a loop over bytes")]
    for word in 0..WORDS {
        frame[word] = template[word];
    }
    if varying != 0 {
        let varied = LAB_PLAN.get_ptr_mut(VARIED)?;
        // SAFETY: as above.
        let number = unsafe {
            *varied = (*varied).wrapping_add(1);
            *varied
        };
        vary(data, number.wrapping_mul(STEP) & varying);
    }
    Some(())
}

/// Another source address and port. What they add to the checksums the identification and the sequence number take away:
/// a word and its complement are nothing (RFC 1071).
#[inline(always)]
fn vary(data: usize, bits: u32) {
    let (address, port) = ((bits >> 16) as u16, bits as u16);
    for (place, more) in [(28, address), (18, !address), (34, port), (38, !address), (40, !port)] {
        // SAFETY: the caller has looked, and all of these are among the first 64 bytes.
        unsafe {
            let word = (data + place) as *mut u16;
            *word = (u16::from_be(*word) | more).to_be();
        }
    }
}
