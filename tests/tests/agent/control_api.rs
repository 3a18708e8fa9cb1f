//! The control API of the agent as a library: what is in force when a call returns.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use sg_agent::{AgentOptions, AgentThread, AllowUnfiltered, Control, Enforced, Instance};
use sg_compile::LARGEST_WORDS;
use sg_kernel::{Attachment, FlowOptions, Limits, RejectRate};
use sg_model::Policy;
use sg_tests::lab::{Attach, Family, Host, Lab, Outcome, Service, until};

use crate::support::{
    scene::{Client, Role, Scene, Server, web},
    suite::Suite,
};

const LIMITS: Limits = Limits { nics: 64, flows: 1_024, counters: 1 << 13, denied: 64 };

const EIGHTY: &str = "ingress: [{ protocol: tcp, ports: 80 }]";
const NINETY: &str = "ingress: [{ protocol: tcp, ports: 90 }]";

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("a_call_that_returned_is_in_force", a_call_that_returned_is_in_force);
    suite.each("an_old_filter_stays_until_there_is_a_new_one", an_old_filter_stays);
    suite.each("devices_come_between_calls", devices_come_between_calls);
    suite.each("fifty_nics_change_together", fifty_nics_change_together);
}

/// An agent in the network of `host`, which is its instance.
fn agent(host: &Host, attach: Attach, detach_on_exit: bool) -> Result<AgentThread> {
    let options = AgentOptions {
        instance: Instance::new(host.netns())?,
        order: None,
        attachment: match attach {
            Attach::Tcx => Attachment::Tcx,
            Attach::Clsact => Attachment::Clsact,
            Attach::Xdp | Attach::Auto => Attachment::Auto,
        },
        detach_on_exit,
        require_pinned: false,
        program_log: 0,
        budget_words: LARGEST_WORDS,
        flows: FlowOptions::default(),
        traffic: None,
        measure: None,
        confirm: None,
        history: None,
        rejects: RejectRate::default(),
        allow_unfiltered: AllowUnfiltered::default(),
        started_over: None,
        trail: sg_audit::Trail::none(),
        limits: LIMITS,
    };
    host.inside(|| Ok(AgentThread::spawn(options)?))
}

fn policy(text: &str) -> Result<Policy> {
    Ok(sg_document::parse("orders", text.as_bytes())?.policy)
}

fn order(control: &Control, text: &str) -> Result<Enforced> {
    control.prepare(policy(text)?)?;
    Ok(control.enforce()?)
}

/// Which of the ports 80 and 90 the server replies on.
fn open_ports(scene: &Scene, expected: [bool; 2]) -> Result<()> {
    for (port, open) in [80, 90].into_iter().zip(expected) {
        let outcome = if open { Outcome::Reply } else { Outcome::Silent };
        for family in Family::ALL {
            scene.asks(Client, Server, family, Service::Tcp(port), outcome)?;
        }
    }
    Ok(())
}

fn a_call_that_returned_is_in_force(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let agent = agent(scene.host(Server), attach, true)?;
    let control = agent.control();
    control.prepare(policy(&web(Role::Host, EIGHTY))?)?;
    open_ports(&scene, [true, true]).context("what is prepared is not in force")?;
    let enforced = control.enforce()?;
    ensure!(enforced == Enforced { published: 1, nics: 1, attached: 1 }, "{enforced:?}");
    for _ in 0..5 {
        open_ports(&scene, [true, false])?;
        order(&control, &web(Role::Host, NINETY))?;
        open_ports(&scene, [false, true])?;
        order(&control, &web(Role::Host, EIGHTY))?;
    }

    let many: Vec<String> =
        (0..=LIMITS.nics).map(|number| format!("{{ device: tap{number}, groups: [g] }}")).collect();
    let many = policy(&format!("groups: {{ g: {{}} }}\nnics: [{}]", many.join(", ")))?;
    let refused = control.prepare(many).err().context("more NICs than there is room for")?;
    ensure!(refused.is_refusal() && refused.concerns_policy(), "{refused}");
    open_ports(&scene, [true, false])?;

    agent.stop("the test is over")?;
    open_ports(&scene, [true, true]).context("it was to take the filter off")?;
    ensure!(control.enforce().is_err_and(|error| !error.is_refusal()), "there is no agent any more");
    Ok(())
}

