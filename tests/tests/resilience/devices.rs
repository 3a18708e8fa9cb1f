//! Devices that come, go, and change their names, by the hundred.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, Attach, Family, Host, Lab, Outcome, Service, until};

use crate::{
    amount,
    resilience::leftovers,
    support::{
        scene::{Client, Role, Scene, Server, filtered, web},
        suite::Suite,
    },
};

const OPEN: Service = Service::Tcp(80);
const SHUT: Service = Service::Tcp(22);
const RULES: &str = "ingress: [{ id: eighty, protocol: tcp, ports: 80 }]";

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("a_renamed_one_is_another", a_renamed_one_is_another);
    suite.each("one_that_moves_away_is_gone", one_that_moves_away_is_gone);
    suite.each("hundreds_come_and_go", hundreds_come_and_go);
    suite.each("one_is_filtered_before_it_is_up", one_is_filtered_before_it_is_up);
}

/// Waits until the agent has said it.
fn said(agent: &Agent, line: &str) -> Result<()> {
    until(line, || Ok(agent.announced().iter().any(|said| said == line)))
        .with_context(|| format!("said: {:?}", agent.announced()))
}

/// Whether the server is filtered: 80 always replies, 22 only where nothing filters.
fn is_filtered(scene: &Scene, expected: bool) -> Result<()> {
    let shut = if expected { Outcome::Silent } else { Outcome::Reply };
    scene.asks(Client, Server, Family::V4, OPEN, Outcome::Reply)?;
    scene.asks(Client, Server, Family::V4, SHUT, shut)
}

/// The filter belongs to a name: under another it is taken off, and put on again when the name comes back.
fn a_renamed_one_is_another(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &web(Role::Host, RULES))?;
    let rename = |from: &str, to: &str| scene.host(Server).ip(&format!("link set {from} name {to}"));
    is_filtered(&scene, true)?;
    for _ in 0..amount(2, 20) {
        agent.forget();
        rename("eth0", "other0")?;
        said(&agent, "gone eth0")?;
        is_filtered(&scene, false).context("nobody named it under its new name")?;
        rename("other0", "eth0")?;
        said(&agent, "attached eth0")?;
        is_filtered(&scene, true).context("it has its name again")?;
    }
    Ok(())
}

/// A device that moves to another network is gone, and nothing of ours is left on it.
fn one_that_moves_away_is_gone(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &web(Role::Host, RULES))?;
    let (server, elsewhere) = (scene.host(Server), lab.host("elsewhere")?);
    for _ in 0..amount(2, 20) {
        agent.forget();
        server.ip(&format!("link set eth0 netns {}", elsewhere.netns()))?;
        said(&agent, "gone eth0")?;
        elsewhere.ip("link set eth0 up")?;
        // A link of TCX is there still where its pin is, without a device.
        until("nothing is on the device elsewhere", || {
            Ok(leftovers::filters(&elsewhere)?.is_empty()
                && leftovers::programs(server, &agent, attach)? == 0)
        })?;
        elsewhere.ip(&format!("link set eth0 netns {}", server.netns()))?;
        said(&agent, "attached eth0")?;
        server.ip("link set eth0 up\naddress add 10.77.0.1/24 dev eth0")?;
        is_filtered(&scene, true)?;
    }
    Ok(())
}

/// What there is of something, by name.
type Counts = BTreeMap<&'static str, usize>;

/// What the agent holds and what is pinned.
fn held(agent: &Agent, host: &Host) -> Result<Counts> {
    let entries = |path: PathBuf| -> Result<usize> {
        Ok(fs::read_dir(&path).with_context(|| path.display().to_string())?.count())
    };
    let netns = host.netns();
    let catalog: serde_json::Value =
        serde_json::from_slice(&fs::read(format!("/run/sgd/{netns}/catalog.json"))?)?;
    let catalog = catalog.to_string();
    Ok(Counts::from([
        ("open files", entries(format!("/proc/{}/fd", agent.pid()).into())?),
        ("pins", entries(leftovers::pins(netns)?)?),
        ("names in the catalog", catalog.matches("storm").count()),
    ]))
}

/// Guests that start and end: each has a NIC in the policy. Then none of them has left anything.
fn hundreds_come_and_go(lab: Lab, attach: Attach) -> Result<()> {
    const AT_ONCE: usize = 20;
    let nic = |n| {
        format!("  - {{ device: storm{n}, groups: [web], role: guest, addresses: [10.78.0.{}] }}\n", n + 1)
    };
    let nics = (0..AT_ONCE).map(nic).collect::<Vec<_>>().concat();
    let bare = web(Role::Host, RULES);
    let full = format!("{bare}{nics}");
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &bare)?;
    let server = scene.host(Server);
    let batch = |command: &dyn Fn(usize) -> String| {
        server.ip(&(0..AT_ONCE).map(command).collect::<Vec<_>>().join("\n"))
    };
    agent.apply(&full)?;
    agent.apply(&bare)?;
    let before = held(&agent, server)?;
    agent.apply(&full)?;
    for round in 0..amount(5, 25) {
        agent.forget();
        batch(&|n| format!("link add storm{n} type veth peer name peer{n}"))?;
        (0..AT_ONCE).try_for_each(|n| said(&agent, &format!("attached storm{n}")))?;
        batch(&|n| format!("link set storm{n} up\nlink set peer{n} up"))?;
        // The agent need not see all of it: names change and devices go while it looks.
        batch(&|n| format!("link set storm{n} name gale{n}\nlink delete gale{n}"))?;
        (0..AT_ONCE).try_for_each(|n| said(&agent, &format!("gone storm{n}")))?;
        is_filtered(&scene, true).with_context(|| format!("round {round}"))?;
    }
    // And as fast as they can, with nobody waiting for anybody.
    for _ in 0..amount(2, 10) {
        batch(&|n| format!("link add storm{n} type veth peer name peer{n}\nlink delete storm{n}"))?;
    }
    agent.apply(&bare)?;
    let mut after = held(&agent, server)?;
    // Less is well, too: somebody may have been asking the agent when it was first counted.
    until("all is given back", || {
        after = held(&agent, server)?;
        Ok(after.iter().all(|(what, held)| before.get(what).is_some_and(|before| held <= before)))
    })
    .with_context(|| format!("{before:?} became {after:?}"))?;
    is_filtered(&scene, true)
}

/// The order of docs/use/operating.md: made, `attached`, up. Not one packet gets in before the filter is there.
fn one_is_filtered_before_it_is_up(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    server.ip("link delete eth0")?;
    let agent = scene.agent(Role::Host, attach, &web(Role::Host, RULES))?;
    for round in 0..amount(3, 30) {
        agent.forget();
        let switch = scene.lan.switch();
        server.ip(&format!("link add eth0 type veth peer name server netns {}", switch.netns()))?;
        switch.ip("link set server master bridge\nlink set server up")?;
        said(&agent, "attached eth0")?;
        let before = agent.stats()?;
        server.ip("address add 10.77.0.1/24 dev eth0\nlink set eth0 up")?;
        // Dropped by the default of the NIC, which is the policy's: its image was there.
        scene.host(Client).ip("neighbour flush dev eth0")?;
        is_filtered(&scene, true).with_context(|| format!("round {round}"))?;
        let dropped = agent.stats()?.default_of("ingress") - before.default_of("ingress");
        ensure!(dropped > 0, "round {round}: what was silent was not dropped by the filter");
        server.ip("link delete eth0")?;
    }
    Ok(())
}
