//! A candidate policy beside that in force, by the programs alone: it changes no verdict, whatever it says; each decision of rules
//! is counted once with what it would have been; packets that differ have names. Live flows are asked about once they are judged again.

use std::{collections::HashMap, thread};

use fastrand::Rng;
use sg_check::{CompiledNic, Engine as _, EngineKind, KernelEngine};
use sg_common::{
    candidate::Asked,
    flow::Direction,
    packet::Family,
    verdict::{Reason, Verdict},
};
use sg_compile::Image;
use sg_kernel::{Datapath, Program};
use sg_model::{Action, Policy, PolicyParts};
use sg_probe::CheckResult;
use sg_tests::{
    generate::Generator,
    packet::{ACK, SYN, TCP, UDP, tcp, udp},
};

use crate::{
    differential::engines::Size,
    support::runs::{LOCAL, Test, inbound, ipv4, judging_nic, outbound, segment, segment_to},
};

pub(crate) const TESTS: &[Test] = &[
    ("each_decision_is_counted_with_the_other_one", each_decision_is_counted),
    ("packets_that_differ_have_names", packets_that_differ_have_names),
    ("a_live_flow_is_asked_about_once", a_live_flow_is_asked_about_once),
    ("without_room_for_names_counts_stay_exact", without_room_for_names),
    ("two_processors_lose_no_count", two_processors_lose_no_count),
    ("candidates_of_each_size_decide", candidates_of_each_size_decide),
    ("no_candidate_changes_a_verdict", no_candidate_changes_a_verdict),
];

/// What was counted: packets by direction, verdict now, verdict then.
type Pairs = HashMap<(Direction, Verdict, Verdict), u64>;

fn pairs(datapath: &Datapath) -> Pairs {
    let mut pairs = Pairs::new();
    for (asked, packets) in datapath.candidate_asked().unwrap() {
        *pairs.entry((asked.direction(), asked.now(), asked.then())).or_default() += packets;
    }
    pairs
}

fn image_of(text: &str) -> Image {
    let policy = sg_document::parse("candidate", text.as_bytes()).unwrap().policy;
    CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image
}

/// A NIC that does these things to what comes to it, and accepts all that it sends.
fn inbound_rules(rules: &str) -> Image {
    image_of(&format!(
        "groups: {{ g: {{ inner_access: drop, ingress: [{rules}] }} }}\n\
         nics: [{{ device: nic, addresses: [10.0.0.5], groups: [g] }}]"
    ))
}

/// Puts `now` in force, with `then` beside it.
fn beside(datapath: &mut Datapath, now: &Image, then: &Image, generation: u32) {
    let mut now = now.clone();
    now.set_generation(generation);
    now.set_candidate(true);
    datapath.set_candidate(&[(0, then)]).unwrap();
    datapath.publish(0, &now).unwrap();
    datapath.stand_in(0).unwrap();
}

fn each_decision_is_counted() {
    use Verdict::{Accept, Drop, Reject};
    for (now, accepted) in [("accept", Accept), ("drop", Drop), ("reject", Reject)] {
        for (then, candidate) in [("accept", Accept), ("drop", Drop), ("reject", Reject)] {
            let (image, mut datapath) = judging_nic(now, now, "role: host");
            let (other, _) = judging_nic(then, then, "role: host");
            beside(&mut datapath, &image, &other, 2);
            let frames = [
                (Program::Ingress, segment(SYN, 7_000), Direction::Ingress),
                (Program::Xdp, segment(SYN, 7_001), Direction::Ingress),
                (Program::Egress, outbound(TCP, &tcp([7_002, 80], [1, 0], SYN)), Direction::Egress),
            ];
            for (program, frame, _) in &frames {
                let outcome = datapath.run(*program, frame, 1).unwrap();
                assert_eq!(outcome.passed, now == "accept", "{program:?}: {now}, and {then} then");
            }
            let expected: Pairs = [
                ((Direction::Ingress, accepted, candidate), 2),
                ((Direction::Egress, accepted, candidate), 1),
            ]
            .into();
            assert_eq!(pairs(&datapath), expected, "{now}, and {then} then");
            datapath.clear_candidate().unwrap();
            datapath.run(Program::Ingress, &segment(SYN, 7_003), 1).unwrap();
            assert_eq!(pairs(&datapath), Pairs::new(), "there is none any more");
            // With one, and no mark in the image in force.
            datapath.set_candidate(&[(0, &other)]).unwrap();
            datapath.publish(0, &image).unwrap();
            datapath.run(Program::Ingress, &segment(SYN, 7_004), 1).unwrap();
            assert_eq!(pairs(&datapath), Pairs::new(), "nobody asks");
        }
    }
}

