//! The programs by themselves, through `BPF_PROG_TEST_RUN`: what they cost the verifier, that each really drops, and
//! that they read packets as user space does.

use sg_check::KernelEngine;
use sg_common::{
    packet::{Parsed, Part, parse},
    verdict::Reason,
};
use sg_kernel::{Datapath, Program};

use crate::support::runs::{Test, judging, segment};

/// Instructions that the verifier may walk through, a program.
const BUDGET: u32 = 96_500;

pub(crate) const TESTS: &[Test] = &[
    ("stay_within_the_verifier_budget", stay_within_the_verifier_budget),
    ("each_drops_and_passes_by_the_rules", each_drops_and_passes_by_the_rules),
    ("each_drops_without_a_nic_or_an_image", each_drops_without_a_nic_or_an_image),
    ("read_frames_as_user_space_does", read_frames_as_user_space_does),
];

const JUDGES: [Program; 2] = [Program::Ingress, Program::Egress];

/// With the one that has no place for its decision.
const DROPPING: [Program; 3] = [Program::Ingress, Program::Egress, Program::Xdp];

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
            let decision = outcome.decision.expect("a decision is recorded");
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

/// Truncated frames, with more behind them, with other lengths and with single bytes changed: the program refuses what the
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
            // Half of those that were truncated are whole packets again, which end before their headers do.
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
