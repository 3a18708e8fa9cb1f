//! Parses a frame into the fields that rules and flows use. Each header field is parsed here and nowhere else.
//!
//! The result is the datagram as its receiver takes it: bytes behind the end of the IP packet are no header, whatever they look
//! like, and a packet that its receiver would discard for its headers is refused.
//!
//! The parser is generic over [`Frame`], so the same code runs over packet memory in the kernel and over a byte slice in tests,
//! fuzzers and `sgctl check`. It must never decide: an unreadable frame yields a [`Reason`](crate::verdict::Reason), and the
//! datapath drops it.

mod fields;
mod named;
mod network;
mod read;
mod transport;
mod vlan;

pub use fields::{Icmp, IpFields, Packet, Part};
pub use named::{NAMED, name};
pub use network::{embedded_offset, finish_plain, is_plain, network, plain};
pub use read::{Bytes, Parsed, Payload, announced, ethernet, parse};
pub use vlan::{Tag, Vlan};

/// Bytes of an Ethernet header without VLAN tags.
pub const ETHERNET: usize = 14;

/// Bytes of an IPv6 header without extension headers (RFC 8200 3).
pub const IPV6_HEADER: usize = 40;

/// Number of IPv6 extension headers at which parsing gives up; leading hop-by-hop options are not counted.
pub const MAX_EXTENSION_HEADERS: u32 = 6;

/// EtherType numbers (IEEE 802 numbers).
pub mod ethertype {
    /// RFC 791.
    pub const IPV4: u16 = 0x0800;
    /// RFC 826.
    pub const ARP: u16 = 0x0806;
    /// RFC 8200.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q: a VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad: the outer one of two tags.
    pub const SERVICE_VLAN: u16 = 0x88a8;
    /// The lowest EtherType: a smaller number in its place is a length (IEEE 802.3 3.2.6).
    pub const FIRST: u16 = 0x0600;
    /// Not on any wire: stands for frames of the spanning tree protocol (IEEE 802.1D), which have no EtherType. It is their LLC
    /// address.
    pub const STP: u16 = 0x0042;
}

/// Protocol numbers (IANA).
pub mod protocol {
    /// RFC 792.
    pub const ICMP: u8 = 1;
    /// RFC 9293.
    pub const TCP: u8 = 6;
    /// RFC 768.
    pub const UDP: u8 = 17;
    /// RFC 4340.
    pub const DCCP: u8 = 33;
    /// RFC 2784.
    pub const GRE: u8 = 47;
    /// RFC 4303.
    pub const ESP: u8 = 50;
    /// RFC 4443.
    pub const ICMPV6: u8 = 58;
    /// RFC 9260.
    pub const SCTP: u8 = 132;
    /// RFC 3828.
    pub const UDP_LITE: u8 = 136;

    /// The type of the SCTP chunk that requests an association, which is alone in its packet (RFC 9260 3.3.2, 6.10).
    pub(super) const SCTP_INIT: u8 = 1;

    /// RFC 8200 4.3, 4.4, 4.5, 4.6: the extension headers that are walked.
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;

    /// Whether `number` is an IPv6 extension header that is walked: no IPv6 packet has it as its protocol.
    #[inline(always)]
    #[must_use]
    pub const fn is_extension_header(number: u8) -> bool {
        matches!(number, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS)
    }
}

/// TCP flags (RFC 9293 3.1).
pub mod tcp {
    /// The sender has no more data.
    pub const FIN: u8 = 0x01;
    /// The connection opens.
    pub const SYN: u8 = 0x02;
    /// The connection is reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
}

/// The bytes of a frame, starting with its Ethernet header.
pub trait Frame {
    /// `N` bytes of it.
    type Window<const N: usize>: Window;

    /// Length of the whole frame in bytes, whether or not all of it can be read.
    fn length(&self) -> usize;

    /// Whether the kernel marks this as a large packet (GSO), which it will segment or has coalesced: only there does a length
    /// field of zero mean a length that it cannot hold. No frame on a wire is one. Called only if that field is zero.
    fn is_large(&self) -> bool;

    /// The VLAN tag that the kernel or a device stripped: it came before all readable tags.
    fn tag(&self) -> Option<Tag>;

    /// The `N` bytes at `offset`; `None` if the frame ends before.
    fn window<const N: usize>(&self, offset: usize) -> Option<Self::Window<N>>;
}

/// A few bytes whose presence was checked. Offsets are constants below the window's size.
pub trait Window: Copy {
    /// One byte.
    fn byte(self, offset: usize) -> u8;
    /// Two bytes in network order.
    fn be16(self, offset: usize) -> u16;
    /// Four bytes in network order.
    fn be32(self, offset: usize) -> u32;
    /// Eight bytes in network order.
    fn be64(self, offset: usize) -> u64;
}

/// The address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4 = 0,
    /// IPv6.
    V6 = 1,
}

impl Family {
    /// Decodes the number of [`Self::V4`] or [`Self::V6`].
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u64) -> Self {
        if number == Self::V4 as u64 { Self::V4 } else { Self::V6 }
    }
}

/// An address as two words in host order. IPv4: the address in `high`, zero in `low`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct Address {
    /// IPv4: the address. IPv6: the first 64 bits.
    pub high: u64,
    /// IPv6: the last 64 bits.
    pub low: u64,
}

impl Address {
    /// Whether this IPv6 address is in `fe80::/10` (RFC 4291 2.5.6).
    #[inline(always)]
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        self.high >> 54 == 0xfe80 >> 6
    }

    /// Whether this is the unspecified address, `0.0.0.0` or `::`.
    #[inline(always)]
    #[must_use]
    pub const fn is_unspecified(self) -> bool {
        self.high == 0 && self.low == 0
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(v4) => Self { high: u64::from(v4.to_bits()), low: 0 },
            core::net::IpAddr::V6(v6) => Self { high: (v6.to_bits() >> 64) as u64, low: v6.to_bits() as u64 },
        }
    }
}

/// Whether `number` is the ICMP of `family`.
#[inline(always)]
#[must_use]
pub const fn is_icmp(family: Family, number: u8) -> bool {
    match family {
        Family::V4 => number == protocol::ICMP,
        Family::V6 => number == protocol::ICMPV6,
    }
}

/// Whether packets of this protocol carry ports that rules can match.
#[inline(always)]
#[must_use]
pub const fn has_ports(number: u8) -> bool {
    matches!(number, protocol::TCP | protocol::UDP | protocol::DCCP | protocol::SCTP | protocol::UDP_LITE)
}
