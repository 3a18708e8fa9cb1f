//! Packets of more than 64 KiB (BIG TCP): their length field holds zero, and only the kernel's word says that they are
//! large.

use std::{
    io::{Read as _, Write as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use sg_tests::lab::{Attach, End, Family, FrameSocket, Lab, PATIENCE, Question, Service, Streams};

use crate::support::{
    forwarding::{IPV4, IPV6},
    scene::{Client, Role, Scene, Server},
    suite::Suite,
};

const BYTES: usize = 64 << 20;
/// The most that a length field can hold, and an Ethernet header.
const SMALL: usize = 65_535 + 14;
const LARGE: u32 = 150_000;

/// Inbound one port is open, outbound nothing: what the server sends belongs to the flow.
const RULES: &str = "
groups:
  web:
    ingress:
      - { id: in, protocol: tcp, ports: 80 }
    egress:
      - { id: nothing-out, action: drop, protocol: all }
nics:
  - { device: big, groups: [web] }
";

pub(crate) fn tests(suite: &mut Suite) {
    let at_tc = [Attach::Tcx, Attach::Clsact];
    suite.over(&at_tc, "packets_pass_both_ways", packets_pass_both_ways);
}

fn packets_pass_both_ways(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    lab.wire((scene.host(Server), "big"), (scene.host(Client), "big"), 1_500)?;
    for (who, number) in [(Server, 1), (Client, 2)] {
        let host = scene.host(who);
        host.large_packets("big", LARGE)?;
        host.address("big", &[&format!("10.78.0.{number}/24"), &format!("fd78::{number}/64")])?;
    }
    let agent = scene.agent(Role::Host, attach, RULES)?;
    for (family, from, to) in [(Family::V4, "10.78.0.2", "10.78.0.1"), (Family::V6, "fd78::2", "fd78::1")] {
        for end in End::ALL {
            let asked = Question::new(from.parse()?, to.parse()?, Service::Tcp(80));
            let streams = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
            let largest = transfer(&scene, &streams, family, end)
                .with_context(|| format!("{family}, sent by {end:?}"))?;
            println!("{attach}, {family}, sent by {end:?}: packets of up to {largest} bytes");
            ensure!(largest > SMALL, "{family}, sent by {end:?}: no packet was larger than {largest} bytes");
        }
    }
    let malformed = agent.stats()?.reason("malformed");
    ensure!(malformed == 0, "{malformed} packets were dropped");
    Ok(())
}

/// Sends from `end` to the other one. The largest frame that came out of the filter, or into it, on the way.
fn transfer(scene: &Scene, streams: &Streams, family: Family, end: End) -> Result<usize> {
    let (mut from, mut to) = (streams.socket(end), streams.socket(end.other()));
    to.set_read_timeout(Some(PATIENCE))?;
    let receiver = if end == End::Initiator { Server } else { Client };
    let ethertype = if family == Family::V4 { IPV4 } else { IPV6 };
    let frames = FrameSocket::open(scene.host(receiver), "big", ethertype)?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || from.write_all(&vec![7; BYTES]));
        let listening = scope.spawn(|| {
            let (mut largest, mut buffer) = (0, vec![0; 1 << 18]);
            // The sender may have to wait for a processor.
            let mut pause = PATIENCE;
            while let Some(frame) = frames.next(pause, &mut buffer)? {
                (largest, pause) = (largest.max(frame.len()), Duration::from_millis(500));
            }
            anyhow::Ok(largest)
        });
        let mut received = vec![0; BYTES];
        to.read_exact(&mut received)?;
        sending.join().map_err(|_| anyhow!("the sender panicked"))??;
        ensure!(received.iter().all(|&byte| byte == 7), "something else arrived");
        listening.join().map_err(|_| anyhow!("the listener panicked"))?
    })
}
