//! What observing traffic costs, each figure beside the same without: a packet that does not pass, the flow log, watching live, a scrape.
//! Criterion has neither runs in turns nor figures of a process.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]
#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

mod scrape;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use rustix::thread::CpuSet;
use sg_benches::{Figure, LOCAL, Plan, Sequence, Unit, frames, kernel::Kernel, policy};
use sg_common::{
    flow::{Direction, FlowEntry, FlowKey, PortsProtoNic},
    packet::{Family, Packet},
    verdict::{Decision, Reason, Verdict},
};
use sg_kernel::Program;
use sg_observe::{
    format::Format,
    record::{Event, FlowState, Record, Stage},
};
use sg_tests::{
    lab::{self, Agent, Attach, Entered, Generator, Host, Lab, Vary},
    packet::{SYN, TCP, UDP, ethernet, ip, tcp, udp},
};

/// Different packets in a measurement.
const PACKETS: usize = 128;
/// Flows in the table, of which a tenth carries something in an interval.
const FLOWS: u32 = 1_000_000;
/// Packets a second that somebody watches.
const WATCHED: u32 = 100_000;

fn main() -> Result<()> {
    let families = [
        "observe",
        "observe-core",
        "observe-lost",
        "observe-rate",
        "observe-kept",
        "observe-scrape",
        "observe-scrape-size",
    ];
    let Some(plan) = Plan::from_env(&families) else { return Ok(()) };
    denials(&plan);
    flow_log(&plan);
    formats(&plan)?;
    let over_hosts = [
        "observe-core/watch",
        "observe-lost",
        "observe-rate",
        "observe-kept",
        "observe-scrape",
        "observe-scrape-size",
    ];
    if !over_hosts.iter().any(|name| plan.wants(name)) {
        return Ok(());
    }
    let lab = match Lab::enter()? {
        Entered::Inside(lab) => lab,
        Entered::LeftOut(why) => bail!("hosts need {why}"),
    };
    if let Some(missing) = lab::missing() {
        println!("observe-core/watch and observe-scrape are {missing}");
        return Ok(());
    }
    watching(&plan, lab)?;
    scrape::scraping(&plan, lab)
}

/// A packet that does not pass, of a known name, and one of as many names as there are packets.
fn denials(plan: &Plan) {
    if !plan.wants("observe/deny-off") && !plan.wants("observe/deny") {
        return;
    }
    let mut random = Sequence(11);
    let mut syn = || {
        let source = IpAddr::V4(Ipv4Addr::from_bits(random.next() as u32));
        frames::tcp((source, 40_000), (IpAddr::V4(LOCAL), 80), SYN)
    };
    let packets: Vec<Vec<u8>> = (0..PACKETS).map(|_| syn()).collect();
    for (name, entries) in [("observe/deny-off", 0), ("observe/deny", 1 << 16)] {
        let mut kernel = Kernel::counting(plan.clone(), entries);
        kernel.publish(&policy(1_000, 1));
        kernel.measure(name, Program::Ingress, &packets);
    }
}

