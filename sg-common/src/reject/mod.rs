//! What the sender of a rejected packet is told: a TCP reset, or that the network does not let the packet through.
//!
//! [`Answer::to`] makes the whole answer, from its IP header on; the datapath sends it back the way that the packet came.
//! It must never answer a reset or an ICMP error: two filters would keep each other busy. Called by the
//! datapath for what [`crate::verdict::Verdict::Reject`] ends.
//!
//! | file | owns |
//! |---|---|
//! | `recipient` | who is told |
//! | `checksum` | sums, and whether those of a packet are right |
//! | `budget` | how often |
//! | `mark` | how an answer is known that meets the filter again |

mod budget;
mod checksum;
mod mark;
mod recipient;

use self::checksum::{fold, pseudo_header};
pub use self::{
    budget::{BURST, PEERS, Pace, SHARE},
    checksum::{MAX_SUMMED, Trust},
    mark::Mark,
    recipient::{Delivery, Link, is_answered, local, remote},
};
use crate::packet::{Address, ETHERNET, Family, Packet, protocol, tcp};

/// Bytes of an ICMP header, and of the transport header that an ICMP error quotes (RFC 792).
const EIGHT: usize = 8;
/// The most bytes of a packet that an ICMP error quotes: an IPv6 header, 64 bytes of extension headers, and eight of what
/// follows. Senders find their socket with that.
pub const MAX_QUOTE: usize = 40 + 64 + EIGHT;
/// The fewest bytes of an answer: a reset over IPv4.
pub const MIN: usize = 20 + TCP_HEADER;
/// The most bytes of an answer.
pub const MAX: usize = 40 + EIGHT + MAX_QUOTE;
const WORDS: usize = MAX / 4;
/// Room for an Ethernet header with two tags, 22 bytes. No IP packet is so short that this reads beyond its end.
const ETHERNET_WORDS: usize = 6;

/// Hop limit of answers (RFC 1700's recommended time to live).
const HOP_LIMIT: u32 = 64;

/// The bytes of an answer, four a word, in the order of the network.
pub type Words = [u32; WORDS];

/// The frame that is answered.
pub trait Source {
    /// Copies `length` bytes, at most [`MAX_QUOTE`], from `offset` of the frame on, whole words. False where it has not so
    /// many, or there is not so much room.
    fn copy(&self, offset: usize, length: usize, into: &mut [u32]) -> bool;

    /// The sum of `seed` and `length` bytes, at most [`MAX_SUMMED`], from `offset` of the frame on, as RFC 1071 adds them up
    /// in the order of the machine. Zero where it has not so many: nothing that is right adds up to that.
    fn sum(&self, offset: usize, length: usize, seed: u32) -> u32;

    /// The same sum of `seed` and an answer.
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

/// An answer: bytes, four a word, in the order of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Answer {
    /// How many bytes the Ethernet header has, with its tags; zero where there is none.
    pub offset: u32,
    /// These.
    pub ethernet: [u32; ETHERNET_WORDS],
    /// How many bytes it has from the IP header on.
    pub length: u32,
    /// These; what comes after is zero.
    pub words: Words,
    /// What is read of the frame.
    read: [u32; ETHERNET_WORDS],
}

impl Default for Answer {
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

impl Answer {
    /// Makes it the answer to `packet`, which begins at `offset` of `frame`. False where that cannot be read.
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

    /// Exchanges the addresses of the Ethernet header.
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

    /// The reset for what would have come to a closed port (RFC 9293 3.10.7.1).
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

    /// Copies the packet's headers behind the ICMP header, whole words of them. Returns how many bytes.
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

    /// Words beyond the last are nowhere: [`MAX`] holds every answer.
    #[inline(always)]
    fn set(&mut self, at: usize, word: u32) {
        if let Some(place) = self.words.get_mut(at) {
            *place = word.to_be();
        }
    }

    /// The checksum (RFC 1071) over all words and the sum `of` what is not in them. What is not written is zero: what is not part
    /// of it is written afterwards.
    #[inline(always)]
    fn checksum<S: Source>(&self, _frame: &S, of: u64) -> u16 {
        !u16::from_be(fold(u64::from(S::sum_of(&self.words, u32::from(fold(of).to_be())))))
    }
}

const TCP_HEADER: usize = 20;

/// How many bytes stand between the IP header of `packet`, which begins at `offset`, as long as it is without options, and its
/// transport header.
#[inline(always)]
#[must_use]
pub const fn between(packet: &Packet, offset: usize) -> u32 {
    (packet.transport as u32).wrapping_sub(offset as u32 + ip_words(packet.family) as u32 * 4)
}

/// Words of the IP header of an answer.
#[inline(always)]
const fn ip_words(family: Family) -> usize {
    match family {
        Family::V4 => 5,
        Family::V6 => 10,
    }
}
