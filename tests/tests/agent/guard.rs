//! The guard of documents under `sgd run`: what is refused as a whole, what stays in force then, and how to insist.

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{
    Agent, Attach, End, Family, Lab, Outcome, PATIENCE, Pair as _, SILENCE, Service, Streams, until,
};

use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, question, web},
    suite::Suite,
};

const OPEN: Service = Service::Tcp(80);
const SHUT: Service = Service::Tcp(90);
const SSH: Service = Service::Tcp(22);
const RULES: &str = "
ingress:
  - { id: eighty, protocol: tcp, ports: 80 }
  - { id: ssh, protocol: tcp, ports: 22 }
";

pub(crate) fn tests(suite: &mut Suite) {
    let ways = &[Attach::Tcx];
    suite.over(ways, "a_typo_in_a_device_changes_nothing", a_typo_in_a_device_changes_nothing);
    suite.over(ways, "a_document_without_nics_changes_nothing", a_document_without_nics_changes_nothing);
    suite.over(ways, "a_start_does_not_leave_out_what_is_filtered", a_start);
    suite.over(ways, "a_device_that_is_gone_leaves", a_device_that_is_gone_leaves);
    suite.over(ways, "what_a_document_keeps_is_kept", what_a_document_keeps_is_kept);
    suite.over(ways, "a_reload_ends_no_ssh_connection", a_reload_ends_no_ssh_connection);
    suite.over(ways, "a_restart_changes_nothing_and_is_not_refused", a_restart_is_not_refused);
}

/// Whether the server is filtered: 80 always replies, 90 only where nothing filters.
fn is_filtered(scene: &Scene, expected: bool) -> Result<()> {
    scene.asks(Client, Server, Family::V4, OPEN, Outcome::Reply)?;
    let shut = if expected { Outcome::Silent } else { Outcome::Reply };
    scene.asks(Client, Server, Family::V4, SHUT, shut)
}

fn complains(agent: &Agent, what: &str) -> Result<()> {
    until(what, || Ok(agent.complaints().contains(what))).with_context(|| agent.complaints())
}

fn a_typo_in_a_device_changes_nothing(lab: Lab, attach: Attach) -> Result<()> {
    let document = web(Role::Host, RULES);
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &document)?;
    agent.refuses(&document.replace("eth0", "eht0"))?;
    complains(&agent, "eth0 is filtered, and the document does not name it")?;
    complains(&agent, "this host has no device eht0: is eth0 meant?")?;
    is_filtered(&scene, true)?;
    let closed = document.replace("ports: 80", "ports: 81");
    agent.apply(&closed).context("the corrected document is applied")?;
    scene.asks(Client, Server, Family::V4, OPEN, Outcome::Silent)
}

fn a_document_without_nics_changes_nothing(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, RULES))?;
    for empty in ["{}\n", "groups: { web: {} }\nnics: []\n", "allow_unfiltered: [eth1]\n"] {
        agent.refuses(empty)?;
        is_filtered(&scene, true).with_context(|| format!("after {empty:?}"))?;
    }
    complains(&agent, "allow_unfiltered: [eth0]")?;
    agent.apply("allow_unfiltered: [eth0]\n")?;
    is_filtered(&scene, false).context("it is allowed by the document")
}

/// What an earlier agent left in force is what a start is compared with.
fn a_start(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, RULES))?;
    agent.stop()?;
    agent.hand("{}\n")?;
    agent.launch()?;
    let status = agent.ends()?;
    ensure!(status.code() == Some(3), "it ended with {status}: {}", agent.complaints());
    complains(&agent, "--allow-unfiltered=eth0")?;
    is_filtered(&scene, true)?;
    agent.start_with(&["--allow-unfiltered=eth0"])?;
    is_filtered(&scene, false).context("it is allowed by an argument")
}

