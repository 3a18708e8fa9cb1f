//! What an unmodified Linux stack behind the filter gets to read: datagrams in pieces, with lies between the pieces and
//! behind their ends. Each trick is played on a stack without a filter, too, and must work there.

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::{
    lab::{Attach, Family, Lab, PATIENCE, SILENCE, Stats},
    packet::{SYN, TCP, UDP, checksum, summed, tcp, udp},
};
use socket2::{Domain, Socket, Type};

use crate::support::{
    forwarding::ForwardingPath,
    scene::{Client, Counted, Role, Scene, Server, Stranger, Who, counts, filtered, over_roles, web},
    suite::Suite,
};

/// One port is open each way.
const RULES: &str = "
ingress:
  - { id: in, protocol: udp, ports: 54 }
  - { id: nothing-in, action: drop, priority: 2, protocol: all }
egress:
  - { id: out, protocol: udp, ports: 54 }
  - { id: tcp-out, protocol: tcp, ports: 443 }
  - { id: nothing-out, action: drop, priority: 2, protocol: all }
";
const OPEN: u16 = 54;
const SHUT: u16 = 99;

const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;
const DATA: &[u8] = b"for whom it is not meant";

pub(crate) fn tests(suite: &mut Suite) {
    for (way, from, to) in [("in", Client, Server), ("out", Server, Client)] {
        over_roles(suite, &format!("gets_no_hidden_datagram_{way}"), move |lab, attach, role| {
            gets_no_hidden_datagram(lab, attach, role, from, to)
        });
        over_roles(suite, &format!("gets_what_was_judged_{way}"), move |lab, attach, role| {
            gets_what_was_judged(lab, attach, role, from, to)
        });
    }
    over_roles(suite, "gets_no_tiny_syn", gets_no_tiny_syn);
    over_roles(suite, "padding_opens_nothing", padding_opens_nothing);
    suite.over(
        &[Attach::Tcx, Attach::Clsact],
        "gets_no_rogue_server_in_fragments",
        gets_no_rogue_server_in_fragments,
    );
}

fn bound_socket(scene: &Scene, who: Who, family: Family, port: u16) -> Result<UdpSocket> {
    scene.host(who).inside(|| Ok(UdpSocket::bind((who.address(family), port))?))
}

/// What the socket gets within `patience`.
fn next(socket: &UdpSocket, patience: Duration) -> Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 4_096];
    socket.set_read_timeout(Some(patience))?;
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(Some(buffer[..length].to_vec())),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error).context("cannot receive"),
    }
}

