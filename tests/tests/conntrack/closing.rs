//! How connections end, with the stacks of real hosts at both ends: by themselves, by a policy that revokes them, and for good.

use std::{
    io::{Read as _, Write as _},
    net::Shutdown,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, End, Family, Lab, PATIENCE, Pair as _, SILENCE, Service, Streams, until};
use socket2::SockRef;

use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, over_roles, question, web},
    suite::Suite,
};

/// Inbound 22 is open, and outbound everything.
const OPEN: &str = "
inner_access: drop
ingress:
  - { id: ssh, protocol: tcp, ports: 22 }
";
const SHUT: &str = "inner_access: drop";
const SSH: Service = Service::Tcp(22);

/// Times that a test can wait for.
const SHORT: [&str; 4] = ["--timeout", "tcp-established=3", "--timeout", "tcp-closing=1"];
const LONGER_THAN_SHORT: Duration = Duration::from_millis(3_600);

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "a_close_is_closing_and_gone", a_close_is_closing_and_gone);
    over_roles(suite, "silence_revives_nothing", silence_revives_nothing);
    suite.over(&Attach::RECEIVED, "a_reset_of_a_tombstone_revives_nothing", a_reset_of_a_tombstone);
    suite.over(&Attach::RECEIVED, "a_deleted_flow_is_revoked", a_deleted_flow_is_revoked);
    suite.over(&Attach::RECEIVED, "a_silent_flow_that_is_deleted_is_revoked", what_is_deleted_late);
    suite.over(&Attach::RECEIVED, "older_than_the_filter_and_revoked", older_than_the_filter);
    suite.over(&Attach::RECEIVED, "the_local_end_is_told_that_nobody_knows_it", the_local_end_is_told);
}

/// The states of the client's flows with port 22.
fn states(agent: &Agent, family: Family) -> Result<Vec<String>> {
    let (name, client) = (agent.instance(), Client.address(family).to_string());
    let asked = ["flows", "--instance", name, "--port", "22", "--remote", &client, "-o", "json"];
    let output = agent.sgctl(&asked)?;
    let flows: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    Ok(flows.iter().map(|flow| flow["state"].as_str().unwrap_or_default().to_owned()).collect())
}

/// The policy that revokes the connections, which is meant.
fn shut(role: Role) -> String {
    format!("{}keep_ssh: false\n", web(role, SHUT))
}

fn open_pair(scene: &Scene, family: Family) -> Result<Streams> {
    let asked = question(Client, Server, family, SSH);
    let mut pair = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
    for end in End::ALL {
        pair.send(end)?;
        ensure!(pair.arrives(end.other(), PATIENCE)?, "{family}: nothing arrives");
    }
    Ok(pair)
}

fn nothing_arrives(pair: &mut Streams, ends: &[End], when: &str) -> Result<()> {
    for &end in ends {
        // A socket that was reset says nothing either.
        if pair.send(end).is_ok() {
            let received = pair.arrives(end.other(), SILENCE).unwrap_or(false);
            ensure!(!received, "{when}: what the {end:?} says arrives");
        }
    }
    Ok(())
}

/// With the checksums that veth pairs leave to somebody else, at every hook.
fn a_close_is_closing_and_gone(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, OPEN))?;
    agent.stop()?;
    agent.start_with(&SHORT[2..])?;
    for family in Family::ALL {
        for first in End::ALL {
            let pair = open_pair(&scene, family)?;
            ensure!(states(&agent, family)? == ["established"]);
            pair.socket(first).shutdown(Shutdown::Write)?;
            // One after the other: of two ends that close at the same moment, on two processors, the entry may miss one.
            ensure!(pair.socket(first.other()).read(&mut [0])? == 0, "{family}: the {first:?} has closed");
            pair.socket(first.other()).shutdown(Shutdown::Write)?;
            until("it is closing", || Ok(states(&agent, family)?.iter().all(|state| state == "closing")))?;
            until("it is gone", || Ok(states(&agent, family)?.is_empty()))
                .with_context(|| format!("{family}, the {first:?} first"))?;
        }
    }
    Ok(())
}

/// S15: nobody says anything until the table has forgotten the connection, and then the server speaks.
fn silence_revives_nothing(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, OPEN))?;
    agent.stop()?;
    agent.start_with(&SHORT)?;
    let mut pairs =
        Family::ALL.map(|family| open_pair(&scene, family)).into_iter().collect::<Result<Vec<_>>>()?;
    agent.apply(&shut(role))?;
    for pair in &mut pairs {
        nothing_arrives(pair, &[End::Initiator], "after the rule was taken away")?;
    }
    thread::sleep(LONGER_THAN_SHORT);
    for pair in &mut pairs {
        nothing_arrives(pair, &[End::Responder, End::Initiator, End::Responder], "after the silence")?;
    }
    let stats = agent.stats()?;
    ensure!(stats.reason("not-taken-over") > 0, "nobody was told why");
    Ok(())
}

