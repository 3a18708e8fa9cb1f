//! A flood from 100,000 sources a second: traffic that is accepted goes on, memory is bounded, and not one packet of the flood is
//! missing in the records.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use sg_tests::{
    lab::{
        self, Agent, Attach, Family, FrameSocket, Generator, Host, Lab, PATIENCE, Service, Streams, Vary,
        slowly,
    },
    packet::{SYN, TCP, ethernet, ip, summed, tcp},
};

use super::records::{RULES, logged};
use crate::support::{
    scene::{Client, Role, Scene, Server, question},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.when("every_packet_of_a_flood_is_recorded", lab::missing(), every_packet_is_recorded);
}

/// A second, in parts: so many packets in each.
const PARTS: u32 = 10;
const IN_A_PART: u32 = 10_000;
/// What the agent may need beside what it needs when nothing happens: the history has 64 MiB.
const MORE_MEMORY: u64 = 160 << 10;

/// SYNs to this port of the server, each from another end of 10.128.0.0/16.
pub(crate) fn generator(scene: &Scene, port: u16) -> Result<Generator> {
    let server = scene.host(Server);
    let to = FrameSocket::open(server, "eth0", 0x0800)?.address();
    let ends = ["10.128.0.0".parse::<IpAddr>()?, Server.address(Family::V4)];
    let first = ip(ends, TCP, 64, &summed(ends, TCP, tcp([0, port], [0, 0], SYN)));
    let mut generator = Generator::new(server, "eth0")?;
    generator.load(&[ethernet([to, [2, 0, 0, 0, 0, 9]], &first)], Vary::AddressAndPort)?;
    Ok(generator)
}

/// Sends 100,000 packets a second for so long, or as many as a busy machine takes; returns how many.
pub(crate) fn flood(generator: &mut Generator, seconds: u32) -> Result<u64> {
    let (start, mut sent) = (Instant::now(), 0);
    for part in 0..seconds * PARTS {
        sent += generator.send(IN_A_PART)?.packets;
        let next = Duration::from_secs(1) / PARTS * (part + 1);
        thread::sleep(next.saturating_sub(start.elapsed()));
        if start.elapsed() > Duration::from_secs(u64::from(seconds) * 3) {
            break;
        }
    }
    Ok(sent)
}

/// The memory of the agent in KiB.
pub(crate) fn memory(agent: &Agent) -> Result<u64> {
    memory_of(agent.pid())
}

fn memory_of(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Packets of denials, over all records.
pub(crate) fn denied(records: &[Value]) -> u64 {
    let denied = records.iter().filter(|record| record["event"] == "denied" && record["rule"] == "default");
    denied.filter_map(|record| record["packets"][0].as_u64()).sum()
}

/// Sends bytes from the client to the server until it is over; returns how many arrived.
fn transfer(client: &Host, server: &Host, is_over: &AtomicBool) -> Result<u64> {
    let asked = question(Client, Server, Family::V4, Service::Tcp(80));
    let [mut near, mut far] = Streams::open(client, server, &asked)?.into_sockets();
    far.set_read_timeout(Some(PATIENCE))?;
    let reader = thread::spawn(move || {
        let (mut buffer, mut count) = (vec![0; 1 << 16], 0);
        loop {
            match far.read(&mut buffer)? {
                0 => return std::io::Result::Ok(count),
                length => count += length as u64,
            }
        }
    });
    let (block, mut written) = (vec![7; 1 << 14], 0);
    while !is_over.load(Ordering::Relaxed) {
        near.write_all(&block)?;
        written += block.len() as u64;
        thread::sleep(Duration::from_millis(1));
    }
    drop(near);
    let arrived = reader.join().map_err(|_| anyhow!("the reader panicked"))??;
    ensure!(arrived == written, "{arrived} of {written} bytes arrived");
    Ok(arrived)
}

fn every_packet_is_recorded(lab: Lab) -> Result<()> {
    const SECONDS: u32 = 6;
    let (scene, agent, log) = logged(lab, Attach::Tcx, Role::Host, RULES)?;
    let mut generator = generator(&scene, 23)?;
    let (before, counted_before) = (memory(&agent)?, agent.stats()?.default_of("ingress"));
    let (pid, is_over) = (agent.pid(), AtomicBool::new(false));
    let (sent, most, transferred) = thread::scope(|scope| {
        let sending = scope.spawn(|| transfer(scene.host(Client), scene.host(Server), &is_over));
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(memory_of(pid)?);
                thread::sleep(Duration::from_millis(100));
            }
            anyhow::Ok(most)
        });
        let sent = flood(&mut generator, SECONDS);
        is_over.store(true, Ordering::Relaxed);
        let panicked = |_| anyhow!("a thread panicked");
        anyhow::Ok((sent?, watching.join().map_err(panicked)??, sending.join().map_err(panicked)??))
    })?;
    let counted = agent.stats()?.default_of("ingress");
    println!("{sent} packets sent, {transferred} bytes transferred, {before} KiB grew to {most}");
    ensure!(
        counted - counted_before == sent,
        "verdicts: {} of {sent} were dropped",
        counted - counted_before
    );
    ensure!(transferred > 1 << 20, "only {transferred} bytes got through");
    ensure!(most < before + MORE_MEMORY, "{before} KiB became {most} KiB");
    slowly("the sum of the records is what the default counted", || Ok(denied(&log.records()?) == counted))
        .with_context(|| format!("{:?} of {counted}", log.records().map(|records| denied(&records))))?;
    let records = log.records()?;
    let of_flood = |record: &&Value| record["event"] == "denied" && record["dport"] == 23;
    let is_folded = |record: &Value| record["folded"] == true;
    ensure!(records.iter().any(is_folded), "nothing was folded");
    ensure!(records.iter().filter(of_flood).any(|record| !is_folded(record)), "everything was folded");
    // The limit of new names a second, exact ones and prefixes, and not one for each of the sources.
    ensure!(records.len() < SECONDS as usize * 3 * 4_000, "{} records", records.len());
    ensure!(records.iter().all(|record| record["event"] != "lost"), "something was lost");
    // And it stays so: nothing is said twice.
    thread::sleep(Duration::from_secs(6));
    ensure!(denied(&log.records()?) == agent.stats()?.default_of("ingress"), "it changed afterwards");
    Ok(())
}
