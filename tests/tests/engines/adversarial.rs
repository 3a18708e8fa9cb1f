//! Hard traffic, packet by packet through the program in the kernel: fragments, resets and FINs from nowhere,
//! errors about flows, and a flood of questions.

use sg_common::{abi::reason_counter, flow::Direction, verdict::Reason};
use sg_kernel::{Datapath, Program};

use crate::programs::{Test, judging, judging_nic};

pub(crate) const TESTS: &[Test] = &[
    ("fragments_follow_the_first_in_order", fragments_follow_the_first_in_order),
    ("fragments_of_a_dropped_datagram_are_dropped", fragments_of_a_dropped_datagram_are_dropped),
    ("a_policy_change_ends_a_datagram", a_policy_change_ends_a_datagram),
    ("a_forged_reset_ends_nothing", a_forged_reset_ends_nothing),
    ("both_ends_may_ask_at_once", both_ends_may_ask_at_once),
    ("only_a_question_is_answered_by_a_question", only_a_question_is_answered_by_a_question),
    ("an_error_is_for_who_sent_what_it_is_about", an_error_is_for_who_sent_what_it_is_about),
    ("a_flood_of_questions_forgets_no_talk", a_flood_of_questions_forgets_no_talk),
];

pub(crate) const REMOTE: [u8; 4] = [192, 0, 2, 1];
pub(crate) const LOCAL: [u8; 4] = [10, 0, 0, 5];

const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// An Ethernet frame with an IPv4 packet.
pub(crate) fn ipv4(protocol: u8, [from, to]: [[u8; 4]; 2], payload: &[u8]) -> Vec<u8> {
    let length = (20 + payload.len()) as u16;
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend(length.to_be_bytes());
    frame.extend([0, 9, 0, 0, 64, protocol, 0, 0]);
    frame.extend(from);
    frame.extend(to);
    frame.extend(payload);
    frame
}

pub(crate) fn inbound(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4(protocol, [REMOTE, LOCAL], payload)
}

pub(crate) fn outbound(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4(protocol, [LOCAL, REMOTE], payload)
}

