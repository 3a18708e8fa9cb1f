//! Counts of packets that do not pass, by who sent what to whom. The judge is arithmetic: what was sent. Two processors send, each
//! through a datapath of its own over one set of maps, while a third reads and removes names all the time.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use sg_common::{
    abi::NIC_COUNTERS,
    denied::{Fold, NEW_PER_SECOND},
    flow::Direction,
    packet::Family,
    verdict::{Reason, Verdict},
};
use sg_compile::{ImageOptions, LARGEST_WORDS, compile};
use sg_kernel::{Datapath, Denial, FlowOptions, Limits, Options, Program, pins};
use sg_tests::packet::{SYN, TCP, tcp};

use crate::support::runs::{LOCAL, Test, ipv4, ipv6};

pub(crate) const TESTS: &[Test] = &[
    ("each_kind_of_packet_has_its_name", each_kind_has_its_name),
    ("nothing_is_lost_while_names_are_removed", nothing_is_lost),
    ("a_flood_of_sources_is_folded_and_complete", a_flood_is_folded),
    ("a_table_that_is_full_is_complete", a_full_table_is_complete),
    ("the_next_reader_goes_on_where_one_was_killed", the_next_reader_goes_on),
    ("verdicts_do_not_depend_on_it", verdicts_do_not_depend_on_it),
];

const NIC: u32 = 64;
const RULES: u32 = NIC + NIC_COUNTERS;

const POLICY: &str = "
groups:
  g:
    type: enterprise
    ingress:
      - { id: refused, action: reject, protocol: tcp, ports: 25 }
      - { id: open, protocol: tcp, ports: 80 }
nics: [{ device: nic, addresses: [10.0.0.5, '2001:db8::5'], groups: [g] }]";

/// Datapaths that share all maps.
struct Shared {
    pins: PathBuf,
    datapaths: Vec<Datapath>,
    denied: u32,
}

impl Shared {
    fn new(name: &str, denied: u32, count: usize) -> Self {
        let pins = PathBuf::from(format!("/sys/fs/bpf/sg-test-{}-{name}", process::id()));
        let mut shared = Self { pins, datapaths: Vec::new(), denied };
        for _ in 0..count {
            shared.datapaths.push(shared.load());
        }
        let policy = sg_document::parse("denied", POLICY.as_bytes()).unwrap().policy;
        let options = ImageOptions { generation: 7, counters: NIC, budget_words: LARGEST_WORDS };
        let mut next = RULES;
        let mut number = |_| {
            next += 1;
            next - 1
        };
        let image = compile(&policy, &policy.nics()[0], &options, &mut number).unwrap();
        shared.datapaths[0].publish(0, &image).unwrap();
        for datapath in &mut shared.datapaths {
            datapath.stand_in(0).unwrap();
        }
        shared
    }

    fn load(&self) -> Datapath {
        let limits = Limits { nics: 4, flows: 1 << 12, counters: 512, denied: self.denied };
        let options = Options {
            limits,
            flows: FlowOptions::default(),
            pins: Some(self.pins.clone()),
            ..Options::default()
        };
        Datapath::load(&options).unwrap()
    }