/// A million flows, of which a tenth has changed: reading, comparing, and counting what is live.
fn flow_log(plan: &Plan) {
    if !plan.wants("observe/flow") && !plan.wants("observe-core/flow-log") {
        return;
    }
    let mut kernel = Kernel::counting(plan.clone(), 0);
    let decision = Decision::new(Verdict::Accept, Reason::Rule, 1_000);
    let entry = |now: u64, packets: u64| FlowEntry {
        packets: [packets, packets],
        bytes: [packets * 100, packets * 1_000],
        ..FlowEntry::open(&Packet::EMPTY, Direction::Ingress, decision, 1, 60, now)
    };
    let key = |number: u32| FlowKey {
        remote_high: u64::from(number),
        local_high: 0x0a00_0005,
        l4: PortsProtoNic::new((40_000, 443), 0, 6, Family::V4),
        ..FlowKey::default()
    };
    let now = kernel.datapath.now().expect("the kernel has a clock");
    let flows = (0..FLOWS).map(|number| (key(number), entry(now, 1)));
    kernel.datapath.enter_flows(flows).expect("the table takes a million");
    // Without the log, the pass is made anyway; and while there is a log, every pass is one with it.
    let rounds = plan.rounds(8, 3) as u64;
    let change = |kernel: &mut Kernel, round: u64| {
        let changed = (0..FLOWS / 10).map(|number| (key(number * 10), entry(now, round + 2)));
        kernel.datapath.enter_flows(changed).expect("flows can change");
    };
    let mut without = Duration::MAX;
    for round in 0..rounds {
        change(&mut kernel, round);
        let start = Instant::now();
        kernel.datapath.age().expect("flows can be read");
        without = without.min(start.elapsed());
    }
    let folder = tempfile::tempdir().expect("there is room for a table");
    kernel.datapath.log_flows(&folder.path().join("flows.reported")).expect("a flow log can begin");
    // The first pass reports them all; it is not what an interval costs.
    let pass = |kernel: &mut Kernel| {
        kernel.datapath.report_live_flows();
        let (start, mut reports) = (Instant::now(), 0);
        loop {
            let part = kernel.datapath.age_some().expect("flows can be read");
            reports += part.reports.len();
            if part.is_last {
                return (start.elapsed(), reports);
            }
        }
    };
    let (_, first) = pass(&mut kernel);
    assert_eq!(first, FLOWS as usize, "every flow is reported");
    let mut with = Duration::MAX;
    for round in rounds..2 * rounds {
        change(&mut kernel, round);
        let (taken, reports) = pass(&mut kernel);
        assert_eq!(reports, FLOWS as usize / 10, "what has changed is reported");
        with = with.min(taken);
    }
    let of_a_flow = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(FLOWS);
    plan.record(&Figure::new("observe/flow", of_a_flow(with), Unit::Nanoseconds).beside(of_a_flow(without)));
    // Of one core, with an interval of a minute: what the log adds, beside the whole pass.
    let of_core = |time: Duration| core(time, Duration::from_mins(1));
    let added = of_core(with.saturating_sub(without));
    plan.record(&Figure::new("observe-core/flow-log", added, Unit::Milliseconds).beside(of_core(with)));
}

/// A record as a line.
fn formats(plan: &Plan) -> Result<()> {
    for (name, format) in [("native", "native"), ("aws", "aws"), ("alibaba", "alibaba")] {
        let figure = format!("observe/format-{name}");
        if !plan.wants(&figure) {
            continue;
        }
        let format: Format = format.parse()?;
        let mut record = Record::new(Event::Continue, Timestamp::now(), Timestamp::now());
        "eni-0123456789abcdef0".clone_into(&mut record.nic);
        "eth0".clone_into(&mut record.device);
        (record.src, record.dst) = ("192.0.2.7/32".parse().ok(), "10.0.0.5/32".parse().ok());
        (record.sport, record.dport, record.protocol) = (Some(40_000), Some(443), Some(6));
        (record.stage, record.state) = (Stage::Rule, Some(FlowState::Established));
        (record.group, record.rule) = (Some("sg-web".to_owned()), Some("sgr-0123456789".to_owned()));
        "rule".clone_into(&mut record.reason);
        (record.packets, record.bytes, record.tcp_flags) =
            ([12_345, 23_456], [1_234_567, 34_567_890], Some(18));
        let mut line = Vec::new();
        let mut least = Duration::MAX;
        for _ in 0..plan.rounds(60, 20) {
            let start = Instant::now();
            for _ in 0..AT_ONCE {
                line.clear();
                format.write(std::slice::from_ref(std::hint::black_box(&record)), &mut line);
            }
            least = least.min(start.elapsed() / AT_ONCE);
        }
        plan.record(&Figure::new(figure, least.as_nanos() as f64, Unit::Nanoseconds));
    }
    Ok(())
}

/// Records written in one round.
const AT_ONCE: u32 = 10_000;

const POLICY: &str = "
groups: { web: { ingress: [{ id: open, protocol: udp, ports: 80 }] } }
nics: [{ device: eth0, addresses: [198.18.0.5], groups: [web] }]";

/// A host that is flooded, and its agent.
struct Flooded {
    host: Host,
    /// The other end of the wire, and of a device that the generator is attached to.
    _peer: Host,
    agent: Agent,
    /// Sends SYNs to port 22, which do not pass.
    denied: Generator,
    /// Sends packets of one UDP flow, which do.
    passing: Generator,
}

