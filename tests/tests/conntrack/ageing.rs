//! Flows that are old: what flow ageing removes, by which clock, and what a full table does. Through the programs in the kernel.

use sg_common::{
    abi::reason_counter,
    flow::{Direction, FlowEntry, FlowKey, State},
    packet::{Parsed, parse},
    verdict::Reason,
};
use sg_kernel::{Datapath, Limits, Options, Program, clock};

use crate::support::runs::{Test, judging, segment};

pub(crate) const TESTS: &[Test] = &[
    ("old_flows_expire", old_flows_expire),
    ("a_flow_seen_a_moment_later_lives", a_flow_seen_a_moment_later_lives),
    ("a_large_table_is_aged_in_parts", a_large_table_is_aged_in_parts),
    ("a_full_flow_table_does_not_open_anything", a_full_flow_table_does_not_open_anything),
    ("user_space_tells_the_jiffies_of_programs", user_space_tells_the_jiffies),
];

/// What the ageing of flows needs: a clock, and entries that are old by it.
fn old_flows_expire() {
    let mut datapath = judging("accept", "accept");
    assert!(datapath.run(Program::Ingress, &segment(0x02, 40_000), 1).unwrap().passed);
    assert_eq!(datapath.age().unwrap(), 0, "a flow of this moment stays");
    let Parsed::Packet(packet) = parse(&&segment(0x02, 40_001)[..]) else { panic!("a segment is a packet") };
    let key = FlowKey::of(0, Direction::Ingress, &packet).unwrap();
    let old = silent_for_long(&mut datapath);
    datapath.enter_flows([(key, old)]).unwrap();
    assert_eq!(datapath.age().unwrap(), 1);
    assert_eq!(datapath.forget_flows(0).unwrap(), 1, "the flow of this moment stayed");
}

/// Another processor recorded the flow after this one read its clock, by up to some jiffies.
fn a_flow_seen_a_moment_later_lives() {
    let mut datapath = judging("accept", "drop");
    assert!(datapath.run(Program::Ingress, &segment(0x02, 40_000), 1).unwrap().passed);
    let (key, entry) = datapath.flows().unwrap()[0];
    datapath.forget_flows(0).unwrap();
    for ahead in [0, 1, 2, 10_000] {
        let last_seen = entry.last_seen.wrapping_add(ahead);
        let recorded = FlowEntry { last_seen, ..entry }.with_state(State::Established);
        datapath.enter_flows([(key, recorded)]).unwrap();
        assert_eq!(datapath.age().unwrap(), 0, "{ahead} jiffies ahead");
        assert!(datapath.run(Program::Egress, &reply(40_000), 1).unwrap().passed, "{ahead} jiffies ahead");
    }
    let recorded = FlowEntry { last_seen: entry.last_seen.wrapping_sub(1 << 30), ..entry };
    datapath.enter_flows([(key, recorded)]).unwrap();
    assert!(!datapath.run(Program::Egress, &reply(40_000), 1).unwrap().passed, "long ago is long ago");
}

/// A table of more flows than are read at a time.
fn a_large_table_is_aged_in_parts() {
    const FLOWS: u32 = 30_000;
    let limits = Limits { nics: 4, flows: 1 << 16, counters: 512, denied: 64 };
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
    let (mut parts, mut expired) = (0, 0);
    loop {
        let part = datapath.age_some().unwrap();
        parts += 1;
        expired += part.expired;
        if part.is_last {
            break;
        }
    }
    assert_eq!(expired, FLOWS as usize / 3 * 2, "those of the others");
    assert!(parts > 1);
    assert_eq!(datapath.age().unwrap(), 0);
}

/// What is deleted by hand is remembered from that moment on, and who deletes it loads no program.
fn user_space_tells_the_jiffies() {
    let limits = Limits { nics: 1, flows: 1 << 10, counters: 512, denied: 64 };
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

/// More flows than there is room for: the rules still decide about each packet, a flow that has no place among those that
/// are established stays where it was, and that is counted.
fn a_full_flow_table_does_not_open_anything() {
    const FLOWS: u16 = 500;
    let mut datapath = judging("accept", "drop");
    for port in 0..FLOWS {
        assert!(datapath.run(Program::Ingress, &segment(0x02, 1_000 + port), 1).unwrap().passed);
    }
    let passes = |datapath: &mut Datapath, port| {
        datapath.run(Program::Egress, &reply(1_000 + port), 1).unwrap().passed
    };
    assert!((0..FLOWS).all(|port| passes(&mut datapath, port)), "each was asked for");
    assert!((FLOWS..FLOWS + 100).all(|port| !passes(&mut datapath, port)), "none of them was");
    let number = reason_counter(0, Direction::Egress, Reason::FlowTableFull);
    let full = datapath.counters(&[number]).unwrap()[0].packets;
    assert!((1..u64::from(FLOWS)).contains(&full), "{full} had no place");
}

/// The reply to a [`segment`].
fn reply(port: u16) -> Vec<u8> {
    let mut frame = segment(0x12, 80);
    frame[26..30].copy_from_slice(&[10, 0, 0, 5]);
    frame[30..34].copy_from_slice(&[192, 0, 2, 1]);
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame
}
