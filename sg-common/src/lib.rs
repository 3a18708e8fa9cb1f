//! Code that the kernel programs and user space share.
//!
//! Everything here is `no_std`, allocation-free and compiled twice: for the eBPF target, where the verifier checks it, and for
//! the host, where tests, fuzzers and `sgctl check` run the very same code.
//!
//! | module | owns |
//! |---|---|
//! | [`abi`] | the bytes in maps, and their version |
//! | [`verdict`] | accept, drop or reject, and the reason |
//! | [`packet`] | parsing a frame into the fields that rules and flows use |
//! | [`flow`] | flow keys, flow state, and timeouts |
//! | [`clock`] | the time between two readings of a clock |
//! | [`fragment`] | which fragments follow an accepted one |
//! | [`guest`] | the addresses a guest claims, and what it may never send |
//! | [`image`] | lookups in a compiled policy |
//! | [`candidate`] | what a candidate policy would decide, beside what was decided |
//! | [`denied`] | packets that do not pass, aggregated |
//! | [`event`] | single events, for somebody who watches |
//! | [`reject`] | the reset or ICMP error for a rejected packet |
//! | [`exceptions`] | traffic that passes without a rule |
//! | [`discovery`] | neighbour, router and listener discovery without hidden payload |
//! | [`dhcp`] | the DHCP messages that a client sends and receives |
//! | [`options`] | walking the options of such messages |
//! | [`exchange`] | the open exchanges of a NIC that need no rule |
//! | [`pending`] | the change that somebody has yet to confirm, as a word |
//! | [`packed`] | arguments and results of the program's global functions, as words |
//!
//! This crate must never know rules, groups, files or aya programs.

#![no_std]
// Others build on this crate, without reading it.
#![warn(missing_docs)]

pub mod abi;
pub mod candidate;
pub mod clock;
pub mod denied;
pub mod dhcp;
pub mod discovery;
pub mod event;
pub mod exceptions;
pub mod exchange;
pub mod flow;
pub mod fragment;
pub mod guest;
pub mod image;
pub mod options;
pub mod packed;
pub mod packet;
pub mod pending;
pub mod reject;
pub mod verdict;
