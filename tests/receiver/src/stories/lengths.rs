//! Whole packets with lengths that lie: what stands behind the end that the IP header names is no part of the packet.

use crate::{
    frames::{Datagram, Family, Packet, number, transport::Transport},
    story::{Lie, Teller},
};

pub(super) fn whole(teller: &mut Teller) {
    let mut packet = teller.datagram().whole();
    packet.hop_limit = teller.hop_limit();
    if teller.once_in(24) {
        packet.spoil = 1;
    }
    let trailer = teller.padding();
    teller.send(&packet, &trailer);
    if teller.once_in(4) {
        // The same again: it belongs to what the first one opened.
        teller.send(&packet, &trailer);
    }
}

/// What is for another host: by the frame's Ethernet address, since a switch did not know where it is, or by the packet's.
pub(super) fn flooded(teller: &mut Teller) {
    let by_frame = teller.once_in(2);
    if by_frame {
        teller.to_another_host();
    }
    if !by_frame || teller.once_in(2) {
        teller.lie(Lie::Destination);
        teller.ends.to = match teller.family() {
            Family::V4 => "192.0.2.77".parse(),
            Family::V6 => "fd01::77".parse(),
        }
        .unwrap_or(teller.ends.to);
    }
    let packet = teller.datagram().whole();
    teller.send(&packet, &[]);
}

/// The packet ends within its transport header or its data, and the rest is a trailer.
pub(super) fn truncated(teller: &mut Teller) {
    teller.lie(Lie::Length);
    teller.lie(Lie::Transport);
    let Transport { protocol, mut bytes } = teller.transport();
    let own = teller.rng.usize(..=bytes.len().min(24));
    if teller.once_in(2) {
        // What stands there is accepted, what belongs to the packet is not all of it.
        let decoy = teller.decoy_of(protocol);
        bytes.truncate(own);
        bytes.extend(decoy.iter().skip(own));
        bytes.resize(bytes.len().max(24), 0);
    }
    let datagram = teller.datagram_of(&Transport { protocol, bytes });
    let mut packet = datagram.whole();
    packet.hop_limit = teller.hop_limit();
    packet.own =
        Some(if teller.once_in(6) { teller.rng.usize(..=datagram.chain) } else { datagram.chain + own });
    let trailer = teller.padding();
    teller.send(&packet, &trailer);
}

/// The length field says zero. IPv6: Linux truncates such a packet at the end of its header, unless hop-by-hop options come first
/// (`ip6_rcv_core`): then it reads on.
pub(super) fn nothing(teller: &mut Teller) {
    teller.lie(Lie::Length);
    let reads_on = teller.family() == Family::V6 && teller.once_in(3);
    let datagram = if reads_on {
        let made = teller.transport();
        let mut extensions = vec![teller.options_of(number::HOP_BY_HOP)];
        if teller.once_in(3) {
            extensions.push(teller.extension(false));
        }
        Datagram::new(teller.ends, &extensions, made.protocol, &made.bytes)
    } else {
        teller.datagram()
    };
    let mut packet = datagram.whole();
    packet.length = Some(0);
    packet.hop_limit = teller.hop_limit();
    if !reads_on && teller.once_in(3) {
        // A protocol that needs no bytes at all.
        packet.next = teller.pick(&[number::EXPERIMENT, number::GRE, number::UDP_LITE, number::NONE]);
    }
    teller.send(&packet, &[]);
}

/// The packet says it is longer than the frame.
pub(super) fn longer(teller: &mut Teller) {
    teller.lie(Lie::Length);
    let mut packet = teller.datagram().whole();
    packet.own = Some(packet.body.len() + teller.rng.usize(1..64));
    teller.send(&packet, &[]);
}

/// IPv4: the header says that it is longer or shorter than it is. IPv6: an extension header does.
pub(super) fn header(teller: &mut Teller) {
    teller.lie(Lie::Length);
    teller.lie(Lie::BrokenChain);
    let mut packet = teller.datagram().whole();
    if teller.family() == Family::V4 {
        packet.options = if teller.once_in(2) { vec![1; 4 * teller.rng.usize(..4)] } else { Vec::new() };
        packet.words = Some(teller.rng.u8(..16));
        if teller.once_in(2) {
            let decoy = teller.decoy_of(packet.next);
            let mut body = decoy;
            body.extend(&packet.body);
            packet.body = body;
        }
    } else {
        let mut extension = teller.extension(true);
        extension.bytes[1] = teller.rng.u8(..5);
        let datagram = Datagram::new(teller.ends, &[extension], packet.next, &packet.body);
        packet = datagram.whole();
    }
    teller.send(&packet, &[]);
}

/// IPv4 options, right and wrong ones.
pub(super) fn options(teller: &mut Teller) {
    teller.lie(Lie::Options);
    let mut packet: Packet = teller.datagram().whole();
    if teller.family() == Family::V4 {
        let words = teller.rng.usize(1..=10);
        packet.options = match teller.rng.u8(..5) {
            0 => vec![1; words * 4],
            1 => vec![0; words * 4],
            // Router alert (RFC 2113), record route (RFC 791).
            2 => [0x94, 4, 0, 0].repeat(words),
            3 => {
                let mut route = vec![7, 7, 4, 0, 0, 0, 0, 0];
                route.resize(words.max(2) * 4, 0);
                route
            }
            _ => teller.bytes(words * 4),
        };
    }
    let trailer = teller.padding();
    teller.send(&packet, &trailer);
}

impl Teller {
    /// A hop limit, for neighbour discovery mostly the right one.
    pub(super) fn hop_limit(&mut self) -> u8 {
        if self.once_in(2) { 255 } else { self.pick(&[1, 2, 64, 254]) }
    }

    /// What stands behind a packet: nothing, zeros, or a decoy.
    pub(super) fn padding(&mut self) -> Vec<u8> {
        match self.rng.u8(..4) {
            0 => vec![0; self.rng.usize(..40)],
            1 => self.decoy().bytes,
            _ => Vec::new(),
        }
    }
}
