//! What the kernel's own tests of connection tracking ask (`tools/testing/selftests/net/netfilter`), asked of this
//! filter. Each comment names the test whose situation is rebuilt here, with packets of our own, and says what must
//! hold. nftables stands beside it: that it says what is expected of it shows that the situation is the one meant.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_common::flow::Direction::{self, Egress as OUT, Ingress as IN};
use sg_tests::lab::{FrameSocket, Lab, PATIENCE};

use crate::{
    differential::{
        judges::{self, Judges},
        packet::{self, ACK, Body, Packet, RST, SYN, Segment},
        policy::{Policy, Service},
        rig::{LOCAL, Step},
    },
    support::suite::Suite,
};

const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 10));
const REMOTE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 9));
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 1));
const ROUTER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1));

/// A packet, and whether ours and nftables let it pass.
type Line = (Step, [bool; 2]);

type Test = fn(Lab) -> Result<()>;

const BOTH: [bool; 2] = [true, true];
const NEITHER: [bool; 2] = [false, false];
const OURS: [bool; 2] = [true, false];

pub(crate) fn tests(suite: &mut Suite) {
    let tests: [(&str, Test); 10] = [
        ("errors_about_flows", errors_about_flows),
        ("a_request_without_reply", a_request_without_reply),
        ("a_challenge_after_a_lost_end", a_challenge_after_a_lost_end),
        ("a_reset_outside_the_window", a_reset_outside_the_window),
        ("a_reset_that_is_not_exact", a_reset_that_is_not_exact),
        ("a_reply_to_an_older_request", a_reply_to_an_older_request),
        ("a_last_acknowledgement_is_lost", a_last_acknowledgement_is_lost),
        ("a_port_in_the_shadow", a_port_in_the_shadow),
        ("two_first_packets_at_once", two_first_packets_at_once),
        ("two_first_packets_from_both_ends", two_first_packets_from_both_ends),
    ];
    for (name, test) in tests {
        suite.when(name, judges::missing(), test);
    }
}

fn ends(direction: Direction, remote: IpAddr) -> [IpAddr; 2] {
    let local = LOCAL[usize::from(remote.is_ipv6())];
    if direction == IN { [remote, local] } else { [local, remote] }
}

fn step(direction: Direction, remote: IpAddr, body: Body) -> Step {
    let [from, to] = ends(direction, remote);
    Step { direction, packet: Packet::new(from, to, body) }
}

/// Of a connection between port 40000 of the remote end and port 80 of the local one.
fn tcp(direction: Direction, numbers: [u32; 2], flags: u8, payload: u16) -> Step {
    let ports = if direction == IN { [40_000, 80] } else { [80, 40_000] };
    step(direction, REMOTE, Body::Tcp(Segment { ports, numbers, flags, payload }))
}

fn udp(direction: Direction, remote: IpAddr, ports: [u16; 2]) -> Step {
    step(direction, remote, Body::Udp { ports })
}

/// An error that a router sends towards `to`.
fn error(direction: Direction, to: IpAddr, [kind, code]: [u8; 2], about: &Step) -> Step {
    let from = if to.is_ipv4() { ROUTER } else { ROUTER_V6 };
    let body = Body::Error { kind, code, about: Box::new(about.packet.clone()) };
    Step { direction, packet: Packet::new(from, to, body) }
}

/// Everything one way, nothing the other way.
fn only(direction: Direction) -> Policy {
    let rules = |accepts| [(accepts, Service::All)];
    Policy::of(&rules(direction == IN), &rules(direction == OUT))
}

/// Runs these packets and checks what both say.
fn holds(judges: &Judges, lines: &[Line]) -> Result<()> {
    let steps: Vec<_> = lines.iter().map(|(step, _)| step.clone()).collect();
    let verdicts = judges.judge(&steps)?;
    for (number, ((step, expected), said)) in lines.iter().zip(&verdicts).enumerate() {
        ensure!(
            [said.ours, said.theirs] == *expected,
            "packet {number}, {:?} {}: [ours, theirs] should be {expected:?}, but {said:?}",
            step.direction,
            step.packet
        );
    }
    Ok(())
}

/// A connection that the end with port 40000 or the one with port 80 opened. The opener's next number is 1001, that of
/// the other end 5001.
fn connected(by: Direction) -> [Line; 3] {
    [
        (tcp(by, [1_000, 0], SYN, 0), BOTH),
        (tcp(by.reversed(), [5_000, 1_001], SYN | ACK, 0), BOTH),
        (tcp(by, [1_001, 5_001], ACK, 0), BOTH),
    ]
}

