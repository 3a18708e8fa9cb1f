//! A frame, read into the fields that rules and flows look at. Each field of a header is parsed here and
//! nowhere else.
//!
//! Reading is generic over [`Frame`], so the same parser runs over packet memory in the kernel and over a
//! byte slice in tests, fuzzers and `sgctl check`. It must never decide: a frame that cannot be read comes
//! back as a [`Reason`], and the datapath drops it.

use crate::verdict::Reason;

/// Bytes of an Ethernet header without VLAN tags.
pub const ETHERNET: usize = 14;

/// VLAN tags that are looked through (IEEE 802.1Q, and 802.1ad before it).
const MAX_VLAN_TAGS: usize = 2;

/// IPv6 extension headers that are walked before the packet is given up.
pub const MAX_EXTENSION_HEADERS: u32 = 6;

/// `EtherType` numbers (IEEE 802 numbers).
pub mod ethertype {
    /// RFC 791.
    pub const IPV4: u16 = 0x0800;
    /// RFC 826.
    pub const ARP: u16 = 0x0806;
    /// RFC 8200.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q: a VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad: the outer one of two.
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

/// Protocol numbers (IANA).
pub mod protocol {
    /// RFC 792.
    pub const ICMP: u8 = 1;
    /// RFC 9293.
    pub const TCP: u8 = 6;
    /// RFC 768.
    pub const UDP: u8 = 17;
    /// RFC 2784.
    pub const GRE: u8 = 47;
    /// RFC 4443.
    pub const ICMPV6: u8 = 58;
    /// RFC 9260.
    pub const SCTP: u8 = 132;

    /// RFC 8200 4.3, 4.4, 4.5, 4.6: the extension headers that are walked.
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
}

/// TCP flags (RFC 9293 3.1).
pub mod tcp {
    /// The sender is done.
    pub const FIN: u8 = 0x01;
    /// The connection opens.
    pub const SYN: u8 = 0x02;
    /// The connection is gone.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// The bytes of a frame, from its Ethernet header on.
pub trait Frame {
    /// `N` bytes of it.
    type Window<const N: usize>: Window;

    /// The whole length in bytes, whether or not all of it can be read.
    fn length(&self) -> usize;

    /// The `N` bytes at `offset`, or none where the frame ends before.
    fn window<const N: usize>(&self, offset: usize) -> Option<Self::Window<N>>;
}

/// A few bytes that are known to be there. Offsets are constants below the window's size.
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

/// What rules and flows look at.
///
/// What is zero together does not stand together, but for eight bytes: more would become a call of memset, which is a loop
/// over bytes in eBPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Packet {
    /// The address family.
    pub family: Family,
    /// The transport protocol; IPv6 extension headers are behind us.
    pub protocol: u8,
    /// Time to live or hop limit.
    pub hop_limit: u8,
    /// TCP: the flags, see [`tcp`].
    pub tcp_flags: u8,
    /// TCP, UDP, SCTP: the source port. Else 0.
    pub source_port: u16,
    /// TCP, UDP, SCTP: the destination port. ICMP and ICMPv6: type in the upper byte, code in the lower.
    /// Else 0.
    pub detail: u16,
    /// Who sent it.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// TCP: the number of the first byte. Else 0.
    pub sequence: u32,
    /// TCP: the number of the byte that is expected next. Else 0.
    pub acknowledgement: u32,
    /// TCP: bytes of the header. Else 0.
    pub header: u32,
    /// ICMP and ICMPv6: bytes 4 and 5 of the message, the identifier of an echo. Else 0.
    pub identifier: u16,
    /// What part of a datagram it is.
    pub part: Part,
    /// Of a fragment: what names its datagram. Else 0.
    pub identification: u32,
    /// Of a fragment: where its bytes belong, in bytes from the start of the datagram's payload. Else 0.
    pub offset: u32,
    /// Where the transport header starts, in bytes from the start of the frame.
    pub transport: usize,
    /// Of a fragment: where its bytes start, in bytes from the start of the frame. Else 0.
    pub payload: usize,
    /// Where the packet ends by its own account, in bytes from the start of the frame.
    pub end: usize,
}

/// What part of a datagram a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    Whole = 0,
    /// The first fragment: it has the transport header.
    First = 1,
    /// A fragment in the middle. Nothing of its bytes is a transport header: ports, types and flags are zero.
    Middle = 2,
    /// The last one. Likewise.
    Last = 3,
}

impl Part {
    /// Whether it is another fragment than the first.
    #[inline(always)]
    const fn is_later(self) -> bool {
        matches!(self, Self::Middle | Self::Last)
    }
}

