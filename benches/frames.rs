//! The packets that programs are run over.

use std::net::IpAddr;

/// A TCP SYN: opens a new flow.
pub const SYN: u8 = 0x02;

/// A TCP RST: the connection is closed.
pub const RST: u8 = 0x04;

/// A TCP ACK: part of a known flow.
pub const ACK: u8 = 0x10;

/// A TCP segment without data from `source`, an address and a port, to `destination`; both of one family.
#[must_use]
pub fn tcp(source: (IpAddr, u16), destination: (IpAddr, u16), flags: u8) -> Vec<u8> {
    let mut frame = vec![0; 12];
    if source.0.is_ipv4() {
        frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    } else {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
    }
    for (address, _) in [source, destination] {
        match address {
            IpAddr::V4(address) => frame.extend(address.octets()),
            IpAddr::V6(address) => frame.extend(address.octets()),
        }
    }
    for (_, port) in [source, destination] {
        frame.extend(port.to_be_bytes());
    }
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

/// The same segment over IPv4 as received from a wire: from another interface to one without an Ethernet address, as a test run
/// has it (`bpf_prog_test_run_skb`, `net/bpf/test_run.c`), with correct checksums.
#[must_use]
pub fn received(mut frame: Vec<u8>) -> Vec<u8> {
    const IP: usize = 14;
    const TCP: usize = IP + 20;
    const CHECKSUM: usize = TCP + 16;
    let sum = |bytes: &[u8], of: u32| {
        let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
        let sum = words.sum::<u32>() + of;
        let sum = (sum >> 16) + (sum & 0xffff);
        !(((sum >> 16) + (sum & 0xffff)) as u16)
    };
    frame[6] = 2;
    let header = sum(&frame[IP..TCP], 0);
    frame[IP + 10..IP + 12].copy_from_slice(&header.to_be_bytes());
    let segment = sum(&frame[IP + 12..], 6 + (frame.len() - TCP) as u32);
    frame[CHECKSUM..CHECKSUM + 2].copy_from_slice(&segment.to_be_bytes());
    frame
}

/// A frame that is neither IP nor ARP.
#[must_use]
pub fn foreign() -> Vec<u8> {
    let mut frame = vec![0; 60];
    // Link-layer discovery.
    frame[12..14].copy_from_slice(&[0x88, 0xcc]);
    frame
}
