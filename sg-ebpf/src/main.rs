//! The eBPF programs. [`pipeline`] decides each packet, on one page.
//!
//! | module | owns |
//! |---|---|
//! | [`pipeline`] | the datapath: from a frame to a decision |
//! | [`image`] | lookups in the published image of a NIC |
//! | [`again`] | judging a flow again |
//! | [`anti_spoofing`] | source checks of what a guest sends |
//! | [`flow_table`] | the tables of established flows |
//! | [`half_open`] | the tables of half-open flows, and their eviction |
//! | [`fragments`] | the table of fragmented datagrams |
//! | [`exceptions`] | traffic that passes without a rule |
//! | [`candidate`] | what a candidate policy would decide |
//! | [`denied`] | counts of packets that do not pass |
//! | [`events`] | single events, for somebody who watches |
//! | [`replaced`] | last values of flows whose entries are replaced |
//! | [`reject`] | TCP resets and ICMP errors for rejected packets |
//! | [`ipsec`] | whether a packet was decrypted |
//! | [`tunnel`] | packets without an Ethernet header |
//! | [`ethertypes`] | frames that are not IP, by EtherType |
//! | [`frame`] | parsing a frame, and the lookup of its flow |
//! | [`fast_path`] | the fast path: packets of known flows |
//! | [`view`] | reads of packet parts |
//! | [`helpers`] | clock, atomic operations, counters |
//! | [`context`] | what the datapath needs of a packet |
//! | [`hook`] | the two contexts, tc and XDP |
//! | [`subprograms`] | the signature of every global function |
//! | [`scratch`] | per-CPU working memory |
//! | [`verifier`] | code that only the verifier needs |
//! | [`maps`] | every map |
//!
//! This crate must never hold logic that a host test cannot run: that lives in `sg-common`.

#![expect(unreachable_pub, reason = "programs are found by name in the object, not imported")]
#![expect(clippy::needless_pass_by_value, reason = "the macros hand the context over")]
#![cfg_attr(
    target_arch = "bpf",
    feature(asm_experimental_arch),
    expect(unstable_features, reason = "assembly for this target is not stable")
)]
#![no_std]
#![no_main]

mod again;
mod anti_spoofing;
mod candidate;
mod context;
mod denied;
mod ethertypes;
mod events;
mod exceptions;
mod fast_path;
mod flow_table;
mod fragments;
mod frame;
mod half_open;
mod helpers;
mod hook;
mod image;
mod ipsec;
mod maps;
mod pending;
mod pipeline;
mod reject;
mod replaced;
mod scratch;
mod subprograms;
mod tunnel;
mod verifier;
mod view;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};

use crate::{context::Context as _, pipeline::Hook};

/// Filters packets that the device receives.
#[classifier]
pub fn sg_ingress(ctx: TcContext) -> i32 {
    filter(&ctx, Hook::Received)
}

/// Filters packets that the device receives, before the kernel allocates an skb.
#[xdp]
pub fn sg_xdp(ctx: XdpContext) -> u32 {
    let decision = pipeline::judge(&ctx, Hook::Received);
    if decision.accepts() {
        xdp_action::XDP_PASS
    } else if decision.rejects() {
        reject::xdp::at_xdp(&ctx)
    } else {
        xdp_action::XDP_DROP
    }
}

/// Filters packets that the device sends.
#[classifier]
pub fn sg_egress(ctx: TcContext) -> i32 {
    filter(&ctx, Hook::Sent)
}

/// Does nothing: the baseline that `benches` subtract.
#[classifier]
pub fn sg_empty(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// Classifies every packet as the first of a flow, without flow table and counters, so that `benches` can measure this stage
/// alone. Never attached.
#[classifier]
pub fn sg_classify(ctx: TcContext) -> i32 {
    let decision = pipeline::classify(&ctx, Hook::Received);
    ctx.note(decision);
    if decision.accepts() { TC_ACT_UNSPEC } else { TC_ACT_SHOT }
}

/// Reports jiffies, the clock of the flow table, to the agent.
#[classifier]
pub fn sg_clock(ctx: TcContext) -> i32 {
    hook::tc::note(&ctx, helpers::now());
    TC_ACT_UNSPEC
}

/// Translates a decision into a tc action. An accepted packet goes on to the next program, which may still drop it: `TCX_NEXT` is
/// -1, and so is `TC_ACT_UNSPEC` for a filter in direct-action mode.
#[inline(always)]
fn filter(ctx: &TcContext, hook: Hook) -> i32 {
    if reject::tc::is_own_reject(ctx, hook) {
        return TC_ACT_UNSPEC;
    }
    let decision = pipeline::judge(ctx, hook);
    ctx.note(decision);
    if decision.accepts() {
        TC_ACT_UNSPEC
    } else if decision.rejects() {
        reject::tc::at_tc(ctx, hook)
    } else {
        TC_ACT_SHOT
    }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier rejects a program that can reach this.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
