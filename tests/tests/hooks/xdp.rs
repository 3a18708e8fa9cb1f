//! The XDP program beside the one at tc: the same frames under the same policies have the same verdict and move the
//! same counter by the same bytes.

use sg_check::CompiledNic;
use sg_common::{
    abi::{Counter, reason_counter},
    flow::{self, Direction, FlowKey},
    packet::{Parsed, parse},
    verdict::Reason,
};
use sg_kernel::{Datapath, KernelError, Limits, Options, Program, run::Outcome};
use sg_model::{Policy, Role};
use sg_tests::generate::Generator;

use crate::support::runs::{Test, judging, segment_to};

pub(crate) const TESTS: &[Test] = &[
    ("judges_as_tc_does", judges_as_tc_does),
    ("knows_the_flows_that_tc_opened", knows_the_flows_that_tc_opened),
];

/// Probes of random policies, as they are and damaged.
fn judges_as_tc_does() {
    const POLICIES: u64 = 25;
    const PROBES: usize = 40;
    let limits = Limits { nics: 64, flows: 1 << 10, counters: 1 << 13, denied: 64 };
    let mut datapath = Datapath::load(&Options { limits, ..Options::default() }).unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    let (mut compared, mut passed) = (0, 0);
    for seed in 0..POLICIES {
        let mut generator = Generator::new(seed);
        let policy = Policy::new(generator.parts()).unwrap();
        for probe in generator.probes(&policy, PROBES) {
            let (slot, nic) = (probe.nic(), &policy.nics()[probe.nic()]);
            if (nic.role, probe.direction()) != (Role::Host, Direction::Ingress) {
                continue;
            }
            let slot = u16::try_from(slot).unwrap();
            datapath.publish(slot, &CompiledNic::new(&policy, nic).unwrap().image).unwrap();
            datapath.stand_in(slot).unwrap();
            let whole = probe.frame(None).to_vec();
            for damage in DAMAGES {
                let mut frame = whole.clone();
                damage(&mut frame, &mut random);
                // A frame that ends in its IP header is refused by the test run at tc, not by the program.
                let Ok((tc, moved)) = counted(&mut datapath, Program::Ingress, &frame, slot, 0) else {
                    continue;
                };
                let (xdp, moved_too) = counted(&mut datapath, Program::Xdp, &frame, slot, 0).unwrap();
                assert_eq!(xdp.passed, tc.passed, "seed {seed}, {probe:?}: {frame:02x?}");
                assert_eq!(moved_too, moved, "seed {seed}, {probe:?}: {frame:02x?}");
                compared += 1;
                passed += u32::from(tc.passed);
            }
        }
    }
    println!("XDP and tc agreed on {compared} frames, {passed} of which passed");
    assert!(compared > 500 && passed > 50 && passed < compared - 50);
}

type Damage = fn(&mut Vec<u8>, &mut fastrand::Rng);

/// None, frames that a policy may name, VLAN tags, other bytes, an end too early, in the frame and in the packet only.
const DAMAGES: [Damage; 6] = [
    |_, _| {},
    |frame, random| {
        const NAMED: [[u8; 2]; 4] = [[0x88, 0xcc], [0x89, 0x15], [0x88, 0x8e], [0, 20]];
        frame[12..14].copy_from_slice(&NAMED[random.usize(..NAMED.len())]);
        frame[14..17].copy_from_slice(&[0x42, 0x42, 3]);
    },
    |frame, random| {
        for _ in 0..random.usize(1..=3) {
            frame.splice(12..12, [0x81, 0x00, 0x00, random.u8(..)]);
        }
    },
    |frame, random| {
        for _ in 0..random.usize(1..4) {
            let place = random.usize(12..frame.len());
            frame[place] = random.u8(..);
        }
    },
    |frame, random| frame.truncate(random.usize(15..=frame.len())),
    |frame, random| {
        let at = if frame[12] == 8 { 16 } else { 18 };
        frame[at] = 0;
        frame[at + 1] = random.u8(..60);
    },
];

/// Runs the program over the frame as the first of its flow, and says which counters moved by how much; those of the NIC begin at
/// `block`. Whether the sender of a
/// rejected one is told is another matter: at XDP that takes the NIC's own Ethernet address, see the tests of `reject`.
pub(crate) fn counted(
    datapath: &mut Datapath,
    program: Program,
    frame: &[u8],
    slot: u16,
    block: u32,
) -> Result<(Outcome, Vec<(u32, Counter)>), KernelError> {
    let numbers: Vec<u32> = (0..512).collect();
    datapath.reset_counters(&numbers)?;
    let outcome = datapath.run(program, frame, 1)?;
    let counters = numbers.iter().copied().zip(datapath.counters(&numbers)?);
    let telling = [Reason::RejectSent, Reason::RejectRateLimited];
    let telling = telling.map(|reason| reason_counter(block, Direction::Ingress, reason));
    let moved = counters
        .filter(|(number, counter)| *counter != Counter::default() && !telling.contains(number))
        .collect();
    if let Parsed::Packet(packet) = parse(&frame)
        && flow::opens(&packet)
        && let Some(key) = FlowKey::of(slot, Direction::Ingress, &packet)
    {
        datapath.forget_flow(&key)?;
    }
    Ok((outcome, moved))
}

/// The two share the flow table: what was sent at tc gets its reply through XDP.
fn knows_the_flows_that_tc_opened() {
    let mut datapath = judging("drop", "accept");
    let asked = segment_to(80, 0x02, 40_000);
    assert!(!datapath.run(Program::Xdp, &asked, 1).unwrap().passed, "nobody asked");
    let mut question = segment_to(40_000, 0x02, 80);
    question[26..34].rotate_left(4);
    assert!(datapath.run(Program::Egress, &question, 1).unwrap().passed);
    let reply = segment_to(80, 0x12, 40_000);
    assert!(datapath.run(Program::Xdp, &reply, 1).unwrap().passed, "it was asked for");
    assert!(!datapath.run(Program::Xdp, &segment_to(80, 0x12, 40_001), 1).unwrap().passed);
}
