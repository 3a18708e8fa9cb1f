//! ICMP errors about what the receiver sent, and about what it did not.

use crate::{
    frames::{
        Family, Packet, number,
        transport::{self, Transport},
    },
    story::{Lie, Opened, Teller},
};

/// The receiver sends a datagram; the packet that it was.
fn sent(teller: &mut Teller) -> (Opened, Packet) {
    let reverse = teller.ends.reversed();
    let ports = [teller.own_port(), teller.own_port()];
    let made = transport::udp(reverse, [ports[1], ports[0]], b"a question");
    let packet = Packet::new(reverse, made.protocol, made.bytes);
    (Opened { protocol: number::UDP, ports }, packet)
}

/// The error about a packet.
fn error(teller: &mut Teller, about: &[u8]) -> Transport {
    let (kind, code) = match teller.family() {
        Family::V4 => teller.pick(&[(3, 3), (3, 1), (11, 0), (3, 13)]),
        Family::V6 => teller.pick(&[(1, 4), (1, 0), (3, 0), (2, 0)]),
    };
    let rest = if kind == 2 { [0, 0, 5, 0] } else { [0; 4] };
    transport::icmp(teller.ends, kind, code, rest, about)
}

pub(super) fn about(teller: &mut Teller) {
    let (opened, packet) = sent(teller);
    if !teller.once_in(3) {
        teller.reply(opened, &packet);
    }
    let mut about = packet.bytes();
    if teller.once_in(4) {
        // About a packet of who sends the error, which perhaps it did send.
        let data = teller.data();
        let own = transport::udp(teller.ends, opened.ports, &data);
        let packet = Packet::new(teller.ends, own.protocol, own.bytes);
        if teller.once_in(2) {
            teller.send(&packet, &[]);
        }
        about = packet.bytes();
    }
    if teller.once_in(3) {
        let header = if teller.family() == Family::V4 { 20 } else { 40 };
        about.truncate(header + 8);
    }
    let made = error(teller, &about);
    let datagram = teller.datagram_of(&made);
    let trailer = teller.padding();
    teller.send(&datagram.whole(), &trailer);
}

/// What the error is about stands behind its end, or lies about itself.
pub(super) fn truncated(teller: &mut Teller) {
    teller.lie(Lie::Length);
    teller.lie(Lie::Transport);
    let (opened, mut packet) = sent(teller);
    teller.reply(opened, &packet);
    let header = if teller.family() == Family::V4 { 20 } else { 40 };
    match teller.rng.u8(..4) {
        0 => packet.length = Some(header as u16 + teller.rng.u16(..8)),
        1 => packet.own = Some(teller.rng.usize(..8)),
        2 => packet.words = Some(teller.rng.u8(..16)),
        _ => {}
    }
    let about = packet.bytes();
    let seen = teller.rng.usize(..header + 8);
    // The checksum is that of what belongs to the message.
    let mut made = error(teller, &about[..seen]);
    let own = made.bytes.len();
    made.bytes.extend(&about[seen..]);
    let datagram = teller.datagram_of(&made);
    let mut packet = datagram.whole();
    packet.own = Some(datagram.chain + own);
    teller.send(&packet, &[]);
}
