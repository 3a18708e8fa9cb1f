//! The ledger of flows where entries are reused and evicted: what records say and what is said to be lost is what was counted.

use std::{net::TcpListener, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sg_common::abi::flows::{EVICTED, REPLACED, UNREAD};
use sg_kernel::pins::{self, Counters};
use sg_tests::{
    lab::{self, Agent, Attach, Family, FrameSocket, Lab, slowly},
    packet::{ACK, RST, SYN, TCP, ethernet, ip, summed, tcp},
};

use super::{
    floods,
    records::{Log, RULES, lines, logged, lost, packets_of},
};
use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, web},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx], "reused_ports_are_other_flows", reused_ports_are_other_flows);
    suite.when(
        "evicted_flows_are_recorded_or_counted",
        lab::missing(),
        evicted_flows_are_recorded_or_counted,
    );
}

const IPV4: u16 = 0x0800;

/// An end that exists in frames only: nobody replies for it.
struct Ghost<'a> {
    scene: &'a Scene,
    frames: FrameSocket,
    server: [u8; 6],
}

impl<'a> Ghost<'a> {
    const ADDRESS: &'static str = "10.77.0.99";

    fn new(scene: &'a Scene) -> Result<Self> {
        let frames = FrameSocket::open(scene.host(Client), "eth0", IPV4)?;
        let address = frames.address().map(|byte| format!("{byte:02x}")).join(":");
        let server = scene.host(Server);
        server.ip(&format!("neigh add {} lladdr {address} dev eth0 nud permanent", Self::ADDRESS))?;
        let server = FrameSocket::open(server, "eth0", IPV4)?.address();
        Ok(Self { scene, frames, server })
    }

    fn send(&self, port: u16, numbers: [u32; 2], flags: u8) -> Result<()> {
        let ends = [Self::ADDRESS.parse()?, Server.address(Family::V4)];
        let packet = ip(ends, TCP, 64, &summed(ends, TCP, tcp([port, 80], numbers, flags)));
        self.frames.send(&ethernet([self.server, self.frames.address()], &packet))
    }

    /// Opens a connection; returns the number that the server's next byte has. `None`: the server does not open it.
    fn open(&self, port: u16, number: u32) -> Result<Option<u32>> {
        let replies = FrameSocket::open(self.scene.host(Client), "eth0", IPV4)?;
        self.send(port, [number, 0], SYN)?;
        let mut found = None;
        let found_in = std::cell::Cell::new(None);
        let is_reply = |frame: &[u8]| {
            let Some(segment) = frame.get(34..48) else { return false };
            let word = |at: usize| {
                u32::from_be_bytes([segment[at], segment[at + 1], segment[at + 2], segment[at + 3]])
            };
            let is_it = segment[2..4] == port.to_be_bytes()
                && segment[13] & SYN != 0
                && word(8) == number.wrapping_add(1);
            if is_it {
                found_in.set(Some(word(4).wrapping_add(1)));
            }
            is_it
        };
        if replies.receives(Duration::from_millis(300), is_reply)? {
            found = found_in.get();
            let next = found.context("no number")?;
            self.send(port, [number.wrapping_add(1), next], ACK)?;
        }
        Ok(found)
    }
}

