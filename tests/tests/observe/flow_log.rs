//! What is reported of flows, pass by pass and of both sides, through the program in the kernel. The judge is arithmetic: what was
//! sent.

use std::{thread, time::Duration};

use sg_common::abi::flows::{EVICTED, REPLACED, UNREAD};
use sg_kernel::{Datapath, FlowOptions, FlowPhase, FlowReport, Limits, Options, Program};
use sg_tests::packet::{ACK, SYN, TCP, UDP, tcp, udp};
use tempfile::TempDir;

use crate::support::runs::{Test, inbound, judged, outbound};

pub(crate) const TESTS: &[Test] = &[
    ("reports_are_differences_of_both_sides", reports_are_differences),
    ("a_replaced_flow_is_reported_with_its_last_counts", replaced_flows_are_reported),
    ("a_full_ring_is_counted", a_full_ring_is_counted),
];

const POLICY: &str = "
groups: { g: { ingress: [{ id: in, protocol: all }], egress: [{ id: out, protocol: all }] } }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g] }]";

/// A datapath whose flows are logged.
struct Logged {
    datapath: Datapath,
    _folder: TempDir,
    /// Flows whose last counts nobody has read.
    unread: u64,
}

impl Logged {
    fn new() -> Self {
        let limits = Limits { nics: 4, flows: 1 << 15, counters: 512, denied: 0 };
        let options = Options { limits, flows: FlowOptions::default(), ..Options::default() };
        let (_, mut datapath) = judged(Datapath::load(&options).unwrap(), POLICY);
        let folder = TempDir::new().unwrap();
        assert_eq!(datapath.log_flows(&folder.path().join("reported")).unwrap(), 0);
        datapath.watcher().want_flows(datapath.now().unwrap() + (1 << 30));
        Self { datapath, _folder: folder, unread: 0 }
    }

    fn sends(&mut self, frame: &[u8], times: u32) {
        assert!(self.datapath.run(Program::Ingress, frame, times).unwrap().passed);
    }

    fn responds(&mut self, frame: &[u8], times: u32) {
        assert!(self.datapath.run(Program::Egress, frame, times).unwrap().passed);
    }

    /// A pass that reports live flows, too.
    fn pass(&mut self) -> Vec<FlowReport> {
        self.datapath.report_live_flows();
        let mut reports = Vec::new();
        loop {
            let part = self.datapath.age_some().unwrap();
            reports.extend(part.reports);
            self.unread += part.unread;
            if part.is_last {
                return reports;
            }
        }
    }

    /// Until connections that are opened now are others than those before, even between the same ends.
    fn wait() {
        thread::sleep(Duration::from_millis(50));
    }
}

fn reports_are_differences() {
    let mut logged = Logged::new();
    let (query, response) =
        (inbound(UDP, &udp([40_000, 53], &[0; 10])), outbound(UDP, &udp([53, 40_000], &[0; 90])));
    let (mut reported, mut sent) = ([[0; 2]; 2], [0; 2]);
    for (phase, times) in [
        (FlowPhase::Begin, [3, 2]),
        (FlowPhase::Continue, [1, 7]),
        (FlowPhase::Continue, [0, 5]),
        (FlowPhase::Continue, [4, 0]),
    ] {
        let [asked, replied] = times;
        if asked > 0 {
            logged.sends(&query, asked);
        }
        if replied > 0 {
            logged.responds(&response, replied);
        }
        let reports = logged.pass();
        let [report] = &reports[..] else { panic!("{reports:?}") };
        let packets = times.map(u64::from);
        let bytes = [packets[0] * query.len() as u64, packets[1] * response.len() as u64];
        assert_eq!((report.phase, report.packets, report.bytes), (phase, packets, bytes));
        assert_eq!(logged.pass(), [], "nothing has happened");
        for side in [0, 1] {
            sent[side] += packets[side];
            reported[0][side] += report.packets[side];
            reported[1][side] += report.bytes[side];
        }
    }
    let bytes = [sent[0] * query.len() as u64, sent[1] * response.len() as u64];
    assert_eq!((sent, reported), ([8, 14], [sent, bytes]));
    assert_eq!(logged.unread, 0);
}

/// A connection is opened, with a number of its own: two packets of the side that opens it, and one of the other.
fn open(logged: &mut Logged, port: u16, number: u32) {
    logged.sends(&inbound(TCP, &tcp([port, 80], [number, 0], SYN)), 1);
    logged.responds(&outbound(TCP, &tcp([80, port], [7_000, number + 1], SYN | ACK)), 1);
    logged.sends(&inbound(TCP, &tcp([port, 80], [number + 1, 7_001], ACK)), 1);
}

fn replaced_flows_are_reported() {
    let mut logged = Logged::new();
    open(&mut logged, 40_000, 1_000);
    logged.responds(&outbound(TCP, &tcp([80, 40_000], [7_001, 1_001], ACK)), 4);
    let reports = logged.pass();
    assert_eq!(reports.iter().map(|report| report.packets).collect::<Vec<_>>(), [[2, 5]]);
    logged.sends(&inbound(TCP, &tcp([40_000, 80], [1_001, 7_001], ACK)), 6);
    Logged::wait();
    open(&mut logged, 40_000, 90_000_000);
    let mut reports = logged.pass();
    reports.sort_by_key(|report| report.phase == FlowPhase::Begin);
    let said: Vec<_> = reports.iter().map(|report| (report.phase, report.packets)).collect();
    assert_eq!(said, [(FlowPhase::End, [6, 0]), (FlowPhase::Begin, [2, 1])]);
    assert_eq!((logged.pass(), logged.unread), (Vec::new(), 0));
}

/// More connections than the ring holds are replaced while nobody reads it.
fn a_full_ring_is_counted() {
    const CONNECTIONS: u16 = 10_000;
    let mut logged = Logged::new();
    for number in [1_000, 90_000_000] {
        (1..=CONNECTIONS).for_each(|port| open(&mut logged, port, number));
        Logged::wait();
    }
    let reports = logged.pass();
    let of = |phase| reports.iter().filter(|report| report.phase == phase).collect::<Vec<_>>();
    let (ended, begun) = (of(FlowPhase::End), of(FlowPhase::Begin));
    let read = logged.datapath.counters(&[UNREAD, EVICTED, REPLACED]).unwrap();
    let [unread, evicted, replaced] = [0, 1, 2].map(|at| read[at].packets);
    println!("{} ended, {unread} unread, {evicted} evicted, {replaced} sent", ended.len());
    assert!(unread > 0 && evicted == 0, "the ring holds them all: {unread}, {evicted} evicted");
    assert_eq!((logged.unread, replaced), (unread, ended.len() as u64));
    assert_eq!(ended.len() as u64 + unread, u64::from(CONNECTIONS), "each is read, or counted as unread");
    assert_eq!(begun.len(), usize::from(CONNECTIONS));
    assert!(reports.iter().all(|report| report.packets == [2, 1]), "of each connection alone");
}