fn packets_that_differ_have_names() {
    let now = inbound_rules("{ protocol: tcp, ports: 80-81 }");
    let then = inbound_rules("{ protocol: tcp, ports: 80 }, { protocol: udp, ports: 53 }");
    let mut datapath = KernelEngine::datapath().unwrap();
    beside(&mut datapath, &now, &then, 2);
    for port in 1..=3 {
        assert!(datapath.run(Program::Ingress, &segment_to(80, SYN, port), 1).unwrap().passed);
        assert!(datapath.run(Program::Ingress, &segment_to(81, SYN, port), 1).unwrap().passed);
    }
    for _ in 0..5 {
        assert!(!datapath.run(Program::Ingress, &inbound(UDP, &udp([9, 53], b"")), 1).unwrap().passed);
    }
    let mut differing = datapath.candidate_differing().unwrap();
    differing.sort_by_key(|(key, _)| key.protocol());
    let [(closed, three), (opened, five)] = &differing[..] else { panic!("{differing:?}") };
    for key in [closed, opened] {
        assert_eq!(
            (key.direction(), key.family(), key.nic, key.dscp()),
            (Direction::Ingress, Family::V4, 0, 0)
        );
        assert_eq!((key.remote_high, key.local_high), (0xc000_0201, u64::from(u32::from_be_bytes(LOCAL))));
    }
    assert_eq!((closed.protocol(), closed.selector()), (TCP, 81));
    assert_eq!(closed.verdicts(), (Verdict::Accept, Verdict::Drop));
    assert_eq!((three.packets, three.only_source_port()), (3, None));
    assert_eq!((opened.protocol(), opened.selector()), (UDP, 53));
    assert_eq!(opened.verdicts(), (Verdict::Drop, Verdict::Accept));
    assert_eq!((five.packets, five.only_source_port()), (5, Some(9)));
}

fn a_live_flow_is_asked_about_once() {
    let now = inbound_rules("{ protocol: tcp, ports: 80-81 }");
    let then = inbound_rules("{ protocol: tcp, ports: 80 }");
    let mut datapath = KernelEngine::datapath().unwrap();
    datapath.publish(0, &now).unwrap();
    datapath.stand_in(0).unwrap();
    for port in [80, 81] {
        datapath.run(Program::Ingress, &segment_to(port, SYN, 7_000), 1).unwrap();
        let reply = outbound(TCP, &tcp([port, 7_000], [1, 2], SYN | ACK));
        datapath.run(Program::Egress, &reply, 1).unwrap();
        datapath.run(Program::Ingress, &segment_to(port, ACK, 7_000), 1).unwrap();
    }
    beside(&mut datapath, &now, &then, 9);
    for _ in 0..20 {
        for port in [80, 81] {
            assert!(datapath.run(Program::Ingress, &segment_to(port, ACK, 7_000), 1).unwrap().passed);
        }
    }
    let expected: Pairs = [
        ((Direction::Ingress, Verdict::Accept, Verdict::Accept), 1),
        ((Direction::Ingress, Verdict::Accept, Verdict::Drop), 1),
    ]
    .into();
    assert_eq!(pairs(&datapath), expected);
    let differing = datapath.candidate_differing().unwrap();
    assert_eq!(differing.len(), 1);
    assert_eq!((differing[0].0.selector(), differing[0].1.packets), (81, 1));
    assert_eq!(differing[0].1.only_source_port(), Some(7_000));
}

fn without_room_for_names() {
    // More names than there is room for, and of each two packets.
    const NAMES: u32 = (1 << 14) + 2_000;
    let mut datapath = KernelEngine::datapath().unwrap();
    beside(&mut datapath, &inbound_rules(""), &inbound_rules("{ protocol: udp }"), 2);
    for _ in 0..2 {
        for number in 0..NAMES {
            let [_, a, b, c] = number.to_be_bytes();
            let frame = ipv4(UDP, [[11, a, b, c], LOCAL], &udp([1, 9], b""));
            assert!(!datapath.run(Program::Ingress, &frame, 1).unwrap().passed);
        }
    }
    let expected: Pairs =
        [((Direction::Ingress, Verdict::Drop, Verdict::Accept), u64::from(NAMES) * 2)].into();
    assert_eq!(pairs(&datapath), expected);
    let named = datapath.candidate_differing().unwrap();
    assert!(named.len() <= 1 << 14 && named.len() > 1 << 13, "{} names", named.len());
    assert!(named.iter().all(|(_, entry)| entry.packets <= 2));
}

fn two_processors_lose_no_count() {
    const RUNS: u32 = 200_000;
    let mut datapath = KernelEngine::datapath().unwrap();
    beside(&mut datapath, &inbound_rules(""), &inbound_rules("{ protocol: udp }"), 2);
    let runners = [0, 1].map(|_| datapath.runner(Program::Ingress).unwrap());
    let frame = inbound(UDP, &udp([9, 53], b""));
    thread::scope(|scope| {
        for runner in &runners {
            scope.spawn(|| assert!(!runner.run(&frame, RUNS).unwrap()));
        }
    });
    let expected: Pairs =
        [((Direction::Ingress, Verdict::Drop, Verdict::Accept), u64::from(RUNS) * 2)].into();
    assert_eq!(pairs(&datapath), expected);
    let differing = datapath.candidate_differing().unwrap();
    assert_eq!(differing.len(), 1);
    assert_eq!(differing[0].1.packets, u64::from(RUNS) * 2);
}

