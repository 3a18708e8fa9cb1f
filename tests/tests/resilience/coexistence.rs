//! Two agents on one device: each filters, each has its own hooks, and neither replaces the other's.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sg_tests::lab::{Agent, Attach, Binaries, Family, Host, Lab, Outcome, Service};

use crate::{
    resilience::leftovers,
    support::{
        scene::{Client, Role, Scene, Server, filtered, web},
        suite::Suite,
    },
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("both_filter_and_one_stays", both_filter_and_one_stays);
    suite.each("the_order_is_what_was_asked_for", the_order_is_what_was_asked_for);
}

/// Ports that one of them drops, and one that both accept.
const MINE: Service = Service::Udp(22);
const OTHERS: Service = Service::Udp(23);
const FREE: Service = Service::Udp(80);

/// Drops one port, and counts and accepts everything else.
fn all_but(service: Service) -> String {
    let Service::Udp(port) = service else { return String::new() };
    let drop = format!("{{ id: but, action: drop, protocol: udp, ports: {port} }}");
    web(Role::Host, &format!("ingress: [{drop}, {{ id: all, protocol: all, priority: 2 }}]"))
}

/// Another agent on the server, of an instance of its own.
struct Other {
    instance: String,
    sgd: Child,
}

impl Other {
    fn start(host: &Host, attach: Attach, more: &[&str]) -> Result<Self> {
        let instance = format!("{}-other", host.netns());
        let policy = format!("/run/lab/{instance}.yaml");
        fs::write(&policy, all_but(OTHERS))?;
        let mut sgd = Command::new(Binaries::find()?.sgd());
        sgd.args(["run", "--policy", &policy, "--instance", &instance, "--attach", &attach.to_string()]);
        sgd.args(["--state", &format!("/run/lab/{instance}-state")]);
        let sgd = sgd.args(more).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut other = Self { instance, sgd: host.spawn(sgd)? };
        let output = BufReader::new(other.sgd.stdout.take().context("no standard output")?);
        let is_ready = output.lines().map_while(Result::ok).any(|line| line.starts_with("ready"));
        ensure!(is_ready, "the other agent ended");
        Ok(other)
    }

    fn stop(&mut self) -> Result<()> {
        kill(Pid::from_raw(self.sgd.id().cast_signed()), Signal::SIGTERM)?;
        self.sgd.wait()?;
        Ok(())
    }

    /// Packets that its rule for everything accepted.
    fn accepted(&self, agent: &Agent) -> Result<u64> {
        let shown = agent.sgctl(&["stats", "--instance", &self.instance, "--json"])?.stdout;
        let stats: serde_json::Value = serde_json::from_slice(&shown)?;
        let rules = stats["rules"].as_array().context("no rules")?;
        let all = rules.iter().find(|rule| rule["rule"] == "all").context("no such rule")?;
        all["packets"].as_u64().context("no count")
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // The lab takes it with it in the end, whatever fails here.
        let _ = self.stop();
    }
}

fn asks(scene: &Scene, expected: &[(Service, Outcome)]) -> Result<()> {
    expected
        .iter()
        .try_for_each(|&(service, outcome)| scene.asks(Client, Server, Family::V4, service, outcome))
}

fn both_filter_and_one_stays(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &all_but(MINE))?;
    let server = scene.host(Server);
    let mut other = Other::start(server, attach, &[])?;
    let both = [(FREE, Outcome::Reply), (MINE, Outcome::Silent), (OTHERS, Outcome::Silent)];
    asks(&scene, &both).context("two agents")?;
    agent.kill()?;
    agent.start_again()?;
    asks(&scene, &both).context("one was started again")?;
    other.stop()?;
    agent.sgctl(&["detach", "--instance", &other.instance])?;
    asks(&scene, &[(FREE, Outcome::Reply), (MINE, Outcome::Silent), (OTHERS, Outcome::Reply)])
        .context("the other was taken off")
}

/// Whether the other one, which drops nothing of it, sees what ours drops.
fn sees(scene: &Scene, agent: &Agent, other: &Other) -> Result<bool> {
    let before = other.accepted(agent)?;
    asks(scene, &[(MINE, Outcome::Silent)])?;
    Ok(other.accepted(agent)? > before)
}

fn the_order_is_what_was_asked_for(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &all_but(MINE))?;
    let server = scene.host(Server);
    // A qdisc has no such order: its filters have preferences.
    let is_tcx = attach == Attach::Tcx;
    let mut other = Other::start(server, attach, &[])?;
    if is_tcx {
        ensure!(!sees(&scene, &agent, &other)?, "who comes later is not the last");
    }
    for (order, is_seen) in [("first", true), ("last", false), ("first", true)] {
        other.stop()?;
        other = Other::start(server, attach, &["--tcx-order", order])?;
        if is_tcx {
            ensure!(sees(&scene, &agent, &other)? == is_seen, "asked to be {order}");
        }
        asks(&scene, &[(FREE, Outcome::Reply), (OTHERS, Outcome::Silent)])?;
    }
    // Ours begins anew where it was, and moves where it is told to.
    agent.kill()?;
    agent.start_again()?;
    if is_tcx {
        ensure!(sees(&scene, &agent, &other)?, "a start without an order moved it");
        agent.kill()?;
        agent.start_with(&["--tcx-order", "first"])?;
        ensure!(!sees(&scene, &agent, &other)?, "it did not move");
        ensure!(
            leftovers::pins(server.netns())?
                .read_dir()?
                .flatten()
                .all(|pin| { !pin.file_name().to_string_lossy().contains("moving") })
        );
    }
    asks(&scene, &[(FREE, Outcome::Reply), (MINE, Outcome::Silent), (OTHERS, Outcome::Silent)])
}
