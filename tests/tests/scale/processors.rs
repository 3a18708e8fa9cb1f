//! Two processors at once on the same flows, datagrams, shares and counters: two datapaths over one set of pinned maps, each
//! driven from a processor of its own. No verdict may be lost, and the counters of rules and reasons, which each processor has
//! for itself, add up to the packet. What flow entries miss, which both write, is measured and printed.

use std::{
    path::PathBuf,
    process,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};
use sg_common::{
    abi::{
        NIC_COUNTERS,
        flows::{self, EVICTED},
        reason_counter,
    },
    flow::{Direction, FlowEntry},
    verdict::Reason,
};
use sg_compile::{Image, ImageOptions, LARGEST_WORDS, compile};
use sg_kernel::{Datapath, FlowOptions, Limits, Options, Program, pins};
use sg_tests::packet::{ACK, SYN, tcp};

use crate::support::runs::{LOCAL, REMOTE, Test, inbound, ipv4, outbound};

pub(crate) const TESTS: &[Test] = &[
    ("one_connection_loses_no_verdict_and_no_count", one_connection),
    ("flows_that_both_open_and_reply_to_are_counted", flows_that_both_open),
    ("a_share_is_kept_within_what_two_miss", a_share_is_kept),
    ("half_open_flows_that_make_room_are_counted", half_open_flows_that_make_room),
    ("datagrams_in_fragments_of_both", datagrams_in_fragments),
    ("one_fragment_from_both", one_fragment_from_both),
    ("a_rule_that_goes_is_gone_for_both", a_rule_that_goes),
];

/// Counters that are added up: those of the host, those of the NIC, and behind them those of rules and defaults.
const COUNTERS: u32 = 512;
/// The first counter of the NIC.
const NIC: u32 = 64;
/// The first number of a rule.
const RULES: u32 = NIC + NIC_COUNTERS;

/// How much fits into the tables.
const LIMITS: Limits = Limits { nics: 4, flows: 1 << 16, counters: COUNTERS, denied: 64 };

/// Two datapaths that share all maps.
struct Both {
    pins: PathBuf,
    datapaths: [Datapath; 2],
    /// What the counters said at last.
    counted: Vec<u64>,
}

impl Both {
    fn new(name: &str, flows: FlowOptions) -> Self {
        let pins = PathBuf::from(format!("/sys/fs/bpf/sg-test-{}-{name}", process::id()));
        let load = || {
            let options = Options { limits: LIMITS, flows, pins: Some(pins.clone()), ..Options::default() };
            Datapath::load(&options).unwrap()
        };
        let mut both = Self { datapaths: [load(), load()], counted: Vec::new(), pins };
        both.publish(1, true);
        for datapath in &mut both.datapaths {
            datapath.stand_in(0).unwrap();
        }
        both.moved();
        both
    }

    /// A policy that lets clients in, or nobody.
    fn publish(&mut self, generation: u32, open: bool) {
        self.datapaths[0].publish(0, &image(generation, open)).unwrap();
    }

    /// Lets each datapath do its part, on its own processor, at the same time.
    fn at_once<T: Send>(&mut self, part: impl Fn(usize, &mut Datapath) -> T + Sync) -> [T; 2] {
        let start = Barrier::new(2);
        let run = |cpu: usize, datapath: &mut Datapath| {
            let mut own = CpuSet::new();
            own.set(cpu).unwrap();
            sched_setaffinity(Pid::from_raw(0), &own).expect("there are two processors");
            start.wait();
            part(cpu, datapath)
        };
        let [one, other] = &mut self.datapaths;
        thread::scope(|scope| {
            let first = scope.spawn(|| run(0, one));
            let second = scope.spawn(|| run(1, other));
            [first.join().unwrap(), second.join().unwrap()]
        })
    }

    /// By how many packets each counter moved since the last time.
    fn moved(&mut self) -> Vec<u64> {
        let numbers: Vec<u32> = (0..COUNTERS).collect();
        let counters = self.datapaths[0].counters(&numbers).unwrap();
        let now: Vec<u64> = counters.iter().map(|counter| counter.packets).collect();
        let before = std::mem::replace(&mut self.counted, now);
        // Some of the host's tell of tables, see `abi::flows`, and the NIC's 17, 23 and 27 of what is no verdict.
        let is_verdict = |number: usize| {
            let reason = (number as u32).wrapping_sub(NIC) % 32;
            let tells_of_tables = flows::ALL.contains(&(number as u32));
            let is_note = number < RULES as usize
                && [Reason::FlowTableFull, Reason::FlowQuota, Reason::HalfOpenEvicted]
                    .iter()
                    .any(|&note| note as u32 == reason);
            !(tells_of_tables || is_note)
        };
        let moved =
            self.counted.iter().enumerate().map(|(number, now)| {
                if is_verdict(number) { now - before.get(number).unwrap_or(&0) } else { 0 }
            });
        moved.collect()
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        pins::remove(&self.pins, &[]).unwrap();
    }
}

