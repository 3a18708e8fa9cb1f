//! The fields of a packet that rules and flows use, and what they say together. It must never read a frame: `network` and
//! `transport` write the fields, and everything that judges packets asks them.

use super::{Address, Family, Vlan, is_icmp, protocol, tcp};

/// The fields that rules and flows use.
///
/// Fields that are zeroed together are not adjacent, except for eight bytes: more would become a call of memset, which is a loop
/// over bytes in eBPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    /// The address family.
    pub family: Family,
    /// The transport protocol, behind all IPv6 extension headers.
    pub protocol: u8,
    /// Fields of the IP header that are one byte or less.
    pub ip: IpFields,
    /// TCP: the flags, see [`tcp`]. SCTP: [`tcp::SYN`] if the packet is an INIT. Else 0.
    pub tcp_flags: u8,
    /// The source port, if the protocol [`has_ports`](super::has_ports). Else 0.
    pub source_port: u16,
    /// The destination port, likewise. ICMP and ICMPv6: type in the upper byte, code in the lower. Else 0.
    pub l4_selector: u16,
    /// The source address.
    pub source: Address,
    /// The destination address.
    pub destination: Address,
    /// TCP: the sequence number of the first byte. Else 0.
    pub sequence: u32,
    /// TCP: the acknowledgement number. Else 0.
    pub acknowledgement: u32,
    /// TCP: length of the header in bytes. Else 0.
    pub header: u32,
    /// ICMP and ICMPv6: bytes 4 and 5 of the message, the identifier of an echo. Else 0.
    pub identifier: u16,
    /// Whole datagram or which fragment.
    pub part: Part,
    /// Fragments: the identification of the datagram. Else 0.
    pub identification: u32,
    /// Fragments: offset of the bytes in the datagram's payload. Else 0.
    pub offset: u32,
    /// Offset of the transport header in the frame.
    pub transport: usize,
    /// Fragments, including one that is the whole datagram (RFC 6946): offset of the bytes in the frame. Else 0.
    pub payload: usize,
    /// Offset in the frame at which the packet ends for its receiver; for a packet that an ICMP error quotes, at which the
    /// quotation ends. No header reaches beyond it.
    pub end: usize,
    /// The network of the packet. Written by the parser of the Ethernet header, not by that of the IP packet; for a packet that
    /// an ICMP error quotes, it is the error's.
    pub vlan: Vlan,
}

/// Small fields that the IP headers of both families have. Their parsers write it as a whole, so neither can forget one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct IpFields {
    /// Time to live or hop limit.
    pub hop_limit: u8,
    /// The DSCP, 0 to 63 (RFC 2474 3). The two bits behind it (ECN, RFC 3168) change on the way and are not read.
    pub dscp: u8,
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// The whole datagram.
    Whole = 0,
    /// The first fragment: it has the transport header.
    First = 1,
    /// A fragment in the middle. It has no transport header: ports, types and flags are zero.
    Middle = 2,
    /// The last fragment. Likewise.
    Last = 3,
}

impl Part {
    /// Whether it is a fragment other than the first.
    #[inline(always)]
    pub(super) const fn is_later(self) -> bool {
        // By the numbers: one comparison.
        self as u8 >= Self::Middle as u8
    }
}

impl Packet {
    /// An empty packet, to be overwritten.
    pub const EMPTY: Self = Self {
        family: Family::V4,
        protocol: 0,
        ip: IpFields { hop_limit: 0, dscp: 0 },
        tcp_flags: 0,
        source: Address { high: 0, low: 0 },
        destination: Address { high: 0, low: 0 },
        source_port: 0,
        l4_selector: 0,
        identifier: 0,
        sequence: 0,
        acknowledgement: 0,
        header: 0,
        transport: 0,
        end: 0,
        part: Part::Whole,
        identification: 0,
        offset: 0,
        payload: 0,
        vlan: Vlan::NONE,
    };
}

/// Kind of an ICMP message, in the family it belongs to: 1 in IPv4, 58 in IPv6. In the other family the number is just a
/// protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// An echo request.
    EchoRequest,
    /// An echo reply.
    EchoReply,
    /// An error about another packet, quoted behind the ICMP header.
    Error,
    /// Anything else.
    Other,
}

impl Packet {
    /// Whether the protocol is the ICMP of the family.
    #[inline(always)]
    #[must_use]
    pub const fn is_icmp(&self) -> bool {
        is_icmp(self.family, self.protocol)
    }

