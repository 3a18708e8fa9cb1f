//! The packets that programs are run over.

use std::net::IpAddr;

use sg_tests::packet::{self, TCP, ethernet, ip, summed};
pub use sg_tests::packet::{ACK, RST, SYN};

/// A TCP segment without data from `source`, an address and a port, to `destination`; both of one family. As received from a wire:
/// from another interface to one without an Ethernet address, as a test run has it (`bpf_prog_test_run_skb`,
/// `net/bpf/test_run.c`).
#[must_use]
pub fn tcp(source: (IpAddr, u16), destination: (IpAddr, u16), flags: u8) -> Vec<u8> {
    let ends = [source.0, destination.0];
    let segment = packet::tcp([source.1, destination.1], [1, 0], flags);
    ethernet([[0; 6], [2, 0, 0, 0, 0, 0]], &ip(ends, TCP, 64, &summed(ends, TCP, segment)))
}

/// A frame that is neither IP nor ARP.
#[must_use]
pub fn foreign() -> Vec<u8> {
    let mut frame = vec![0; 60];
    // Link-layer discovery.
    frame[12..14].copy_from_slice(&[0x88, 0xcc]);
    frame
}
