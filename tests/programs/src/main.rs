//! eBPF programs that only tests and benchmarks load.
//!
//! | module | owns |
//! |---|---|
//! | [`generator`] | making packets, as fast as a processor can |
//! | [`lpm`] | a firewall of longest prefixes, to measure beside |
//!
//! The agent's object must never hold any of it, and nothing here knows of images or rules.

#![expect(unreachable_pub, reason = "programs are found by name in the object, not imported")]
#![expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
#![no_std]
#![no_main]

mod generator;
mod lpm;

use aya_ebpf::{bindings::TC_ACT_UNSPEC, macros::classifier, programs::TcContext};

/// Does nothing: what a hook with any program costs.
#[classifier]
pub fn lab_empty(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// The same, for what is sent.
#[classifier]
pub fn lab_empty_sent(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier rejects a program that could come here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
