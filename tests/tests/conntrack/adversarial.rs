//! Hard traffic, packet by packet through the program in the kernel: resets and FINs from nowhere, errors about flows, and a
//! flood of questions.

use sg_common::{abi::reason_counter, flow::Direction, verdict::Reason};
use sg_kernel::{Datapath, Program};
use sg_tests::packet::{ACK, FIN, RST, SYN, tcp};

use crate::support::runs::{LOCAL, PASSES, REMOTE, Test, dropped, expect, inbound, ipv4, judging, outbound};

pub(crate) const TESTS: &[Test] = &[
    ("a_forged_reset_ends_nothing", a_forged_reset_ends_nothing),
    ("both_ends_may_ask_at_once", both_ends_may_ask_at_once),
    ("a_syn_is_no_reply_to_other_packets", a_syn_is_no_reply_to_other_packets),
    ("an_error_is_for_who_sent_what_it_is_about", an_error_is_for_who_sent_what_it_is_about),
    ("a_syn_flood_evicts_no_established_flow", a_syn_flood_evicts_no_established_flow),
];

/// A connection that came in; outbound nothing may start.
fn connected() -> Datapath {
    let mut datapath = judging("accept", "drop");
    for (program, frame) in [
        (Program::Ingress, inbound(6, &tcp([40_000, 80], [1_000, 0], SYN))),
        (Program::Egress, outbound(6, &tcp([80, 40_000], [5_000, 1_001], SYN | ACK))),
        (Program::Ingress, inbound(6, &tcp([40_000, 80], [1_001, 5_001], ACK))),
    ] {
        expect(&mut datapath, program, &frame, PASSES);
    }
    datapath
}

/// The state of the only flow.
fn state(datapath: &Datapath) -> u8 {
    let flows = datapath.flows().unwrap();
    assert_eq!(flows.len(), 1);
    flows[0].1.state()
}

fn a_forged_reset_ends_nothing() {
    let (established, closing) = (1, 2);
    for flags in [RST, RST | ACK, FIN | ACK] {
        let mut datapath = connected();
        for sequence in [0, 1_000, 1_002, 900_000, 0x8000_03e9] {
            // The ends are to judge it; the state stays.
            let forged = inbound(6, &tcp([40_000, 80], [sequence, 5_001], flags));
            expect(&mut datapath, Program::Ingress, &forged, PASSES);
            let forged = outbound(6, &tcp([80, 40_000], [sequence + 7, 1_001], flags));
            expect(&mut datapath, Program::Egress, &forged, PASSES);
            assert_eq!(state(&datapath), established, "{flags} {sequence}");
        }
    }
    let mut datapath = connected();
    expect(&mut datapath, Program::Ingress, &inbound(6, &tcp([40_000, 80], [1_001, 0], RST)), PASSES);
    assert_eq!(state(&datapath), closing);
}

fn both_ends_may_ask_at_once() {
    let mut datapath = judging("drop", "accept");
    let asks = inbound(6, &tcp([80, 40_000], [5_000, 0], SYN));
    expect(&mut datapath, Program::Ingress, &asks, dropped(Reason::Rule));
    expect(&mut datapath, Program::Egress, &outbound(6, &tcp([40_000, 80], [1_000, 0], SYN)), PASSES);
    expect(&mut datapath, Program::Ingress, &asks, PASSES);
    // Once they are connected, a SYN is a question again, and meets the policy.
    expect(&mut datapath, Program::Ingress, &asks, dropped(Reason::Rule));
}

/// What began otherwise than with a SYN is no half of a simultaneous open.
fn a_syn_is_no_reply_to_other_packets() {
    for flags in [ACK, SYN | ACK, FIN | ACK, RST] {
        let mut datapath = judging("drop", "accept");
        expect(&mut datapath, Program::Egress, &outbound(6, &tcp([80, 40_000], [1_000, 0], flags)), PASSES);
        let question = inbound(6, &tcp([40_000, 80], [5_000, 0], SYN));
        expect(&mut datapath, Program::Ingress, &question, dropped(Reason::Rule));
    }
}

fn an_error_is_for_who_sent_what_it_is_about() {
    let mut datapath = judging("drop", "accept");
    let sent = outbound(17, &[0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
    expect(&mut datapath, Program::Egress, &sent, PASSES);
    let error = |to: [u8; 4], about: &[u8]| {
        let message = [&[3, 4, 0, 0, 0, 0, 5, 0][..], &about[14..]].concat();
        ipv4(1, [[198, 51, 100, 7], to], &message)
    };
    expect(&mut datapath, Program::Ingress, &error(LOCAL, &sent), (true, Reason::IcmpError));
    expect(&mut datapath, Program::Ingress, &error([10, 0, 0, 6], &sent), dropped(Reason::Rule));
    // About a packet that went the other way, about none of ours, and about the middle of a datagram.
    let received = inbound(17, &[0, 53, 0x9c, 0x40, 0, 8, 0, 0]);
    expect(&mut datapath, Program::Ingress, &error(LOCAL, &received), dropped(Reason::Rule));
    let other = outbound(17, &[0x9c, 0x41, 0, 53, 0, 8, 0, 0]);
    expect(&mut datapath, Program::Ingress, &error(LOCAL, &other), dropped(Reason::Rule));
    let mut middle = sent;
    middle[21] = 1;
    expect(&mut datapath, Program::Ingress, &error(LOCAL, &middle), dropped(Reason::Rule));
}

/// The tables of these tests hold 64 established flows and 1,024 half-open ones.
fn a_syn_flood_evicts_no_established_flow() {
    let mut datapath = judging("accept", "drop");
    let full = reason_counter(0, Direction::Egress, Reason::FlowTableFull);
    let question = |from: [u8; 4], port| ipv4(6, [from, LOCAL], &tcp([port, 80], [1_000, 0], SYN));
    let reply = |port| outbound(6, &tcp([80, port], [5_000, 1_001], ACK));
    let mut established = Vec::new();
    for port in 1_000..1_100 {
        let counted = |datapath: &Datapath| datapath.counters(&[full]).unwrap()[0].packets;
        let before = counted(&datapath);
        expect(&mut datapath, Program::Ingress, &question(REMOTE, port), PASSES);
        expect(&mut datapath, Program::Egress, &reply(port), PASSES);
        if counted(&datapath) == before {
            established.push(port);
        }
    }
    assert!(
        (1..=64).contains(&established.len()),
        "{} flows have a place; the others are counted",
        established.len()
    );
    for number in 0..20_000_u32 {
        let [.., a, b] = number.to_be_bytes();
        expect(&mut datapath, Program::Ingress, &question([203, 0, a, b], 40_000), PASSES);
    }
    for &port in &established {
        expect(&mut datapath, Program::Egress, &reply(port), PASSES);
    }
}
