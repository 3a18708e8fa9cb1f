//! Rejects: the TCP reset or ICMP error ("administratively prohibited") for the sender of a rejected packet.
//!
//! [`RejectPacket::to`] builds the whole packet, starting with its IP header; the datapath sends it back the way that the rejected
//! packet came. It must never reply to a reset or an ICMP error: two filters would keep each other busy. Called by the datapath
//! for packets with [`crate::verdict::Verdict::Reject`].
//!
//! | file | owns |
//! |---|---|
//! | `recipient` | who gets a reject |
//! | `checksum` | checksums, and whether those of a packet are correct |
//! | `budget` | rate limits |
//! | `mark` | recognizing a reject that meets the filter again |

mod budget;
mod checksum;
mod mark;
mod recipient;

use self::checksum::{fold, pseudo_header};
pub use self::{
    budget::{BURST, PEERS, RateLimit, SHARE},
    checksum::{MAX_SUMMED, Trust},
    mark::Mark,
    recipient::{Delivery, Link, gets_reject, local, remote},
};
use crate::packet::{Address, ETHERNET, Family, Packet, protocol, tcp};

/// Bytes of an ICMP header, and of the transport header that an ICMP error quotes (RFC 792).
const EIGHT: usize = 8;
/// Maximum length of the quotation in an ICMP error: an IPv6 header, 64 bytes of extension headers, and eight of what follows.
/// That is enough for senders to find their socket.
pub const MAX_QUOTE: usize = 40 + 64 + EIGHT;
/// Minimum length of a reject: a reset over IPv4.
pub const MIN: usize = 20 + TCP_HEADER;
/// Maximum length of a reject.
pub const MAX: usize = 40 + EIGHT + MAX_QUOTE;
const WORDS: usize = MAX / 4;
/// Room for an Ethernet header with two tags, 22 bytes. No IP packet is so short that this reads beyond its end.
const ETHERNET_WORDS: usize = 6;

/// Hop limit of rejects (RFC 1700's recommended time to live).
const HOP_LIMIT: u32 = 64;

/// The bytes of a reject, four per word, in network order.
pub type Words = [u32; WORDS];

/// The rejected frame.
pub trait Source {
    /// Copies `length` bytes, at most [`MAX_QUOTE`], from `offset` of the frame, in whole words. Returns false if the frame or
    /// the buffer is too short.
    fn copy(&self, offset: usize, length: usize, into: &mut [u32]) -> bool;

    /// The sum of `seed` and `length` bytes, at most [`MAX_SUMMED`], from `offset` of the frame, in host order as in RFC 1071.
    /// Zero if the frame is too short: no correct data sums to that.
    fn sum(&self, offset: usize, length: usize, seed: u32) -> u32;

    /// The same sum of `seed` and a reject.
    fn sum_of(words: &Words, seed: u32) -> u32;
}

impl Source for &[u8] {
    fn copy(&self, offset: usize, length: usize, into: &mut [u32]) -> bool {
        let Some(bytes) = self.get(offset..offset + length) else { return false };
        if into.len() * 4 < length {
            return false;
        }
        for (word, bytes) in into.iter_mut().zip(bytes.chunks(4)) {
            let mut four = [0; 4];
            four[..bytes.len()].copy_from_slice(bytes);
            *word = u32::from_ne_bytes(four);
        }
        true
    }

    fn sum(&self, offset: usize, length: usize, seed: u32) -> u32 {
        let Some(bytes) = self.get(offset..offset.saturating_add(length)) else { return 0 };
        let words = bytes.chunks(2).map(|pair| match *pair {
            [first, second] => u64::from(u16::from_ne_bytes([first, second])),
            [last] => u64::from(u16::from_ne_bytes([last, 0])),
            _ => 0,
        });
        u32::from(fold(u64::from(seed) + words.sum::<u64>()))
    }

    fn sum_of(words: &Words, seed: u32) -> u32 {
        u32::from(fold(words.iter().fold(u64::from(seed), |sum, &word| sum + u64::from(word))))
    }
}

/// A reject: bytes, four per word, in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct RejectPacket {
    /// Length of the Ethernet header in bytes, including tags; zero if there is none.
    pub offset: u32,
    /// The Ethernet header.
    pub ethernet: [u32; ETHERNET_WORDS],
    /// Length in bytes, starting with the IP header.
    pub length: u32,
    /// The packet, starting with the IP header; zeros behind it.
    pub words: Words,
    /// Buffer for reads from the frame.
    read: [u32; ETHERNET_WORDS],
}

impl Default for RejectPacket {
    fn default() -> Self {
        Self {
            offset: 0,
            ethernet: [0; ETHERNET_WORDS],
            length: 0,
            words: [0; WORDS],
            read: [0; ETHERNET_WORDS],
        }
    }
}

impl RejectPacket {
    /// Builds the reject for `packet`, which begins at `offset` of `frame`. Returns false if that cannot be read.
    #[inline(always)]
    pub fn to(&mut self, frame: &impl Source, offset: usize, packet: &Packet) -> bool {
        if offset >= ETHERNET && !self.turn(frame) {
            return false;
        }
        self.offset = offset as u32;
        self.words = [0; WORDS];
        if packet.protocol == protocol::TCP {
            self.reset(frame, packet);
            self.head(packet, protocol::TCP, TCP_HEADER);
            return true;
        }
        let Some(quoted) = self.quote(frame, offset, packet) else { return false };
        let (protocol, first) = match packet.family {
            // Communication administratively prohibited: RFC 1812 5.2.7.1, RFC 4443 3.1.
            Family::V4 => (protocol::ICMP, 3 << 24 | 13 << 16),
            Family::V6 => (protocol::ICMPV6, 1 << 24 | 1 << 16),
        };
        let at = ip_words(packet.family);
        let length = EIGHT + quoted;
        self.set(at, first);
        self.set(at + 1, 0);
        let pseudo = match packet.family {
            Family::V4 => 0,
            Family::V6 => pseudo_header(packet, protocol, length),
        };
        let checksum = self.checksum(frame, pseudo);
        self.set(at, first | u32::from(checksum));
        self.head(packet, protocol, length);
        true
    }

