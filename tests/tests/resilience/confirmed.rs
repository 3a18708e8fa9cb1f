//! `sgd run --confirm-changes`: what is not confirmed goes back by itself, whatever became of the agent, and what is said about it
//! afterwards is true.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, Family, Lab, Outcome, PATIENCE, Question, Service, Streams, ask};

use crate::{
    amount,
    support::{
        scene::{Client, Role, Scene, Server, question, web},
        suite::Suite,
    },
};

/// The shortest window.
const WINDOW: &[&str] = &["--confirm-changes", "5s"];
const SECONDS: Duration = Duration::from_secs(5);

/// How far from the deadline packets are sent.
const NEAR: Duration = Duration::from_secs(1);

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx, Attach::Xdp], "goes_back_without_an_agent", |lab, attach| {
        goes_back(lab, attach, Signal::SIGKILL)
    });
    suite.over(&[Attach::Tcx], "goes_back_beside_a_stopped_agent", |lab, attach| {
        goes_back(lab, attach, Signal::SIGSTOP)
    });
    suite.over(&[Attach::Tcx], "is_settled_by_commands", is_settled_by_commands);
    suite.over(&[Attach::Tcx], "goes_on_after_a_restart", goes_on_after_a_restart);
    suite.over(&[Attach::Tcx], "lets_a_connection_go_on_that_a_change_revoked", lets_a_connection_go_on);
    suite.over(&[Attach::Tcx], "keeps_a_nic_that_the_change_takes_out", keeps_a_nic);
}

/// A server with three filtered devices, each in a network of its own, which the client is in, too.
fn three(lab: Lab) -> Result<Scene> {
    let scene = Scene::new(lab)?;
    let (server, client) = (scene.host(Server), scene.host(Client));
    for setting in ["arp_ignore", "arp_announce"] {
        let value = if setting == "arp_ignore" { "1" } else { "2" };
        server.sysctl(&format!("net/ipv4/conf/all/{setting}"), value)?;
    }
    for number in [1, 2] {
        scene.lan.plug(server, &format!("eth{number}"), &format!("server{number}"))?;
        server.address(&format!("eth{number}"), &[&format!("10.78.{number}.1/24")])?;
        client.ip(&format!("address add 10.78.{number}.2/24 dev eth0"))?;
    }
    Ok(scene)
}

/// The server's address and the client's, in the network of a device.
fn ends(number: u8) -> [IpAddr; 2] {
    match number {
        0 => [Server.address(Family::V4), Client.address(Family::V4)],
        _ => [1, 2].map(|end| Ipv4Addr::new(10, 78, number, end).into()),
    }
}

/// Images of three sizes, that let echo requests in, or not.
fn policy(open: bool) -> String {
    let action = if open { "accept" } else { "drop" };
    let mut text = String::from("prefix_lists:\n");
    for (number, prefixes) in [1_u32, 5_000, 20_000].into_iter().enumerate() {
        let _ = write!(text, "  list{number}: [");
        for prefix in 0..prefixes {
            let [_, a, b, c] = (prefix * 97).to_be_bytes();
            let _ = write!(text, "11.{a}.{b}.{c}/32,");
        }
        text.push_str("]\n");
    }
    text.push_str("groups:\n");
    for number in 0..3 {
        let _ = writeln!(
            text,
            "  group{number}: {{ inner_access: drop, ingress: [{{ id: echo, protocol: icmp, action: {action} }}, \
             {{ protocol: udp, ports: 9, remote: {{ prefix_list: list{number} }} }}] }}"
        );
    }
    text.push_str("nics:\n");
    for number in 0..3 {
        let _ = writeln!(text, "  - {{ device: eth{number}, groups: [group{number}] }}");
    }
    text
}

/// Whether echo requests to the three devices come through.
fn meets(scene: &Scene, open: bool, when: &str) -> Result<()> {
    for number in 0..3 {
        let [server, client] = ends(number);
        let patience = if open { PATIENCE } else { Duration::from_millis(100) };
        let outcome = ask(scene.host(Client), &Question::new(client, server, Service::Echo), patience)?;
        ensure!((outcome != Outcome::Silent) == open, "eth{number} {when}: {outcome}");
    }
    Ok(())
}

/// An agent that asks for confirmations, under the first policy.
fn confirming(scene: &Scene, attach: Attach, first: &str) -> Result<Agent> {
    let mut agent = scene.agent(Role::Host, attach, first)?;
    agent.stop()?;
    agent.start_with(WINDOW)?;
    agent.forget();
    Ok(agent)
}

