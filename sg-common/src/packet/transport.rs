//! Parses the front of a transport header: ports, types and flags, for all protocols that rules know. A header that its receiver
//! would not accept is malformed. Called by `network`.

use super::{Family, Frame, Packet, Part, Window, has_ports, is_icmp, protocol, tcp};
use crate::verdict::Reason;

/// Bytes of a transport header that an ICMP error quotes (RFC 792): they include the ports.
const QUOTED: usize = 8;

/// What the network layer knows about the transport header.
#[derive(Clone, Copy)]
pub(super) struct Transport {
    pub(super) family: Family,
    pub(super) protocol: u8,
    /// Its offset in the frame.
    pub(super) offset: usize,
    /// Offset of the end of the packet.
    pub(super) end: usize,
    pub(super) part: Part,
    /// Whether an ICMP error quotes it.
    pub(super) is_quoted: bool,
}

/// Parses it. A packet holds all of it, and so does a first fragment (RFC 8200 4.5, RFC 1858, RFC 3128); in an ICMP error eight
/// bytes are enough.
#[inline(always)]
pub(super) fn transport<F: Frame>(
    frame: &F,
    transport: Transport,
    packet: &mut Packet,
) -> Result<(), Reason> {
    let Transport { family, protocol, offset, end, part, is_quoted } = transport;
    packet.protocol = protocol;
    packet.transport = offset;
    packet.part = part;
    if part.is_later() {
        packet.no_transport();
        return Ok(());
    }
    if protocol == protocol::TCP && !is_quoted {
        return tcp(frame, offset, end, part, packet);
    }
    packet.no_transport();
    let is_icmp = is_icmp(family, protocol);
    let needed = if is_icmp || has_ports(protocol) {
        if is_quoted { QUOTED } else { header_length(protocol) }
    } else {
        // None of it is parsed. The headers before it must end within the packet, and those of a first fragment before the
        // fragment does.
        usize::from(part as u8)
    };
    if offset + needed > end {
        return Err(Reason::Malformed);
    }
    if is_icmp {
        let icmp = frame.window::<8>(offset).ok_or(Reason::Malformed)?;
        packet.l4_selector = icmp.be16(0);
        packet.identifier = icmp.be16(4);
    } else if needed >= QUOTED {
        let ports = frame.window::<4>(offset).ok_or(Reason::Malformed)?;
        packet.source_port = ports.be16(0);
        packet.l4_selector = ports.be16(2);
        // The first chunk has a header of four bytes, and is in a first fragment: that has a multiple of eight.
        if protocol == protocol::SCTP && !is_quoted && offset + SCTP_CHUNK + 4 <= end {
            let chunk = frame.window::<4>(offset + SCTP_CHUNK).ok_or(Reason::Malformed)?;
            if chunk.byte(0) == protocol::SCTP_INIT {
                packet.tcp_flags = tcp::SYN;
            }
        }
    }
    Ok(())
}

/// Offset of the first chunk in an SCTP packet.
const SCTP_CHUNK: usize = header_length(protocol::SCTP);

/// Minimum length of a header with ports, or of an ICMP header: RFC 768, 3828, 792 and 4443; RFC 9260 3, RFC 4340 5.1.
#[inline(always)]
const fn header_length(protocol: u8) -> usize {
    match protocol {
        protocol::SCTP | protocol::DCCP => 12,
        _ => 8,
    }
}

/// RFC 9293 3.1.
#[inline(always)]
fn tcp<F: Frame>(
    frame: &F,
    offset: usize,
    end: usize,
    part: Part,
    packet: &mut Packet,
) -> Result<(), Reason> {
    const LEAST: usize = 20;
    let tcp = frame.window::<LEAST>(offset).ok_or(Reason::Malformed)?;
    let header = usize::from(tcp.byte(12) >> 4) * 4;
    // Options may go on in the next fragment: nothing of them is read.
    let here = if part as u8 == Part::Whole as u8 { header } else { LEAST };
    if header < LEAST || offset + here > end {
        return Err(Reason::Malformed);
    }
    packet.source_port = tcp.be16(0);
    packet.l4_selector = tcp.be16(2);
    packet.sequence = tcp.be32(4);
    packet.acknowledgement = tcp.be32(8);
    packet.header = header as u32;
    packet.tcp_flags = tcp.byte(13);
    packet.identifier = 0;
    Ok(())
}