/// The first generation's image, or a later one's.
fn image(generation: u32, open: bool) -> Image {
    let rules = if open { "{ protocol: tcp, ports: 80 }, { protocol: udp, ports: 53 }" } else { "" };
    let text = format!(
        "groups: {{ g: {{ type: enterprise, ingress: [{rules}] }} }}\n\
         nics: [{{ device: nic, addresses: [10.0.0.5], groups: [g] }}]"
    );
    let policy = sg_document::parse("processors", text.as_bytes()).unwrap().policy;
    let options = ImageOptions { generation, counters: NIC, budget_words: LARGEST_WORDS };
    let mut next = RULES;
    // A counter for each rule and default.
    let mut number = |_| {
        next += 1;
        next - 1
    };
    compile(&policy, &policy.nics()[0], &options, &mut number).unwrap()
}

fn question(port: u16) -> Vec<u8> {
    inbound(17, &[&port.to_be_bytes()[..], &[0, 53, 0, 8, 0, 0]].concat())
}

fn reply(port: u16) -> Vec<u8> {
    outbound(17, &[&[0, 53], &port.to_be_bytes()[..], &[0, 8, 0, 0]].concat())
}

/// How long the clock's edges are crossed: some hundred jiffies.
fn a_while() -> Duration {
    Duration::from_secs(if std::env::var_os("SG_DEEP").is_some() { 60 } else { 2 })
}

/// Both ends of a connection send from two processors: while one reads the clock, the other notes the next jiffy.
fn one_connection() {
    one_connection_over(Program::Ingress, |frame| frame);
    // In the tables of wide keys, and received before the kernel builds a packet buffer.
    one_connection_over(Program::Xdp, |frame| [&frame[..12], &[0x81, 0, 0, 7], &frame[12..]].concat());
}

fn one_connection_over(received: Program, framed: fn(Vec<u8>) -> Vec<u8>) {
    const REPEAT: u32 = 500;
    let mut both = Both::new("connection", FlowOptions::default());
    let client = |numbers, flags| (received, framed(inbound(6, &tcp([40_000, 80], numbers, flags))));
    let server = |numbers, flags| (Program::Egress, framed(outbound(6, &tcp([80, 40_000], numbers, flags))));
    let opens = [client([1_000, 0], SYN), server([5_000, 1_001], SYN | ACK), client([1_001, 5_001], ACK)];
    for (program, frame) in &opens {
        assert!(both.datapaths[0].run(*program, frame, 1).unwrap().passed);
    }
    both.moved();
    let counts = |both: &Both| {
        let flows: Vec<FlowEntry> =
            both.datapaths[0].flows().unwrap().into_iter().map(|(_, entry)| entry).collect();
        assert_eq!(flows.len(), 1);
        flows[0].packets[0] + flows[0].packets[1]
    };
    let before = counts(&both);
    let sent: u64 = both
        .at_once(|cpu, datapath| {
            let ends = [client([1_001, 5_001], ACK), server([5_001, 1_001], ACK)];
            let (start, mut sent) = (Instant::now(), 0);
            while start.elapsed() < a_while() {
                // Against each other, and at the next turn the same way at once.
                let (program, frame) = &ends[(cpu + (sent / 8_000) as usize * cpu) % 2];
                let outcome = datapath.run(*program, frame, REPEAT).unwrap();
                assert!(outcome.passed, "a live connection lost a packet after {sent}");
                sent += u64::from(REPEAT);
            }
            sent
        })
        .iter()
        .sum();
    let moved = both.moved();
    // All of them by the one rule that accepted the connection: whatever was dropped would stand elsewhere.
    assert_eq!(moved.iter().sum::<u64>(), sent, "a packet was not counted, or twice");
    assert_eq!(moved[RULES as usize..].iter().max(), Some(&sent), "a packet was not this connection's");
    let counted = counts(&both) - before;
    println!(
        "one connection over {received:?}, both ends at once: {sent} packets, of which its entry counted {counted}"
    );
    assert!(counted <= sent && counted > sent / 4);
}

