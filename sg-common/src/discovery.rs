//! Neighbour discovery, router discovery and multicast listener discovery of IPv6: which messages are nothing but that. They pass
//! without a rule, so they must not carry anything else: a closed NIC could use them as a covert channel.
//!
//! | what | direction | only where |
//! |---|---|---|
//! | router solicitation | egress | ICMPv6 133, hop limit 255, to the link |
//! | router advertisement | ingress | ICMPv6 134, hop limit 255 |
//! | neighbour solicitation | both | ICMPv6 135, hop limit 255; egress: to the link, or to the address that it queries |
//! | neighbour advertisement | both | ICMPv6 136, hop limit 255; egress: to the link, or to a solicitor ([`crate::exchange`]) |
//! | multicast listener report, done | egress | ICMPv6 131, 132, 143, hop limit 1, from `fe80::/10` or `::`, to multicast |
//! | multicast listener query | ingress | ICMPv6 130, hop limit 1, from `fe80::/10` |
//!
//! All of them are whole packets (RFC 6980) of code 0 without other extension headers (except for the eight bytes of a router
//! alert, RFC 2711, before a listener message), well-formed (RFC 4861 7.1, RFC 3810 5): options have a length and end where the
//! packet does, so do records of a report, and none is longer than such messages are. In messages that the NIC sends, reserved
//! fields are zero.
//!
//! Hop limits: a router lowers them, so 255 proves that the sender is on the link (RFC 4861 11.2); 1 does not leave it (RFC 3810
//! 5). Called by [`crate::exceptions`].

use crate::{
    flow::Direction,
    options::{List, State},
    packet::{Address, Frame, IPV6_HEADER, Packet, Window as _, protocol},
};

/// Bytes of options of a solicitation or an advertisement of a neighbour: its Ethernet address and a nonce (RFC 7527) have
/// sixteen.
const MAX_OPTIONS: usize = 32;

/// A listener report or query is no longer than this many bytes.
const MAX_LISTENER: usize = 8 + 32 * 20;

/// Bytes of a router alert, including its header.
const ROUTER_ALERT: usize = 8;

/// Kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// It goes to the link, or comes from it.
    Link,
    /// A solicitation of a neighbour, from an address that is not link-local.
    Solicitation,
    /// The advertisement to such a neighbour: only for a solicitor.
    Advertisement,
}

/// Whether a packet may be such a message by its type.
#[inline(always)]
#[must_use]
pub const fn may_be(packet: &Packet) -> bool {
    matches!(packet.l4_selector >> 8, 130..=136 | 143)
}

/// The kind of the ICMPv6 message `packet`; `None` if it is none of these. Its IP header is at `network`. `walk` walks a list
/// from an offset to an end, see [`options`](crate::options).
#[inline(always)]
pub fn read<F: Frame>(
    frame: &F,
    network: usize,
    packet: &Packet,
    direction: Direction,
    walk: impl Fn(List, usize, usize) -> State,
) -> Option<Message> {
    let sent = matches!(direction, Direction::Egress);
    let begins = network + IPV6_HEADER;
    let kind = (packet.l4_selector >> 8) as u8;
    let at = packet.transport_behind(network, IPV6_HEADER..=IPV6_HEADER + ROUTER_ALERT)?;
    // The code is zero: the type is all that there is.
    if packet.l4_selector & 0xff != 0 || packet.end < at {
        return None;
    }
    // Nothing may follow the packet, and only a router alert may precede the message.
    if sent && (frame.length() > packet.end || at != begins && !is_router_alert(frame, network)?) {
        return None;
    }
    let length = packet.end - at;
    let found = if matches!(kind, 133..=136) {
        if packet.ip.hop_limit != 255 || at != begins {
            return None;
        }
        neighbour(frame, packet, (kind, at, length), sent)?
    } else {
        let unspecified = sent && packet.source.is_unspecified();
        if packet.ip.hop_limit != 1 || !packet.source.is_link_local() && !unspecified {
            return None;
        }
        listener(frame, packet, (kind, at, length), sent)?
    };
    if found.first == 0 {
        return Some(found.message);
    }
    let list = if found.records == OPTIONS { List::Discovery } else { List::Records };
    let state = walk(list, found.first, packet.end);
    if state.is_bad() || state.at() != packet.end {
        return None;
    }
    if found.records != OPTIONS && found.records != state.count() {
        return None;
    }
    Some(found.message)
}

