//! Fragments of a datagram, each of which may lie about its place (RFC 791 3.2, RFC 8200 4.5).

use super::{
    Datagram, Ends, Extension, Family, Packet,
    ip::{chain, number},
};

const MORE: u16 = 0x2000;

/// A part of a datagram.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// Who sends it to whom.
    pub ends: Ends,
    /// What names the datagram.
    pub identification: u32,
    /// What its first header is announced as.
    pub next: u8,
    /// Where in the datagram it says that its bytes belong; a multiple of eight.
    pub offset: usize,
    /// Whether it says that more follow.
    pub more: bool,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Splits a datagram before these places, which are rising multiples of eight.
#[must_use]
pub fn split(datagram: &Datagram, identification: u32, splits: &[usize]) -> Vec<Fragment> {
    let length = datagram.bytes.len();
    let mut starts = vec![0];
    starts.extend(splits.iter().copied().filter(|&at| 0 < at && at < length));
    let ends = starts.iter().skip(1).copied().chain([length]);
    let parts = starts.iter().zip(ends);
    parts
        .map(|(&offset, end)| Fragment {
            ends: datagram.ends,
            identification,
            next: datagram.first,
            offset,
            more: end < length,
            bytes: datagram.bytes[offset..end].to_vec(),
        })
        .collect()
}

impl Fragment {
    /// The packet that carries it, in IPv6 with these headers before that of the fragment.
    #[must_use]
    pub fn packet(&self, before: &[Extension]) -> Packet {
        let mut packet = Packet::new(self.ends, self.next, self.bytes.clone());
        packet.is_fragment = self.offset > 0 || self.more || self.ends.family() == Family::V6;
        match self.ends.family() {
            Family::V4 => {
                packet.identification = self.identification as u16;
                packet.fragment = (self.offset / 8) as u16 & 0x1fff | if self.more { MORE } else { 0 };
            }
            Family::V6 => {
                let mut extensions = before.to_vec();
                extensions.push(self.header());
                let (first, mut bytes) = chain(&extensions, self.next);
                bytes.extend(&self.bytes);
                (packet.next, packet.body) = (first, bytes);
            }
        }
        packet
    }

    /// IPv6: its header.
    #[must_use]
    pub fn header(&self) -> Extension {
        let place = (self.offset as u16) & !7 | u16::from(self.more);
        let mut bytes = vec![0, 0];
        bytes.extend(place.to_be_bytes());
        bytes.extend(self.identification.to_be_bytes());
        Extension { number: number::FRAGMENT, bytes }
    }
}