fn an_old_filter_stays(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let start = |attach, detach| agent(scene.host(Server), attach, detach);
    let first = start(attach, false)?;
    order(&first.control(), &web(Role::Host, EIGHTY))?;
    first.stop("the test")?;
    open_ports(&scene, [true, false]).context("without an agent")?;

    let second = start(attach, false)?;
    open_ports(&scene, [true, false]).context("under a new agent without a policy")?;
    ensure!(second.control().enforce()? == Enforced { published: 0, nics: 1, attached: 1 });
    open_ports(&scene, [true, false]).context("nothing was prepared")?;
    let enforced = order(&second.control(), &web(Role::Host, NINETY))?;
    ensure!(enforced.published == 1);
    open_ports(&scene, [false, true])?;
    second.stop("the test")?;

    // The next one attaches in the other way: what is there cannot be continued, and is replaced.
    let other = match attach {
        Attach::Tcx | Attach::Xdp | Attach::Auto => Attach::Clsact,
        Attach::Clsact => Attach::Tcx,
    };
    if sg_tests::lab::kernel()? >= other.since() {
        let third = start(other, true)?;
        let nowhere = policy("groups: { g: {} }\nnics: [{ device: none, groups: [g] }]")?;
        third.control().prepare(nowhere)?;
        open_ports(&scene, [false, true]).context("what is prepared takes nothing off")?;
        order(&third.control(), &web(Role::Host, EIGHTY))?;
        open_ports(&scene, [true, false])?;
        third.stop("the test")?;
        open_ports(&scene, [true, true])?;
    }
    Ok(())
}

fn devices_come_between_calls(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let agent = agent(scene.host(Server), attach, true)?;
    let late = web(Role::Host, EIGHTY).replace("eth0", "late");
    let enforced = order(&agent.control(), &late)?;
    ensure!(enforced == Enforced { published: 0, nics: 1, attached: 0 }, "{enforced:?}");
    scene.host(Server).ip("link set eth0 down\nlink set eth0 name late\nlink set late up")?;
    // The order to enforce what is in force tells how far it is.
    until("the device that came is filtered", || Ok(agent.control().enforce()?.attached == 1))?;
    open_ports_v4(&scene, [true, false])?;
    agent.stop("the test")?;
    Ok(())
}

/// A device that was down has lost its IPv6 addresses.
fn open_ports_v4(scene: &Scene, expected: [bool; 2]) -> Result<()> {
    for (port, open) in [80, 90].into_iter().zip(expected) {
        let outcome = if open { Outcome::Reply } else { Outcome::Silent };
        scene.asks(Client, Server, Family::V4, Service::Tcp(port), outcome)?;
    }
    Ok(())
}

/// A group of fifty NICs gets a member: all of them change, and the order takes no longer than a few waits for the
/// kernel.
fn fifty_nics_change_together(lab: Lab, attach: Attach) -> Result<()> {
    const NICS: usize = 50;
    let host = lab.host("many")?;
    let links: Vec<String> =
        (0..NICS).map(|number| format!("link add tap{number} type veth peer name far{number}")).collect();
    host.ip(&links.join("\n"))?;
    let nics: Vec<String> = (0..NICS)
        .map(|number| format!("{{ device: tap{number}, addresses: [10.5.0.{}], groups: [g] }}", number + 1))
        .collect();
    let policy = |members: &str| {
        format!("members: {{ g: [{members}] }}\ngroups: {{ g: {{}} }}\nnics: [{}]", nics.join(", "))
    };
    let agent = agent(&host, attach, true)?;
    let enforced = order(&agent.control(), &policy(""))?;
    ensure!(enforced == Enforced { published: NICS, nics: NICS, attached: NICS }, "{enforced:?}");
    let mut took = Vec::new();
    for round in 0..5 {
        let start = Instant::now();
        let enforced = order(&agent.control(), &policy(&format!("10.6.0.{round}")))?;
        took.push(start.elapsed().as_millis());
        ensure!(enforced.published == NICS, "{enforced:?}");
    }
    println!("{NICS} NICs changed together, {attach}, in milliseconds: {took:?}");
    agent.stop("the test")?;
    Ok(())
}
