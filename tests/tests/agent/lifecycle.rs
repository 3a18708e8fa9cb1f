//! The life of the agent: what it reads, how it ends, and that the filter outlives it.

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use sg_tests::lab::{
    Agent, Attach, End, Family, Host, Lab, Options, Outcome, PATIENCE, Pair as _, Service, Streams, ask,
    respond, until,
};

use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, question, web},
    suite::Suite,
};

const OPEN: Service = Service::Tcp(80);
const SHUT: Service = Service::Tcp(22);
const RULES: &str = "
ingress:
  - { id: eighty, protocol: tcp, ports: 80 }
egress:
  - { id: nothing-out, action: drop, protocol: all }
";

pub(crate) fn tests(suite: &mut Suite) {
    // What hangs on a clsact qdisc does not move with its device.
    suite.over(&[Attach::Tcx, Attach::Xdp], "a_device_that_moved_is_named", a_device_that_moved_is_named);
    suite.over(&Attach::RECEIVED, "a_bad_file_changes_nothing", a_bad_file_changes_nothing);
    suite.over(&Attach::RECEIVED, "sighup_reads_again", sighup_reads_again);
    suite.over(&Attach::RECEIVED, "sigterm_leaves_the_filter", sigterm_leaves_the_filter);
    suite.over(&Attach::RECEIVED, "detach_on_exit_takes_it_off", detach_on_exit_takes_it_off);
    suite.over(&Attach::RECEIVED, "kill_leaves_the_filter", kill_leaves_the_filter);
    suite.over(&Attach::RECEIVED, "a_restart_adopts_flows_and_counts", a_restart_adopts_flows_and_counts);
}

fn policy() -> String {
    web(Role::Host, RULES)
}

/// Whether the server is filtered: 80 always replies, 22 only where nothing filters.
fn is_filtered(scene: &Scene, expected: bool) -> Result<()> {
    let shut = if expected { Outcome::Silent } else { Outcome::Reply };
    for family in Family::ALL {
        scene.asks(Client, Server, family, OPEN, Outcome::Reply)?;
        scene.asks(Client, Server, family, SHUT, shut)?;
    }
    Ok(())
}

fn a_bad_file_changes_nothing(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let bad_ones = [
        ("groups: [\n", "policy.yaml:"),
        ("groups:\n  web: { ingres: [] }\n", "policy.yaml:2:"),
        ("nics: 7\n", "policy.yaml:1:"),
    ];
    for (bad, place) in bad_ones {
        agent.refuses(bad)?;
        until(&format!("{place} is named"), || Ok(agent.complaints().contains(place)))
            .with_context(|| agent.complaints())?;
        is_filtered(&scene, true).with_context(|| format!("after the bad file {bad:?}"))?;
    }
    agent.apply(&web(Role::Host, "ingress: [{ protocol: tcp, ports: \"22,80\" }]"))?;
    is_filtered(&scene, false).context("22 is open now")
}

fn sighup_reads_again(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    agent.reread()?;
    is_filtered(&scene, true)
}

fn sigterm_leaves_the_filter(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let status = agent.stop()?;
    ensure!(status.success(), "SIGTERM ended sgd with {status}: {}", agent.complaints());
    is_filtered(&scene, true).context("after SIGTERM")?;
    agent.detach()?;
    is_filtered(&scene, false).context("after `sgctl detach`")
}

fn detach_on_exit_takes_it_off(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let mut agent = scene.agent(Role::Host, Options { attach, detach_on_exit: true }, &policy())?;
    is_filtered(&scene, true)?;
    agent.stop()?;
    is_filtered(&scene, false).context("after SIGTERM with --detach-on-exit")
}

fn kill_leaves_the_filter(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    agent.kill()?;
    is_filtered(&scene, true).context("after kill -9")?;
    let counted = agent.stats()?.rule("eighty");
    ensure!(counted > 0, "counters cannot be read without the agent");
    agent.detach()?;
    is_filtered(&scene, false).context("after `sgctl detach`")
}

/// The server's packets pass for no other reason than that their flow is known.
fn a_restart_adopts_flows_and_counts(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let asked = question(Client, Server, Family::V4, OPEN);
    let mut streams = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
    let mut exchange = |when: &str| {
        End::ALL.into_iter().try_for_each(|end| {
            streams.send(end)?;
            ensure!(streams.arrives(end.other(), PATIENCE)?, "the connection was lost {when}");
            Ok(())
        })
    };
    exchange("before the restart")?;
    for ended_by in [Agent::kill, |agent: &mut Agent| agent.stop().map(drop)] {
        let counted = agent.stats()?.rule("eighty");
        ended_by(&mut agent)?;
        exchange("without an agent")?;
        agent.start_again()?;
        exchange("under the new agent")?;
        let counts = agent.stats()?.rule("eighty");
        ensure!(
            counts >= counted + 4,
            "the rule counted {counted} packets before the restart and {counts} after"
        );
    }
    is_filtered(&scene, true)
}

/// S23. While no agent runs, the device moves to a namespace where its number is free, or taken.
fn a_device_that_moved_is_named(lab: Lab, attach: Attach) -> Result<()> {
    for taken in [false, true] {
        let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
        agent.kill()?;
        let (server, away) = (scene.host(Server), lab.host("away")?);
        let number = |host: &Host| host.inside(|| Ok(if_nametoindex("eth0")?));
        let before = number(server)?;
        if taken {
            away.ip(&format!("link add taken index {before} type veth peer name other index 900"))?;
        }
        server.ip(&format!("link set eth0 netns {}", away.netns()))?;
        let now = number(&away)?;
        ensure!((now == before) != taken, "device {before} is {now} in the other namespace");
        let asked = question(Client, Server, Family::V4, SHUT);
        let [v4, v6] = Family::ALL.map(|family| Server.address(family));
        away.address("eth0", &[&format!("{v4}/24"), &format!("{v6}/64")])?;
        away.ip("link set eth0 up")?;
        let _responder = respond(&away, asked.to, SHUT)?;
        // Of a number that is nobody's here, not even ARP passes.
        scene.puts(Client, &asked, Outcome::Silent).context("without an agent")?;
        agent.start_again()?;
        let said = format!("device {before} was moved to another network namespace");
        until(&said, || Ok(agent.complaints().contains(&said))).with_context(|| agent.complaints())?;
        ensure!(agent.complaints().contains(&format!("it is device {now}: ")), "{}", agent.complaints());
        until(
            "the filter is taken off",
            || Ok(ask(scene.host(Client), &asked, PATIENCE)? == Outcome::Reply),
        )?;
    }
    Ok(())
}
