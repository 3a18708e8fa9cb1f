//! Since when a NIC is filtered, by which it is decided whether a connection that nobody knows is taken over by the rules of one
//! direction: not since its agent was started again, but since the flow table began.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Attach, End, Family, Lab, PATIENCE, Pair as _, SILENCE, Service, Streams};

use crate::support::{
    scene::{Client, Counted, Role, Scene, Server, counts, over_roles, question, web},
    suite::Suite,
};

/// Inbound nothing is open, and outbound everything: a server that speaks first is taken for a client.
const RULES: &str = "inner_access: drop";
const TAKEOVER: u64 = 4;
/// A new start at this time would let the takeover last for another [`TAKEOVER`] seconds.
const RESTART: Duration = Duration::from_secs(TAKEOVER - 1);
/// The filter is older than the word of its agent that it is ready; half a second is for what the kernel's clock rounds.
const OVER: Duration = Duration::from_millis(TAKEOVER * 1_000 + 500);

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "starts_with_the_flow_table_and_no_restart", starts_with_the_flow_table);
}

/// A connection of each family. A port each: a process that another test starts may hold a listener open for a moment.
fn opened(scene: &Scene, port: u16) -> Result<[Streams; 2]> {
    let [v4, v6] = Family::ALL.map(|family| {
        let asked = question(Client, Server, family, Service::Tcp(port));
        Streams::open(scene.host(Client), scene.host(Server), &asked)
    });
    Ok([v4?, v6?])
}

fn goes_on(connections: &mut [Streams], when: &str) -> Result<()> {
    for pair in connections {
        for end in [End::Responder, End::Initiator] {
            pair.send(end)?;
            ensure!(pair.arrives(end.other(), PATIENCE)?, "{when}: what the {end:?} says does not arrive");
        }
    }
    Ok(())
}

fn starts_with_the_flow_table(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let scene = Scene::new(lab)?;
    let [mut early, mut late, mut last] = [opened(&scene, 22)?, opened(&scene, 23)?, opened(&scene, 24)?];
    let policy = format!("takeover: {TAKEOVER}\n{}", web(role, RULES));
    let mut agent = scene.agent(role, attach, &policy)?;
    let ready = Instant::now();
    let sleep_until = |time: Duration| thread::sleep(time.saturating_sub(ready.elapsed()));
    goes_on(&mut early, "at the start")?;

    sleep_until(RESTART);
    agent.stop()?;
    agent.start_again()?;
    goes_on(&mut early, "after the restart")?;
    sleep_until(OVER);
    counts(&agent, Counted::Reason("not-taken-over"), 2.., || {
        for pair in &mut late {
            pair.send(End::Responder)?;
        }
        for pair in &mut late {
            ensure!(!pair.arrives(End::Initiator, SILENCE)?, "a connection was taken over");
        }
        Ok(())
    })
    .context("when the time is over")?;
    goes_on(&mut early, "when the time is over")?;

    agent.stop()?;
    agent.detach()?;
    agent.start_again()?;
    goes_on(&mut last, "after the flow table was lost")
}
