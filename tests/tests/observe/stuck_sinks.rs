//! Sinks that do not take records: the agent enforces, applies and ends as ever, and says what it could not deliver.

use std::{
    os::unix::net::UnixListener,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{self, Attach, Family, Lab, Outcome, Service, slowly, until};

use super::{
    floods::{denied, flood, generator, memory},
    records::{Log, RULES},
};
use crate::support::{
    scene::{Client, Role, Server, filtered, web},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.when("sinks_that_do_not_take_records_hold_up_nobody", lab::missing(), stuck_sinks_hold_up_nobody);
}

/// Nobody has it, and no ARP asks for it: what is sent there gets no reply.
const BLACK_HOLE: &str = "10.77.0.200";
const MORE_MEMORY: u64 = 200 << 10;

fn stuck_sinks_hold_up_nobody(lab: Lab) -> Result<()> {
    let rules = RULES.replace("egress:", "egress:\n  - { id: ipfix, protocol: tcp, ports: 4739 }");
    let (scene, mut agent) = filtered(lab, Attach::Tcx, Role::Host, &web(Role::Host, &rules))?;
    let server = scene.host(Server);
    server.ip(&format!("neigh add {BLACK_HOLE} lladdr 02:00:00:00:00:99 dev eth0 nud permanent"))?;
    let log = Log::of(&agent);
    let path = agent.policy_file().with_file_name("collector.sock");
    // It accepts and never reads.
    let collector = UnixListener::bind(&path)?;
    let held = thread::spawn(move || collector.accept().map(|(stream, _)| (collector, stream)));
    let (unix, ipfix) = (format!("unix:{}", path.display()), format!("ipfix+tcp://{BLACK_HOLE}:4739"));
    agent.stop()?;
    agent.start_with(&[&log.arguments()[..], &["--flow-log", &unix, "--flow-log", &ipfix]].concat())?;
    let before = memory(&agent)?;
    let mut generator = generator(&scene, 23)?;
    let sent = flood(&mut generator, 7)?;
    until("both are said", || {
        let said = agent.complaints();
        Ok(said.contains("the collector does not read")
            && said.contains(&format!("cannot send to {BLACK_HOLE}")))
    })
    .with_context(|| agent.complaints())?;
    // The one that works has everything, the agent applies a policy, and packets find it in force.
    let counted = agent.stats()?.default_of("ingress");
    ensure!(counted == sent, "{counted} of {sent} were dropped");
    slowly("the file has all", || Ok(denied(&log.records()?) == counted))?;
    let start = Instant::now();
    agent.apply(&web(Role::Host, &rules.replace("ports: 54", "ports: 55")))?;
    ensure!(start.elapsed() < Duration::from_secs(5), "a policy took {:?}", start.elapsed());
    scene.asks(Client, Server, Family::V4, Service::Udp(55), Outcome::Reply)?;
    let after = memory(&agent)?;
    println!("{before} KiB grew to {after} KiB");
    ensure!(after < before + MORE_MEMORY, "{before} KiB became {after} KiB");
    let start = Instant::now();
    let status = agent.stop()?;
    println!("it ended after {:?}", start.elapsed());
    ensure!(
        status.success() && start.elapsed() < Duration::from_secs(15),
        "{status} after {:?}",
        start.elapsed()
    );
    let said = agent.complaints();
    let ended = said.lines().filter(|line| line.contains("records that could not be delivered")).count();
    ensure!(ended == 2, "what was not delivered is not said: {said}");
    drop(held.join());
    Ok(())
}
