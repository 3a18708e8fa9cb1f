//! Parses an IP packet: its header and the extension headers; `transport` goes on. Each of their fields is parsed here and nowhere
//! else.
//!
//! The result is what the receiver takes: every header must end where the packet ends, however many bytes follow it in the frame,
//! because Linux trims those first (`pskb_trim_rcsum` in `ip_rcv_core` and `ip6_rcv_core`). A packet that its receiver discards
//! for its headers is malformed here too. Called by [`super::parse`] and the datapath.

use super::{
    Address, ETHERNET, Family, Frame, IPV6_HEADER, IpFields, MAX_EXTENSION_HEADERS, Packet, Part, Vlan,
    Window, ethertype, protocol,
    transport::{Transport, transport},
};
use crate::verdict::Reason;

/// The largest datagram, including its header in IPv4 (RFC 791 3.1), without it in IPv6 (RFC 8200 4.5).
const MAX_DATAGRAM: usize = 0xffff;

/// Bytes of an IPv4 header without options.
const IPV4_HEADER: usize = 20;

/// The fragment bits in an IPv4 header, all zero without fragmentation: more fragments, and the fragment offset.
const FRAGMENT: u16 = 0x3fff;

/// Parses the IP packet whose header is at `offset` of the frame, behind the Ethernet header or at [`embedded_offset`], into
/// `packet`: field by field, because building and copying a packet would cost the kernel as much as parsing it. On error,
/// `packet` is meaningless.
///
/// For a packet that an ICMP error quotes, `quotation` is the end of the error: the rest of the packet may be missing, but an IP
/// header and eight bytes of the transport header are there (RFC 792; RFC 4443 2.4).
///
/// # Errors
/// The reason why the packet is refused.
#[inline(always)]
pub fn network<F: Frame>(
    frame: &F,
    family: Family,
    offset: usize,
    quotation: Option<usize>,
    packet: &mut Packet,
) -> Result<(), Reason> {
    match family {
        Family::V4 => ipv4(frame, offset, quotation, packet),
        Family::V6 => ipv6(frame, offset, quotation, packet),
    }
}

/// Offset of the packet that an ICMP error quotes. That packet went the other way.
#[inline(always)]
#[must_use]
pub const fn embedded_offset(error: &Packet) -> usize {
    const ICMP_HEADER: usize = 8;
    error.transport + ICMP_HEADER
}

/// Whether the frame is of the most common kind: IPv4, without a VLAN tag, and no fragment.
#[inline(always)]
pub fn is_plain<F: Frame>(frame: &F) -> bool {
    frame.tag().is_none()
        && frame.window::<{ ETHERNET + IPV4_HEADER }>(0).is_some_and(|front| {
            front.be16(ETHERNET - 2) == ethertype::IPV4 && front.be16(ETHERNET + 6) & FRAGMENT == 0
        })
}

/// Parses the packet of a frame that [`is_plain`] into `packet`, except for what [`finish_plain`] writes there.
///
/// # Errors
/// The reason why the packet is refused.
#[inline(always)]
pub fn plain<F: Frame>(frame: &F, packet: &mut Packet) -> Result<(), Reason> {
    let Ipv4 { ip, behind, end, .. } = Ipv4::read(frame, ETHERNET, None, packet)?;
    let transport_header = Transport {
        family: Family::V4,
        protocol: ip.byte(9),
        offset: behind,
        end,
        part: Part::Whole,
        is_quoted: false,
    };
    transport(frame, transport_header, packet)
}

/// Writes what all plain packets have in common; separate, because nobody reads that in a packet of a known flow.
#[inline(always)]
pub fn finish_plain(packet: &mut Packet) {
    packet.no_ipv6();
    packet.no_fragment();
    packet.vlan = Vlan::NONE;
}

/// RFC 791 3.1: the fields of an IPv4 header.
struct Ipv4<W> {
    ip: W,
    /// Offset of the transport header in the frame.
    behind: usize,
    /// Offset of the end of the packet.
    end: usize,
    /// Offset of the end according to its header.
    account: usize,
}