fn candidates_of_each_size_decide() {
    for prefixes in [1_u32, 5_000, 40_000] {
        let list: Vec<String> = (0..prefixes)
            .map(|number| {
                let [_, a, b, c] = (number * 97).to_be_bytes();
                format!("11.{a}.{b}.{c}/32")
            })
            .collect();
        let then = image_of(&format!(
            "prefix_lists: {{ many: [{}] }}\n\
             groups: {{ g: {{ inner_access: drop, ingress: [{{ protocol: udp, remote: {{ prefix_list: many }} }}] }} }}\n\
             nics: [{{ device: nic, addresses: [10.0.0.5], groups: [g] }}]",
            list.join(", ")
        ));
        println!("a candidate of {} words", then.words().len());
        let mut datapath = KernelEngine::datapath().unwrap();
        beside(&mut datapath, &inbound_rules(""), &then, 2);
        for remote in [[11, 0, 0, 0], [12, 0, 0, 0]] {
            let frame = ipv4(UDP, [remote, LOCAL], &udp([1, 9], b""));
            assert!(!datapath.run(Program::Ingress, &frame, 1).unwrap().passed);
        }
        let expected: Pairs = [
            ((Direction::Ingress, Verdict::Drop, Verdict::Accept), 1),
            ((Direction::Ingress, Verdict::Drop, Verdict::Drop), 1),
        ]
        .into();
        assert_eq!(pairs(&datapath), expected, "{prefixes} prefixes");
    }
}

/// Another policy of the same NICs.
fn other(parts: &PolicyParts, random: &mut Rng) -> PolicyParts {
    let mut parts = parts.clone();
    for group in &mut parts.groups {
        for rules in [&mut group.ingress, &mut group.egress] {
            rules.retain(|_| random.u8(..5) > 0);
            for rule in rules {
                if random.u8(..3) == 0 {
                    rule.action = [Action::Accept, Action::Drop, Action::Reject][random.usize(..3)];
                }
            }
        }
    }
    parts
}

/// What images decide, of rules and before them.
const BY_IMAGES: [Reason; 4] = [Reason::Rule, Reason::IntraGroup, Reason::Default, Reason::OwnSource];

fn no_candidate_changes_a_verdict() {
    let Size { policies, probes } = Size::from_environment();
    let mut datapath = KernelEngine::datapath().unwrap();
    let (mut same, mut asked, mut differ) = (0, 0, 0);
    // Publishing waits for the kernel, a probe does not: few policies, and many probes of each.
    for seed in 0..policies / 16 {
        let mut generator = Generator::new(seed);
        let parts = generator.parts();
        let policy = Policy::new(parts.clone()).unwrap();
        let candidate = Policy::new(other(&parts, &mut Rng::with_seed(seed))).unwrap();
        let of = |policy: &Policy| -> Vec<CompiledNic> {
            policy.nics().iter().map(|nic| CompiledNic::new(policy, nic).unwrap()).collect()
        };
        let (now, then) = (of(&policy), of(&candidate));
        let images: Vec<(u16, &Image)> = (0..).zip(then.iter().map(|nic| &nic.image)).collect();
        datapath.set_candidate(&images).unwrap();
        let probes = generator.probes(&policy, if policies > 2_000 { probes * 16 } else { probes * 8 });
        let mut results: [Vec<CheckResult>; 2] = Default::default();
        for (has_candidate, results) in [false, true].into_iter().zip(&mut results) {
            for (slot, nic) in (0..).zip(&now) {
                let mut image = nic.image.clone();
                image.set_candidate(has_candidate);
                datapath.publish(slot, &image).unwrap();
            }
            let again = now
                .iter()
                .map(|nic| CompiledNic { image: nic.image.clone(), deciders: nic.deciders.clone() });
            let mut engine = KernelEngine::of(datapath, &policy, again.collect());
            results.extend(probes.iter().map(|probe| engine.check(probe).unwrap()));
            datapath = engine.into_datapath();
        }
        let [without, with] = &results;
        assert_eq!(without, with, "seed {seed}: a candidate changed a verdict");
        let mut oracle = EngineKind::Oracle.start(&candidate).unwrap();
        let mut expected: HashMap<(u16, Direction, Verdict, Verdict), u64> = HashMap::new();
        for (probe, now) in probes.iter().zip(without) {
            if BY_IMAGES.contains(&now.reason) {
                let then = oracle.check(probe).unwrap().verdict;
                *expected.entry((probe.nic() as u16, probe.direction(), now.verdict, then)).or_default() += 1;
                differ += usize::from(now.verdict != then);
            }
        }
        let mut counted = HashMap::new();
        for (name, packets) in datapath.candidate_asked().unwrap() {
            let of = |asked: Asked| (asked.slot(), asked.direction(), asked.now(), asked.then());
            *counted.entry(of(name)).or_default() += packets;
        }
        assert_eq!(counted, expected, "seed {seed}");
        same += probes.len();
        asked += expected.values().sum::<u64>();
    }
    println!("candidate: {same} verdicts are the same, {asked} were by rules, {differ} would differ");
    assert!(same >= 100_000 && differ > same / 20, "this tests little");
}