impl Packet {
    /// A packet of nothing, to be overwritten.
    pub const EMPTY: Self = Self {
        family: Family::V4,
        protocol: 0,
        hop_limit: 0,
        tcp_flags: 0,
        source: Address { high: 0, low: 0 },
        destination: Address { high: 0, low: 0 },
        source_port: 0,
        detail: 0,
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
    };
}

/// ICMP in the family it belongs to: 1 in IPv4, 58 in IPv6. Elsewhere the numbers are just numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icmp {
    /// An echo request.
    EchoRequest,
    /// An echo reply.
    EchoReply,
    /// An error about another packet, which stands behind the ICMP header.
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

    /// The kind of ICMP message; none where it is not ICMP. Types: RFC 792, RFC 4443.
    #[inline(always)]
    #[must_use]
    pub const fn icmp(&self) -> Option<Icmp> {
        if !self.is_icmp() {
            return None;
        }
        // A later fragment has no type, and an echo has no code but zero: with another one it is judged by itself.
        if self.is_later_fragment() {
            return Some(Icmp::Other);
        }
        Some(match (self.family, self.detail >> 8, self.detail & 0xff) {
            (Family::V4, 8, 0) | (Family::V6, 128, 0) => Icmp::EchoRequest,
            (Family::V4, 0, 0) | (Family::V6, 129, 0) => Icmp::EchoReply,
            (Family::V4, 3 | 11 | 12, _) | (Family::V6, 1..=4, _) => Icmp::Error,
            _ => Icmp::Other,
        })
    }

    /// Whether this is a fragment other than the first: it follows the first, and no rule is asked about it.
    #[inline(always)]
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        self.part.is_later()
    }

    #[inline(always)]
    const fn no_fragment(&mut self) {
        self.identification = 0;
        self.offset = 0;
        self.payload = 0;
    }

    #[inline(always)]
    const fn no_transport(&mut self) {
        self.tcp_flags = 0;
        self.source_port = 0;
        self.detail = 0;
        self.sequence = 0;
        self.acknowledgement = 0;
        self.header = 0;
        self.identifier = 0;
    }

    /// Where, in bytes from the start of the datagram's payload, the bytes of this fragment end.
    #[inline(always)]
    #[must_use]
    pub const fn fragment_end(&self) -> u32 {
        self.offset + (self.end as u32).saturating_sub(self.payload as u32)
    }

    /// TCP: the number that the next byte of the sender will have.
    #[inline(always)]
    #[must_use]
    pub const fn sequence_end(&self) -> u32 {
        let behind = self.end as i64 - self.transport as i64 - self.header as i64;
        let payload = if behind < 0 { 0 } else { behind as u32 };
        let marks = ((self.tcp_flags & tcp::SYN != 0) as u32) + ((self.tcp_flags & tcp::FIN != 0) as u32);
        self.sequence.wrapping_add(payload).wrapping_add(marks)
    }

    /// Whether this packet asks for a new TCP connection.
    #[inline(always)]
    #[must_use]
    pub const fn is_syn(&self) -> bool {
        self.protocol == protocol::TCP && self.tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN
    }

    /// Whether this is a TCP packet that opens no connection.
    #[inline(always)]
    #[must_use]
    pub const fn is_mid_stream(&self) -> bool {
        self.protocol == protocol::TCP && !self.is_syn()
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

/// Whether packets of this protocol carry ports that rules can name.
#[inline(always)]
#[must_use]
pub const fn has_ports(number: u8) -> bool {
    matches!(number, protocol::TCP | protocol::UDP | protocol::SCTP)
}

/// What an Ethernet header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Payload {
    /// An IP packet that begins so many bytes into the frame; [`network`] reads it.
    Ip(Family, usize),
    /// An ARP packet that begins so many bytes into the frame.
    Arp(usize),
    /// Something else, for this reason.
    Refused(Reason),
}

/// Reads the Ethernet header, through up to two VLAN tags: what stands behind them is judged like anything else.
#[inline(always)]
pub fn ethernet<F: Frame>(frame: &F) -> Payload {
    const TAG: usize = 4;
    let mut tags = 0;
    while tags <= MAX_VLAN_TAGS {
        let offset = ETHERNET + tags * TAG;
        // The two bytes before the payload say what it is.
        let Some(kind) = frame.window::<2>(offset - 2) else {
            return Payload::Refused(Reason::Malformed);
        };
        match kind.be16(0) {
            ethertype::IPV4 => return Payload::Ip(Family::V4, offset),
            ethertype::IPV6 => return Payload::Ip(Family::V6, offset),
            ethertype::ARP => return Payload::Arp(offset),
            ethertype::VLAN | ethertype::SERVICE_VLAN => tags += 1,
            _ => return Payload::Refused(Reason::NotIp),
        }
    }
    Payload::Refused(Reason::NotIp)
}