fn a_device_that_is_gone_leaves(lab: Lab, attach: Attach) -> Result<()> {
    let document = web(Role::Host, RULES);
    let with = |device: &str| format!("{document}  - {{ device: {device}, groups: [web] }}\n");
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    server.ip("link add vm1 type veth peer name peer1")?;
    let mut agent = scene.agent(Role::Host, attach, &with("vm1"))?;
    server.ip("link delete vm1")?;
    agent.apply(&document).context("the device went first")?;

    server.ip("link add vm2 type veth peer name peer2")?;
    agent.apply(&with("vm2"))?;
    agent.refuses(&document)?;
    complains(&agent, "vm2 is filtered")?;
    agent.forget();
    server.ip("link delete vm2")?;
    let applied = |line: &String| line.starts_with("applied cause=policy nics=1");
    until("the document is applied without being written again", || {
        Ok(agent.announced().iter().any(applied))
    })
    .with_context(|| agent.complaints())?;
    is_filtered(&scene, true)?;

    // A document that was refused is not applied once the file says something else.
    server.ip("link add vm3 type veth peer name peer3")?;
    agent.apply(&with("vm3"))?;
    agent.refuses(&document)?;
    agent.refuses("nics: 7\n")?;
    agent.forget();
    server.ip("link delete vm3")?;
    until("the device is gone", || Ok(agent.announced().contains(&"gone vm3".to_owned())))?;
    is_filtered(&scene, true)?;
    ensure!(!agent.announced().iter().any(applied), "{:?}", agent.announced());
    Ok(())
}

fn what_a_document_keeps_is_kept(lab: Lab, attach: Attach) -> Result<()> {
    let [client, server] = [Client, Server].map(|who| who.address(Family::V4));
    let keep = format!(
        "keep:\n  - {{ nic: eth0, direction: ingress, protocol: tcp, src: {client}, dst: {server}, dport: 80 }}\n"
    );
    let document = format!("{}{keep}", web(Role::Host, RULES));
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &document)?;
    agent.refuses(&document.replace("protocol: tcp, ports: 80", "action: drop, protocol: tcp, ports: 80"))?;
    complains(&agent, "keep[0]: NIC eth0 would not accept it, drop by rule eighty of group web")?;
    is_filtered(&scene, true)?;
    agent.apply(&web(Role::Host, "ingress: [{ protocol: tcp, ports: 90 }]"))?;
    scene.asks(Client, Server, Family::V4, OPEN, Outcome::Silent).context("it is kept no longer")
}

fn a_reload_ends_no_ssh_connection(lab: Lab, attach: Attach) -> Result<()> {
    let document = web(Role::Host, RULES);
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &document)?;
    let asked = question(Client, Server, Family::V4, SSH);
    let mut streams = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
    let mut arrives = |patience| {
        streams.send(End::Initiator)?;
        streams.arrives(End::Responder, patience)
    };
    ensure!(arrives(PATIENCE)?, "there is no connection");
    let without = document
        .replace("id: ssh, protocol: tcp, ports: 22", "id: ssh, action: drop, protocol: tcp, ports: 22");
    agent.refuses(&without)?;
    complains(&agent, "the SSH connection from")?;
    complains(&agent, "drop by rule ssh of group web; let the policy accept it, or write `keep_ssh: false`")?;
    ensure!(arrives(PATIENCE)?, "the connection was lost");
    agent.refuses(&web(Role::Host, "ingress: [{ protocol: tcp, ports: 80 }]"))?;
    complains(&agent, "drop by default")?;
    agent.apply(&format!("{without}keep_ssh: false\n")).context("it is allowed by the document")?;
    ensure!(!arrives(SILENCE)?, "the connection goes on");
    Ok(())
}

/// For a connection that an earlier policy has accepted, and that no packet has ended yet, or none can.
fn a_restart_is_not_refused(lab: Lab, attach: Attach) -> Result<()> {
    let document = web(Role::Host, RULES);
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &document)?;
    let asked = question(Client, Server, Family::V4, SSH);
    let mut streams = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
    for more in ["established: keep\n", ""] {
        let without = document
            .replace("id: ssh, protocol: tcp, ports: 22", "id: ssh, action: drop, protocol: tcp, ports: 22");
        let without = without + more;
        agent.apply(&format!("{without}keep_ssh: false\n"))?;
        agent.apply(&without).context("the document before did not accept it")?;
        agent.stop()?;
        agent.start_again().context("the policy in force does not accept it")?;
        if more.is_empty() {
            continue;
        }
        streams.send(End::Initiator)?;
        ensure!(streams.arrives(End::Responder, PATIENCE)?, "the connection was not spared");
        agent.apply(&document)?;
        streams.send(End::Initiator)?;
        ensure!(streams.arrives(End::Responder, PATIENCE)?, "the connection was lost");
    }
    // What the policy in force accepts is asked.
    agent.apply(&document)?;
    streams.send(End::Initiator)?;
    ensure!(streams.arrives(End::Responder, PATIENCE)?, "the connection was lost");
    agent.stop()?;
    agent.hand(&document.replace("ports: 22", "ports: 23"))?;
    agent.launch()?;
    let status = agent.ends()?;
    ensure!(status.code() == Some(3), "it ended with {status}: {}", agent.complaints());
    complains(&agent, "the SSH connection from")
}