/// One sends requests, the other replies to them a moment later.
fn flows_that_both_open() {
    const FLOWS: u16 = 8_000;
    // A reply comes before its request mostly, and is sent again.
    const TRIES: u64 = 200;
    let mut both = Both::new("opened", FlowOptions::default());
    let [(asked, questions), (replied, replies)] = both.at_once(|cpu, datapath| {
        let (mut passed, mut sent) = (0_u64, 0_u64);
        for port in 1_000..1_000 + FLOWS {
            let (program, frame) =
                if cpu == 0 { (Program::Ingress, question(port)) } else { (Program::Egress, reply(port)) };
            for _ in 0..TRIES {
                sent += 1;
                if datapath.run(program, &frame, 1).unwrap().passed {
                    passed += 1;
                    break;
                }
            }
        }
        (passed, sent)
    });
    let moved = both.moved();
    assert_eq!((asked, questions), (u64::from(FLOWS), u64::from(FLOWS)), "every question is accepted");
    assert_eq!(moved.iter().sum::<u64>(), questions + replies, "a packet was not counted, or twice");
    let dropped = moved[RULES as usize..].iter().filter(|&&count| count > 0).count();
    assert!(dropped <= 2, "one rule accepts, one default drops");
    // Every established flow stands where it belongs, and once.
    let flows = both.datapaths[0].flows().unwrap();
    let established = flows.iter().filter(|(_, entry)| entry.state() == 1).count() as u64;
    println!("{FLOWS} flows: {replied} replies came after their request, {established} are established");
    assert_eq!(flows.len(), usize::from(FLOWS));
    assert_eq!(established, replied);
}

/// Both settle flows at the same time: the share counts without atomic instructions.
fn a_share_is_kept() {
    const SHARE: u16 = 2_000;
    let flows = FlowOptions { per_nic: SHARE.into(), ..FlowOptions::default() };
    let mut both = Both::new("share", flows);
    both.at_once(|cpu, datapath| {
        for number in 0..SHARE {
            let port = 1_000 + number * 2 + cpu as u16;
            for (program, frame) in [(Program::Ingress, question(port)), (Program::Egress, reply(port))] {
                assert!(datapath.run(program, &frame, 1).unwrap().passed, "the share is no verdict");
            }
        }
    });
    let moved = both.moved();
    assert_eq!(moved.iter().sum::<u64>(), 4 * u64::from(SHARE));
    // Over the share a flow stays among the half-open ones; what flow ageing finds is the truth.
    let counted = |both: &Both, number| both.datapaths[0].counters(&[number]).unwrap()[0].packets;
    both.datapaths[0].age().unwrap();
    let settled = counted(&both, flows::ESTABLISHED);
    println!("a share of {SHARE}, filled by two: {settled} flows are in it");
    assert!((u64::from(SHARE)..u64::from(SHARE) + u64::from(SHARE) / 4).contains(&settled));
    let over = counted(&both, reason_counter(NIC, Direction::Egress, Reason::FlowQuota));
    assert_eq!(over, 2 * u64::from(SHARE) - settled);
}

/// Both open more half-open flows than there are places: none is lost unseen, and another NIC keeps its own.
fn half_open_flows_that_make_room() {
    const QUIET: u16 = 100;
    const EACH: u16 = 28_000;
    let places = LIMITS.half_open();
    let mut both = Both::new("half-open", FlowOptions::default());
    // The other NIC is the one with the next slot.
    both.datapaths[0].publish(1, &image(1, true)).unwrap();
    both.datapaths[0].stand_in(1).unwrap();
    for port in 1_000..1_000 + QUIET {
        assert!(both.datapaths[0].run(Program::Ingress, &question(port), 1).unwrap().passed);
    }
    both.datapaths[0].stand_in(0).unwrap();
    both.moved();
    let evicted = |both: &Both| {
        let numbers = [EVICTED, reason_counter(NIC, Direction::Ingress, Reason::HalfOpenEvicted)];
        both.datapaths[0]
            .counters(&numbers)
            .unwrap()
            .iter()
            .map(|counter| counter.packets)
            .collect::<Vec<_>>()
    };
    both.at_once(|cpu, datapath| {
        for number in 0..EACH {
            let port = 1_000 + number * 2 + cpu as u16;
            assert!(datapath.run(Program::Ingress, &question(port), 1).unwrap().passed);
        }
    });
    assert_eq!(both.moved().iter().sum::<u64>(), 2 * u64::from(EACH));
    let flows = both.datapaths[0].flows().unwrap();
    let of = |nic: u16| flows.iter().filter(|(key, _)| key.l4.nic() == nic).count();
    let counted = evicted(&both);
    println!("two processors, {} half-open flows: {} live, {counted:?} made room", 2 * EACH, of(0));
    assert_eq!(of(1), usize::from(QUIET), "another NIC lost what it has within its share");
    assert_eq!(counted[0], counted[1], "all of them are the NIC's own");
    assert_eq!(of(0) as u64 + counted[0], 2 * u64::from(EACH), "a flow was lost, or grew beyond the places");
    let in_reach = places / 3 * 2 + places / 6;
    assert!((in_reach - 16..=in_reach + 16).contains(&(of(0) as u32)), "{} of {in_reach}", of(0));
}

