//! Encodes a probe as an Ethernet frame, as a sender would put it on the wire.

use std::net::Ipv4Addr;

use bytes::{BufMut, BytesMut};
use sg_common::packet::{ETHERNET, ethertype, protocol, tcp};
use sg_model::Mac;

use super::{Content, Ends, Probe};

/// The hop limit of every probe: the default of Linux.
pub const HOP_LIMIT: u8 = 64;

/// The window that a Linux host offers in a SYN.
const WINDOW: u16 = 64_240;

/// The IPv4 flag (RFC 791 3.1).
const DO_NOT_FRAGMENT: u16 = 0x4000;

/// Locally administered, so it belongs to no vendor (IEEE 802c).
const SENDER: [u8; 6] = [0x02, 0, 0, 0, 0, 1];
const RECEIVER: [u8; 6] = [0x02, 0, 0, 0, 0, 2];

impl Probe {
    /// Encodes the packet as a frame, from the given Ethernet address or a locally administered one. A TCP probe is a SYN; an
    /// ICMP message has identifier and sequence 0; protocols that rules match only by number carry eight zero bytes, which is
    /// enough for any reader.
    #[must_use]
    pub fn frame(&self, sender: Option<Mac>) -> BytesMut {
        let Self { nic: _, direction: _, protocol, ends, content: _, dscp } = *self;
        let transport = self.transport();
        let mut frame = BytesMut::with_capacity(ETHERNET + 40 + transport.len());
        frame.put_slice(&RECEIVER);
        frame.put_slice(&sender.map_or(SENDER, Mac::bytes));
        match ends {
            Ends::V4 { source, destination } => {
                frame.put_u16(ethertype::IPV4);
                let mut header = BytesMut::with_capacity(20);
                header.put_u8(0x45);
                header.put_u8(dscp << 2);
                header.put_u16(20 + transport.len() as u16);
                header.put_u16(0); // identification
                header.put_u16(DO_NOT_FRAGMENT);
                header.put_u8(HOP_LIMIT);
                header.put_u8(protocol);
                header.put_u16(0);
                header.put_slice(&source.octets());
                header.put_slice(&destination.octets());
                let sum = checksum(&[&header]);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                frame.put_slice(&header);
            }
            Ends::V6 { source, destination } => {
                frame.put_u16(ethertype::IPV6);
                frame.put_u32(6 << 28 | u32::from(dscp) << 22);
                frame.put_u16(transport.len() as u16);
                frame.put_u8(protocol);
                frame.put_u8(HOP_LIMIT);
                frame.put_slice(&source.octets());
                frame.put_slice(&destination.octets());
            }
        }
        frame.put_slice(&transport);
        frame
    }