/// Whether the header behind the IPv6 header at `network` has a router alert of zero, and padding (RFC 2711 2.1).
#[inline(always)]
fn is_router_alert<F: Frame>(frame: &F, network: usize) -> Option<bool> {
    const NEXT_HEADER: usize = 6;
    const PADDED_BEHIND: u64 = 0x3a00_0502_0000_0100;
    const PADDED_BEFORE: u64 = 0x3a00_0100_0502_0000;
    let next = frame.window::<1>(network + NEXT_HEADER)?.byte(0);
    let header = frame.window::<ROUTER_ALERT>(network + IPV6_HEADER)?.be64(0);
    Some(next == protocol::HOP_BY_HOP && (header == PADDED_BEHIND || header == PADDED_BEFORE))
}

/// The fixed part of a message. Plain numbers: the eBPF compiler computes the contents of an `Option` even if there are none.
struct Fixed {
    message: Message,
    /// Offset of its options or records; zero if there are none.
    first: usize,
    /// Number of records required, or [`OPTIONS`].
    records: u32,
}

const OPTIONS: u32 = u32::MAX;

/// RFC 4861 4.1 to 4.4 and 7.1.
#[inline(always)]
fn neighbour<F: Frame>(
    frame: &F,
    packet: &Packet,
    (kind, at, length): (u8, usize, usize),
    sent: bool,
) -> Option<Fixed> {
    let (fixed, most) = match (kind, sent) {
        (133, true) => (8, 8 + MAX_OPTIONS),
        (134, false) => (16, usize::MAX),
        (135 | 136, _) => (24, 24 + MAX_OPTIONS),
        _ => return None,
    };
    if length < fixed || length > most {
        return None;
    }
    let destination = packet.destination;
    let mut message = Message::Link;
    if sent {
        // An advertisement has three flags there.
        let flags = if kind == 136 { 0xe000_0000 } else { 0 };
        if frame.window::<4>(at + 4)?.be32(0) & !flags != 0 {
            return None;
        }
        if !destination.is_link_local() && !destination.is_link_multicast() {
            match kind {
                135 => {
                    let target = frame.window::<16>(at + 8)?;
                    if (target.be64(0), target.be64(8)) != (destination.high, destination.low) {
                        return None;
                    }
                }
                136 => message = Message::Advertisement,
                _ => return None,
            }
        }
    } else if kind == 135 && !packet.source.is_link_local() && !packet.source.is_unspecified() {
        message = Message::Solicitation;
    }
    Some(Fixed { message, first: at + fixed, records: OPTIONS })
}

/// RFC 2710 3, RFC 3810 5.
#[inline(always)]
fn listener<F: Frame>(
    frame: &F,
    packet: &Packet,
    (kind, at, length): (u8, usize, usize),
    sent: bool,
) -> Option<Fixed> {
    let message = Message::Link;
    if length > MAX_LISTENER || sent && !packet.destination.is_multicast() {
        return None;
    }
    match (kind, sent) {
        // Messages of version 1 have this length.
        (130, false) | (131 | 132, true) if length == 24 => {
            Some(Fixed { message, first: 0, records: OPTIONS })
        }
        (130, false) => {
            let sources = frame.window::<2>(at + 26)?.be16(0);
            let ends = length == 28 + usize::from(sources) * 16;
            ends.then_some(Fixed { message, first: 0, records: OPTIONS })
        }
        (143, true) => {
            let header = frame.window::<4>(at + 4)?;
            let records = u32::from(header.be16(2));
            (header.be16(0) == 0).then_some(Fixed { message, first: at + 8, records })
        }
        _ => None,
    }
}

impl Address {
    /// Whether this IPv6 address is in `ff00::/8` (RFC 4291 2.7).
    #[inline(always)]
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.high >> 56 == 0xff
    }

    /// Whether this IPv6 address is link-local multicast, in `ff02::/16`.
    #[inline(always)]
    #[must_use]
    pub const fn is_link_multicast(self) -> bool {
        self.high >> 48 == 0xff02
    }
}