impl<W: Window> Ipv4<W> {
    #[inline(always)]
    fn read<F: Frame<Window<IPV4_HEADER> = W>>(
        frame: &F,
        offset: usize,
        quotation: Option<usize>,
        packet: &mut Packet,
    ) -> Result<Self, Reason> {
        let ip = frame.window::<IPV4_HEADER>(offset).ok_or(Reason::Malformed)?;
        // The version, and a header of at least 20 bytes.
        let first = ip.byte(0);
        if !matches!(first, 0x45..=0x4f) {
            return Err(Reason::Malformed);
        }
        let header = usize::from(first & 0x0f) * 4;
        let total = usize::from(ip.be16(2));
        let account = if total >= header {
            offset + total
        } else if total == 0 && quotation.is_none() && frame.is_large() {
            // A large packet of more than 64 KiB (include/linux/ip.h, iph_totlen).
            frame.length()
        } else {
            return Err(Reason::Malformed);
        };
        let end = end(frame, account, quotation)?;
        packet.end = end;
        packet.ip = IpFields { hop_limit: ip.byte(8), dscp: ip.byte(1) >> 2 };
        packet.source.high = u64::from(ip.be32(12));
        packet.destination.high = u64::from(ip.be32(16));
        let behind = offset + header;
        if quotation.is_some() && behind > end {
            return Err(Reason::Malformed);
        }
        Ok(Self { ip, behind, end, account })
    }
}

/// Parses any IPv4 packet.
#[inline(always)]
fn ipv4<F: Frame>(
    frame: &F,
    offset: usize,
    quotation: Option<usize>,
    packet: &mut Packet,
) -> Result<(), Reason> {
    const MORE_FRAGMENTS: u16 = 0x2000;
    const OFFSET_OF_FRAGMENT: u16 = 0x1fff;
    let Ipv4 { ip, behind, end, account } = Ipv4::read(frame, offset, quotation, packet)?;
    packet.no_ipv6();
    let fragment = ip.be16(6);
    let mut part = Part::Whole;
    if fragment & FRAGMENT == 0 {
        packet.no_fragment();
    } else {
        packet.identification = u32::from(ip.be16(4));
        let bytes = Fragment {
            offset: usize::from(fragment & OFFSET_OF_FRAGMENT) * 8,
            more: fragment & MORE_FRAGMENTS != 0,
            start: behind,
            end: account,
        };
        part = bytes.read(MAX_DATAGRAM - (behind - offset), packet)?;
    }
    transport(
        frame,
        Transport {
            family: Family::V4,
            protocol: ip.byte(9),
            offset: behind,
            end,
            part,
            is_quoted: quotation.is_some(),
        },
        packet,
    )
}

/// RFC 8200 3 and 4.
#[inline(always)]
fn ipv6<F: Frame>(
    frame: &F,
    offset: usize,
    quotation: Option<usize>,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let ip = frame.window::<IPV6_HEADER>(offset).ok_or(Reason::Malformed)?;
    if ip.byte(0) >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    let payload = usize::from(ip.be16(4));
    // Zero is what it says, but for a large packet of more than 64 KiB (`ip6_xmit`, `ipv6_gro_complete`): a jumbogram
    // (RFC 2675) is longer than any frame.
    let account = if payload == 0 && quotation.is_none() && frame.is_large() {
        frame.length()
    } else {
        offset + IPV6_HEADER + payload
    };
    let end = end(frame, account, quotation)?;
    packet.end = end;
    packet.ip = IpFields { hop_limit: ip.byte(7), dscp: (ip.be16(0) >> 6) as u8 & 0x3f };
    packet.source = Address { high: ip.be64(8), low: ip.be64(16) };
    packet.destination = Address { high: ip.be64(24), low: ip.be64(32) };
    packet.no_fragment();
    packet.part = Part::Whole;
    packet.family = Family::V6;
    packet.header = u32::from(quotation.is_some());
    let chain = Chain { first: ip.byte(6), offset: offset + IPV6_HEADER, end, account };
    let (protocol, offset) = chain.walk(frame, packet)?;
    forget();
    let (part, is_quoted) = (packet.part, packet.header != 0);
    transport(frame, Transport { family: Family::V6, protocol, offset, end, part, is_quoted }, packet)
}

/// End of a packet that ends at `account` according to its header. A receiver discards a packet that is not all in the frame; a
/// quotation may end before.
#[inline(always)]
fn end<F: Frame>(frame: &F, account: usize, quotation: Option<usize>) -> Result<usize, Reason> {
    match quotation {
        None if account > frame.length() => Err(Reason::Malformed),
        Some(end) if end < account => Ok(end),
        None | Some(_) => Ok(account),
    }
}