    /// The transport header, with its checksum.
    fn transport(&self) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(20);
        let checksum_at = match self.content() {
            Content::Ports { source, destination } => {
                bytes.put_u16(source);
                bytes.put_u16(destination);
                self.behind_ports(&mut bytes)
            }
            Content::Icmp { kind, code } => {
                bytes.put_slice(&[kind, code, 0, 0, 0, 0, 0, 0]);
                Some(2)
            }
            Content::Bare => {
                bytes.put_bytes(0, 8);
                None
            }
        };
        if let Some(at) = checksum_at {
            // The checksum of ICMP for IPv4 is the only one that does not cover the addresses (RFC 792).
            let sum = match self.content() {
                Content::Icmp { .. } if matches!(self.ends(), Ends::V4 { .. }) => checksum(&[&bytes]),
                _ => checksum(&[&self.pseudo_header(bytes.len() as u16), &bytes]),
            };
            // A UDP checksum of zero means that there is none (RFC 768).
            let sum = if sum == 0 && self.protocol() == protocol::UDP { u16::MAX } else { sum };
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// Writes what follows the ports. Returns the offset of the checksum.
    fn behind_ports(&self, bytes: &mut BytesMut) -> Option<usize> {
        match self.protocol() {
            protocol::TCP => {
                bytes.put_u32(1); // sequence number
                bytes.put_u32(0); // acknowledgement number
                bytes.put_u8(5 << 4); // words of the header
                bytes.put_u8(tcp::SYN);
                bytes.put_u16(WINDOW);
                bytes.put_u32(0); // checksum, urgent pointer
                Some(16)
            }
            protocol::UDP => {
                let message = self.dhcp();
                bytes.put_u16(8 + message.len() as u16);
                bytes.put_u16(0);
                bytes.put_slice(&message);
                Some(6)
            }
            // Twelve bytes form a header of SCTP, of DCCP and of UDP-Lite. Their checksums stay 0: nothing that reads a probe
            // checks them.
            _ => {
                bytes.put_u64(0);
                None
            }
        }
    }

    /// The message of a DHCP client or server, of even length; empty if the packet is not between the two.
    fn dhcp(&self) -> BytesMut {
        let mut message = BytesMut::new();
        let Content::Ports { source: from, destination: to } = self.content() else { return message };
        match (self.ends(), from, to) {
            (Ends::V4 { source, .. }, 68, 67) => bootp(&mut message, 1, source, QUESTION),
            (Ends::V4 { destination, .. }, 67, 68) => bootp(&mut message, 2, destination, REPLY),
            // Solicit and advertise, with the same client's DUID (RFC 8415 8, 11.4).
            (Ends::V6 { .. }, 546, 547) => message.put_u32(1 << 24 | QUESTION),
            (Ends::V6 { .. }, 547, 546) => message.put_u32(2 << 24 | REPLY),
            _ => {}
        }
        if let Ends::V6 { .. } = self.ends()
            && !message.is_empty()
        {
            message.put_slice(&[0, 1, 0, 10, 0, 3, 0, 1]);
            message.put_slice(&SENDER);
        }
        message
    }

    /// What a transport checksum covers in addition to the segment (RFC 9293 3.1, RFC 8200 8.1).
    fn pseudo_header(&self, length: u16) -> BytesMut {
        let mut bytes = BytesMut::with_capacity(36);
        match self.ends() {
            Ends::V4 { source, destination } => {
                bytes.put_slice(&source.octets());
                bytes.put_slice(&destination.octets());
            }
            Ends::V6 { source, destination } => {
                bytes.put_slice(&source.octets());
                bytes.put_slice(&destination.octets());
            }
        }
        bytes.put_u16(u16::from(self.protocol()));
        bytes.put_u16(length);
        bytes
    }
}

/// Transaction ids: those of requests and replies differ, because no probe is a reply to another.
const QUESTION: u32 = 1;
const REPLY: u32 = 2;

/// A discover or an offer (RFC 2131 2), of a client that has, or is to have, an address.
fn bootp(message: &mut BytesMut, operation: u8, client: Ipv4Addr, transaction: u32) {
    message.put_slice(&[operation, 1, 6, 0]);
    message.put_u32(transaction);
    message.put_u32(0);
    // The address that the client has, and the one it is to have.
    message.put_slice(&client.octets());
    message.put_slice(&client.octets());
    message.put_bytes(0, 8);
    message.put_slice(&SENDER);
    message.put_bytes(0, 10 + 64 + 128);
    message.put_u32(0x6382_5363);
    message.put_slice(&[53, 1, operation, 255]);
}

/// RFC 1071 over parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use etherparse::{
        IpDscp, IpHeaders, IpNumber, Ipv4Extensions, Ipv4Header, Ipv6Extensions, Ipv6Header, PacketBuilder,
    };
    use sg_common::packet::{Address, IpFields, Packet, Parsed, has_ports, is_icmp, parse, protocol};
    use sg_model::{Bounded, HeaderNumbers};

    use super::*;
    use crate::{InvalidProbe, ProbeParts};
    use sg_model::{Direction, Family};

    fn probe(family: Family, number: u8) -> Result<Probe, InvalidProbe> {
        let (source, destination) = match family {
            Family::V4 => ("192.0.2.1", "10.0.0.5"),
            Family::V6 => ("2001:db8::1", "2001:db8:ffff::5"),
        };
        let (ports, icmp) = (has_ports(number), is_icmp(family, number));
        Probe::new(ProbeParts {
            nic: 0,
            direction: Direction::Ingress,
            protocol: number,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            source_port: ports.then_some(50_001),
            destination_port: ports.then_some(8_080),
            numbers: HeaderNumbers {
                dscp: Bounded::new(46),
                ..if icmp { HeaderNumbers::icmp(13, 7) } else { HeaderNumbers::NONE }
            },
        })
    }

    #[test]
    fn the_datapath_reads_the_probe_that_was_written() {
        for family in [Family::V4, Family::V6] {
            for number in 0..=255 {
                let Ok(probe) = probe(family, number) else {
                    assert!(family == Family::V6 && protocol::is_extension_header(number));
                    continue;
                };
                let frame = probe.frame(None);
                let Parsed::Packet(packet) = parse(&&frame[..]) else {
                    panic!("{family:?} {number}: {:?}", parse(&&frame[..]))
                };
                let (source_port, l4_selector) = match probe.content() {
                    Content::Ports { source, destination } => (source, destination),
                    Content::Icmp { kind, code } => (0, u16::from_be_bytes([kind, code])),
                    Content::Bare => (0, 0),
                };
                let (tcp_flags, sequence, header) =
                    if number == protocol::TCP { (tcp::SYN, 1, 20) } else { (0, 0, 0) };
                let expected = Packet {
                    family,
                    protocol: number,
                    ip: IpFields { hop_limit: 64, dscp: 46 },
                    tcp_flags,
                    sequence,
                    header,
                    source: Address::from(probe.source()),
                    destination: Address::from(probe.destination()),
                    source_port,
                    l4_selector,
                    transport: if family == Family::V4 { 34 } else { 54 },
                    end: frame.len(),
                    ..Packet::EMPTY
                };
                assert_eq!(packet, expected, "{family:?} {number}");
            }
        }
    }

    /// Compares with an independent encoder.
    #[test]
    fn etherparse_writes_the_same_bytes() {
        for family in [Family::V4, Family::V6] {
            for number in [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6] {
                let probe = probe(family, number).unwrap();
                let link = PacketBuilder::ethernet2(SENDER, RECEIVER);
                let network = link.ip(match probe.ends() {
                    Ends::V4 { source, destination } => {
                        let addresses = (source.octets(), destination.octets());
                        let new = Ipv4Header::new(0, HOP_LIMIT, IpNumber(number), addresses.0, addresses.1);
                        let dscp = IpDscp::try_new(46).unwrap();
                        IpHeaders::Ipv4(Ipv4Header { dscp, ..new.unwrap() }, Ipv4Extensions::default())
                    }
                    Ends::V6 { source, destination } => {
                        let header = Ipv6Header {
                            traffic_class: 46 << 2,
                            hop_limit: HOP_LIMIT,
                            source: source.octets(),
                            destination: destination.octets(),
                            ..Ipv6Header::default()
                        };
                        IpHeaders::Ipv6(header, Ipv6Extensions::default())
                    }
                });
                let mut expected = Vec::new();
                match (probe.content(), number) {
                    (Content::Ports { source, destination }, protocol::TCP) => {
                        network.tcp(source, destination, 1, WINDOW).syn().write(&mut expected, &[])
                    }
                    (Content::Ports { source, destination }, _) => {
                        network.udp(source, destination).write(&mut expected, &[])
                    }
                    (Content::Icmp { kind, code }, protocol::ICMP) => {
                        network.icmpv4_raw(kind, code, [0; 4]).write(&mut expected, &[])
                    }
                    (Content::Icmp { kind, code }, _) => {
                        network.icmpv6_raw(kind, code, [0; 4]).write(&mut expected, &[])
                    }
                    (Content::Bare, _) => network.write(&mut expected, IpNumber(number), &[0; 8]),
                }
                .unwrap();
                assert_eq!(probe.frame(None), expected, "{family:?} {number}");
            }
        }
    }
}
