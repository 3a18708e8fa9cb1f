//! What the receiver began: replies come in without a rule, and what only looks like one does not.

use crate::{
    frames::{
        Datagram, Packet, number, split,
        transport::{self, flags},
    },
    story::{Lie, Opened, Teller},
};

/// The receiver begins something; returns the protocol and the ports of the reply.
fn begin(teller: &mut Teller) -> Opened {
    let family = teller.family();
    let protocol = teller.pick(&[number::TCP, number::UDP, crate::rules::icmp(family)]);
    let reverse = teller.ends.reversed();
    let ports = [teller.own_port(), teller.port()];
    let away = [ports[1], ports[0]];
    let (sent, opened) = match protocol {
        number::TCP => (transport::tcp(reverse, away, flags::SYN, &[]), Opened { protocol, ports }),
        number::UDP => (transport::udp(reverse, away, b"?"), Opened { protocol, ports }),
        _ => {
            let [high, low] = ports[0].to_be_bytes();
            let kind = transport::echo(family);
            let sent = transport::icmp(reverse, kind, 0, [high, low, 0, 1], b"?");
            (sent, Opened { protocol, ports: [ports[0]; 2] })
        }
    };
    teller.reply(opened, &Packet::new(reverse, sent.protocol, sent.bytes));
    opened
}

fn reply_to(teller: &mut Teller, opened: Opened) -> transport::Transport {
    let ends = teller.ends;
    let data = teller.data();
    match opened.protocol {
        number::TCP => transport::tcp(ends, opened.ports, flags::SYN | flags::ACK, &[]),
        number::UDP => transport::udp(ends, opened.ports, &data),
        _ => {
            let [high, low] = opened.ports[0].to_be_bytes();
            let kind = if ends.from.is_ipv4() { 0 } else { 129 };
            transport::icmp(ends, kind, 0, [high, low, 0, 1], &data)
        }
    }
}

pub(super) fn honest(teller: &mut Teller) {
    let opened = begin(teller);
    let reply = reply_to(teller, opened);
    let datagram = teller.datagram_of(&reply);
    if teller.once_in(3) {
        let fragments = split(&datagram, teller.identification(), &[datagram.chain.div_ceil(8) * 8 + 24]);
        teller.send_all(&fragments);
    } else {
        let trailer = teller.padding();
        teller.send(&datagram.whole(), &trailer);
    }
}

/// A new connection over an old one's ports, and other things that the reply's ports are to let in.
pub(super) fn new_within_old(teller: &mut Teller) {
    teller.lie(Lie::Transport);
    let opened = begin(teller);
    let ends = teller.ends;
    if teller.once_in(2) {
        let reply = reply_to(teller, opened);
        teller.send(&Datagram::new(ends, &[], reply.protocol, &reply.bytes).whole(), &[]);
        if teller.once_in(2) && opened.protocol == number::TCP {
            let end = transport::tcp(ends, opened.ports, flags::RST | flags::ACK, &[]);
            teller.send(&Packet::new(ends, end.protocol, end.bytes), &[]);
        }
    }
    let fresh = match opened.protocol {
        number::TCP => transport::tcp(ends, opened.ports, flags::SYN, &[]),
        number::UDP => transport::udp(ends, [opened.ports[0], opened.ports[1] ^ 1], b"other"),
        _ => transport::icmp(ends, if ends.from.is_ipv4() { 13 } else { 139 }, 0, [0, 9, 0, 1], &[0; 16]),
    };
    let datagram = teller.datagram_of(&fresh);
    let identification = teller.identification();
    match teller.rng.u8(..4) {
        0 => teller.send(&datagram.whole(), &[]),
        1 => {
            teller.lie(Lie::Length);
            let mut packet = datagram.whole();
            packet.own = Some(datagram.chain + 8);
            teller.send(&packet, &[]);
        }
        _ => {
            // The ports in the first fragment, the flags in the second.
            teller.lie(Lie::TinyFirst);
            let at = datagram.chain.div_ceil(8) * 8 + 8;
            let fragments = split(&datagram, identification, &[at]);
            for fragment in &fragments {
                let trailer = if fragment.more {
                    let ack = transport::tcp(ends, opened.ports, flags::ACK, &[]);
                    ack.bytes[8..].to_vec()
                } else {
                    Vec::new()
                };
                teller.send(&fragment.packet(&[]), &trailer);
            }
        }
    }
}
