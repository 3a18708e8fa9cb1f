//! Who has nothing to do with a filter is not harmed by it: a switch that does not know where a host is sends its frames to all,
//! and nobody else may reply to them (cases of a promiscuous reset, and of what a switch learns from a reject).

use std::thread;

use anyhow::{Result, ensure};
use sg_tests::lab::{
    Attach, Datagrams, End, Family, Lab, Outcome, PATIENCE, Pair as _, SILENCE, Service, Streams,
};

use crate::{
    reject::reply_sent::scene,
    support::{
        scene::{Client, Role, Server, Stranger, over_roles, question, web},
        suite::Suite,
    },
};

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "strangers_exchange_undisturbed", strangers_exchange_undisturbed);
}

/// The client exchanges datagrams with the stranger, and the switch forgets all the time where they are.
fn strangers_exchange_undisturbed(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const CONNECTIONS: u16 = 10;
    const DATAGRAMS: usize = 100;
    let policy = format!("default: reject\n{}", web(role, ""));
    let (scene, agent, _other) = scene(lab, attach, role, &policy)?;
    // A hub: every frame goes everywhere.
    scene.lan.switch().ip("link set bridge type bridge ageing_time 0")?;
    let before = agent.stats()?;
    for family in Family::ALL {
        // A port each: a process that another test starts may hold the listener before it open for a moment.
        for port in 7_000..7_000 + CONNECTIONS {
            let question = question(Client, Stranger, family, Service::Tcp(port));
            let mut streams = Streams::open(scene.host(Client), scene.host(Stranger), &question)?;
            for end in [End::Initiator, End::Responder, End::Initiator, End::Responder] {
                streams.send(end)?;
                ensure!(streams.arrives(end.other(), PATIENCE)?, "{family}: the connection broke");
            }
        }
        // Who only listens is found by nothing that he sends.
        let question = question(Client, Stranger, family, Service::Udp(7_001));
        let mut datagrams = Datagrams::open(scene.host(Client), scene.host(Stranger), &question)?;
        scene.lan.switch().ip("link set bridge type bridge ageing_time 30000")?;
        for _ in 0..DATAGRAMS {
            datagrams.send(End::Initiator)?;
            thread::sleep(SILENCE / 250);
        }
        ensure!(datagrams.arrives(End::Responder, PATIENCE)?, "{family}: the last datagram was lost");
        ensure!(
            datagrams.lost(End::Responder) == 0,
            "{family}: {} were lost",
            datagrams.lost(End::Responder)
        );
        scene.lan.switch().ip("link set bridge type bridge ageing_time 0")?;
    }
    let after = agent.stats()?;
    let moved = after.moved_since(&before);
    ensure!(after.reason("reject-sent") == before.reason("reject-sent"), "somebody was told: {moved:?}");
    ensure!(!moved.is_empty(), "the filter saw nothing of it");
    // What is for it gets its reply as ever.
    for family in Family::ALL {
        scene.asks(Client, Server, family, Service::Tcp(81), Outcome::Refused)?;
        scene.asks(Client, Server, family, Service::Udp(81), Outcome::Prohibited)?;
    }
    Ok(())
}