    /// Swaps the addresses of the Ethernet header.
    #[inline(always)]
    fn turn(&mut self, frame: &impl Source) -> bool {
        if !frame.copy(0, ETHERNET_WORDS * 4, &mut self.read) {
            return false;
        }
        let [to, between, from, rest @ ..] = self.read;
        let [to, between, from] = [to, between, from].map(u32::from_be);
        let turned = [between << 16 | from >> 16, from << 16 | to >> 16, to << 16 | between >> 16];
        let [first, second, third] = turned.map(u32::to_be);
        self.ethernet = [first, second, third, rest[0], rest[1], rest[2]];
        true
    }

    /// The reset for a segment to a closed port (RFC 9293 3.10.7.1).
    #[inline(always)]
    fn reset(&mut self, frame: &impl Source, packet: &Packet) {
        const LENGTH: u32 = (TCP_HEADER as u32 / 4) << 28;
        let at = ip_words(packet.family);
        let (sequence, acknowledgement, flags) = if packet.tcp_flags & tcp::ACK == 0 {
            (0, packet.sequence_end(), tcp::RST | tcp::ACK)
        } else {
            (packet.acknowledgement, 0, tcp::RST)
        };
        self.set(at, u32::from(packet.l4_selector) << 16 | u32::from(packet.source_port));
        self.set(at + 1, sequence);
        self.set(at + 2, acknowledgement);
        self.set(at + 3, LENGTH | u32::from(flags) << 16);
        self.set(at + 4, 0);
        let pseudo = pseudo_header(packet, protocol::TCP, TCP_HEADER);
        let checksum = self.checksum(frame, pseudo);
        self.set(at + 4, u32::from(checksum) << 16);
    }

    /// Copies the packet's headers behind the ICMP header, in whole words. Returns their length in bytes.
    #[inline(always)]
    fn quote(&mut self, frame: &impl Source, offset: usize, packet: &Packet) -> Option<usize> {
        let end = if packet.transport + EIGHT < packet.end { packet.transport + EIGHT } else { packet.end };
        let whole = end.checked_sub(offset)?;
        let length = if whole < MAX_QUOTE { whole & !3 } else { MAX_QUOTE };
        let room = self.words.get_mut(ip_words(packet.family) + EIGHT / 4..)?;
        (length > 0 && frame.copy(offset, length, room)).then_some(length)
    }

    /// Writes the IP header in front of `length` bytes.
    #[inline(always)]
    fn head(&mut self, packet: &Packet, protocol: u8, length: usize) {
        let (source, destination) = (packet.destination, packet.source);
        self.length = (ip_words(packet.family) * 4 + length) as u32;
        match packet.family {
            Family::V4 => {
                const DO_NOT_FRAGMENT: u32 = 0x4000;
                let first = 0x4500_0000 | self.length;
                let third = HOP_LIMIT << 24 | u32::from(protocol) << 16;
                let (source, destination) = (source.high as u32, destination.high as u32);
                let sum = [first, DO_NOT_FRAGMENT, third, source, destination].map(u64::from);
                let sum = sum[0] + sum[1] + sum[2] + sum[3] + sum[4];
                self.set(0, first);
                self.set(1, DO_NOT_FRAGMENT);
                self.set(2, third | u32::from(!fold(sum)));
                self.set(3, source);
                self.set(4, destination);
            }
            Family::V6 => {
                self.set(0, 6 << 28);
                self.set(1, (length as u32) << 16 | u32::from(protocol) << 8 | HOP_LIMIT);
                self.address(2, source);
                self.address(6, destination);
            }
        }
    }

    #[inline(always)]
    fn address(&mut self, at: usize, address: Address) {
        self.set(at, (address.high >> 32) as u32);
        self.set(at + 1, address.high as u32);
        self.set(at + 2, (address.low >> 32) as u32);
        self.set(at + 3, address.low as u32);
    }

    /// Ignores words beyond the last: [`MAX`] holds every reject.
    #[inline(always)]
    fn set(&mut self, at: usize, word: u32) {
        if let Some(place) = self.words.get_mut(at) {
            *place = word.to_be();
        }
    }

    /// The checksum (RFC 1071) over all words and `of`, the sum of what is not in them. Unwritten words are zero: what is not
    /// part of the sum is written afterwards.
    #[inline(always)]
    fn checksum<S: Source>(&self, _frame: &S, of: u64) -> u16 {
        !u16::from_be(fold(u64::from(S::sum_of(&self.words, u32::from(fold(of).to_be())))))
    }
}

const TCP_HEADER: usize = 20;

/// Length of what is between the IP header of `packet`, which begins at `offset`, counted without options, and its transport
/// header.
#[inline(always)]
#[must_use]
pub const fn between(packet: &Packet, offset: usize) -> u32 {
    (packet.transport as u32).wrapping_sub(offset as u32 + ip_words(packet.family) as u32 * 4)
}

/// Words of the IP header of a reject.
#[inline(always)]
const fn ip_words(family: Family) -> usize {
    match family {
        Family::V4 => 5,
        Family::V6 => 10,
    }
}