/// The fragment fields of a header.
struct Fragment {
    /// Offset of the bytes in the datagram's payload.
    offset: usize,
    /// Whether more fragments follow.
    more: bool,
    /// Offset of the bytes in the frame.
    start: usize,
    /// Offset of their end in the frame.
    end: usize,
}

impl Fragment {
    /// Determines the part of the datagram. A datagram has at most `room` bytes, every fragment has some of them, and every one
    /// but the last a multiple of eight: reassembly discards others (`ip_frag_queue` and `ip6_frag_queue` in Linux).
    #[inline(always)]
    fn read(self, room: usize, packet: &mut Packet) -> Result<Part, Reason> {
        let Self { offset, more, start, end } = self;
        if start >= end || offset + (end - start) > room || more && (end - start) & 7 != 0 {
            return Err(Reason::Malformed);
        }
        packet.offset = offset as u32;
        packet.payload = start;
        Ok(match (offset, more) {
            (0, _) => Part::First,
            (_, true) => Part::Middle,
            (_, false) => Part::Last,
        })
    }
}

/// The chain of IPv6 extension headers.
struct Chain {
    /// Type of the first header.
    first: u8,
    /// Its offset in the frame.
    offset: usize,
    /// No header reaches beyond this offset.
    end: usize,
    /// Offset of the end of the packet according to its header.
    account: usize,
}

impl Chain {
    /// Walks to the transport header; returns its protocol and offset. The part of a datagram is written to `packet`.
    ///
    /// A packet whose chain does not end within it is refused: reassembly would complete it with what nobody judged (RFC 7112 5).
    /// Behind the header of a later fragment are bytes from the middle of a datagram, whatever its next header field is.
    #[inline(always)]
    fn walk<F: Frame>(self, frame: &F, packet: &mut Packet) -> Result<(u8, usize), Reason> {
        let Self { first: mut protocol, mut offset, end, account } = self;
        // Hop-by-hop options come first or not at all (RFC 8200 4.1).
        if protocol == protocol::HOP_BY_HOP {
            let options = Self::header(frame, offset, end)?;
            protocol = options.byte(0);
            offset += length(options.byte(1));
        }
        for _ in 0..MAX_EXTENSION_HEADERS {
            if !matches!(protocol, protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS) {
                return if protocol == protocol::HOP_BY_HOP {
                    Err(Reason::Malformed)
                } else {
                    Ok((protocol, offset))
                };
            }
            let header = Self::header(frame, offset, end)?;
            let is_fragment = protocol == protocol::FRAGMENT;
            protocol = header.byte(0);
            let (size, place, identification) = (header.byte(1), header.be16(2), header.be32(4));
            forget();
            if !is_fragment {
                offset += length(size);
                continue;
            }
            // A fragment of a fragment, which nobody sends and Linux discards (`ipv6_frag_rcv`).
            if packet.payload != 0 {
                return Err(Reason::Malformed);
            }
            offset += 8;
            packet.payload = offset;
            // An atomic fragment (RFC 6946) is whole.
            if place & !6 != 0 {
                packet.identification = identification;
                let bytes = Fragment {
                    offset: usize::from(place & !7),
                    more: place & 1 != 0,
                    start: offset,
                    end: account,
                };
                packet.part = bytes.read(MAX_DATAGRAM, packet)?;
                if packet.part.is_later() {
                    return Ok((protocol, offset));
                }
            }
        }
        Err(Reason::TooManyHeaders)
    }

    /// The first eight bytes of an extension header, the minimum length of one.
    #[inline(always)]
    fn header<F: Frame>(frame: &F, offset: usize, end: usize) -> Result<F::Window<8>, Reason> {
        if offset + 8 > end {
            return Err(Reason::Malformed);
        }
        frame.window::<8>(offset).ok_or(Reason::Malformed)
    }
}

/// Length in bytes of an extension header with the length field `units` (RFC 8200 4.3).
#[inline(always)]
const fn length(units: u8) -> usize {
    (units as usize + 1) * 8
}

/// Makes the compiler reload values from memory. The verifier does not track those, and so does not check everything that follows
/// for each possible value.
#[inline(always)]
fn forget() {
    core::hint::black_box(());
}