/// Reads the IP packet whose header is `offset` bytes into the frame, behind the Ethernet header or at
/// [`embedded_offset`], into `packet`: field by field, since a packet of its own that is copied then would cost the kernel
/// as much as reading it. `packet` means nothing where this errs.
///
/// # Errors
/// Why it cannot be read.
#[inline(always)]
pub fn network<F: Frame>(
    frame: &F,
    family: Family,
    offset: usize,
    packet: &mut Packet,
) -> Result<(), Reason> {
    match family {
        Family::V4 => ipv4(frame, offset, packet),
        Family::V6 => ipv6(frame, offset, packet),
    }
}

/// Where the packet that an ICMP error speaks about begins: an IP header and at least eight bytes of the transport
/// header of a packet that was sent the other way (RFC 792; RFC 4443 2.4).
#[inline(always)]
#[must_use]
pub const fn embedded_offset(error: &Packet) -> usize {
    const ICMP_HEADER: usize = 8;
    error.transport + ICMP_HEADER
}

/// What a frame turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Parsed {
    /// An IP packet.
    Packet(Packet),
    /// ARP, which is not filtered.
    Arp,
    /// Unreadable, for this reason.
    Refused(Reason),
}

/// Reads a frame: [`ethernet`], then [`network`].
pub fn parse<F: Frame>(frame: &F) -> Parsed {
    match ethernet(frame) {
        Payload::Ip(family, offset) => {
            let mut packet = Packet::EMPTY;
            match network(frame, family, offset, &mut packet) {
                Ok(()) => Parsed::Packet(packet),
                Err(reason) => Parsed::Refused(reason),
            }
        }
        Payload::Arp(_) => Parsed::Arp,
        Payload::Refused(reason) => Parsed::Refused(reason),
    }
}

/// RFC 791 3.1.
#[inline(always)]
fn ipv4<F: Frame>(frame: &F, offset: usize, packet: &mut Packet) -> Result<(), Reason> {
    const MORE_FRAGMENTS: u16 = 0x2000;
    const OFFSET_OF_FRAGMENT: u16 = 0x1fff;
    let ip = frame.window::<20>(offset).ok_or(Reason::Malformed)?;
    let header = usize::from(ip.byte(0) & 0x0f) * 4;
    if ip.byte(0) >> 4 != 4 || header < 20 {
        return Err(Reason::Malformed);
    }
    // Zero is what the kernel writes for a TCP super-packet of more than 64 KiB (include/linux/ip.h,
    // iph_totlen); from a wire it would not get past ip_rcv.
    let total = usize::from(ip.be16(2));
    if total != 0 && total < header {
        return Err(Reason::Malformed);
    }
    packet.end = if total == 0 { frame.length() } else { offset + total };
    packet.hop_limit = ip.byte(8);
    packet.source = Address { high: u64::from(ip.be32(12)), low: 0 };
    packet.destination = Address { high: u64::from(ip.be32(16)), low: 0 };
    let fragment = ip.be16(6);
    let mut found = Part::Whole;
    if fragment & (MORE_FRAGMENTS | OFFSET_OF_FRAGMENT) == 0 {
        packet.no_fragment();
    } else {
        found = part(fragment & OFFSET_OF_FRAGMENT, fragment & MORE_FRAGMENTS != 0);
        packet.identification = u32::from(ip.be16(4));
        packet.offset = u32::from(fragment & OFFSET_OF_FRAGMENT) * 8;
        packet.payload = offset + header;
    }
    packet.family = Family::V4;
    transport(frame, Family::V4, (ip.byte(9), offset + header, found), packet)
}

/// Which part of a datagram stands at `offset`.
#[inline(always)]
const fn part(offset: u16, more: bool) -> Part {
    match (offset, more) {
        (0, false) => Part::Whole,
        (0, true) => Part::First,
        (_, true) => Part::Middle,
        (_, false) => Part::Last,
    }
}

/// RFC 8200 3 and 4.
#[inline(always)]
fn ipv6<F: Frame>(frame: &F, offset: usize, packet: &mut Packet) -> Result<(), Reason> {
    let ip = frame.window::<40>(offset).ok_or(Reason::Malformed)?;
    if ip.byte(0) >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    // Zero: a jumbogram (RFC 2675), and what the kernel writes for a super-packet.
    let payload = usize::from(ip.be16(4));
    packet.end = if payload == 0 { frame.length() } else { offset + 40 + payload };
    packet.hop_limit = ip.byte(7);
    packet.source = Address { high: ip.be64(8), low: ip.be64(16) };
    packet.destination = Address { high: ip.be64(24), low: ip.be64(32) };
    packet.no_fragment();
    packet.family = Family::V6;
    let carried = extension_headers(frame, ip.byte(6), offset + 40, packet)?;
    transport(frame, Family::V6, carried, packet)
}