    /// The kind of ICMP message; `None` if it is not ICMP. Types: RFC 792, RFC 4443.
    #[inline(always)]
    #[must_use]
    pub const fn icmp(&self) -> Option<Icmp> {
        if !self.is_icmp() {
            return None;
        }
        // A later fragment has no type, and an echo has code zero: with another code it is judged by itself.
        if self.is_later_fragment() {
            return Some(Icmp::Other);
        }
        Some(match (self.family, self.l4_selector >> 8, self.l4_selector & 0xff) {
            (Family::V4, 8, 0) | (Family::V6, 128, 0) => Icmp::EchoRequest,
            (Family::V4, 0, 0) | (Family::V6, 129, 0) => Icmp::EchoReply,
            (Family::V4, 3 | 11 | 12, _) | (Family::V6, 1..=4, _) => Icmp::Error,
            _ => Icmp::Other,
        })
    }

    /// Whether this is a fragment other than the first: it follows the first, without rules.
    #[inline(always)]
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        self.part.is_later()
    }

    /// Sets what all IPv4 packets have in common.
    #[inline(always)]
    pub(super) const fn no_ipv6(&mut self) {
        self.family = Family::V4;
        self.source.low = 0;
        self.destination.low = 0;
    }

    #[inline(always)]
    pub(super) const fn no_fragment(&mut self) {
        self.identification = 0;
        self.offset = 0;
        self.payload = 0;
    }

    #[inline(always)]
    pub(super) fn no_transport(&mut self) {
        self.tcp_flags = 0;
        self.source_port = 0;
        self.l4_selector = 0;
        self.sequence = 0;
        self.acknowledgement = 0;
        // No more than eight bytes at once, see above.
        core::hint::black_box(());
        self.header = 0;
        self.identifier = 0;
    }

    /// End of this fragment's bytes, as an offset in the datagram's payload.
    #[inline(always)]
    #[must_use]
    pub const fn fragment_end(&self) -> u32 {
        self.offset + (self.end as u32).saturating_sub(self.payload as u32)
    }

    /// Offset of the transport header in the frame, if its distance from the IP header, which begins at `network`, is in the
    /// range.
    ///
    /// The distance is compared by itself, and added only then: a verifier before Linux 6.11 does not derive the bounds of a
    /// number from those of a difference that it is part of, and trusts only the register that was compared, while it still has
    /// it.
    #[inline(always)]
    #[must_use]
    pub fn transport_behind(
        &self,
        network: usize,
        distance: core::ops::RangeInclusive<usize>,
    ) -> Option<usize> {
        let least = *distance.start();
        let beyond = core::hint::black_box(self.transport.wrapping_sub(network + least));
        if beyond > *distance.end() - least {
            None
        } else {
            Some(network + least + core::hint::black_box(beyond))
        }
    }

    /// TCP: the next sequence number of the sender.
    #[inline(always)]
    #[must_use]
    pub const fn sequence_end(&self) -> u32 {
        self.sequence.wrapping_add(self.sequence_length().cast_unsigned() as u32)
    }

    /// TCP: how many sequence numbers this packet occupies.
    #[inline(always)]
    #[must_use]
    pub const fn sequence_length(&self) -> isize {
        // Signed: a saturating subtraction is twice as long in eBPF.
        let begins = self.transport + self.header as usize;
        let payload = self.end.cast_signed() - begins.cast_signed();
        let marks = ((self.tcp_flags & tcp::SYN != 0) as isize) + ((self.tcp_flags & tcp::FIN != 0) as isize);
        if payload > 0 { payload + marks } else { marks }
    }

    /// TCP: whether this packet carries data, not only flags.
    #[inline(always)]
    #[must_use]
    pub const fn has_data(&self) -> bool {
        self.end > self.transport + self.header as usize
    }

    /// Whether this packet requests a new TCP connection.
    #[inline(always)]
    #[must_use]
    pub const fn is_syn(&self) -> bool {
        self.protocol == protocol::TCP && self.requests_connection()
    }

    /// Whether this packet requests a new TCP connection or SCTP association.
    #[inline(always)]
    #[must_use]
    pub const fn requests_connection(&self) -> bool {
        self.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN
    }

    /// Whether this is a packet of IPsec that is still encrypted: ESP, or the UDP that carries it through address translation
    /// (RFC 3948). A later fragment has no ports, and no device decrypts one.
    #[inline(always)]
    #[must_use]
    pub const fn is_esp(&self) -> bool {
        const ENCAPSULATED: u16 = 4500;
        self.protocol == protocol::ESP
            || self.protocol == protocol::UDP
                && (self.source_port == ENCAPSULATED || self.l4_selector == ENCAPSULATED)
    }

    /// Whether this is a TCP reset.
    #[inline(always)]
    #[must_use]
    pub const fn is_reset(&self) -> bool {
        self.protocol == protocol::TCP && self.tcp_flags & tcp::RST != 0
    }

    /// Whether this is a TCP packet that opens no connection.
    #[inline(always)]
    #[must_use]
    pub const fn is_mid_stream(&self) -> bool {
        self.protocol == protocol::TCP && !self.is_syn()
    }
}