/// A fragment of what is carried between the ends of `path`; `next` is what IPv6 says comes first.
fn fragment(
    path: &ForwardingPath,
    next: u8,
    number: u16,
    (offset, more): (u16, bool),
    bytes: &[u8],
) -> Vec<u8> {
    let place = offset | u16::from(more);
    if path.is_v6() {
        let header = [&[next, 0][..], &place.to_be_bytes(), &[0, 0], &number.to_be_bytes()].concat();
        return path.packet(FRAGMENT, &[&header, bytes].concat());
    }
    let mut packet = path.packet(next, bytes);
    packet[4..6].copy_from_slice(&number.to_be_bytes());
    packet[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    packet[10..12].fill(0);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Destination options that say nothing.
const fn options(next: u8) -> [u8; 8] {
    [next, 0, 1, 4, 0, 0, 0, 0]
}

/// The ways to hide a transport header from who reads the first fragment only: packets in order.
fn hidden(
    path: &ForwardingPath,
    transport: &[u8],
    protocol: u8,
    number: u16,
) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let first = fragment(path, OPTIONS, number, (0, true), &options(OPTIONS));
    let rest = fragment(path, OPTIONS, number, (8, false), &[&options(protocol)[..], transport].concat());
    // Behind the end of the first: the end of the chain, and what passes without a rule.
    let lie = [&options(58)[..], &[135, 0, 0, 0, 0, 0, 0, 0], &[0; 16]].concat();
    // Behind the end of the first: what passes by a rule.
    let open = [&options(UDP)[..], &udp([OPEN, OPEN], &[0; 8])].concat();
    let trailed = |trailer: &[u8]| vec![[&first[..], trailer].concat(), rest.clone()];
    let renumbered = |packets: Vec<Vec<u8>>, number: u8| {
        packets.into_iter().map(move |mut packet| {
            packet[47] = number;
            packet
        })
    };
    vec![
        ("a chain that goes on", renumbered(trailed(&[]), 1).collect()),
        ("a chain that goes on, and neighbour discovery", renumbered(trailed(&lie), 2).collect()),
        ("a chain that goes on, and an open port", renumbered(trailed(&open), 3).collect()),
    ]
}

fn gets_no_hidden_datagram(lab: Lab, attach: Attach, role: Role, from: Who, to: Who) -> Result<()> {
    let (scene, _agent) = filtered(lab, attach, role, &web(role, RULES))?;
    // Nobody filters what the stranger gets or sends.
    let unfiltered = if from == Client { (Client, Stranger) } else { (Stranger, Client) };
    for ((sender, receiver), works) in [(unfiltered, true), ((from, to), false)] {
        let path = ForwardingPath::ip(&scene, sender, receiver, Family::V6)?;
        let socket = bound_socket(&scene, receiver, Family::V6, SHUT)?;
        let (source, destination) = (sender.address(Family::V6), receiver.address(Family::V6));
        let transport = summed([source, destination], UDP, udp([4_000, SHUT], DATA));
        for (what, packets) in hidden(&path, &transport, UDP, u16::from(sender as u8) << 8) {
            for packet in packets {
                path.send(&path.frame(&packet))?;
            }
            let got = next(&socket, if works { PATIENCE } else { SILENCE })?;
            ensure!(got.is_some() == works, "{what}, from {sender:?} to {receiver:?}: {got:?}");
        }
        // A plain one, as the control.
        path.send(&path.frame(&path.packet(UDP, &transport)))?;
        let got = next(&socket, if works { PATIENCE } else { SILENCE })?;
        ensure!(got.is_some() == works, "plain, from {sender:?} to {receiver:?}: {got:?}");
    }
    Ok(())
}

/// Pieces in order arrive; what overlaps is dropped, and what arrives is what was there before.
fn gets_what_was_judged(lab: Lab, attach: Attach, role: Role, from: Who, to: Who) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, RULES))?;
    for family in Family::ALL {
        let path = ForwardingPath::ip(&scene, from, to, family)?;
        let socket = bound_socket(&scene, to, family, OPEN)?;
        let data: Vec<u8> = (0..48).collect();
        let whole = summed([from.address(family), to.address(family)], UDP, udp([OPEN, OPEN], &data));
        let other: Vec<u8> = whole.iter().map(|byte| !byte).collect();
        let piece = |number, (first, last): (usize, usize), bytes: &[u8]| {
            let place = (first as u16, last < whole.len());
            path.frame(&fragment(&path, UDP, number, place, &bytes[first..last]))
        };
        let (mut twice, mut hostile) = (whole.clone(), whole.clone());
        twice[40..].fill(7);
        hostile[8..].fill(9);
        // Number, whether the pieces are dropped, and what is in them.
        for (what, number, pieces) in [
            ("in order", 1, vec![(piece(1, (0, 24), &whole), false), (piece(1, (24, 56), &whole), false)]),
            (
                "the first twice, and once more with other bytes",
                2,
                vec![
                    (piece(2, (0, 24), &whole), false),
                    (piece(2, (0, 24), &whole), true),
                    (piece(2, (0, 32), &hostile), true),
                    (piece(2, (24, 40), &whole), false),
                    (piece(2, (16, 40), &other), true),
                    (piece(2, (24, 40), &whole), true),
                    (piece(2, (40, 56), &whole), false),
                    (piece(2, (40, 56), &twice), true),
                ],
            ),
            // The sender comes round to the number again.
            (
                "the number again",
                2,
                vec![(piece(2, (0, 24), &whole), false), (piece(2, (24, 56), &whole), false)],
            ),
        ] {
            for (index, (frame, is_dropped)) in pieces.into_iter().enumerate() {
                let dropped = |stats: &Stats| stats.reason("fragment-overlap");
                let expected = u64::from(is_dropped);
                counts(&agent, Counted::Of("overlaps", &dropped), expected..=expected, || {
                    // Without the socket: what is put together is not received as frames.
                    path.send(&frame)?;
                    std::thread::sleep(Duration::from_millis(20));
                    Ok(())
                })
                .with_context(|| format!("{what}, number {number}, piece {index}, {family}"))?;
            }
            let got = next(&socket, PATIENCE)?;
            ensure!(got.as_deref() == Some(&data[..]), "{what}, {family}: {got:?}");
            ensure!(next(&socket, Duration::from_millis(20))?.is_none(), "{what}, {family}: once more");
        }
    }
    Ok(())
}

