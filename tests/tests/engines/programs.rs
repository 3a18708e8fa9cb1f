//! The programs by themselves, through `BPF_PROG_TEST_RUN`: what they cost the verifier, that each really drops, and
//! that they read packets as user space does.

use sg_check::{CompiledNic, KernelEngine};
use sg_common::{
    abi::reason_counter,
    flow::{Direction, FlowEntry, FlowKey, State},
    packet::{Parsed, Part, parse},
    verdict::Reason,
};
use sg_compile::Image;
use sg_kernel::{Datapath, Limits, Options, Program, clock};

/// Instructions that the verifier may walk through, a program.
const BUDGET: u32 = 94_000;

/// A room for each test here.
pub(crate) type Test = (&'static str, fn());

pub(crate) const TESTS: &[Test] = &[
    ("stay_within_the_verifier_budget", stay_within_the_verifier_budget),
    ("each_drops_and_passes_by_the_rules", each_drops_and_passes_by_the_rules),
    ("each_drops_without_a_nic_or_an_image", each_drops_without_a_nic_or_an_image),
    ("read_frames_as_user_space_does", read_frames_as_user_space_does),
    ("old_flows_are_swept", old_flows_are_swept),
    ("a_flow_noted_a_moment_later_lives", a_flow_noted_a_moment_later_lives),
    ("a_large_table_is_swept_in_parts", a_large_table_is_swept_in_parts),
    ("a_full_flow_table_does_not_open_anything", a_full_flow_table_does_not_open_anything),
    ("user_space_tells_the_jiffies_of_programs", user_space_tells_the_jiffies),
];

/// What the agent's sweep of old flows needs: a clock, and entries that are old by it.
fn old_flows_are_swept() {
    let mut datapath = judging("accept", "accept");
    assert!(datapath.run(Program::Ingress, &segment(0x02, 40_000), 1).unwrap().passed);
    assert_eq!(datapath.sweep().unwrap(), 0, "a flow of this moment stays");
    let Parsed::Packet(packet) = parse(&&segment(0x02, 40_001)[..]) else { panic!("a segment is a packet") };
    let key = FlowKey::of(0, Direction::Ingress, &packet).unwrap();
    let old = silent_for_long(&mut datapath);
    datapath.enter_flows([(key, old)]).unwrap();
    assert_eq!(datapath.sweep().unwrap(), 1);
    assert_eq!(datapath.forget_flows(0).unwrap(), 1, "the flow of this moment stayed");
}

/// Another processor noted the flow after this one read its clock, by up to some jiffies.
fn a_flow_noted_a_moment_later_lives() {
    let mut datapath = judging("accept", "drop");
    assert!(datapath.run(Program::Ingress, &segment(0x02, 40_000), 1).unwrap().passed);
    let (key, entry) = datapath.flows().unwrap()[0];
    datapath.forget_flows(0).unwrap();
    for ahead in [0, 1, 2, 10_000] {
        let last_seen = entry.last_seen.wrapping_add(ahead);
        let noted = FlowEntry { last_seen, ..entry }.with_state(State::Established);
        datapath.enter_flows([(key, noted)]).unwrap();
        assert_eq!(datapath.sweep().unwrap(), 0, "{ahead} jiffies ahead");
        assert!(datapath.run(Program::Egress, &answer(40_000), 1).unwrap().passed, "{ahead} jiffies ahead");
    }
    let noted = FlowEntry { last_seen: entry.last_seen.wrapping_sub(1 << 30), ..entry };
    datapath.enter_flows([(key, noted)]).unwrap();
    assert!(!datapath.run(Program::Egress, &answer(40_000), 1).unwrap().passed, "long ago is long ago");
}

/// A table of more flows than are read at a time.
fn a_large_table_is_swept_in_parts() {
    const FLOWS: u32 = 30_000;
    let limits = Limits { nics: 4, flows: 1 << 16, counters: 512 };
    let mut datapath = Datapath::load(&Options { limits, ..Options::default() }).unwrap();
    let old = silent_for_long(&mut datapath);
    let flow = |number: u32| {
        let mut frame = segment(0x02, number as u16);
        frame[26..30].copy_from_slice(&number.to_be_bytes());
        let Parsed::Packet(packet) = parse(&&frame[..]) else { panic!("a segment is a packet") };
        let key = FlowKey::of((number % 3) as u16, Direction::Ingress, &packet).unwrap();
        (key, old)
    };
    datapath.enter_flows((0..FLOWS).map(flow)).unwrap();
    assert_eq!(datapath.forget_flows(1).unwrap(), FLOWS as usize / 3, "those of one NIC");
    let (mut parts, mut swept) = (0, 0);
    loop {
        let part = datapath.sweep_some().unwrap();
        parts += 1;
        swept += part.swept;
        if part.is_last {
            break;
        }
    }
    assert_eq!(swept, FLOWS as usize / 3 * 2, "those of the others");
    assert!(parts > 1);
    assert_eq!(datapath.sweep().unwrap(), 0);
}

/// What is deleted by hand is remembered from that moment on, and who deletes it loads no program.
fn user_space_tells_the_jiffies() {
    let limits = Limits { nics: 1, flows: 1 << 10, counters: 512 };
    let mut datapath = Datapath::load(&Options { limits, ..Options::default() }).unwrap();
    let hertz = u64::from(clock::jiffies_per_second().unwrap());
    let apart = datapath.now().unwrap().abs_diff(clock::jiffies().unwrap());
    assert!(apart <= 2 * hertz, "{apart} jiffies of {hertz} a second apart");
}

/// An entry older than any timeout. By the clock and not by a number: jiffies begin five minutes before they wrap, so a
/// machine that has just booted is a moment after numbers that an old one has long passed.
fn silent_for_long(datapath: &mut Datapath) -> FlowEntry {
    let now = datapath.now().unwrap();
    FlowEntry { last_seen: now.wrapping_sub(1 << 30), ..FlowEntry::default() }
}

const JUDGES: [Program; 2] = [Program::Ingress, Program::Egress];

/// With the one that has no place for its decision.
const DROPPING: [Program; 3] = [Program::Ingress, Program::Egress, Program::Xdp];

/// A datapath whose test runs meet a NIC with one rule each way.
pub(crate) fn judging(ingress: &str, egress: &str) -> Datapath {
    judging_nic(ingress, egress, "role: host").1
}

/// The same with more to say about the NIC; and its image.
pub(crate) fn judging_nic(ingress: &str, egress: &str, nic: &str) -> (Image, Datapath) {
    let rule = |action| format!("[{{ action: {action}, protocol: all }}]");
    let (ingress, egress) = (rule(ingress), rule(egress));
    let nic = if nic.is_empty() { String::new() } else { format!("{nic}, ") };
    let text = format!(
        "groups: {{ g: {{ inner_access: drop, ingress: {ingress}, egress: {egress} }} }}\n\
         nics: [{{ device: nic, {nic}addresses: [10.0.0.5], groups: [g] }}]"
    );
    judged(KernelEngine::datapath().unwrap(), &text)
}

/// The first NIC of the document `text` in `datapath`.
pub(crate) fn judged(mut datapath: Datapath, text: &str) -> (Image, Datapath) {
    let policy = sg_document::parse("program", text.as_bytes()).unwrap().policy;
    let image = CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image;
    datapath.publish(0, &image).unwrap();
    datapath.stand_in(0).unwrap();
    (image, datapath)
}

/// A TCP segment to port 80 with the flags given, from a source port.
fn segment(flags: u8, source_port: u16) -> Vec<u8> {
    segment_to(80, flags, source_port)
}

/// The same to any port.
pub(crate) fn segment_to(port: u16, flags: u8, source_port: u16) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 10, 0, 0, 5]);
    frame.extend(source_port.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

fn stay_within_the_verifier_budget() {
    let mut datapath = KernelEngine::datapath().unwrap();
    for (program, count) in datapath.verified_instructions().unwrap() {
        println!("verifier: {} walks through {count} instructions of {BUDGET}", program.name());
        assert!(count <= BUDGET, "{} costs {count}", program.name());
    }
}

fn each_drops_and_passes_by_the_rules() {
    for program in DROPPING {
        for (action, passes) in [("drop", false), ("accept", true)] {
            let outcome = judging(action, action).run(program, &segment(0x02, 40_000), 1).unwrap();
            assert_eq!(outcome.passed, passes, "{program:?} under {action}");
            if program == Program::Xdp {
                continue;
            }
            let decision = outcome.decision.expect("a decision is noted");
            assert_eq!((decision.accepts(), decision.reason()), (passes, Ok(Reason::Rule)));
        }
    }
}

fn each_drops_without_a_nic_or_an_image() {
    for program in JUDGES {
        let mut datapath = KernelEngine::datapath().unwrap();
        let reason = |datapath: &mut Datapath| {
            let outcome = datapath.run(program, &segment(0x02, 40_000), 1).unwrap();
            assert!(!outcome.passed);
            outcome.decision.unwrap().reason().unwrap()
        };
        assert_eq!(reason(&mut datapath), Reason::NoNic);
        datapath.stand_in(3).unwrap();
        assert_eq!(reason(&mut datapath), Reason::NoImage);
        assert!(!datapath.run(Program::Xdp, &segment(0x02, 40_000), 1).unwrap().passed);
    }
}

/// Frames cut short, with more behind them, with other lengths and with single bytes changed: the program refuses what the
/// parser in user space refuses, for the same reason, and nothing else.
fn read_frames_as_user_space_does() {
    let mut datapath = judging("accept", "accept");
    let mut random = fastrand::Rng::with_seed(3);
    let mut v6 = vec![0; 12];
    v6.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 56, 0, 64]);
    v6.extend([0x20; 32]);
    // Hop-by-hop, destination options, fragment (first), routing, then TCP.
    v6.extend([
        60, 0, 1, 4, 0, 0, 0, 0, 44, 0, 1, 4, 0, 0, 0, 0, 43, 0, 0, 1, 0, 0, 0, 7, 6, 0, 0, 0, 0, 0, 0, 0,
    ]);
    v6.extend([0, 80, 0, 90, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    let mut compared = 0;
    // The kernel takes no frame that ends inside its IP header (`bpf_prog_test_run_skb`); the lab sends those.
    for (whole, least) in [(segment(0x10, 40_000), 34), (v6, 54)] {
        for round in 0..20_000 {
            let mut frame = whole.clone();
            if round % 3 != 0 {
                for _ in 0..random.usize(1..4) {
                    let place = random.usize(14..frame.len());
                    frame[place] = random.u8(..);
                }
            }
            frame.truncate(random.usize(least..=frame.len() + 8).min(whole.len()));
            // Half of those that were cut are whole packets again, which end before their headers do.
            if random.bool() {
                let (at, header) = if least == 34 { (16, 14) } else { (18, 54) };
                let length = (frame.len() - header) as u16;
                frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
            }
            frame.extend((0..random.usize(0..3) * 8).map(|_| random.u8(..)));
            let outcome = datapath.run(JUDGES[round % 2], &frame, 1).unwrap();
            let found = outcome.decision.unwrap().reason().unwrap();
            let expected = match parse(&&frame[..]) {
                Parsed::Refused(reason) => Some(reason),
                // What it follows, and whether it came before, is another test's question.
                Parsed::Packet(packet) if packet.part != Part::Whole => {
                    assert!(matches!(found, Reason::Fragment | Reason::FragmentOverlap | Reason::Rule));
                    continue;
                }
                Parsed::Arp | Parsed::Packet(_) => None,
            };
            assert_eq!(outcome.passed, expected.is_none(), "{found:?} for {frame:02x?}");
            if let Some(expected) = expected {
                assert_eq!(found, expected, "{frame:02x?}");
            }
            compared += 1;
        }
    }
    println!("the program read {compared} frames as user space does");
}

/// More flows than there is room for: the rules still decide about each packet, a flow that has no place among those that
/// were answered stays where it was, and that is counted.
fn a_full_flow_table_does_not_open_anything() {
    const FLOWS: u16 = 500;
    let mut datapath = judging("accept", "drop");
    for port in 0..FLOWS {
        assert!(datapath.run(Program::Ingress, &segment(0x02, 1_000 + port), 1).unwrap().passed);
    }
    let passes = |datapath: &mut Datapath, port| {
        datapath.run(Program::Egress, &answer(1_000 + port), 1).unwrap().passed
    };
    assert!((0..FLOWS).all(|port| passes(&mut datapath, port)), "each was asked for");
    assert!((FLOWS..FLOWS + 100).all(|port| !passes(&mut datapath, port)), "none of them was");
    let number = reason_counter(0, Direction::Egress, Reason::FlowTableFull);
    let full = datapath.counters(&[number]).unwrap()[0].packets;
    assert!((1..u64::from(FLOWS)).contains(&full), "{full} had no place");
}

/// The answer to a [`segment`].
fn answer(port: u16) -> Vec<u8> {
    let mut frame = segment(0x12, 80);
    frame[26..30].copy_from_slice(&[10, 0, 0, 5]);
    frame[30..34].copy_from_slice(&[192, 0, 2, 1]);
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame
}