/// The first or the second one of a datagram.
fn fragment(number: u16, offset: u16) -> Vec<u8> {
    let payload: &[u8] = if offset == 0 { &[0x9c, 0x40, 0, 53, 0, 24, 0, 0] } else { &[0; 8] };
    let mut frame = ipv4(17, [REMOTE, LOCAL], &[payload, &[0; 8]].concat());
    frame[18..20].copy_from_slice(&number.to_be_bytes());
    let place = if offset == 0 { 0x2000 } else { offset / 8 };
    frame[20..22].copy_from_slice(&place.to_be_bytes());
    frame
}

/// One sends the first fragments, the other the second ones.
fn datagrams_in_fragments() {
    const DATAGRAMS: u16 = 4_000;
    let mut both = Both::new("fragments", FlowOptions::default());
    let [first, second] = both.at_once(|cpu, datapath| {
        let mut passed = 0_u64;
        for number in 0..DATAGRAMS {
            let frame = fragment(number, cpu as u16 * 16);
            passed += u64::from(datapath.run(Program::Ingress, &frame, 1).unwrap().passed);
        }
        passed
    });
    assert_eq!(first, u64::from(DATAGRAMS));
    let moved = both.moved();
    assert_eq!(moved.iter().sum::<u64>(), 2 * u64::from(DATAGRAMS));
    let refused = moved[reason_counter(NIC, Direction::Ingress, Reason::Fragment) as usize]
        + moved[reason_counter(NIC, Direction::Ingress, Reason::FragmentOverlap) as usize];
    println!("{DATAGRAMS} datagrams: {second} second fragments came after their first");
    assert_eq!(refused + second, u64::from(DATAGRAMS), "one that came too early is refused, and counted");
}

/// Both send the same fragment at the same moment: one of them passes.
fn one_fragment_from_both() {
    const DATAGRAMS: u16 = 2_000;
    let mut both = Both::new("fragment", FlowOptions::default());
    let (meet, passed) = (Barrier::new(2), AtomicU64::new(0));
    let [counts, _] = both.at_once(|cpu, datapath| {
        let mut sends = |frame: &[u8]| {
            meet.wait();
            let is_through = datapath.run(Program::Ingress, frame, 1).unwrap().passed;
            passed.fetch_add(is_through.into(), Relaxed);
            meet.wait();
            let both = passed.load(Relaxed);
            meet.wait();
            if cpu == 0 {
                passed.store(0, Relaxed);
            }
            both
        };
        let mut counts = Vec::new();
        for number in 0..DATAGRAMS {
            // The number is used again when its datagram is complete.
            for offset in [0, 16, 0, 16] {
                counts.push(sends(&fragment(number, offset)));
            }
        }
        counts
    });
    let other = counts.iter().position(|&passed| passed != 1);
    assert_eq!(
        other.map(|place| (place / 4, place % 4, counts[place])),
        None,
        "datagram, fragment, how many passed"
    );
    assert_eq!(both.moved().iter().sum::<u64>(), 8 * u64::from(DATAGRAMS));
}

/// While both send, the rule is taken away: from the moment that this returns nothing passes.
fn a_rule_that_goes() {
    let mut both = Both::new("revoked", FlowOptions::default());
    for port in 1_000..1_100 {
        for (program, frame) in [(Program::Ingress, question(port)), (Program::Egress, reply(port))] {
            assert!(both.datapaths[0].run(program, &frame, 1).unwrap().passed);
        }
    }
    both.moved();
    for round in 0..20 {
        both.publish(2 + 2 * round, true);
        let revoked = std::sync::atomic::AtomicBool::new(false);
        let sent: u64 = both
            .at_once(|cpu, datapath| {
                let mut sent = 0;
                for pass in 0..60 {
                    if cpu == 0 && pass == 20 {
                        datapath.publish(0, &image(3 + 2 * round, false)).unwrap();
                        revoked.store(true, std::sync::atomic::Ordering::SeqCst);
                    }
                    for port in 1_000..1_100 {
                        let is_revoked = revoked.load(std::sync::atomic::Ordering::SeqCst);
                        let outcome = if (port + pass) % 2 == 0 {
                            datapath.run(Program::Ingress, &question(port), 1)
                        } else {
                            datapath.run(Program::Egress, &reply(port), 1)
                        };
                        sent += 1;
                        assert!(!(is_revoked && outcome.unwrap().passed), "round {round}, port {port}");
                    }
                }
                sent
            })
            .iter()
            .sum();
        assert_eq!(both.moved().iter().sum::<u64>(), sent);
    }
}
