//! The programs in the kernel. A packet is decided in [`pipeline`], on one page.
//!
//! | module | owns |
//! |---|---|
//! | [`pipeline`] | the datapath: from a frame to a decision |
//! | [`policy`] | the published image of a NIC |
//! | [`anti_spoofing`] | anti-spoofing |
//! | [`flow_table`] | the tables of established flows |
//! | [`half_open`] | the tables of half-open flows, and who makes room in them |
//! | [`fragments`] | the table of datagrams in fragments |
//! | [`exceptions`] | what passes without a rule |
//! | [`reject`] | resets and ICMP errors for rejected packets |
//! | [`ipsec`] | whether a packet was decrypted |
//! | [`tunnel`] | packets without an Ethernet header |
//! | [`named`] | frames that are not IP, by their name |
//! | [`frame`] | a frame read, and its flow looked for |
//! | [`view`] | reading parts of a packet, clock, counters |
//! | [`context`] | packet memory, by hook |
//! | [`scratch`] | where a packet is worked on |
//! | [`verifier`] | what is there for the verifier's sake only |
//! | [`maps`] | every map |
//!
//! This crate must never hold logic that a host test cannot run: that lives in `sg-common`.

#![expect(missing_docs, unreachable_pub, reason = "programs are found by name in the object, not imported")]
#![expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
#![cfg_attr(
    target_arch = "bpf",
    feature(asm_experimental_arch),
    expect(unstable_features, reason = "assembly for this target is not stable")
)]
#![no_std]
#![no_main]

mod anti_spoofing;
mod context;
mod exceptions;
mod flow_table;
mod fragments;
mod frame;
mod half_open;
mod ipsec;
mod maps;
mod named;
mod pipeline;
mod policy;
mod reject;
mod scratch;
mod tunnel;
mod usual;
mod verifier;
mod view;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::{context::Context as _, pipeline::Hook};

/// What the device receives.
#[classifier]
pub fn sg_ingress(ctx: TcContext) -> i32 {
    filter(&ctx, Hook::Received)
}

/// What the device receives, before the kernel builds a packet buffer for it.
#[xdp]
pub fn sg_xdp(ctx: XdpContext) -> u32 {
    let decision = pipeline::judge(&ctx, Hook::Received);
    if decision.accepts() {
        xdp_action::XDP_PASS
    } else if decision.rejects() {
        reject::at_xdp(&ctx)
    } else {
        xdp_action::XDP_DROP
    }
}

/// What the device is given to send.
#[classifier]
pub fn sg_egress(ctx: TcContext) -> i32 {
    filter(&ctx, Hook::Sent)
}

/// Returns nothing and does nothing: what `benches` subtract.
#[classifier]
pub fn sg_empty(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// Classifies every packet as the first of a flow, without flow table and counters: a stage that `benches` measure
/// on its own. Never attached.
#[classifier]
pub fn sg_classify(ctx: TcContext) -> i32 {
    let decision = pipeline::classify(&ctx, Hook::Received);
    ctx.note(decision);
    if decision.accepts() { TC_ACT_UNSPEC } else { TC_ACT_SHOT }
}

/// Tells the agent jiffies, the clock of the flow table.
#[classifier]
pub fn sg_clock(ctx: TcContext) -> i32 {
    context::note(&ctx, view::now());
    TC_ACT_UNSPEC
}

/// Turns a decision into what the kernel wants to hear. An accepted packet goes on to the next program
/// (`TCX_NEXT` is -1, and so is `TC_ACT_UNSPEC` for a filter in direct-action mode): others may still drop it.
#[inline(always)]
fn filter(ctx: &TcContext, hook: Hook) -> i32 {
    if reject::is_own_reject(ctx, hook) {
        return TC_ACT_UNSPEC;
    }
    let decision = pipeline::judge(ctx, hook);
    ctx.note(decision);
    if decision.accepts() {
        TC_ACT_UNSPEC
    } else if decision.rejects() {
        reject::at_tc(ctx, hook)
    } else {
        TC_ACT_SHOT
    }
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
