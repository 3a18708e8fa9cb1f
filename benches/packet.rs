//! What a packet costs in the kernel, by `BPF_PROG_TEST_RUN`: each figure beside the empty program of the same run.
//!
//! Run it with `cargo xtask bench`. The last lines say what is added to the empty program; those are the figures
//! that count, absolute times depend on the machine.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use criterion::Criterion;
use ipnet::IpNet;
use sg_benches::{LOCAL, Sequence, open, policy};
use sg_userspace::{
    check::CompiledNic,
    kernel::{Datapath, Limits, Options, Program},
    model::{Policy, Remote},
};

/// Different packets in a measurement, so that no single path through the tables stays hot.
const PACKETS: usize = 128;

/// Runs of one packet before the next: what a system call costs is spread over them.
const REPEAT: u32 = 1_000;

const FLOWS: usize = 16_384;

/// A TCP segment from `source` to port `port` of the NIC.
fn frame(source: Ipv4Addr, source_port: u16, port: u16, flags: u8) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00]);
    frame.extend([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source.octets());
    frame.extend(LOCAL.octets());
    frame.extend(source_port.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

/// The same segment the other way.
fn answer_to(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    for (from, to) in [(26..30, 30), (30..34, 26), (34..36, 36), (36..38, 34)] {
        let length = from.len();
        answer[to..to + length].copy_from_slice(&question[from]);
    }
    answer
}

struct Bench {
    datapath: Datapath,
    /// By name, the cost of each packet in nanoseconds: the smallest mean of its runs, which is the one that nothing
    /// else on the machine disturbed.
    best: BTreeMap<String, Vec<f64>>,
}

impl Bench {
    fn publish(&mut self, policy: &Policy) -> usize {
        let nic = CompiledNic::new(policy, &policy.nics()[0]).expect("the policy fits an image");
        self.datapath.publish(0, &nic.image).expect("an image can be published");
        nic.image.words().len() * 8
    }

    fn measure(&mut self, criterion: &mut Criterion, name: &str, program: Program, frames: &[Vec<u8>]) {
        let Self { datapath, best } = self;
        let mut next = (0..frames.len()).cycle();
        let best = best.entry(name.to_owned()).or_insert_with(|| vec![f64::INFINITY; frames.len()]);
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut left = iterations;
                let mut total = Duration::ZERO;
                while left > 0 {
                    let repeat = left.min(u64::from(REPEAT)) as u32;
                    let packet = next.next().expect("there are frames");
                    let start = Instant::now();
                    datapath.run(program, &frames[packet], repeat).expect("a test run works");
                    let taken = start.elapsed();
                    if repeat == REPEAT {
                        best[packet] = best[packet].min(taken.as_secs_f64() * 1e9 / f64::from(repeat));
                    }
                    total += taken;
                    left -= u64::from(repeat);
                }
                total
            });
        });
    }
}

fn main() {
    let limits = Limits { nics: 4, flows: 1 << 17, counters: 1 << 17 };
    let datapath = Datapath::load(&Options { limits, ..Options::default() })
        .unwrap_or_else(|error| panic_with(&error.to_string()));
    let mut bench = Bench { datapath, best: BTreeMap::new() };
    let mut criterion = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    bench.datapath.stand_in(0).expect("loopback can stand in");

    let mut random = Sequence(11);
    let mut source = || Ipv4Addr::from_bits(random.next() as u32);
    let strangers: Vec<Vec<u8>> = (0..PACKETS).map(|_| frame(source(), 40_000, 80, 0x02)).collect();
    bench.measure(&mut criterion, "empty", Program::Empty, &strangers);

    for rules in [0, 10, 100, 1_000, 10_000] {
        let policy = policy(rules, 1);
        let bytes = bench.publish(&policy);
        println!("{rules} rules: an image of {bytes} bytes");
        let frames: Vec<Vec<u8>> =
            (0..PACKETS).map(|number| hit_or_miss(&policy, number, source())).collect();
        bench.measure(&mut criterion, &format!("classify/{rules}"), Program::Classify, &frames);
        bench.measure(&mut criterion, &format!("deny/{rules}"), Program::Ingress, &strangers);
    }
    for groups in [1, 5, 10] {
        let policy = policy(1_000, groups);
        bench.publish(&policy);
        let frames: Vec<Vec<u8>> =
            (0..PACKETS).map(|number| hit_or_miss(&policy, number, source())).collect();
        bench.measure(&mut criterion, &format!("groups/{groups}"), Program::Classify, &frames);
    }

    bench.publish(&open());
    let flows: Vec<Vec<u8>> =
        (0..FLOWS).map(|number| frame(source(), 1_024 + (number % 60_000) as u16, 443, 0x10)).collect();
    bench.datapath.forget_flows(0).expect("flows can be forgotten");
    for question in &flows {
        for (program, frame) in [(Program::Ingress, question), (Program::Egress, &answer_to(question))] {
            bench.datapath.run(program, frame, 1).expect("a test run works");
        }
    }
    let known = bench.datapath.flows().expect("the flow table can be read").len();
    assert_eq!(known, FLOWS, "every flow was answered and has its place");
    let sample: Vec<Vec<u8>> = flows.iter().step_by(FLOWS / PACKETS).cloned().collect();
    bench.measure(&mut criterion, "established/16k", Program::Ingress, &sample);
    criterion.final_summary();

    let figures: BTreeMap<String, f64> =
        bench.best.into_iter().filter_map(|(name, packets)| Some((name, mean(&packets)?))).collect();
    let Some(empty) = figures.get("empty") else { return };
    println!(
        "\nadded over the empty program ({empty:.1} ns), mean over the packets of the best run of each:"
    );
    for (name, figure) in &figures {
        println!("{name:>20} {:6.1} ns", figure - empty);
    }
}

/// The mean of those packets that were measured; none where none was.
fn mean(packets: &[f64]) -> Option<f64> {
    let measured = packets.iter().filter(|figure| figure.is_finite());
    let (sum, count) = measured.fold((0.0, 0.0), |(sum, count), figure| (sum + figure, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

/// A packet that some rule of the policy speaks of, or one of a stranger, in turns.
fn hit_or_miss(policy: &Policy, number: usize, stranger: Ipv4Addr) -> Vec<u8> {
    let group = &policy.groups()[number % policy.groups().len()];
    let rule = group.ingress.get(number * 31 % group.ingress.len().max(1));
    match rule.map(|rule| rule.remote) {
        Some(Remote::Net(IpNet::V4(net))) if number.is_multiple_of(2) => {
            frame(net.broadcast(), 40_000, 443, 0x02)
        }
        _ => frame(stranger, 40_000, 443, 0x02),
    }
}

fn panic_with(message: &str) -> ! {
    eprintln!("{message}");
    std::process::exit(1)
}
