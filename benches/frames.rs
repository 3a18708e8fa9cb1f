//! The packets that programs are run over.

use std::net::IpAddr;

/// A TCP SYN: a question for a new flow.
pub const SYN: u8 = 0x02;

/// TCP: the connection is gone.
pub const RST: u8 = 0x04;

/// A TCP ACK: of a flow that goes on.
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

/// A frame that is neither IP nor ARP.
#[must_use]
pub fn foreign() -> Vec<u8> {
    let mut frame = vec![0; 60];
    // Link-layer discovery.
    frame[12..14].copy_from_slice(&[0x88, 0xcc]);
    frame
}