/// Walks to the transport header: its protocol, where it begins, and what part of a datagram has it.
///
/// A packet that ends where an extension header should begin is a packet of that protocol number: there is
/// nothing behind it that a rule could miss. Behind the header of a later fragment stand bytes from the middle of a
/// datagram, whatever its next header says.
#[inline(always)]
fn extension_headers<F: Frame>(
    frame: &F,
    mut protocol: u8,
    mut offset: usize,
    packet: &mut Packet,
) -> Result<(u8, usize, Part), Reason> {
    let mut found = Part::Whole;
    for _ in 0..MAX_EXTENSION_HEADERS {
        if !matches!(
            protocol,
            protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS
        ) || offset == frame.length()
        {
            return Ok((protocol, offset, found));
        }
        let header = frame.window::<8>(offset).ok_or(Reason::Malformed)?;
        if protocol == protocol::FRAGMENT {
            let place = header.be16(2);
            offset += 8;
            // An atomic fragment (RFC 6946) is whole. A header inside the first fragment says nothing new.
            if found as u8 == Part::Whole as u8 {
                found = part(place >> 3, place & 1 != 0);
            }
            if found as u8 != Part::Whole as u8 {
                packet.identification = header.be32(4);
                packet.offset = u32::from(place & !7);
                packet.payload = offset;
            }
            if found.is_later() {
                return Ok((header.byte(0), offset, found));
            }
        } else {
            offset += (usize::from(header.byte(1)) + 1) * 8;
        }
        protocol = header.byte(0);
    }
    Err(Reason::TooManyHeaders)
}

#[inline(always)]
fn transport<F: Frame>(
    frame: &F,
    family: Family,
    (protocol, offset, part): (u8, usize, Part),
    packet: &mut Packet,
) -> Result<(), Reason> {
    const TO_TCP_FLAGS: usize = 14;
    packet.protocol = protocol;
    packet.transport = offset;
    packet.part = part;
    if !part.is_later()
        && protocol == protocol::TCP
        && let Some(header) = frame.window::<TO_TCP_FLAGS>(offset)
    {
        packet.source_port = header.be16(0);
        packet.detail = header.be16(2);
        packet.tcp_flags = header.byte(TO_TCP_FLAGS - 1);
        packet.sequence = header.be32(4);
        packet.acknowledgement = header.be32(8);
        packet.header = u32::from(header.byte(12) >> 4) * 4;
        packet.identifier = 0;
        return Ok(());
    }
    packet.no_transport();
    if part.is_later() {
        return Ok(());
    }
    if has_ports(protocol) {
        let ports = frame.window::<4>(offset).ok_or(Reason::Malformed)?;
        packet.source_port = ports.be16(0);
        packet.detail = ports.be16(2);
        // Eight bytes of TCP are all that an ICMP error must carry; a TCP packet without flags opens nothing and
        // closes nothing. But flags that are there must be read: where the kernel shows only the front of a frame,
        // that it is malformed makes the caller ask for more.
        if protocol == protocol::TCP && frame.length().saturating_sub(offset) >= TO_TCP_FLAGS {
            return Err(Reason::Malformed);
        }
    } else if is_icmp(family, protocol) {
        let icmp = frame.window::<8>(offset).ok_or(Reason::Malformed)?;
        packet.detail = icmp.be16(0);
        packet.identifier = icmp.be16(4);
    } else if offset > frame.length() {
        // Nothing of this transport is read, but the headers before it must have ended within the frame.
        return Err(Reason::Malformed);
    }
    Ok(())
}

/// A frame in user space.
impl Frame for &[u8] {
    type Window<const N: usize> = Bytes<N>;

    fn length(&self) -> usize {
        self.len()
    }

    fn window<const N: usize>(&self, offset: usize) -> Option<Bytes<N>> {
        let bytes = self.get(offset..)?.first_chunk::<N>()?;
        Some(Bytes(*bytes))
    }
}

/// `N` bytes, copied.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Bytes<N> {
    fn take<const M: usize>(self, offset: usize) -> [u8; M] {
        let mut taken = [0; M];
        for (index, byte) in taken.iter_mut().enumerate() {
            *byte = self.0.get(offset + index).copied().unwrap_or(0);
        }
        taken
    }
}

impl<const N: usize> Window for Bytes<N> {
    fn byte(self, offset: usize) -> u8 {
        self.take::<1>(offset)[0]
    }
    fn be16(self, offset: usize) -> u16 {
        u16::from_be_bytes(self.take(offset))
    }
    fn be32(self, offset: usize) -> u32 {
        u32::from_be_bytes(self.take(offset))
    }
    fn be64(self, offset: usize) -> u64 {
        u64::from_be_bytes(self.take(offset))
    }
}