fn reused_ports_are_other_flows(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent, log) = logged(lab, attach, Role::Host, RULES)?;
    let address = (Server.address(Family::V4), 80);
    let _listener = scene.host(Server).inside(|| Ok(TcpListener::bind(address)?))?;
    let ghost = Ghost::new(&scene)?;
    let (mut opened, mut asked) = (0, 0);
    // Over two intervals: some are reported before they are reused, others are not.
    for round in 0..38_u32 {
        for port in [40_001, 40_002, 40_003] {
            let number = 1_000_000 + round * 100_000 + u32::from(port);
            let next = ghost.open(port, number)?;
            opened += u32::from(next.is_some());
            asked += 1 + u32::from(port == 40_002);
            let Some(next) = next else { continue };
            match port {
                // Closed, and opened again.
                40_001 => ghost.send(port, [number.wrapping_add(1), next], RST | ACK)?,
                // Opened again in the middle: the server says that it knows better, until it is reset.
                40_002 => {
                    ghost.send(port, [number.wrapping_add(77_777), 0], SYN)?;
                    ghost.send(port, [number.wrapping_add(1), next], ACK)?;
                    ghost.send(port, [number.wrapping_add(1), next], RST | ACK)?;
                }
                // Left open: the next SYN finds it.
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(250));
    }
    ensure!(opened > 50, "only {opened} connections were opened");
    // A SYN between the ends of a connection that goes on belongs to no flow, unless somebody replies to it; the rule counts it.
    let of_no_flow = u64::from(asked - opened);
    let balanced = || {
        let (counted, records) = (agent.stats()?.rule("eighty"), log.records()?);
        let reported = packets_of(&records, "eighty");
        ensure!(reported <= counted, "{reported} of {counted}: something was reported twice");
        Ok(reported + of_no_flow == counted)
    };
    slowly("the sum of the records is what the rule counted", balanced).with_context(|| {
        let reported = log.records().map(|records| packets_of(&records, "eighty"));
        format!("{reported:?} of {:?}", agent.stats().map(|stats| stats.rule("eighty")))
    })?;
    let records = log.records()?;
    ensure!(lost(&records) == 0, "{}", lines(&records));
    let ends = records.iter().filter(|record| record["rule"] == "eighty" && record["event"] == "end").count();
    ensure!(ends > 40, "{ends} flows ended");
    Ok(())
}

/// Flows that the host says to have lost, evicted and sent to the agent.
fn of_host(agent: &Agent) -> Result<[u64; 3]> {
    let counters = Counters::open(&pins::directory(agent.instance()))?;
    let read = counters.read(&[UNREAD, EVICTED, REPLACED])?;
    let [unread, evicted, replaced] = &read[..] else { anyhow::bail!("there are three") };
    Ok([unread.packets, evicted.packets, replaced.packets])
}

fn evicted_flows_are_recorded_or_counted(lab: Lab) -> Result<()> {
    let rules = RULES.replace("ports: 80, remote: 10.77.0.0/24", "ports: 80");
    let (scene, mut agent) = filtered(lab, Attach::Tcx, Role::Host, &web(Role::Host, &rules))?;
    let log = Log::of(&agent);
    agent.stop()?;
    agent.detach()?;
    let sizes = ["--max-flows", "2048", "--max-nics", "64", "--max-counters", "8192"];
    agent.start_with(&[&log.arguments()[..], &sizes].concat())?;
    let mut generator = floods::generator(&scene, 80)?;
    // Few at first: the ring has room for them.
    let mut sent = 0;
    for _ in 0..12 {
        sent += generator.send(500)?.packets;
        thread::sleep(Duration::from_millis(500));
    }
    let [unread, evicted, replaced] = of_host(&agent)?;
    ensure!(unread == 0 && evicted > 1_000 && replaced == evicted, "{unread} {evicted} {replaced}");
    sent += floods::flood(&mut generator, 4)?;
    let counted = agent.stats()?.rule("eighty");
    ensure!(counted == sent, "{counted} of {sent} were accepted");
    let [unread, evicted, replaced] = of_host(&agent)?;
    println!("{sent} sent, {evicted} evicted, {replaced} of them sent to the agent, {unread} unread");
    ensure!(unread > 0 && unread + replaced == evicted, "{unread} {evicted} {replaced}");
    // The flows that are left are reported with the next interval.
    slowly("what is lost is said", || {
        let records = log.records()?;
        let reported = packets_of(&records, "eighty");
        ensure!(reported <= counted, "{reported} of {counted}: something was reported twice");
        Ok(lost(&records) == unread && reported + unread >= counted)
    })
    .with_context(|| {
        let records = log.records().unwrap_or_default();
        format!(
            "{} reported and {} said to be lost, of {counted}",
            packets_of(&records, "eighty"),
            lost(&records)
        )
    })?;
    // Those that were reported before they were lost are gone without a trace later; they have been counted.
    thread::sleep(Duration::from_secs(6));
    ensure!(lost(&log.records()?) == unread, "counted twice");
    Ok(())
}