/// Waits until it says something that begins so; returns the whole line.
fn says(agent: &Agent, beginning: &str) -> Result<String> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE * 4 {
        if let Some(line) = agent.announced().into_iter().find(|line| line.starts_with(beginning)) {
            return Ok(line);
        }
        thread::sleep(Duration::from_millis(2));
    }
    bail!("it does not say {beginning:?}, but {:?}\n{}", agent.announced(), agent.complaints())
}

/// Changes the document; returns when, and the id of the change.
fn change(agent: &Agent, policy: &str) -> Result<(Instant, String)> {
    agent.forget();
    agent.hand(policy)?;
    let line = says(agent, "pending id=")?;
    let id = line.split(['=', ' ']).nth(2).context("no id")?.to_owned();
    Ok((Instant::now(), id))
}

fn status(agent: &Agent) -> Result<Value> {
    let output = agent.sgctl(&["status", "--instance", agent.instance(), "--json"])?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn goes_back(lab: Lab, attach: Attach, signal: Signal) -> Result<()> {
    let scene = three(lab)?;
    let mut agent = confirming(&scene, attach, &policy(false))?;
    for round in 0..amount(2, 50) {
        meets(&scene, false, "before")?;
        let (at, id) = change(&agent, &policy(true))?;
        if signal == Signal::SIGKILL {
            agent.kill()?;
        } else {
            kill(Pid::from_raw(agent.pid().cast_signed()), signal)?;
        }
        meets(&scene, true, "at once")?;
        sleep_until(at + SECONDS.saturating_sub(NEAR));
        meets(&scene, true, "before the deadline")?;
        sleep_until(at + SECONDS + NEAR);
        meets(&scene, false, "after the deadline")?;
        if signal == Signal::SIGKILL {
            agent.start_with(WINDOW)?;
        } else {
            kill(Pid::from_raw(agent.pid().cast_signed()), Signal::SIGCONT)?;
        }
        let line = says(&agent, "reverted")?;
        ensure!(line == format!("reverted id={id} cause=deadline"), "round {round}: {line}");
        meets(&scene, false, "once an agent runs")?;
        let status = status(&agent)?;
        ensure!(status["pending"].is_null() && status["attached"] == 3, "{status}");
        // The document says again what is in force, so the next round changes it.
        agent.hand(&policy(false))?;
        says(&agent, "applied cause=policy")?;
    }
    Ok(())
}

fn is_settled_by_commands(lab: Lab, attach: Attach) -> Result<()> {
    let scene = three(lab)?;
    let agent = confirming(&scene, attach, &policy(false))?;
    let run = |arguments: &[&str]| agent.sgctl(&[arguments, &["--instance", agent.instance()]].concat());
    ensure!(run(&["confirm"]).is_err(), "nothing is pending");

    let (at, id) = change(&agent, &policy(true))?;
    let pending = status(&agent)?["pending"].clone();
    ensure!(pending["id"].as_u64() == id.parse().ok() && pending["deadline"].is_string(), "{pending}");
    ensure!(run(&["confirm", "999999"]).is_err(), "another change is pending");
    // Another form of the document waits, and is told why.
    agent.forget();
    agent.hand(&policy(true).replace("udp, ports: 9", "udp, ports: 10"))?;
    let line = says(&agent, "refused")?;
    ensure!(line.contains(&format!("change {id} of uid 0")), "{line}");
    agent.forget();
    run(&["extend", "--time", "60s"])?;
    sleep_until(at + SECONDS + NEAR);
    meets(&scene, true, "after it was extended")?;
    run(&["confirm", &id])?;
    // It is tried now.
    let second = says(&agent, "pending id=")?;
    ensure!(agent.announced().contains(&format!("confirmed id={id}")), "{:?}", agent.announced());
    run(&["cancel"])?;
    let line = says(&agent, "reverted")?;
    ensure!(line.ends_with("cause=cancelled"), "{line} after {second}");
    meets(&scene, true, "which was confirmed")?;

    let (_, _) = change(&agent, &policy(false))?;
    meets(&scene, false, "in the window")?;
    run(&["cancel"])?;
    meets(&scene, true, "after it was cancelled")?;
    ensure!(run(&["confirm"]).is_err(), "it is over");
    Ok(())
}

fn goes_on_after_a_restart(lab: Lab, attach: Attach) -> Result<()> {
    let scene = three(lab)?;
    let mut agent = confirming(&scene, attach, &policy(false))?;
    let (at, id) = change(&agent, &policy(true))?;
    agent.kill()?;
    agent.start_with(WINDOW)?;
    let line = says(&agent, "pending id=")?;
    ensure!(line.starts_with(&format!("pending id={id} ")), "{line}");
    sleep_until(at + SECONDS.saturating_sub(NEAR));
    meets(&scene, true, "before the deadline")?;
    sleep_until(at + SECONDS + NEAR);
    meets(&scene, false, "after the deadline")?;
    says(&agent, &format!("reverted id={id} cause=deadline"))?;
    // What was not confirmed is not tried again by a start.
    agent.stop()?;
    agent.start_with(WINDOW)?;
    meets(&scene, false, "after another start")?;
    // What is confirmed after a restart stays, over another one.
    let (_, id) = change(&agent, &policy(true).replace("ports: 9", "ports: 19"))?;
    agent.kill()?;
    agent.start_with(WINDOW)?;
    says(&agent, "pending id=")?;
    agent.sgctl(&["confirm", &id, "--instance", agent.instance()])?;
    agent.kill()?;
    agent.start_with(WINDOW)?;
    meets(&scene, true, "after it was confirmed")?;
    // A host that starts anew has nothing in its kernel and in /run, and a document that was not confirmed.
    change(&agent, &policy(false))?;
    agent.kill()?;
    agent.detach()?;
    agent.start_with(WINDOW)?;
    says(&agent, "reverted cause=restart")?;
    meets(&scene, true, "after the host started anew")
}

/// As somebody's SSH connection would: without a new one.
fn lets_a_connection_go_on(lab: Lab, attach: Attach) -> Result<()> {
    const SSH: u16 = 7_022;
    let scene = Scene::new(lab)?;
    let rules = |port| web(Role::Host, &format!("ingress:\n  - {{ id: ssh, protocol: tcp, ports: {port} }}"));
    let agent = confirming(&scene, attach, &rules(SSH))?;
    let ssh = question(Client, Server, Family::V4, Service::Tcp(SSH));
    let [mut near, mut far] = Streams::open(scene.host(Client), scene.host(Server), &ssh)?.into_sockets();
    let mut byte = [0];
    near.write_all(b"a")?;
    far.read_exact(&mut byte)?;
    let (at, _) = change(&agent, &rules(7_023))?;
    near.write_all(b"b")?;
    far.set_read_timeout(Some(Duration::from_secs(2)))?;
    ensure!(far.read_exact(&mut byte).is_err(), "it was not revoked");
    kill(Pid::from_raw(agent.pid().cast_signed()), Signal::SIGSTOP)?;
    sleep_until(at + SECONDS);
    // Retransmissions are sent after 0.2, 0.6, 1.4, 3, 6.2 and 12.6 s.
    far.set_read_timeout(Some(Duration::from_secs(15)))?;
    far.read_exact(&mut byte).context("it does not go on")?;
    ensure!(&byte == b"b", "{byte:?}");
    far.write_all(b"c")?;
    near.set_read_timeout(Some(PATIENCE))?;
    near.read_exact(&mut byte)?;
    kill(Pid::from_raw(agent.pid().cast_signed()), Signal::SIGCONT)?;
    says(&agent, "reverted")?;
    near.write_all(b"d")?;
    far.read_exact(&mut byte).context("after the agent has published what is in force")
}

fn keeps_a_nic(lab: Lab, attach: Attach) -> Result<()> {
    let scene = three(lab)?;
    let agent = confirming(&scene, attach, &policy(false))?;
    let without = |device: &str| {
        let lines = policy(false);
        lines
            .lines()
            .filter(|line| !line.contains(device))
            .fold(String::new(), |text, line| text + line + "\n")
    };
    let (_, id) = change(&agent, &without("device: eth2"))?;
    meets(&scene, false, "it enforces until it is confirmed")?;
    agent.sgctl(&["cancel", "--instance", agent.instance()])?;
    meets(&scene, false, "after the change was cancelled")?;
    let (_, second) = change(&agent, &without("device: eth1"))?;
    ensure!(second != id, "ids differ");
    agent.sgctl(&["confirm", "--instance", agent.instance()])?;
    says(&agent, "detached eth1")?;
    let [server, client] = ends(1);
    let outcome = ask(scene.host(Client), &Question::new(client, server, Service::Echo), PATIENCE)?;
    ensure!(outcome != Outcome::Silent, "everything passes there");
    // A NIC that is new is open again after its change.
    change(&agent, &policy(false))?;
    meets(&scene, false, "in the window")?;
    kill(Pid::from_raw(agent.pid().cast_signed()), Signal::SIGSTOP)?;
    thread::sleep(SECONDS + NEAR);
    let outcome = ask(scene.host(Client), &Question::new(client, server, Service::Echo), PATIENCE)?;
    ensure!(outcome != Outcome::Silent, "it was not filtered before");
    kill(Pid::from_raw(agent.pid().cast_signed()), Signal::SIGCONT)?;
    says(&agent, "detached eth1").map(drop)
}
