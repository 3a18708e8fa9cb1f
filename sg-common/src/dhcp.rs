//! DHCP, the client's side: which messages request an address, and which are of the kind that a server sends in reply.
//! [`crate::exchange`] tells whether such a reply belongs to a request of the NIC.
//!
//! | what | where |
//! |---|---|
//! | a request over IPv4 | UDP 68 to 67, a BOOTREQUEST of Ethernet with the magic cookie (RFC 2131 2, 3) |
//! | … to everybody | to `255.255.255.255` |
//! | … to one server | to any other address that is no multicast address, from the address that the client claims to have |
//! | a reply over IPv4 | UDP 67 to 68, a BOOTREPLY likewise, to any address, including the offered one (RFC 2131 4.1) |
//! | a request over IPv6 | UDP 546 to 547, a message of a client (RFC 8415 7.3) |
//! | … to everybody | from `fe80::/10` to `ff02::1:2`, or to a server in `fe80::/10` |
//! | … to one server | to any other address that is no multicast address |
//! | a reply over IPv6 | UDP 547 to 546, an advertise or a reply |
//!
//! A message is a whole packet that its UDP header describes to its end; over IPv6 it has no extension headers. Its exchange is
//! named by the network, the transaction and the client: over IPv4 the client's Ethernet address, over IPv6 the first ten bytes
//! of its DUID and its address. Called by [`crate::exceptions`].

use crate::{
    flow::Direction,
    options::{List, State},
    packet::{Address, Family, Frame, IPV6_HEADER, Packet, Vlan, Window as _},
};

/// Maximum length of a message, including its UDP header: what fits into a packet of 1,500 bytes.
const LONGEST: usize = 1_480;

const UDP_HEADER: usize = 8;

/// Length of an IPv4 header, without options and with as many as possible.
const LEAST_HEADER: usize = 20;
const MOST_HEADER: usize = 60;

/// `255.255.255.255`.
const BROADCAST: u64 = 0xffff_ffff;

/// `ff02::1:2`, `All_DHCP_Relay_Agents_and_Servers` (RFC 8415 7.1).
const SERVERS: Address = Address { high: 0xff02_0000_0000_0000, low: 0x0000_0000_0001_0002 };

/// The name of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The client.
    pub client: u64,
    /// The transaction ID.
    pub transaction: u32,
    /// The network.
    pub vlan: Vlan,
}

/// A client over IPv4 and the server that gave it its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The client's address, as a number.
    pub client: u32,
    /// The server's address, as a number.
    pub server: u32,
}

/// Kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client's request to every server of its link.
    ToAll,
    /// A client's request to one server.
    ToOne,
    /// A server's reply.
    Reply,
    /// A server's reply that assigns an address.
    Assigns(Lease),
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// The exchange it belongs to.
    pub name: Name,
    /// Its kind.
    pub kind: Kind,
}

/// Whether a UDP packet may be such a message by its ports.
#[inline(always)]
#[must_use]
pub const fn may_be(packet: &Packet) -> bool {
    let ports = (packet.source_port, packet.l4_selector);
    match packet.family {
        Family::V4 => matches!(ports, (67, 68) | (68, 67)),
        Family::V6 => matches!(ports, (546, 547) | (547, 546)),
    }
}

/// The message in `packet`; `None` unless the NIC sends it as a client or receives it from a server. Its IP header is at
/// `network`. `walk` walks a list from an offset to an end, see [`options`](crate::options).
#[inline(always)]
pub fn read<F: Frame>(
    frame: &F,
    network: usize,
    packet: &Packet,
    direction: Direction,
    walk: impl Fn(List, usize, usize) -> State,
) -> Option<Message> {
    let sent = matches!(direction, Direction::Egress);
    let asks = matches!((packet.source_port, packet.l4_selector), (68, 67) | (546, 547));
    let at = packet.transport_behind(network, LEAST_HEADER..=MOST_HEADER)?;
    if asks != sent || packet.end < at {
        return None;
    }
    let length = packet.end - at;
    let udp = frame.window::<UDP_HEADER>(at)?;
    if length > LONGEST || usize::from(udp.be16(4)) != length || sent && frame.length() > packet.end {
        return None;
    }
    match packet.family {
        Family::V4 => read_v4(frame, packet, at + UDP_HEADER, sent, walk),
        // Nothing may be between the headers: it could carry hidden data.
        Family::V6 if at == network + IPV6_HEADER => read_v6(frame, packet, at + UDP_HEADER, sent, walk),
        Family::V6 => None,
    }
}

