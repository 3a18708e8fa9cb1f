//! What the sender of a rejected packet is told: a TCP reset, or that the network does not let the packet through.
//!
//! [`Answer::to`] makes the whole answer, from its IP header on; the datapath sends it back the way that the packet came.
//! It must never answer a reset or an ICMP error: two filters would keep each other busy. Called by the
//! datapath for what [`crate::verdict::Verdict::Reject`] ends.

use crate::{
    clock::elapsed,
    packet::{Address, Family, Icmp, Packet, protocol, tcp},
};

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
const QUOTE_WORDS: usize = MAX_QUOTE / 4;
/// Room for an Ethernet header with two tags, 22 bytes. No IP packet is so short that this reads beyond its end.
const ETHERNET_WORDS: usize = 6;

/// Hop limit of answers (RFC 1700's recommended time to live).
const HOP_LIMIT: u32 = 64;

/// Answers that may be sent at once after a pause: more than these keep to the rate.
const BURST: u64 = 50;

/// The frame that is answered.
pub trait Source {
    /// Copies `length` bytes, at most [`MAX_QUOTE`], from `offset` of the frame on. False where it has not so many.
    fn copy(&self, offset: usize, length: usize, into: &mut [u32; QUOTE_WORDS]) -> bool;
}

impl Source for &[u8] {
    fn copy(&self, offset: usize, length: usize, into: &mut [u32; QUOTE_WORDS]) -> bool {
        let Some(bytes) = self.get(offset..offset + length) else { return false };
        for (word, bytes) in into.iter_mut().zip(bytes.chunks(4)) {
            let mut four = [0; 4];
            four[..bytes.len()].copy_from_slice(bytes);
            *word = u32::from_ne_bytes(four);
        }
        true
    }
}

/// An answer: bytes, four a word, in the order of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Answer {
    /// How many bytes the Ethernet header has, with its tags.
    pub offset: u32,
    /// These.
    pub ethernet: [u32; ETHERNET_WORDS],
    /// How many bytes it has from the IP header on.
    pub length: u32,
    /// These; what comes after is zero.
    pub words: [u32; WORDS],
    /// What is read of the frame.
    read: [u32; QUOTE_WORDS],
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            offset: 0,
            ethernet: [0; ETHERNET_WORDS],
            length: 0,
            words: [0; WORDS],
            read: [0; QUOTE_WORDS],
        }
    }
}

