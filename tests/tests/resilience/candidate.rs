//! `sgctl candidate`, with real packets: what is observed is what would happen, nothing that happens depends on it, and what is put in
//! force is what was observed. It ends with its agent, and is told.

use std::{
    fs,
    io::{Read as _, Write as _},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, Family, Lab, Outcome, PATIENCE, Service, Streams};

use crate::support::{
    scene::{Client, Role, Scene, Server, question, web},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx, Attach::Xdp], "is_observed_and_put_in_force", is_observed);
    suite.over(&[Attach::Tcx], "ends_with_its_agent", ends_with_its_agent);
    suite.over(&[Attach::Tcx], "is_refused_if_it_cannot_be_compiled", is_refused);
    suite.over(&[Attach::Tcx], "is_set_anew_when_the_document_changes", is_set_anew);
    suite.over(&[Attach::Tcx], "is_confirmed_like_any_other_change", is_confirmed);
}

const OPEN: u16 = 7_080;
const CLOSES: u16 = 7_081;
const OPENS: u16 = 7_082;
/// Of a connection that is open already, and which the candidate would end.
const LIVE: u16 = 7_084;

/// The policy in force.
fn now() -> String {
    web(
        Role::Host,
        &format!(
            "ingress:\n  - {{ id: web, protocol: tcp, ports: [{OPEN}, {CLOSES}, {LIVE}] }}\n  - {{ id: ping, protocol: icmp }}"
        ),
    )
}

/// The candidate: a port is closed, another one opened, and nobody pings any more.
fn then() -> String {
    web(
        Role::Host,
        &format!(
            "ingress:\n  - {{ id: web, protocol: tcp, ports: {OPEN} }}\n  - {{ id: new, protocol: udp, ports: {OPENS} }}"
        ),
    )
}

/// Runs `sgctl candidate`, with a document if there is one.
fn candidate(agent: &Agent, verb: &str, document: Option<&str>) -> Result<Value> {
    let path = agent.policy_file().with_extension("candidate");
    let path = path.to_str().context("a path")?;
    let mut words = vec!["candidate", verb, "--instance", agent.instance(), "--json"];
    if let Some(document) = document {
        fs::write(path, document)?;
        words.push(path);
    }
    Ok(serde_json::from_slice(&agent.sgctl(&words)?.stdout)?)
}

fn says(agent: &Agent, line: &str) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE * 4 {
        if agent.announced().iter().any(|said| said == line) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    bail!("it does not say {line:?}, but {:?}\n{}", agent.announced(), agent.complaints())
}

/// What becomes of packets under the policy in force.
fn meets(scene: &Scene, is_candidate: bool) -> Result<()> {
    let (closes, opens) =
        if is_candidate { (Outcome::Silent, Outcome::Reply) } else { (Outcome::Reply, Outcome::Silent) };
    for (service, outcome) in
        [(Service::Tcp(OPEN), Outcome::Reply), (Service::Tcp(CLOSES), closes), (Service::Udp(OPENS), opens)]
    {
        scene.asks(Client, Server, Family::V4, service, outcome)?;
    }
    Ok(())
}

/// The packets in the line that has this port or, without one, no ports.
fn in_line(report: &Value, port: Option<u16>) -> Result<u64> {
    let lines = report["lines"].as_array().context("lines")?;
    let wanted = port.map(|port| port.to_string());
    let has = |line: &&Value| {
        line["family"] == 4
            && match &wanted {
                Some(port) => {
                    line["ports"].as_array().is_some_and(|ports| ports.iter().any(|one| one == port))
                }
                None => line["ports"].is_null(),
            }
    };
    let found: Vec<u64> = lines.iter().filter(has).filter_map(|line| line["packets"].as_u64()).collect();
    ensure!(!found.is_empty(), "no line has port {port:?}: {report}");
    Ok(found.iter().sum())
}