/// `conntrack_icmp_related.sh`: errors about a flow that is known reach its sender, whoever sends them; about one that is
/// not known, or for somebody else, they do not.
fn errors_about_flows(lab: Lab) -> Result<()> {
    let judges = Judges::new(lab, &only(OUT))?;
    let sent = udp(OUT, REMOTE, [40_000, 53]);
    let sent_v6 = udp(OUT, REMOTE_V6, [40_000, 53]);
    let never = udp(OUT, REMOTE, [40_001, 53]);
    let ping = step(OUT, REMOTE, Body::Icmp { kind: 8, code: 0, identifier: 7 });
    let [local, local_v6] = LOCAL;
    holds(
        &judges,
        &[
            (error(IN, local, [3, 4], &sent), NEITHER),
            (sent.clone(), BOTH),
            (error(IN, local, [3, 4], &sent), BOTH),
            (error(IN, local, [3, 3], &never), NEITHER),
            (error(IN, Ipv4Addr::new(172, 16, 0, 6).into(), [3, 4], &sent), NEITHER),
            (ping.clone(), BOTH),
            (error(IN, local, [11, 0], &ping), BOTH),
            (error(IN, local_v6, [2, 0], &sent_v6), NEITHER),
            (sent_v6.clone(), BOTH),
            (error(IN, local_v6, [2, 0], &sent_v6), BOTH),
        ],
    )
}

/// `conntrack_tcp_unreplied.sh`: a request without a reply stands in no way. Asked again, it meets the policy that is
/// in force by then.
fn a_request_without_reply(lab: Lab) -> Result<()> {
    let mut judges = Judges::new(lab, &only(IN))?;
    let question = tcp(IN, [1_000, 0], SYN, 0);
    holds(&judges, &[(question.clone(), BOTH), (question.clone(), BOTH)])?;
    judges.apply(&only(OUT))?;
    holds(&judges, &[(question.clone(), NEITHER), (tcp(IN, [1_001, 0], ACK, 9), NEITHER)])?;
    judges.apply(&only(IN))?;
    holds(&judges, &connected(IN))
}

/// `packetdrill/conntrack_syn_challenge_ack.pkt`: an end lost its connection and asks with the same ports. The other end
/// challenges it, the reply to that is a reset, and the next question opens a connection.
fn a_challenge_after_a_lost_end(lab: Lab) -> Result<()> {
    let judges = Judges::new(lab, &only(IN))?;
    let asks = tcp(IN, [700_000, 0], SYN, 0);
    let then = [
        (asks.clone(), BOTH),
        (tcp(OUT, [5_001, 1_001], ACK, 0), BOTH),
        (tcp(IN, [1_001, 0], RST, 0), BOTH),
        (asks, BOTH),
        (tcp(OUT, [80_000, 700_001], SYN | ACK, 0), BOTH),
        (tcp(IN, [700_001, 80_001], ACK, 0), BOTH),
        (tcp(OUT, [80_001, 700_001], ACK, 100), BOTH),
    ];
    holds(&judges, &[&connected(IN)[..], &then].concat())
}

/// `packetdrill/conntrack_rst_invalid.pkt`: a reset outside the window ends nothing. Ours passes it on, for the end to
/// challenge; conntrack calls it invalid, and no rule accepts it.
fn a_reset_outside_the_window(lab: Lab) -> Result<()> {
    let judges = Judges::new(lab, &only(OUT))?;
    let then = [
        (tcp(IN, [900_000_000, 0], RST, 0), OURS),
        (tcp(IN, [5_001, 1_001], ACK, 100), BOTH),
        (tcp(OUT, [1_001, 5_101], ACK, 100), BOTH),
        (tcp(IN, [5_101, 0], RST, 0), BOTH),
    ];
    holds(&judges, &[&connected(OUT)[..], &then].concat())
}

/// `packetdrill/conntrack_inexact_rst.pkt`: a reset within the window, but not at its edge, ends nothing either: what the
/// ends say then goes on.
fn a_reset_that_is_not_exact(lab: Lab) -> Result<()> {
    let judges = Judges::new(lab, &only(IN))?;
    let then = [
        (tcp(IN, [1_101, 0], RST, 0), BOTH),
        (tcp(OUT, [5_001, 1_001], ACK, 0), BOTH),
        (tcp(OUT, [5_001, 1_001], ACK, 200), BOTH),
        (tcp(IN, [1_001, 5_201], ACK, 100), BOTH),
        (tcp(OUT, [5_201, 1_101], ACK, 200), BOTH),
    ];
    holds(&judges, &[&connected(IN)[..], &then].concat())
}