impl Answer {
    /// Makes it the answer to `packet`, which begins at `offset` of `frame`. False where nobody is to be told, see
    /// [`is_answered`].
    #[inline(always)]
    pub fn to(&mut self, frame: &impl Source, offset: usize, packet: &Packet) -> bool {
        if !is_answered(packet) || !self.turn(frame) {
            return false;
        }
        self.offset = offset as u32;
        self.words = [0; WORDS];
        if packet.protocol == protocol::TCP {
            self.reset(packet);
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
        let checksum = self.checksum(at, WORDS, pseudo);
        self.set(at, first | u32::from(checksum));
        self.head(packet, protocol, length);
        true
    }

    /// Exchanges the addresses of the Ethernet header. False for a frame to a group: that was asked for by nobody
    /// (RFC 1122 3.2.2).
    #[inline(always)]
    fn turn(&mut self, frame: &impl Source) -> bool {
        const GROUP: u32 = 1 << 24;
        if !frame.copy(0, ETHERNET_WORDS * 4, &mut self.read) {
            return false;
        }
        let [to, between, from, rest @ ..] = self.read;
        let [to, between, from] = [to, between, from].map(u32::from_be);
        let turned = [between << 16 | from >> 16, from << 16 | to >> 16, to << 16 | between >> 16];
        let [first, second, third] = turned.map(u32::to_be);
        self.ethernet = [first, second, third, rest[0], rest[1], rest[2]];
        to & GROUP == 0
    }

    /// The reset for what would have come to a closed port (RFC 9293 3.10.7.1).
    #[inline(always)]
    fn reset(&mut self, packet: &Packet) {
        const LENGTH: u32 = (TCP_HEADER as u32 / 4) << 28;
        let at = ip_words(packet.family);
        let (sequence, acknowledgement, flags) = if packet.tcp_flags & tcp::ACK == 0 {
            (0, packet.sequence_end(), tcp::RST | tcp::ACK)
        } else {
            (packet.acknowledgement, 0, tcp::RST)
        };
        self.set(at, u32::from(packet.detail) << 16 | u32::from(packet.source_port));
        self.set(at + 1, sequence);
        self.set(at + 2, acknowledgement);
        self.set(at + 3, LENGTH | u32::from(flags) << 16);
        self.set(at + 4, 0);
        let pseudo = pseudo_header(packet, protocol::TCP, TCP_HEADER);
        let checksum = self.checksum(at, WORDS, pseudo);
        self.set(at + 4, u32::from(checksum) << 16);
    }

    /// Copies the packet's headers behind the ICMP header, whole words of them. Returns how many bytes.
    #[inline(always)]
    fn quote(&mut self, frame: &impl Source, offset: usize, packet: &Packet) -> Option<usize> {
        let end = if packet.transport + EIGHT < packet.end { packet.transport + EIGHT } else { packet.end };
        let whole = end.checked_sub(offset)?;
        let length = if whole < MAX_QUOTE { whole & !3 } else { MAX_QUOTE };
        self.read = [0; QUOTE_WORDS];
        if length == 0 || !frame.copy(offset, length, &mut self.read) {
            return None;
        }
        let at = ip_words(packet.family) + EIGHT / 4;
        let mut index = 0;
        while index < QUOTE_WORDS {
            if let Some(place) = self.words.get_mut(at + index) {
                *place = self.read[index];
            }
            index += 1;
        }
        Some(length)
    }

    /// Writes the IP header in front of `length` bytes.
    #[inline(always)]
    fn head(&mut self, packet: &Packet, protocol: u8, length: usize) {
        let (source, destination) = (packet.destination, packet.source);
        self.length = (ip_words(packet.family) * 4 + length) as u32;
        match packet.family {
            Family::V4 => {
                const DO_NOT_FRAGMENT: u32 = 0x4000;
                let third = HOP_LIMIT << 24 | u32::from(protocol) << 16;
                self.set(0, 0x4500_0000 | self.length);
                self.set(1, DO_NOT_FRAGMENT);
                self.set(2, third);
                self.set(3, source.high as u32);
                self.set(4, destination.high as u32);
                self.set(2, third | u32::from(self.checksum(0, 5, 0)));
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

    /// RFC 1071, over the words from `from` up to `to` and the sum `of` what is not in them. What is not written is zero, so
    /// no loop ends where the answer does: the verifier would follow everything that comes after from each such end.
    #[inline(always)]
    fn checksum(&self, from: usize, to: usize, of: u64) -> u16 {
        let mut sum = of;
        let mut index = from;
        while index < to {
            sum += u64::from(u32::from_be(self.words[index]));
            index += 1;
        }
        !fold(sum)
    }
}

const TCP_HEADER: usize = 20;

/// Words of the IP header of an answer.
#[inline(always)]
const fn ip_words(family: Family) -> usize {
    match family {
        Family::V4 => 5,
        Family::V6 => 10,
    }
}

/// The sum of the addresses, the protocol and the length (RFC 9293 3.1, RFC 8200 8.1). It does not matter who is first.
#[inline(always)]
const fn pseudo_header(packet: &Packet, protocol: u8, length: usize) -> u64 {
    halves(packet.source) + halves(packet.destination) + protocol as u64 + length as u64
}

#[inline(always)]
const fn halves(address: Address) -> u64 {
    const LOWER: u64 = 0xffff_ffff;
    (address.high >> 32) + (address.high & LOWER) + (address.low >> 32) + (address.low & LOWER)
}

/// Adds the 16-bit parts up, carries included.
#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// Whether the sender of `packet` is told that it was rejected. Nobody is told about a reset or an ICMP message other than
/// an echo request, about a later fragment, or about what was for many or from nobody (RFC 1122 3.2.2, RFC 4443 2.4).
#[inline(always)]
#[must_use]
pub const fn is_answered(packet: &Packet) -> bool {
    let is_last_word = match packet.icmp() {
        Some(Icmp::EchoRequest) => false,
        Some(_) => true,
        None => packet.protocol == protocol::TCP && packet.tcp_flags & tcp::RST != 0,
    };
    !is_last_word
        && !packet.is_later_fragment()
        && is_one(packet.family, packet.source)
        && is_one(packet.family, packet.destination)
}

/// Whether the address is that of one interface: no group, nobody, and not everybody.
#[inline(always)]
const fn is_one(family: Family, address: Address) -> bool {
    match family {
        // 224.0.0.0 and above are groups, reserved, and everybody; 0.0.0.0/8 is nobody (RFC 1122 3.2.1.3).
        Family::V4 => address.high >> 24 != 0 && address.high < 0xe000_0000,
        Family::V6 => !address.is_unspecified() && address.high >> 56 != 0xff,
    }
}

/// Whether one more answer may be sent at `now`, where they are `interval` nanoseconds apart in the long run; an interval
/// of zero: none. `due` remembers, for one NIC, when the answers sent so far would have ended at that pace.
///
/// Two processors that ask at once may both be told yes: an answer more is no harm.
#[inline(always)]
pub fn may_answer(due: &mut u64, now: u64, interval: u64) -> bool {
    let ahead = elapsed(*due, now);
    if interval == 0 || ahead > interval * (BURST - 1) {
        return false;
    }
    *due = now.wrapping_add(ahead).wrapping_add(interval);
    true
}
