//! Programs of others on the same device: they run before ours and after it, and nothing of theirs is lost.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, Attach, Family, Host, Lab, Outcome, Service};

use crate::{
    resilience::leftovers::{self, printed},
    support::{
        scene::{Client, Role, Scene, Server, web},
        suite::Suite,
    },
};

const OPEN: Service = Service::Tcp(80);
const SHUT: Service = Service::Tcp(22);
const RULES: &str = "ingress: [{ id: eighty, protocol: tcp, ports: 80 }]";

/// Filters of somebody else, by the preference that orders them: ours has one in between.
const BEFORE: &str = "10";
const AFTER: &str = "60000";

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("filters_of_others_go_on", filters_of_others_go_on);
    suite.each("a_qdisc_that_was_there_stays", a_qdisc_that_was_there_stays);
    suite.each("detach_leaves_nothing", detach_leaves_nothing);
}

fn tc(host: &Host, arguments: &str) -> Result<String> {
    printed(host, "tc", &arguments.split_whitespace().collect::<Vec<_>>())
}

/// Somebody else's filter: it copies every packet to the device `tap`, counts it, and lets it go on to the next one.
fn add_filter(host: &Host, direction: &str, preference: &str) -> Result<()> {
    // Of all classifiers and actions, kernels built for virtual machines have few: these two are old.
    let action = "u32 match u32 0 0 action mirred egress mirror dev tap continue";
    tc(host, &format!("filter add dev eth0 {direction} pref {preference} protocol all {action}")).map(drop)
}

/// Packets that somebody else's filter counted.
fn counted(host: &Host, direction: &str, preference: &str) -> Result<u64> {
    let shown = tc(host, &format!("-s -j filter show dev eth0 {direction} pref {preference}"))?;
    let filters: serde_json::Value = serde_json::from_str(&shown)?;
    let packets = |filter: &serde_json::Value| {
        filter.pointer("/options/actions/0/stats/packets").and_then(serde_json::Value::as_u64)
    };
    filters
        .as_array()
        .and_then(|list| list.iter().find_map(packets))
        .with_context(|| format!("no count: {shown}"))
}

/// Checks that every neighbour counts what goes by while `work` runs.
fn count(host: &Host, neighbours: &[(&str, &str)], work: impl FnOnce() -> Result<()>) -> Result<()> {
    let count = || {
        neighbours.iter().map(|(direction, pref)| counted(host, direction, pref)).collect::<Result<Vec<_>>>()
    };
    let before = count()?;
    work()?;
    let after = count()?;
    for ((neighbour, before), after) in neighbours.iter().zip(before).zip(after) {
        ensure!(
            after > before,
            "the filter {neighbour:?} saw nothing: {before} packets before, {after} after"
        );
    }
    Ok(())
}

fn is_filtered(scene: &Scene, expected: bool) -> Result<()> {
    let shut = if expected { Outcome::Silent } else { Outcome::Reply };
    scene.asks(Client, Server, Family::V4, OPEN, Outcome::Reply)?;
    scene.asks(Client, Server, Family::V4, SHUT, shut)
}

fn filters_of_others_go_on(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    server.ip("link add tap type veth peer name tapped\nlink set tap up\nlink set tapped up")?;
    tc(server, "qdisc add dev eth0 clsact")?;
    let early = [("ingress", BEFORE), ("egress", BEFORE)];
    for (direction, preference) in early {
        add_filter(server, direction, preference)?;
    }
    let mut agent = scene.agent(Role::Host, attach, &web(Role::Host, RULES))?;
    // They came before ours, and now more come after it.
    let late = [("ingress", AFTER), ("egress", AFTER)];
    for (direction, preference) in late {
        add_filter(server, direction, preference)?;
    }
    let all = [early, late].concat();
    count(server, &all, || is_filtered(&scene, true)).context("beside the agent")?;
    agent.kill()?;
    agent.start_again()?;
    count(server, &all, || is_filtered(&scene, true)).context("beside the next agent")?;
    agent.stop()?;
    agent.detach()?;
    count(server, &all, || is_filtered(&scene, false)).context("after `sgctl detach`")?;
    nothing_of_ours(&agent, server)
}

/// An ingress qdisc of somebody else cannot hold our filters of clsact, and is not taken away for them.
fn a_qdisc_that_was_there_stays(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    tc(server, "qdisc add dev eth0 clsact")?;
    tc(server, "qdisc add dev eth0 root handle 7: pfifo limit 500")?;
    let before = tc(server, "qdisc show dev eth0")?;
    let mut agent = scene.agent(Role::Host, attach, &web(Role::Host, RULES))?;
    is_filtered(&scene, true)?;
    agent.stop()?;
    agent.detach()?;
    let after = tc(server, "qdisc show dev eth0")?;
    ensure!(after == before, "the queues were\n{before}and are\n{after}");
    Ok(())
}

/// Nothing is on a device, nothing is pinned.
fn nothing_of_ours(agent: &Agent, host: &Host) -> Result<()> {
    let filters = leftovers::filters(host)?;
    ensure!(filters.is_empty(), "left on devices: {filters:?}");
    ensure!(leftovers::pins(host.netns()).is_err(), "left in bpffs: {:?}", leftovers::pins(host.netns()));
    let catalog = format!("/run/sgd/{}/catalog.json", host.netns());
    ensure!(!Path::new(&catalog).exists(), "left: {catalog}");
    for directory in ["/run/sgd", "/sys/fs/bpf/sgd"] {
        let directory = Path::new(directory).join(host.netns());
        ensure!(!directory.exists(), "left: {}", directory.display());
    }
    ensure!(agent.sgctl(&["detach", "--instance", host.netns()]).is_ok(), "a second `sgctl detach` fails");
    Ok(())
}

/// After an agent that was killed and a device that was renamed meanwhile, too.
fn detach_leaves_nothing(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    server.ip("link add spare type veth peer name spare-peer")?;
    let policy = web(Role::Host, RULES) + "  - { device: spare, groups: [web] }\n";
    let mut agent = scene.agent(Role::Host, attach, &policy)?;
    let ours = leftovers::ours(server, &agent)?;
    ensure!(ours.iter().all(|(_, numbers)| !numbers.is_empty()), "nothing of ours is seen: {ours:?}");
    let programs = leftovers::programs(server, &agent, attach)?;
    ensure!(programs == 4, "two programs on each of two devices, but {programs}");
    agent.kill()?;
    server.ip("link set spare name moved")?;
    agent.detach()?;
    nothing_of_ours(&agent, server)?;
    is_filtered(&scene, false)?;
    leftovers::are_gone(server, &ours)
}