/// S25: the client resets, which the filter drops; the server does not know, and speaks.
fn a_reset_of_a_tombstone(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, OPEN))?;
    agent.stop()?;
    agent.start_with(&SHORT[2..])?;
    for family in Family::ALL {
        let mut pair = open_pair(&scene, family)?;
        agent.apply(&shut(Role::Host))?;
        pair.send(End::Initiator)?;
        until("it is revoked", || Ok(states(&agent, family)? == ["revoked"]))
            .with_context(|| format!("{family}: {:?}", states(&agent, family)))?;
        let [client, mut server] = pair.into_sockets();
        // Closed like that, a socket resets.
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        drop(client);
        thread::sleep(Duration::from_millis(1_200));
        server.write_all(b".")?;
        thread::sleep(Duration::from_millis(300));
        ensure!(states(&agent, family)? == ["revoked"], "{family}: {:?}", states(&agent, family)?);
        agent.apply(&web(Role::Host, OPEN))?;
        agent.sgctl(&["flows", "--instance", agent.instance(), "--delete", "--yes"])?;
    }
    Ok(())
}

/// Although the rules accept it, in both directions.
fn a_deleted_flow_is_revoked(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &web(Role::Host, OPEN))?;
    for family in Family::ALL {
        let mut pair = open_pair(&scene, family)?;
        agent.sgctl(&["flows", "--instance", agent.instance(), "--delete", "--yes"])?;
        nothing_arrives(
            &mut pair,
            &[End::Responder, End::Initiator, End::Responder],
            "after it was deleted",
        )?;
        ensure!(states(&agent, family)?.is_empty(), "{family}: {:?}", states(&agent, family)?);
        drop(pair);
        drop(open_pair(&scene, family).context("another connection")?);
    }
    Ok(())
}

/// It would be forgotten soon, and is deleted then; what it is remembered by begins with that.
fn what_is_deleted_late(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, OPEN))?;
    agent.stop()?;
    agent.start_with(&["--timeout", "tcp-established=5"])?;
    let mut pairs =
        Family::ALL.map(|family| open_pair(&scene, family)).into_iter().collect::<Result<Vec<_>>>()?;
    thread::sleep(Duration::from_millis(3_500));
    agent.sgctl(&["flows", "--instance", agent.instance(), "--delete", "--yes"])?;
    thread::sleep(Duration::from_secs(2));
    for pair in &mut pairs {
        nothing_arrives(pair, &[End::Responder, End::Initiator], "after it was silent and deleted")?;
    }
    Ok(())
}

/// 03: the connection was open when sgd started, and the server speaks first.
fn older_than_the_filter(lab: Lab, attach: Attach) -> Result<()> {
    for first in [End::Responder, End::Initiator] {
        let scene = Scene::new(lab)?;
        let mut pairs =
            Family::ALL.map(|family| open_pair(&scene, family)).into_iter().collect::<Result<Vec<_>>>()?;
        let mut agent = scene.agent(Role::Host, attach, &web(Role::Host, OPEN))?;
        for pair in &mut pairs {
            for end in [first, first.other()] {
                pair.send(end)?;
                ensure!(pair.arrives(end.other(), PATIENCE)?, "what the {end:?} says arrives");
            }
        }
        agent.apply(&shut(Role::Host))?;
        for pair in &mut pairs {
            nothing_arrives(pair, &[End::Initiator, End::Responder], "without the rule")?;
        }
        agent.stop()?;
        agent.detach()?;
    }
    Ok(())
}

/// An outbound connection that was idle for too long: with `default: reject` its program gets the error at once.
fn the_local_end_is_told(lab: Lab, attach: Attach) -> Result<()> {
    let policy = web(Role::Host, SHUT) + "\ndefault: reject\n";
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy)?;
    agent.stop()?;
    agent.start_with(&SHORT)?;
    for family in Family::ALL {
        let asked = question(Server, Client, family, SSH);
        let mut pair = Streams::open(scene.host(Server), scene.host(Client), &asked)?;
        pair.send(End::Initiator)?;
        ensure!(pair.arrives(End::Responder, PATIENCE)?, "{family}: nothing arrives");
        thread::sleep(LONGER_THAN_SHORT);
        pair.send(End::Initiator)?;
        until("the program gets the error", || {
            let error = pair.socket(End::Initiator).take_error()?;
            Ok(error.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset))
        })
        .with_context(|| family.to_string())?;
    }
    Ok(())
}