/// A connection that went out is gone, and its ends are still known: eight bytes of TCP say the ports and not the SYN.
fn gets_no_tiny_syn(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const PORT: u16 = 7_777;
    let (scene, _agent) = filtered(lab, attach, role, &web(role, RULES))?;
    for family in Family::ALL {
        for (receiver, works) in [(Stranger, true), (Server, false)] {
            let (source, destination) = (Client.address(family), receiver.address(family));
            let listener = reused(&scene, Client, SocketAddr::new(source, 443))?;
            listener.listen(1)?;
            let waiting = reused(&scene, receiver, SocketAddr::new(destination, PORT))?;
            waiting.listen(1)?;
            let asks = reused(&scene, receiver, SocketAddr::new(destination, PORT))?;
            asks.connect(&SocketAddr::new(source, 443).into())?;
            let (accepted, _) = listener.accept()?;
            // A reset ends it at once.
            asks.set_linger(Some(Duration::ZERO))?;
            drop((asks, accepted, listener));

            let path = ForwardingPath::ip(&scene, Client, receiver, family)?;
            let back = ForwardingPath::ip(&scene, receiver, Client, family)?;
            let segment = summed([source, destination], TCP, tcp([443, PORT], [0, 0], SYN));
            let number = u16::from(receiver as u8);
            let pieces = [((0, true), &segment[..8]), ((8, false), &segment[8..])];
            for (place, bytes) in pieces {
                path.send(&path.frame(&fragment(&path, TCP, number, place, bytes)))?;
            }
            let header = if family == Family::V4 { 14 + 20 } else { 14 + 40 };
            // Linux refuses such a first fragment of IPv6 by itself (RFC 8200 4.5).
            let expected = works && family == Family::V4;
            let replies = back.receives(if expected { PATIENCE } else { SILENCE }, |frame| {
                frame.get(header + 13).is_some_and(|flags| flags & 0x12 == 0x12)
                    && frame[header..header + 2] == PORT.to_be_bytes()
            })?;
            ensure!(replies == expected, "{receiver:?} over {family}: {replies}");
        }
    }
    Ok(())
}

/// A TCP socket at an address that another one may have, too.
fn reused(scene: &Scene, who: Who, at: SocketAddr) -> Result<Socket> {
    scene.host(who).inside(|| {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.bind(&at.into())?;
        Ok(socket)
    })
}

/// Total length 20, and padding that says the open port: a peer's case.
fn padding_opens_nothing(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, RULES))?;
    for family in Family::ALL {
        let path = ForwardingPath::ip(&scene, Client, Server, family)?;
        let header = udp([9, OPEN], b"");
        let empty = path.packet(UDP, &[]);
        let half = path.packet(UDP, &header[..4]);
        let behind = |packet: &[u8], from: usize| [packet, &header[from..], &[0; 20]].concat();
        let mut packets = vec![behind(&empty, 0), behind(&half, 4)];
        if family == Family::V6 {
            packets.push(behind(&path.packet(OPTIONS, &options(UDP)), 0));
            // A wire has no packets of length zero: Linux truncates it to its header.
            let mut zero = path.packet(UDP, &header);
            zero[4..6].fill(0);
            packets.push(zero);
        }
        for packet in packets {
            counts(&agent, Counted::Reason("malformed"), 1..=1, || {
                path.carries(&path.frame(&packet), false)?;
                Ok(())
            })
            .with_context(|| format!("{family}: {packet:02x?}"))?;
        }
    }
    let flows = agent.sgctl(&["flows", "--instance", agent.instance(), "-o", "json", "--port", "54"])?;
    let flows: Vec<serde_json::Value> = serde_json::from_slice(&flows.stdout)?;
    ensure!(flows.is_empty(), "a flow was opened: {flows:?}");
    Ok(())
}

/// Everything may go out, and yet a guest is no DHCP server.
fn gets_no_rogue_server_in_fragments(lab: Lab, attach: Attach) -> Result<()> {
    const ANY: &str = "
ingress:
  - { protocol: all }
egress:
  - { protocol: all }
";
    let (scene, _agent) = filtered(lab, attach, Role::Guest, &web(Role::Guest, ANY))?;
    for (sender, receiver, works) in [(Stranger, Client, true), (Server, Client, false)] {
        let path = ForwardingPath::ip(&scene, sender, receiver, Family::V6)?;
        let socket = bound_socket(&scene, receiver, Family::V6, 546)?;
        let (source, destination) = (sender.address(Family::V6), receiver.address(Family::V6));
        let reply = summed([source, destination], UDP, udp([547, 546], b"rogue DHCPv6 reply"));
        let mut tries = hidden(&path, &reply, UDP, u16::from(sender as u8) << 8);
        tries.push(("plain", vec![path.packet(UDP, &reply)]));
        for (what, packets) in tries {
            for packet in packets {
                path.send(&path.frame(&packet))?;
            }
            let got = next(&socket, if works { PATIENCE } else { SILENCE })?;
            ensure!(got.is_some() == works, "{what}, from {sender:?}: {got:?}");
        }
    }
    Ok(())
}
