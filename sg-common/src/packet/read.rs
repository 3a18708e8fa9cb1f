//! Reading a frame. Each field of a header is parsed here and nowhere else; what cannot be read comes back as a
//! [`Reason`].

use super::{
    Address, ETHERNET, Family, Frame, MAX_EXTENSION_HEADERS, Packet, Part, Window, ethertype, has_ports,
    is_icmp, protocol,
};
use crate::verdict::Reason;

/// VLAN tags that are looked through (IEEE 802.1Q, and 802.1ad before it).
const MAX_VLAN_TAGS: usize = 2;

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
    // The version, and a header of 20 bytes at least.
    let first = ip.byte(0);
    if !matches!(first, 0x45..=0x4f) {
        return Err(Reason::Malformed);
    }
    let header = usize::from(first & 0x0f) * 4;
    let total = usize::from(ip.be16(2));
    packet.end = if total >= header {
        offset + total
    } else if total == 0 {
        // What the kernel writes for a TCP super-packet of more than 64 KiB (include/linux/ip.h, iph_totlen); from a
        // wire it would not get past ip_rcv.
        frame.length()
    } else {
        return Err(Reason::Malformed);
    };
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