/// RFC 2131 2.
#[inline(always)]
fn read_v4<F: Frame>(
    frame: &F,
    packet: &Packet,
    begin: usize,
    sent: bool,
    walk: impl Fn(List, usize, usize) -> State,
) -> Option<Message> {
    const HEADER: usize = 236;
    const COOKIE: u32 = 0x6382_5363;
    const ETHERNET: (u8, u8) = (1, 6);
    let options = begin + HEADER + 4;
    if packet.end < options {
        return None;
    }
    // Up to the end of the client's Ethernet address.
    let fixed = frame.window::<36>(begin)?;
    let cookie = frame.window::<4>(begin + HEADER)?;
    let operation = if sent { 1 } else { 2 };
    if fixed.byte(0) != operation || (fixed.byte(1), fixed.byte(2)) != ETHERNET || cookie.be32(0) != COOKIE {
        return None;
    }
    let name = Name { client: fixed.be64(28) >> 16, transaction: fixed.be32(4), vlan: packet.vlan };
    let (has, gets) = (fixed.be32(12), fixed.be32(16));
    let to = packet.destination.high;
    let kind = if !sent {
        let found = walk(List::Dhcp4, options, packet.end);
        // The reply to a client that only requested settings does not repeat its address (RFC 2131 4.3.5).
        let client = if gets == 0 { has } else { gets };
        if found.found() && found.value() != 0 {
            Kind::Assigns(Lease { client, server: found.value() })
        } else {
            Kind::Reply
        }
    } else if to == BROADCAST {
        Kind::ToAll
    } else if u64::from(has) == packet.source.high && to >> 28 != 0xe {
        Kind::ToOne
    } else {
        return None;
    };
    Some(Message { name, kind })
}

/// RFC 8415 8, 11, 21.2.
#[inline(always)]
fn read_v6<F: Frame>(
    frame: &F,
    packet: &Packet,
    begin: usize,
    sent: bool,
    walk: impl Fn(List, usize, usize) -> State,
) -> Option<Message> {
    const SHORTEST_DUID: u16 = 10;
    let fixed = frame.window::<4>(begin)?.be32(0);
    let (from, to) = (packet.source, packet.destination);
    let kind = match (fixed >> 24, sent) {
        // Solicit, request, confirm, renew, rebind, release, decline, information-request.
        (1 | 3..=6 | 8 | 9 | 11, true) => {
            let everybody = (to.high, to.low) == (SERVERS.high, SERVERS.low) || to.is_link_local();
            if from.is_link_local() && everybody {
                Kind::ToAll
            } else if !to.is_multicast() {
                Kind::ToOne
            } else {
                return None;
            }
        }
        // Advertise, reply. A reconfigure replies to nothing.
        (2 | 7, false) => Kind::Reply,
        _ => return None,
    };
    let found = walk(List::Dhcp6, begin + 4, packet.end);
    if found.is_bad() {
        return None;
    }
    let mut identity = 0;
    if found.found() {
        // The part of the DUID behind its type tells clients apart, above all the Ethernet address.
        let option = frame.window::<14>(found.at())?;
        if option.be16(2) < SHORTEST_DUID {
            return None;
        }
        identity = option.be64(6);
    }
    let client = if sent { from } else { to };
    let client = identity ^ client.low.rotate_left(13) ^ client.high.rotate_left(29);
    Some(Message { name: Name { client, transaction: fixed & 0xff_ffff, vlan: packet.vlan }, kind })
}