/// Packets that were decided like this, inbound.
fn decided(report: &Value, now: &str, then: &str) -> u64 {
    let rows = report["decisions"].as_array().into_iter().flatten();
    let of = |row: &&Value| row["direction"] == "ingress" && row["now"] == now && row["then"] == then;
    rows.filter(of).filter_map(|row| row["packets"].as_u64()).sum()
}

fn is_observed(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let agent = scene.agent(Role::Host, attach, &now())?;
    let then = attach.hooked(&then());
    let live = question(Client, Server, Family::V4, Service::Tcp(LIVE));
    let [mut near, mut far] = Streams::open(scene.host(Client), scene.host(Server), &live)?.into_sockets();
    let mut byte = [0];
    near.write_all(b"a")?;
    far.read_exact(&mut byte)?;
    let set = candidate(&agent, "set", Some(&then))?;
    ensure!(set["nics"][0]["nic"] == "eth0" && set["not_asked"] == serde_json::json!([]), "{set}");
    says(&agent, "candidate-set nics=1")?;

    // The connection goes on, and is asked about once.
    for _ in 0..20 {
        near.write_all(b"b")?;
        far.read_exact(&mut byte)?;
        far.write_all(b"c")?;
        near.read_exact(&mut byte)?;
    }
    let report = candidate(&agent, "report", None)?;
    ensure!(in_line(&report, Some(CLOSES))? == 1, "the live connection: {report}");
    ensure!(decided(&report, "accept", "drop") == 1, "{report}");
    ensure!(in_line(&report, Some(OPENS))? == 0 && in_line(&report, None)? == 0, "never seen: {report}");

    for round in 1..=3 {
        meets(&scene, false)?;
        let report = candidate(&agent, "report", None)?;
        ensure!(in_line(&report, Some(CLOSES))? == 1 + round, "{report}");
        ensure!(decided(&report, "accept", "drop") == 1 + round, "{report}");
        let opened = in_line(&report, Some(OPENS))?;
        ensure!(opened >= round && opened == decided(&report, "drop", "accept"), "{report}");
        ensure!(decided(&report, "accept", "accept") >= round, "{report}");
        ensure!(in_line(&report, None)? == 0, "nobody pings: {report}");
        let lost = &report["unattributed"];
        ensure!(*lost == serde_json::json!({ "unnamed": 0, "source_ports": 0, "elsewhere": 0 }), "{lost}");
    }
    let report = candidate(&agent, "report", None)?;
    ensure!(report["never_seen"].as_u64().is_some_and(|never| never > 0), "{report}");
    let by_rule = report["rules"].as_array().into_iter().flatten();
    let new: u64 = by_rule.filter(|row| row["rule"] == "new").filter_map(|row| row["packets"].as_u64()).sum();
    ensure!(new == in_line(&report, Some(OPENS))?, "by rule: {report}");

    let promoted = candidate(&agent, "promote", None)?;
    ensure!(promoted["nics"] == report["candidate"]["nics"], "{promoted}, and {report} was observed");
    ensure!(promoted["pending"].is_null(), "{promoted}");
    says(&agent, "candidate-promoted nics=1")?;
    ensure!(fs::read_to_string(agent.policy_file())? == then, "the document is the candidate");
    meets(&scene, true)?;
    far.set_read_timeout(Some(Duration::from_secs(1)))?;
    near.write_all(b"d")?;
    ensure!(far.read_exact(&mut byte).is_err(), "the connection is revoked, as observed");
    let after = candidate(&agent, "report", None).err().context("there is none any more")?;
    ensure!(after.to_string().contains("no candidate is set"), "{after}");
    Ok(())
}

