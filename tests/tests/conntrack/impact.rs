//! What `sgctl diff` says that a document would do to live flows, and what it then does.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{
    Agent, Attach, Binaries, Datagrams, End, Family, Lab, PATIENCE, Pair, SILENCE, Service, Streams,
};

use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, question, web},
    suite::Suite,
};

const OPEN: &str = "
ingress:
  - { id: eighty, protocol: tcp, ports: 80 }
  - { id: eighty-one, protocol: tcp, ports: 81 }
  - { id: datagrams, protocol: udp, ports: 82 }
";
/// Revokes port 81; another rule accepts port 80.
const NARROW: &str = "
ingress:
  - { id: other, protocol: tcp, ports: 80 }
  - { id: datagrams, protocol: udp, ports: 82 }
";
const KEEP: &str = "\nestablished: keep\n";

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("a_diff_says_which_flows_are_revoked", a_diff_says_which_flows_are_revoked);
    suite.over(&[Attach::Tcx], "a_diff_says_what_keep_keeps", a_diff_says_what_keep_keeps);
}

/// What `sgctl diff` says about a document and what is in force.
fn diff(scene: &Scene, agent: &Agent, document: &str, words: &[&str]) -> Result<Output> {
    let path = agent.policy_file().with_extension("new");
    fs::write(&path, document)?;
    let mut sgctl = Command::new(Binaries::find()?.sgctl());
    sgctl.arg("diff").arg(&path).args(["--instance", agent.instance()]).args(words);
    sgctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(scene.host(Server).spawn(&mut sgctl)?.wait_with_output()?)
}

/// The lines of a difference.
fn lines(output: &Output) -> Result<Vec<Value>> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(1), "{output:?}");
    text.lines().map(|line| serde_json::from_str(line).with_context(|| text.clone())).collect()
}

fn open(scene: &Scene, family: Family, service: Service) -> Result<Box<dyn Pair>> {
    let (client, server) = (scene.host(Client), scene.host(Server));
    let question = question(Client, Server, family, service);
    let mut pair: Box<dyn Pair> = match service {
        Service::Udp(_) => Box::new(Datagrams::open(client, server, &question)?),
        _ => Box::new(Streams::open(client, server, &question)?),
    };
    for end in End::ALL {
        speaks(&mut *pair, end, true)?;
    }
    Ok(pair)
}

fn speaks(pair: &mut dyn Pair, from: End, expected: bool) -> Result<()> {
    pair.send(from)?;
    let arrived = pair.arrives(from.other(), if expected { PATIENCE } else { SILENCE })?;
    ensure!(arrived == expected, "what the {from:?} says arrives: {arrived}");
    Ok(())
}

fn a_diff_says_which_flows_are_revoked(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, OPEN))?;
    let new = web(Role::Host, NARROW);
    for family in Family::ALL {
        let mut kept = open(&scene, family, Service::Tcp(80))?;
        let mut revoked = open(&scene, family, Service::Tcp(81))?;
        let output = diff(&scene, &agent, &new, &[])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.code() == Some(1), "{output:?}");
        ensure!(text.contains("would revoke 1 of 2 connections, re-attribute 1 to other rules\n"), "{text}");
        let ends = format!(" -> {}, ", SocketAddr::new(Server.address(family), 81));
        let row =
            text.lines().find(|line| line.contains(&ends)).with_context(|| format!("no row: {text}"))?;
        ensure!(row.contains("rule eighty-one of group web -> drop by default"), "{row}");

        let lines = lines(&diff(&scene, &agent, &new, &["--json", "--all", "--attribution"])?)?;
        let number = if family == Family::V4 { 4 } else { 6 };
        for (port, after) in [("80", "accept"), ("81", "drop")] {
            let is_it = |line: &&Value| line["ports"][0] == port && line["family"] == number;
            let line = lines.iter().find(is_it).with_context(|| format!("no {port}: {lines:?}"))?;
            ensure!(line["flows"] == 1 && line["after"]["verdict"] == after, "{line}");
        }
        let all = lines.last().map(|line| &line["flows"]).context("no line")?;
        ensure!(all["total"] == 2 && all["revoked"] == 1 && all["reattributed"] == 1, "{all}");

        agent.apply(&new)?;
        for end in End::ALL {
            speaks(&mut *revoked, end, false).context("what is revoked")?;
            speaks(&mut *kept, end, true).context("what another rule accepts")?;
        }
        // Nothing is left to do.
        let output = diff(&scene, &agent, &new, &[])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.code() == Some(0) && text.contains("would revoke 0 of 1 connection\n"),
            "{text}"
        );

        agent.apply(&web(Role::Host, OPEN))?;
        drop((kept, revoked));
        let remote = Client.address(family).to_string();
        agent.sgctl(&["flows", "--instance", agent.instance(), "--delete", "--remote", &remote, "--yes"])?;
    }
    Ok(())
}

fn a_diff_says_what_keep_keeps(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &(web(Role::Host, OPEN) + KEEP))?;
    let _streams = open(&scene, Family::V4, Service::Tcp(81))?;
    let _datagrams = open(&scene, Family::V4, Service::Udp(82))?;
    let text = |document: &str| -> Result<String> {
        let output = diff(&scene, &agent, document, &[])?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let kept = text(&(web(Role::Host, NARROW) + KEEP))?;
    let expected =
        "would revoke 0 of 2 connections, keep 1 that the rules do not accept (established: keep)\n";
    ensure!(kept.contains(expected), "{kept}");
    // Of the new document, the setting counts.
    let revoked = text(&web(Role::Host, NARROW))?;
    ensure!(revoked.contains("would revoke 1 of 2 connections\n"), "{revoked}");
    Ok(())
}