/// `packetdrill/conntrack_synack_old.pkt`, `conntrack_synack_reuse.pkt`: a late reply to an older request with the same
/// ports. The end resets that one, asks again, and the reply that fits opens the connection.
fn a_reply_to_an_older_request(lab: Lab) -> Result<()> {
    let judges = Judges::new(lab, &only(OUT))?;
    let asks = tcp(OUT, [1_000, 0], SYN, 0);
    let then = [
        (asks.clone(), BOTH),
        (tcp(IN, [33_000, 778], SYN | ACK, 0), BOTH),
        (tcp(OUT, [778, 0], RST, 0), BOTH),
    ];
    let data = [(tcp(IN, [5_001, 1_001], ACK, 100), BOTH), (tcp(OUT, [1_001, 5_101], ACK, 100), BOTH)];
    holds(&judges, &[&then[..], &connected(OUT), &data].concat())
}

/// `packetdrill/conntrack_ack_loss_stall.pkt`: an acknowledgement is lost, and what it was about comes again. Nothing of
/// that is dropped, and the connection goes on.
fn a_last_acknowledgement_is_lost(lab: Lab) -> Result<()> {
    let judges = Judges::new(lab, &only(IN))?;
    let [question, reply, _lost] = connected(IN);
    let then = [
        (tcp(IN, [1_001, 5_001], ACK, 100), BOTH),
        (tcp(OUT, [5_001, 1_101], ACK, 500), BOTH),
        // Its acknowledgement is lost too.
        (tcp(OUT, [5_001, 1_101], ACK, 500), BOTH),
        (tcp(IN, [1_101, 5_501], ACK, 0), BOTH),
        (tcp(OUT, [5_501, 1_101], ACK, 500), BOTH),
    ];
    holds(&judges, &[&[question, reply.clone(), reply][..], &then].concat())
}

/// `nft_nat.sh`, its port shadowing: whoever replies from the port of a service opens it to the one it exchanges packets with, to
/// nobody else, and for no new connection.
fn a_port_in_the_shadow(lab: Lab) -> Result<()> {
    let judges = Judges::new(lab, &only(OUT))?;
    let then = [
        (udp(IN, REMOTE, [40_000, 53]), NEITHER),
        (udp(OUT, REMOTE, [53, 40_000]), BOTH),
        (udp(IN, REMOTE, [40_000, 53]), BOTH),
        (udp(IN, OTHER, [40_000, 53]), NEITHER),
        (udp(IN, REMOTE, [40_001, 53]), NEITHER),
        (udp(IN, REMOTE, [40_000, 54]), NEITHER),
        (tcp(IN, [9_000, 0], SYN, 0), NEITHER),
    ];
    holds(&judges, &[&connected(OUT)[..], &then].concat())
}

/// `conntrack_clash.sh`: two first packets of one flow on two CPUs at once. Neither is lost.
fn two_first_packets_at_once(lab: Lab) -> Result<()> {
    at_once(&Judges::new(lab, &only(IN))?, [IN, IN])
}

/// `conntrack_reverse_clash.sh`: the same from both ends.
fn two_first_packets_from_both_ends(lab: Lab) -> Result<()> {
    let all = [(true, Service::All)];
    at_once(&Judges::new(lab, &Policy::of(&all, &all))?, [IN, OUT])
}

/// Two threads begin the same flows at the same time, with ours only: each packet arrives. A few at a time, for sockets
/// hold only so many.
fn at_once(judges: &Judges, ways: [Direction; 2]) -> Result<()> {
    const FLOWS: u16 = 2_000;
    const PART: u16 = 20;
    let rig = &judges.ours;
    let send = |way, flow| {
        let ports = if way == IN { [10_000 + flow, 53] } else { [53, 10_000 + flow] };
        rig.send(&udp(way, REMOTE, ports), flow + 1)
    };
    for first in (0..FLOWS).step_by(PART.into()) {
        thread::scope(|scope| {
            let senders = ways
                .map(|way| scope.spawn(move || (first..first + PART).try_for_each(|flow| send(way, flow))));
            senders
                .into_iter()
                .try_for_each(|sender| sender.join().map_err(|_| anyhow!("a sender panicked"))?)
        })?;
        for way in ways {
            received(rig.receiver(way), PART.into())
                .with_context(|| format!("flows from {first} on, {way:?}"))?;
        }
    }
    Ok(())
}

/// Waits for this many frames.
fn received(socket: &FrameSocket, expected: usize) -> Result<()> {
    let start = Instant::now();
    let mut buffer = [0; 256];
    let mut count = 0;
    while count < expected && start.elapsed() < PATIENCE {
        let frame = socket.next(Duration::from_millis(100), &mut buffer)?;
        count += usize::from(frame.and_then(packet::number).is_some());
    }
    ensure!(count == expected, "{count} of {expected} packets arrived");
    Ok(())
}
