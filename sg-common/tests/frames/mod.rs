//! Frames by hand, byte for byte as the RFCs draw them; no checksums, which the parser does not read.

#![allow(dead_code, reason = "each test binary builds some of them")]

/// 192.0.2.1 and 10.0.0.5.
pub(crate) const SOURCE4: [u8; 4] = [192, 0, 2, 1];
pub(crate) const DESTINATION4: [u8; 4] = [10, 0, 0, 5];
/// `2001:db8:f::1` and `2001:db8::5`.
pub(crate) const SOURCE6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(crate) const DESTINATION6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];

pub(crate) const HOP_LIMIT: u8 = 64;

pub(crate) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &kind.to_be_bytes()[..], payload].concat()
}

/// An IPv4 header without Ethernet; `options` are a multiple of four long.
pub(crate) fn ipv4_header(protocol: u8, options: &[u8], payload: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let total = (header + payload.len()) as u16;
    let mut ip = vec![0x40 | (header / 4) as u8, 0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0, 0, HOP_LIMIT, protocol, 0, 0]);
    [&ip[..], &SOURCE4, &DESTINATION4, options, payload].concat()
}

pub(crate) fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(0x0800, &ipv4_header(protocol, &[], payload))
}

/// An IPv6 header without Ethernet; `next` is the number of what `payload` begins with.
pub(crate) fn ipv6_header(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend((payload.len() as u16).to_be_bytes());
    ip.extend([next, HOP_LIMIT]);
    [&ip[..], &SOURCE6, &DESTINATION6, payload].concat()
}

pub(crate) fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    ethernet(0x86dd, &ipv6_header(next, payload))
}

pub(crate) fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    [&ports[..], &[0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xfa, 0xf0, 0, 0, 0, 0]].concat()
}

pub(crate) fn udp(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes(), [0, 8], [0, 0]].concat()
}

pub(crate) fn sctp(source: u16, destination: u16) -> Vec<u8> {
    [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0; 8]].concat()
}

/// An ICMP or ICMPv6 message, `rest` behind its first eight bytes.
pub(crate) fn icmp(kind: u8, code: u8, identifier: u16, rest: &[u8]) -> Vec<u8> {
    [&[kind, code, 0, 0], &identifier.to_be_bytes()[..], &[0, 1], rest].concat()
}

/// An IPv6 extension header of `eights` times eight bytes, the next header being `next`.
pub(crate) fn extension(next: u8, eights: u8) -> Vec<u8> {
    let mut header = vec![0; usize::from(eights) * 8];
    header[0] = next;
    header[1] = eights - 1;
    header
}

/// An IPv6 fragment header; `offset` in units of eight bytes.
pub(crate) fn fragment(next: u8, offset: u16, more: bool) -> Vec<u8> {
    [&[next, 0], &(offset << 3 | u16::from(more)).to_be_bytes()[..], &[0, 0, 0, 1]].concat()
}