impl Flooded {
    fn new(lab: Lab) -> Result<Self> {
        let (peer, host) = (lab.host("peer")?, lab.host("host")?);
        lab.wire((&peer, "eth0"), (&host, "eth0"), 1500)?;
        host.address("eth0", &["198.18.0.5/24"])?;
        let agent = Agent::start(&host, POLICY, Attach::Auto.into())?;
        peer.ip("link add idle0 type veth peer name idle1")?;
        let ends = [IpAddr::from([198, 18, 1, 9]), IpAddr::from([198, 18, 0, 5])];
        // Nobody's Ethernet address: the kernel is done with what passes.
        let links = [[2, 0, 0, 0, 0xff, 1], [2, 0, 0, 0, 0xff, 2]];
        let frame = |protocol, segment: &[u8]| ethernet(links, &ip(ends, protocol, 64, segment));
        let generator = |device: &str, frame: Vec<u8>, vary| -> Result<Generator> {
            let mut generator = Generator::new(&host, "eth0")?;
            generator.stay(&peer, device)?;
            generator.load(&[frame], vary)?;
            Ok(generator)
        };
        let denied = generator("idle0", frame(TCP, &tcp([0, 22], [0, 0], SYN)), Vary::Port)?;
        let passing = generator("idle1", frame(UDP, &udp([40_000, 80], &[])), Vary::Nothing)?;
        Ok(Self { host, _peer: peer, agent, denied, passing })
    }

    /// Sends what does not pass, at this rate or as fast as it can; returns packets and how long it took.
    fn flood(&mut self, rate: Option<u32>, seconds: u64) -> Result<(u64, Duration)> {
        first(0, || send(&mut self.denied, rate, seconds, &AtomicBool::new(false)))
    }

    /// Sends as fast as it can what passes, on a processor of its own, while the other one is flooded; returns packets a second.
    fn pass(&mut self, seconds: u64) -> Result<f64> {
        let Self { denied, passing, .. } = self;
        let over = &AtomicBool::new(false);
        thread::scope(|scope| {
            let flood = scope.spawn(|| {
                pin(1)?;
                send(denied, None, seconds + 60, over)
            });
            let passed = first(0, || send(passing, None, seconds, over));
            over.store(true, Ordering::Relaxed);
            flood.join().ok().context("the generator panicked")??;
            let (packets, took) = passed?;
            Ok(packets as f64 / took.as_secs_f64())
        })
    }

    /// The processor time of the agent so far.
    fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.agent.pid()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
        // utime and stime (proc(5)), a hundredth of a second each.
        Ok(Duration::from_millis((ticks(11) + ticks(12)) * 10))
    }

    fn dropped(&self) -> Result<u64> {
        Ok(self.agent.stats()?.default_of("ingress"))
    }
}

/// Works before all processes: real packets come in softirqs, which no process keeps waiting.
fn first<T: Send>(processor: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            // Of a thread, on Linux.
            rustix::process::nice(-20)?;
            pin(processor)?;
            work()
        });
        worker.join().ok().context("the generator panicked")?
    })
}

/// Keeps this thread on a processor, if there are as many.
fn pin(processor: usize) -> Result<()> {
    let all = rustix::thread::sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(processor) = (0..CpuSet::MAX_CPU).filter(|&number| all.is_set(number)).nth(processor) {
        one.set(processor);
        rustix::thread::sched_setaffinity(None, &one)?;
    }
    Ok(())
}

/// Sends at this rate, or as fast as it can, until the time or something else is over.
fn send(
    generator: &mut Generator,
    rate: Option<u32>,
    seconds: u64,
    over: &AtomicBool,
) -> Result<(u64, Duration)> {
    const PAUSE: Duration = Duration::from_millis(10);
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(seconds) && !over.load(Ordering::Relaxed) {
        match rate {
            Some(rate) => {
                let due = u64::from(rate) * start.elapsed().as_millis() as u64 / 1_000;
                if due > sent {
                    sent += generator.send((due - sent) as u32)?.packets;
                }
                thread::sleep(PAUSE);
            }
            None => sent += generator.send(1 << 16)?.packets,
        }
    }
    Ok((sent, start.elapsed()))
}

/// Lines that a watcher has read, and what it was told that it lost.
#[derive(Default)]
struct Read {
    seen: u64,
    lost: u64,
}