    /// Two processors send, and a third reads and removes names that have been out of use for so many seconds.
    fn at_once(&mut self, idle: u64, send: impl Fn(usize, &mut Datapath) -> u64 + Sync) -> (u64, Seen) {
        let (start, sending) = (Barrier::new(3), AtomicUsize::new(2));
        let [first, second, reader] = &mut self.datapaths[..] else { panic!("there are three") };
        thread::scope(|scope| {
            let sender = |cpu: usize, datapath: &mut Datapath| {
                on(cpu);
                start.wait();
                let sent = send(cpu, datapath);
                sending.fetch_sub(1, Relaxed);
                sent
            };
            let first = scope.spawn(move || sender(0, first));
            let second = scope.spawn(move || sender(1, second));
            let mut seen = Seen::default();
            start.wait();
            while sending.load(Relaxed) > 0 {
                seen.read(reader, idle);
            }
            let sent = first.join().unwrap() + second.join().unwrap();
            // What was in use has its last count read in the second pass after it.
            (0..3).for_each(|_| seen.read(reader, idle));
            (sent, seen)
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        pins::remove(&self.pins, &[]).unwrap();
    }
}

fn on(cpu: usize) {
    let mut own = CpuSet::new();
    own.set(cpu).unwrap();
    sched_setaffinity(Pid::from_raw(0), &own).expect("there are two processors");
}

/// What was reported.
#[derive(Default)]
struct Seen {
    packets: u64,
    bytes: u64,
    /// By fold; the last without a name.
    folds: [u64; 4],
    names: BTreeMap<(u64, u64, u16), u64>,
    reports: usize,
    all: Vec<Denial>,
}

impl Seen {
    fn read(&mut self, datapath: &mut Datapath, idle_seconds: u64) {
        datapath
            .collect_denied_idle(idle_seconds, |denial| {
                self.packets += denial.packets;
                self.bytes += denial.bytes;
                let fold = if denial.is_named { denial.key.origin.fold() as usize } else { 3 };
                self.folds[fold] += denial.packets;
                let name = (denial.key.remote_high, denial.key.remote_low, denial.key.l4.local_port());
                *self.names.entry(name).or_default() += denial.packets;
                self.reports += 1;
                self.all.push(denial);
            })
            .unwrap()
            .1
            .unwrap();
    }
}

fn syn(source: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
    ipv4(TCP, [source, LOCAL], &tcp(ports, [1, 0], SYN))
}

/// A datapath for one processor.
fn one(name: &str, denied: u32) -> Shared {
    Shared::new(name, denied, 1)
}

fn each_kind_has_its_name() {
    let mut shared = one("names", 1 << 10);
    let datapath = &mut shared.datapaths[0];
    let echo = ipv4(1, [[192, 0, 2, 9], LOCAL], &[8, 0, 0, 0, 0, 7, 0, 1]);
    let six = ipv6(TCP, 64, ["2001:db8::9", "2001:db8::5"], &tcp([40_000, 22], [1, 0], SYN));
    let frames = [
        (syn([192, 0, 2, 1], [40_000, 22]), Program::Ingress, Verdict::Drop, Reason::Default, 22),
        (syn([192, 0, 2, 1], [40_001, 22]), Program::Ingress, Verdict::Drop, Reason::Default, 22),
        (syn([192, 0, 2, 1], [40_000, 25]), Program::Xdp, Verdict::Reject, Reason::Rule, 25),
        (echo, Program::Ingress, Verdict::Drop, Reason::Default, 8 << 8),
        (six, Program::Ingress, Verdict::Drop, Reason::Default, 22),
        (vec![0xff; 60], Program::Ingress, Verdict::Drop, Reason::NotIp, 0),
    ];
    for (frame, program, ..) in &frames {
        assert!(!datapath.run(*program, frame, 1).unwrap().passed);
    }
    let mut seen = Seen::default();
    seen.read(datapath, 60);
    assert_eq!(seen.packets, frames.len() as u64);
    assert_eq!(seen.bytes, frames.iter().map(|(frame, ..)| frame.len() as u64).sum::<u64>());
    // The two SYN to port 22 have one name, and the later ephemeral port.
    assert_eq!(seen.all.len(), frames.len() - 1);
    for (frame, _, verdict, reason, port) in &frames {
        let is_it = |denial: &&Denial| {
            let decision = denial.key.origin.decision().unwrap();
            let is_six = frame[12..14] == [0x86, 0xdd];
            denial.key.l4.local_port() == *port
                && (decision.verdict(), decision.reason().unwrap()) == (*verdict, *reason)
                && (denial.key.l4.family() == Family::V6) == is_six
        };
        let denial = seen.all.iter().find(is_it).unwrap_or_else(|| panic!("{verdict:?} {reason:?} {port}"));
        let origin = denial.key.origin;
        assert_eq!(
            (origin.direction(), origin.fold(), denial.is_first),
            (Direction::Ingress, Fold::Exact, true)
        );
        assert_eq!(denial.generation, 7);
        assert_eq!(origin.is_parsed(), *reason != Reason::NotIp);
        if *port == 22 && denial.key.l4.family() == Family::V4 {
            assert_eq!((denial.packets, denial.source_port), (2, 40_001));
            assert_eq!(denial.key.remote_high, 0xc000_0201);
        }
    }
    // Differences: nothing is reported twice, and a name that goes on is not new.
    datapath.run(Program::Ingress, &frames[0].0, 5).unwrap();
    let mut next = Seen::default();
    next.read(datapath, 60);
    assert_eq!((next.packets, next.all.len(), next.all[0].is_first), (5, 1, false));
    next.read(datapath, 60);
    assert_eq!(next.packets, 5);
}

/// Few names, of which each is out of use in one pass and in use in the next.
fn nothing_is_lost() {
    let mut shared = Shared::new("churn", 64, 3);
    let (sent, seen) = shared.at_once(0, |cpu, datapath| {
        let frames: Vec<Vec<u8>> = (0..8).map(|number| syn([192, 0, 2, number], [40_000, 22])).collect();
        let (start, mut sent, mut at) = (Instant::now(), 0, cpu);
        while start.elapsed() < a_while() {
            // The same name from both at the same time, and then another: so names go while they are written.
            datapath.run(Program::Ingress, &frames[at % frames.len()], 40).unwrap();
            sent += 40;
            at += 1;
        }
        sent
    });
    println!("{sent} packets, {} reports, folded {:?}", seen.reports, seen.folds);
    is_complete(&seen, sent);
    assert!(seen.reports > 1_000, "names were removed and made all the time: {}", seen.reports);
}

/// Every packet and each of its bytes was reported, once.
fn is_complete(seen: &Seen, sent: u64) {
    let length = syn([192, 0, 2, 0], [1, 2]).len() as u64;
    assert_eq!((seen.packets, seen.bytes), (sent, sent * length));
    assert_eq!(seen.folds.iter().sum::<u64>(), sent);
}

fn a_while() -> Duration {
    Duration::from_secs(if std::env::var_os("SG_DEEP").is_some() { 60 } else { 3 })
}

/// Every packet from another address.
fn a_flood_is_folded() {
    let mut shared = Shared::new("flood", 1 << 12, 3);
    let (sent, seen) = shared.at_once(0, |cpu, datapath| {
        let mut frame = syn([0; 4], [40_000, 22]);
        let (start, mut sent) = (Instant::now(), 0_u64);
        let mut random = fastrand::Rng::with_seed(cpu as u64);
        while start.elapsed() < a_while() {
            frame[26..30].copy_from_slice(&random.u32(1 << 24..224 << 24).to_be_bytes());
            datapath.run(Program::Ingress, &frame, 1).unwrap();
            sent += 1;
        }
        sent
    });
    println!("{sent} packets, {} names, folded {:?}", seen.names.len(), seen.folds);
    is_complete(&seen, sent);
    let [exact, prefix, others, spare] = seen.folds;
    // Two processors may each find the rate not yet used: a few more.
    let limit = NEW_PER_SECOND * (a_while().as_secs() + 2) * 11 / 10;
    assert!(exact > 0 && exact <= limit && prefix <= limit, "{exact} and {prefix} of {limit}");
    assert!(others > 0 && spare == 0, "the table holds names of decisions");
}

/// Few entries, and none of them is given back: two are not enough for the names of two decisions beside that of a packet.
fn a_full_table_is_complete() {
    for (entries, is_enough) in [(8, true), (2, false)] {
        let mut shared = Shared::new(&format!("full-{entries}"), entries, 3);
        let (sent, seen) = shared.at_once(3_600, |cpu, datapath| {
            let mut sent = 0;
            for number in 0..60_000_u32 {
                let mut frame = syn([192, 0, 2, 1], [40_000, if number % 4 < 2 { 1_000 } else { 25 }]);
                frame[26..30].copy_from_slice(&(number << 8 | cpu as u32).to_be_bytes());
                let program = if number % 2 == 0 { Program::Ingress } else { Program::Xdp };
                datapath.run(program, &frame, 1).unwrap();
                sent += 1;
            }
            sent
        });
        println!("{sent} packets, folded {:?}", seen.folds);
        is_complete(&seen, sent);
        let [exact, prefix, others, spare] = seen.folds;
        // Each address sends once, so a packet with a name of its own takes an entry; two addresses share a prefix.
        assert!(exact > 0 && exact + prefix / 2 <= u64::from(entries), "{:?}", seen.folds);
        if is_enough {
            assert!(others > sent / 3 && spare == 0, "{:?}", seen.folds);
        } else {
            // Both processors may have made a name of their packet at once: then there is none for decisions.
            assert!(others + spare > sent / 2 && spare > sent / 3, "{:?}", seen.folds);
        }
    }
}

/// A reader that has reported, and one that was killed between two passes.
fn the_next_reader_goes_on() {
    let mut shared = one("restart", 16);
    let mut sent = 0;
    let mut seen = Seen::default();
    for round in 0..20_u8 {
        for number in 0..4 {
            shared.datapaths[0].run(Program::Ingress, &syn([192, 0, round, number], [1, 22]), 3).unwrap();
            sent += 3;
        }
        // Names are removed, and the entries behind them are not yet free: then nobody remembers them.
        seen.read(&mut shared.datapaths[0], 0);
        seen.read(&mut shared.datapaths[0], 0);
        shared.datapaths[0] = shared.load();
        shared.datapaths[0].stand_in(0).unwrap();
    }
    (0..3).for_each(|_| seen.read(&mut shared.datapaths[0], 0));
    println!("{sent} packets, folded {:?}", seen.folds);
    is_complete(&seen, sent);
    let [exact, _, _, spare] = seen.folds;
    assert!(exact > sent / 2 && spare == 0, "entries come back after a restart: {:?}", seen.folds);
}

/// The same packets with no table, with one that is full, and with one that has room.
fn verdicts_do_not_depend_on_it() {
    let mut outcomes = Vec::new();
    for (name, denied) in [("none", 0), ("small", 1), ("large", 1 << 10)] {
        let mut shared = one(name, denied);
        let datapath = &mut shared.datapaths[0];
        let mut passed = Vec::new();
        for number in 0..500_u16 {
            for port in [22, 25, 80] {
                let source = [192, 0, (number >> 8) as u8, number as u8];
                for program in [Program::Ingress, Program::Xdp] {
                    passed.push(datapath.run(program, &syn(source, [40_000, port]), 1).unwrap().passed);
                }
            }
        }
        let mut seen = Seen::default();
        seen.read(datapath, 60);
        assert_eq!(seen.packets, if denied == 0 { 0 } else { 2_000 });
        outcomes.push(passed);
    }
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(outcomes[0].iter().filter(|passed| **passed).count(), 1_000);
}