pub(crate) fn tcp(ports: [u16; 2], [sequence, acknowledgement]: [u32; 2], flags: u8) -> Vec<u8> {
    let mut segment = [ports[0].to_be_bytes(), ports[1].to_be_bytes()].concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend(acknowledgement.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment
}

/// 16 bytes of a datagram to port 53, from byte `offset` of its payload on.
fn fragment(identification: u16, offset: u16, more: bool) -> Vec<u8> {
    let mut payload =
        if offset == 0 { vec![0x9c, 0x40, 0, 53, 0, 64, 0, 0] } else { vec![0, 53, 0, 53, 0, 53, 0, 53] };
    payload.extend([0; 8]);
    let mut frame = inbound(17, &payload);
    frame[18..20].copy_from_slice(&identification.to_be_bytes());
    let place = (offset / 8) | if more { 0x2000 } else { 0 };
    frame[20..22].copy_from_slice(&place.to_be_bytes());
    frame
}

/// The same in IPv6.
fn fragment_v6(identification: u32, offset: u16, more: bool) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 24, 44, 64]);
    frame.extend([0x20; 32]);
    frame.extend([17, 0]);
    frame.extend((offset | u16::from(more)).to_be_bytes());
    frame.extend(identification.to_be_bytes());
    frame.extend([0x9c, 0x40, 0, 53, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame
}

#[track_caller]
fn meets(datapath: &mut Datapath, program: Program, frame: &[u8]) -> (bool, Reason) {
    let outcome = datapath.run(program, frame, 1).unwrap();
    let decision = outcome.decision.expect("a decision is noted");
    assert_eq!(outcome.passed, decision.accepts());
    (outcome.passed, decision.reason().unwrap())
}

#[track_caller]
pub(crate) fn expect(datapath: &mut Datapath, program: Program, frame: &[u8], wanted: (bool, Reason)) {
    assert_eq!(meets(datapath, program, frame), wanted);
}

pub(crate) const PASSES: (bool, Reason) = (true, Reason::Rule);

pub(crate) const fn dropped(reason: Reason) -> (bool, Reason) {
    (false, reason)
}

fn fragments_follow_the_first_in_order() {
    use Program::Ingress;
    let mut datapath = judging("accept", "accept");
    let made: [&dyn Fn(u16, u16, bool) -> Vec<u8>; 2] =
        [&fragment, &|number, offset, more| fragment_v6(number.into(), offset, more)];
    for fragment in made {
        // Nothing goes before the first.
        expect(&mut datapath, Ingress, &fragment(1, 16, true), dropped(Reason::Fragment));
        expect(&mut datapath, Ingress, &fragment(1, 0, true), PASSES);
        // A gap: what is missing was not judged.
        expect(&mut datapath, Ingress, &fragment(1, 32, true), dropped(Reason::Fragment));
        expect(&mut datapath, Ingress, &fragment(1, 16, true), PASSES);
        // Once more, and half of it once more: other bytes may stand there.
        expect(&mut datapath, Ingress, &fragment(1, 16, true), dropped(Reason::FragmentOverlap));
        expect(&mut datapath, Ingress, &fragment(1, 24, true), dropped(Reason::FragmentOverlap));
        expect(&mut datapath, Ingress, &fragment(1, 32, false), PASSES);
        // Of another datagram, and the other way.
        expect(&mut datapath, Ingress, &fragment(2, 48, false), dropped(Reason::Fragment));
        expect(&mut datapath, Program::Egress, &fragment(1, 48, false), dropped(Reason::Fragment));
    }
}

fn fragments_of_a_dropped_datagram_are_dropped() {
    let mut datapath = judging("drop", "accept");
    expect(&mut datapath, Program::Ingress, &fragment(1, 0, true), dropped(Reason::Rule));
    expect(&mut datapath, Program::Ingress, &fragment(1, 16, false), dropped(Reason::Fragment));
}

fn a_policy_change_ends_a_datagram() {
    let mut datapath = judging("accept", "accept");
    expect(&mut datapath, Program::Ingress, &fragment(1, 0, true), PASSES);
    let (image, _) = judging_nic("drop", "accept", "");
    datapath.publish(0, &image.with_generation(2)).unwrap();
    expect(&mut datapath, Program::Ingress, &fragment(1, 16, false), dropped(Reason::Fragment));
}

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
fn only_a_question_is_answered_by_a_question() {
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

/// The tables of these tests hold 64 flows that were answered and 1,024 that were not.
fn a_flood_of_questions_forgets_no_talk() {
    let mut datapath = judging("accept", "drop");
    let full = reason_counter(0, Direction::Egress, Reason::FlowTableFull);
    let question = |from: [u8; 4], port| ipv4(6, [from, LOCAL], &tcp([port, 80], [1_000, 0], SYN));
    let answer = |port| outbound(6, &tcp([80, port], [5_000, 1_001], ACK));
    let mut talks = Vec::new();
    for port in 1_000..1_100 {
        let counted = |datapath: &Datapath| datapath.counters(&[full]).unwrap()[0].packets;
        let before = counted(&datapath);
        expect(&mut datapath, Program::Ingress, &question(REMOTE, port), PASSES);
        expect(&mut datapath, Program::Egress, &answer(port), PASSES);
        if counted(&datapath) == before {
            talks.push(port);
        }
    }
    assert!((1..=64).contains(&talks.len()), "{} talks have a place; the others are counted", talks.len());
    for number in 0..20_000_u32 {
        let [.., a, b] = number.to_be_bytes();
        expect(&mut datapath, Program::Ingress, &question([203, 0, a, b], 40_000), PASSES);
    }
    for &port in &talks {
        expect(&mut datapath, Program::Egress, &answer(port), PASSES);
    }
}
