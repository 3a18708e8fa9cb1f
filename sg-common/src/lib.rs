//! What both sides of the kernel border agree on.
//!
//! Everything here is `no_std`, allocation-free and compiled twice: for the eBPF target, where the
//! verifier reads it, and for the host, where tests, fuzzers and `sgctl check` run the very same code.
//!
//! | module | owns |
//! |---|---|
//! | [`abi`] | the bytes in maps, and their version |
//! | [`verdict`] | accept, drop or reject, and why |
//! | [`packet`] | a frame, read into the fields that rules and flows look at |
//! | [`flow`] | who talks to whom over a NIC, the state of that talk, and its timeouts |
//! | [`clock`] | the time between two readings of a clock |
//! | [`fragment`] | which fragments follow an accepted one |
//! | [`guest`] | what a guest claims to be, and what it may never be |
//! | [`image`] | reading a compiled policy |
//! | [`reject`] | what the sender of a rejected packet is told |
//! | [`exceptions`] | the traffic that works without a rule |
//! | [`discovery`] | neighbour, router and listener discovery, as far as it is no more than that |
//! | [`dhcp`] | the messages of DHCP that a client sends and gets |
//! | [`options`] | walking through the options of such messages |
//! | [`exchange`] | what is open between a NIC and others without a rule |
//!
//! This crate must never know rules, groups, files or aya programs.

#![no_std]

pub mod abi;
pub mod clock;
pub mod dhcp;
pub mod discovery;
pub mod exceptions;
pub mod exchange;
pub mod flow;
pub mod fragment;
pub mod guest;
pub mod image;
pub mod options;
pub mod packet;
pub mod reject;
pub mod verdict;