/// Watches every packet that does not pass, while `work` runs.
fn watched(flooded: &mut Flooded, work: impl FnOnce(&mut Flooded) -> Result<()>) -> Result<Read> {
    let sgctl =
        std::path::PathBuf::from(std::env::var_os("SG_BIN_DIR").context("no SG_BIN_DIR")?).join("sgctl");
    let mut command = Command::new(sgctl);
    let instance = flooded.agent.instance().to_owned();
    command.args(["observe", "-f", "--packets", "--json", "--instance", &instance]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = flooded.host.spawn(&mut command)?;
    let lines = BufReader::with_capacity(1 << 20, child.stdout.take().context("no output")?);
    let reader = thread::spawn(move || {
        let mut read = Read::default();
        for line in lines.lines().map_while(Result::ok) {
            if line.contains(r#""event":"lost""#) {
                let record: Option<Record> = serde_json::from_str(&line).ok();
                read.lost += record.and_then(|record| record.count).unwrap_or(0);
            } else if line.contains(r#""event":"denied""#) {
                read.seen += 1;
            }
        }
        read
    });
    // Until it is known to watch.
    thread::sleep(Duration::from_millis(1_500));
    let worked = work(flooded);
    thread::sleep(Duration::from_millis(1_500));
    child.kill()?;
    child.wait()?;
    let read = reader.join().ok().context("the reader panicked")?;
    worked.map(|()| read)
}

fn watching(plan: &Plan, lab: Lab) -> Result<()> {
    if !["observe-core/watch", "observe-lost", "observe-rate", "observe-kept"]
        .iter()
        .any(|name| plan.wants(name))
    {
        return Ok(());
    }
    let mut flooded = Flooded::new(lab)?;
    let seconds = plan.rounds(10, 4) as u64;
    // Without a watcher first: what the agent does anyway.
    let before = flooded.cpu()?;
    let (_, took) = flooded.flood(Some(WATCHED), seconds)?;
    let idle = core(flooded.cpu()?.saturating_sub(before), took);
    let (mut sent, mut busy) = (0, 0.0);
    let read = watched(&mut flooded, |flooded| {
        let before = flooded.cpu()?;
        let (packets, took) = flooded.flood(Some(WATCHED), seconds)?;
        (sent, busy) = (packets, core(flooded.cpu()?.saturating_sub(before), took));
        Ok(())
    })?;
    plan.record(&Figure::new("observe-core/watch", busy, Unit::Milliseconds).beside(idle));
    let missing = sent.saturating_sub(read.seen);
    plan.record(&Figure::new("observe-lost/watch", missing as f64, Unit::Count).beside(sent as f64));
    println!("watched {sent} packets: {} seen, {} lost and told", read.seen, read.lost);

    // Of all rounds the one in the middle: either side's best would be of another moment than the other's.
    let (mut floods, mut passes, mut told) = (Pairs::default(), Pairs::default(), [0; 2]);
    for _ in 0..plan.rounds(5, 3) {
        let rate = |(packets, took): (u64, Duration)| packets as f64 / took.as_secs_f64();
        let (alone, passing_alone) = (rate(flooded.flood(None, seconds)?), flooded.pass(seconds)?);
        let (mut flood, mut dropped) = (0.0, 0);
        let read = watched(&mut flooded, |flooded| {
            let before = flooded.dropped()?;
            flood = rate(flooded.flood(None, seconds)?);
            dropped = flooded.dropped()? - before;
            Ok(())
        })?;
        println!("flooded: {dropped} dropped, {} seen, {} lost and told", read.seen, read.lost);
        told = [told[0] + read.seen + read.lost, told[1] + dropped];
        floods.0.push((flood, alone));
        let mut passing = 0.0;
        watched(&mut flooded, |flooded| {
            passing = flooded.pass(seconds)?;
            Ok(())
        })?;
        passes.0.push((passing, passing_alone));
    }
    for (name, pairs) in [("observe-rate/watch", floods), ("observe-rate/accepted", passes)] {
        let (with, without) = pairs.middle().context("no round")?;
        plan.record(&Figure::new(name, with, Unit::PacketsPerSecond).beside(without));
    }
    let kept = told[0] as f64 / told[1].max(1) as f64;
    plan.record(&Figure::new("observe-kept/told", kept, Unit::Ratio));
    Ok(())
}

/// Rates with something and without, of one round each.
#[derive(Default)]
struct Pairs(Vec<(f64, f64)>);

impl Pairs {
    fn middle(mut self) -> Option<(f64, f64)> {
        self.0.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
        self.0.get(self.0.len() / 2).copied()
    }
}

/// Thousandths of a core.
fn core(busy: Duration, took: Duration) -> f64 {
    busy.as_secs_f64() / took.as_secs_f64() * 1e3
}
