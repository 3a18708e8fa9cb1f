//! Per-CPU working memory for a packet, because a program's stack has only 512 bytes. Nothing may rely on its contents from one
//! packet to the next. [`crate::maps::scratch`] hands it out.

use sg_common::{
    denied::DeniedKey,
    event::Event,
    flow::FlowKey,
    guest::Claim,
    image::{Header, Keys},
    packet::Packet,
    reject::{Link, RejectPacket},
};

/// Bytes summed at once: `MAX_BPF_STACK`, include/linux/filter.h.
pub const PART: usize = 512;

/// What has been found out about a packet.
pub struct Scratch {
    /// The parsed packet.
    pub packet: Packet,
    /// The addresses that a guest claims.
    pub claimed: Claim,
    /// The packet that an ICMP error quotes.
    pub embedded: Packet,
    /// The flow of the packet, or of the packet that it quotes.
    pub key: FlowKey,
    /// A half-open flow that needs a place.
    pub unplaced: FlowKey,
    /// Whether [`Self::packet`] was parsed, of a packet that takes more than the fast path.
    pub is_parsed: u64,
    /// The name by which a packet that does not pass is counted.
    pub denied: DeniedKey,
    /// Its generation and port, see [`sg_common::denied::DeniedEntry::latest`].
    pub latest: u64,
    /// An event about the packet.
    pub event: Event,
    /// Header of the NIC's image.
    pub header: Header,
    /// Lookup keys of the packet.
    pub keys: Keys,
    /// Lookup keys of its flow's first packet.
    pub original: Keys,
    /// Sender and receiver of a rejected packet on the link.
    pub link: Link,
    /// The reject for the packet.
    pub reject: RejectPacket,
    /// The part of the packet to sum, and a word for its padding.
    pub part: [u32; PART / 4 + 1],
}