fn ends_with_its_agent(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let mut agent = scene.agent(Role::Host, attach, &now())?;
    candidate(&agent, "set", Some(&then()))?;
    meets(&scene, false)?;
    agent.kill()?;
    meets(&scene, false)?;
    agent.start_again()?;
    says(&agent, "candidate-dropped cause=restart")?;
    let complaints = agent.complaints();
    ensure!(complaints.contains("ended with the agent that had it"), "{complaints}");
    ensure!(candidate(&agent, "report", None).is_err(), "there is none");
    meets(&scene, false)?;
    // It is told once.
    agent.stop()?;
    agent.start_again()?;
    candidate(&agent, "set", Some(&then()))?;
    ensure!(!agent.announced().iter().any(|line| line.contains("restart")), "{:?}", agent.announced());
    let report = candidate(&agent, "report", None)?;
    ensure!(in_line(&report, Some(CLOSES))? == 0, "counts begin anew: {report}");
    let dropped = candidate(&agent, "drop", None)?;
    ensure!(dropped["owner"] == "uid 0", "{dropped}");
    says(&agent, "candidate-dropped cause=request")?;
    ensure!(candidate(&agent, "drop", None).is_err(), "there is none");
    meets(&scene, false)
}

fn is_refused(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let mut agent = scene.agent(Role::Host, attach, &now())?;
    agent.stop()?;
    agent.start_with(&["--image-budget", "1"])?;
    candidate(&agent, "set", Some(&then()))?;
    let prefixes: Vec<String> = (0..40_000_u32)
        .map(|number| {
            let [_, a, b, c] = (number * 97).to_be_bytes();
            format!("11.{a}.{b}.{c}/32")
        })
        .collect();
    let large = format!(
        "prefix_lists: {{ many: [{}] }}\n{}",
        prefixes.join(", "),
        then().replace("protocol: udp,", "protocol: udp, remote: { prefix_list: many },")
    );
    for (document, why) in [(large.as_str(), "budget"), ("groups: 7\n", "groups"), ("", "")] {
        let refused = candidate(&agent, "set", Some(document)).err().context("it is refused")?;
        ensure!(refused.to_string().contains(why), "{refused}");
    }
    let report = candidate(&agent, "report", None)?;
    ensure!(in_line(&report, Some(OPENS))? == 0, "the one before stays: {report}");
    meets(&scene, false)
}

fn is_set_anew(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let agent = scene.agent(Role::Host, attach, &now())?;
    candidate(&agent, "set", Some(&then()))?;
    meets(&scene, false)?;
    ensure!(in_line(&candidate(&agent, "report", None)?, Some(CLOSES))? == 1, "observed");
    // The document opens what the candidate opens, so that is no difference any more.
    agent.forget();
    agent.hand(&now().replace(
        "  - { id: ping",
        &format!("  - {{ id: early, protocol: udp, ports: {OPENS} }}\n      - {{ id: ping"),
    ))?;
    says(&agent, "candidate-set nics=1")?;
    let report = candidate(&agent, "report", None)?;
    ensure!(in_line(&report, Some(OPENS)).is_err(), "no difference: {report}");
    ensure!(in_line(&report, Some(CLOSES))? == 0, "counts begin anew: {report}");
    // Whoever puts the candidate into the file himself promotes it, too.
    agent.forget();
    agent.hand(&then())?;
    says(&agent, "candidate-promoted nics=1")?;
    meets(&scene, true)?;
    ensure!(candidate(&agent, "report", None).is_err(), "there is none any more");
    Ok(())
}

fn is_confirmed(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let mut agent = scene.agent(Role::Host, attach, &now())?;
    agent.stop()?;
    agent.start_with(&["--confirm-changes", "60s"])?;
    for confirms in [false, true] {
        let set = candidate(&agent, "set", Some(&then()))?;
        meets(&scene, false)?;
        let promoted = candidate(&agent, "promote", None)?;
        ensure!(promoted["nics"] == set["nics"] && promoted["pending"]["id"].is_u64(), "{promoted}");
        meets(&scene, true)?;
        agent.forget();
        let verb = if confirms { "confirm" } else { "cancel" };
        agent.sgctl(&[verb, "--instance", agent.instance()])?;
        meets(&scene, confirms)?;
        if !confirms {
            // The document stays, and is not tried again by itself.
            agent.hand(&now())?;
            thread::sleep(Duration::from_millis(300));
        }
    }
    Ok(())
}
