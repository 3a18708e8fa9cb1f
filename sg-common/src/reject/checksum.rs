//! Checksums (RFC 1071): those of rejects, and whether those of a rejected packet are correct. A receiver does not reply to a
//! packet with a wrong checksum, and neither does the filter in its place.
//!
//! Sums are of 16-bit words in host order, so that the kernel's can be used: the carry wraps around, and swapping the bytes of
//! the sum is the same as swapping them before. Called by [`super`].

use super::{RejectPacket, Source};
use crate::packet::{Address, Family, Packet, Part, is_icmp, protocol};

/// Maximum length of a transport segment that is summed, in bytes: more than fits into a frame at XDP. Longer ones count as
/// correct: the kernel coalesced them from segments that it checked.
pub const MAX_SUMMED: usize = 4096;

/// What is known about the checksum in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It covers the segment.
    Whole,
    /// It covers the segment, or only the pseudo-header: a sender on this host leaves the rest to the device.
    Unsure,
    /// No check needed: it was checked, or has not been computed yet.
    Known,
}

impl RejectPacket {
    /// Whether the checksums of `packet`, which begins at `offset` of `frame`, are correct as far as can be known.
    #[inline(always)]
    pub fn is_sound(&mut self, frame: &impl Source, offset: usize, packet: &Packet, trust: Trust) -> bool {
        const RIGHT: u16 = 0xffff;
        let v4 = packet.family as u8 == Family::V4 as u8;
        let room = &mut self.read;
        if v4 {
            let header = packet.transport.wrapping_sub(offset);
            if fold(u64::from(frame.sum(offset, header, 0))) != RIGHT {
                return false;
            }
        }
        // No fragment has all bytes.
        if trust as u8 == Trust::Known as u8 || packet.part as u8 != Part::Whole as u8 {
            return true;
        }
        let mut length = packet.end.wrapping_sub(packet.transport);
        // The checksum field, as left for a device to complete; [`NOTHING`] for protocols that no device completes.
        let mut found = NOTHING;
        match packet.protocol {
            protocol::TCP => {
                if frame.copy(packet.transport + TCP_CHECKSUM, 4, room) {
                    found = u32::from_be(room[0]) >> 16;
                }
            }
            protocol::UDP => {
                if !frame.copy(packet.transport + UDP_LENGTH, 4, room) {
                    return false;
                }
                let word = u32::from_be(room[0]);
                found = word & 0xffff;
                if found == 0 {
                    // The sender computed none (RFC 768).
                    return true;
                }
                // Bytes behind the datagram are not part of it.
                let own = (word >> 16) as usize;
                length = if own < length { own } else { length };
            }
            protocol if is_icmp(packet.family, protocol) => {}
            _ => return true,
        }
        if length > MAX_SUMMED {
            return true;
        }
        // ICMP of IPv4 has no pseudo-header.
        let pseudo = if v4 && packet.protocol == protocol::ICMP {
            0
        } else {
            fold(pseudo_header(packet, packet.protocol, length))
        };
        trust as u8 == Trust::Unsure as u8 && found == u32::from(pseudo)
            || fold(u64::from(frame.sum(packet.transport, length, u32::from(pseudo.to_be())))) == RIGHT
    }
}

const TCP_CHECKSUM: usize = 16;
const UDP_LENGTH: usize = 4;
/// No checksum.
const NOTHING: u32 = 1 << 16;

/// The sum of the addresses, the protocol and the length (RFC 9293 3.1, RFC 8200 8.1), in network order. The order of the
/// addresses does not matter.
#[inline(always)]
pub(super) const fn pseudo_header(packet: &Packet, protocol: u8, length: usize) -> u64 {
    halves(packet.source) + halves(packet.destination) + protocol as u64 + length as u64
}

#[inline(always)]
const fn halves(address: Address) -> u64 {
    const LOWER: u64 = 0xffff_ffff;
    (address.high >> 32) + (address.high & LOWER) + (address.low >> 32) + (address.low & LOWER)
}

/// Adds up the 16-bit parts, including carries.
#[inline(always)]
pub(super) const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}
