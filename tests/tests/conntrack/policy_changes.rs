//! What a policy change does to flows that are alive.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{
    Attach, Datagrams, End, Family, Lab, Outcome, PATIENCE, Pair, Question, SILENCE, Service, Streams,
};

use crate::support::{
    scene::{Client, Role, Scene, Server, Stranger, filtered, over_roles, question, web},
    suite::Suite,
};

const SERVICES: [Service; 2] = [Service::Tcp(80), Service::Udp(80)];

/// Inbound 80; outbound is open by default, which must not revive what was revoked inbound.
const OPEN: &str = "
ingress:
  - { id: eighty-tcp, protocol: tcp, ports: 80 }
  - { id: eighty-udp, protocol: udp, ports: 80 }
";
const SHUT: &str = "description: no rules";
const STILL_OPEN: &str = "
ingress:
  - { id: another, priority: 2, protocol: all, remote: 10.77.0.0/24 }
  - { id: of-no-concern, action: drop, protocol: tcp, ports: 22 }
";
const KEEP: &str = "\nestablished: keep\n";

pub(crate) fn tests(suite: &mut Suite) {
    for service in SERVICES {
        for end in End::ALL {
            let name = format!("revoked_{}_when_the_{end:?}_speaks", name_of(service)).to_lowercase();
            over_roles(suite, &name, move |lab, attach, role| {
                revoked_and_accepted_again(lab, attach, role, service, end)
            });
        }
        suite.each(&format!("keep_{}", name_of(service)), move |lab, attach| keep(lab, attach, service));
    }
    suite.each("an_outbound_flow_is_revoked", an_outbound_flow_is_revoked);
    suite.over(&Attach::RECEIVED, "a_member_joins_and_leaves", a_member_joins_and_leaves);
    suite.over(&Attach::RECEIVED, "what_still_accepts_loses_nothing", what_still_accepts_loses_nothing);
}

fn name_of(service: Service) -> &'static str {
    if let Service::Tcp(_) = service { "tcp" } else { "udp" }
}

/// A flow between the client and the server, with data both ways.
fn open_pair(scene: &Scene, question: &Question) -> Result<Box<dyn Pair>> {
    let (client, server) = (scene.host(Client), scene.host(Server));
    let mut pair: Box<dyn Pair> = match question.service {
        Service::Tcp(_) => Box::new(Streams::open(client, server, question)?),
        _ => Box::new(Datagrams::open(client, server, question)?),
    };
    for end in End::ALL {
        expect_arrival(&mut *pair, end, true)?;
    }
    Ok(pair)
}

/// `from` says something more, and it arrives or does not.
fn expect_arrival(pair: &mut dyn Pair, from: End, expected: bool) -> Result<()> {
    pair.send(from)?;
    let patience = if expected { PATIENCE } else { SILENCE };
    let arrived = pair.arrives(from.other(), patience)?;
    ensure!(
        arrived == expected,
        "what the {from:?} says {}",
        if arrived { "arrives" } else { "does not arrive" }
    );
    Ok(())
}

fn revoked_and_accepted_again(
    lab: Lab,
    attach: Attach,
    role: Role,
    service: Service,
    end: End,
) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, OPEN))?;
    for family in Family::ALL {
        let mut pair = open_pair(&scene, &question(Client, Server, family, service))?;
        agent.apply(&web(role, SHUT))?;
        for end in [end, end, end.other(), End::Responder, End::Responder] {
            expect_arrival(&mut *pair, end, false).context("after the rule was revoked")?;
        }
        agent.apply(&web(role, OPEN))?;
        for end in End::ALL {
            expect_arrival(&mut *pair, end, true).context("after it was granted again")?;
        }
    }
    Ok(())
}

fn keep(lab: Lab, attach: Attach, service: Service) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &(web(Role::Host, OPEN) + KEEP))?;
    for family in Family::ALL {
        let mut pair = open_pair(&scene, &question(Client, Server, family, service))?;
        agent.apply(&(web(Role::Host, SHUT) + KEEP))?;
        for end in End::ALL {
            expect_arrival(&mut *pair, end, true).context("a flow that is kept")?;
        }
        scene
            .puts(Client, &question(Client, Server, family, service), Outcome::Silent)
            .context("a new flow")?;
        agent.apply(&(web(Role::Host, OPEN) + KEEP))?;
    }
    Ok(())
}

fn an_outbound_flow_is_revoked(lab: Lab, attach: Attach) -> Result<()> {
    const NOTHING_OUT: &str = "egress: [{ action: drop, protocol: all }]";
    for service in SERVICES {
        let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, SHUT))?;
        let asked = question(Server, Client, Family::V4, service);
        let (server, client) = (scene.host(Server), scene.host(Client));
        let mut pair: Box<dyn Pair> = match service {
            Service::Tcp(_) => Box::new(Streams::open(server, client, &asked)?),
            _ => Box::new(Datagrams::open(server, client, &asked)?),
        };
        for end in End::ALL {
            expect_arrival(&mut *pair, end, true)?;
        }
        agent.apply(&web(Role::Host, NOTHING_OUT))?;
        for end in [End::Responder, End::Initiator] {
            expect_arrival(&mut *pair, end, false).with_context(|| service.to_string())?;
        }
    }
    Ok(())
}

fn what_still_accepts_loses_nothing(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, OPEN))?;
    let (client, server) = (scene.host(Client), scene.host(Server));
    let mut datagrams =
        Datagrams::open(client, server, &question(Client, Server, Family::V4, Service::Udp(80)))?;
    thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for policy in [STILL_OPEN, OPEN, STILL_OPEN, OPEN] {
                agent.apply(&web(Role::Host, policy))?;
            }
            anyhow::Ok(())
        });
        while !changing.is_finished() {
            for end in End::ALL {
                datagrams.send(end)?;
                datagrams.arrives(end.other(), SILENCE)?;
            }
            thread::sleep(Duration::from_millis(1));
        }
        changing.join().map_err(|_| anyhow::anyhow!("the changes panicked"))?
    })?;
    let lost = End::ALL.map(|end| datagrams.lost(end));
    ensure!(lost == [0, 0], "{lost:?} datagrams were lost while the policy changed");
    scene.asks(Client, Server, Family::V4, Service::Udp(81), Outcome::Silent).context("what no rule accepts")
}

/// A server that 3,000 others may ask, the stranger among them, and the client where it is one of them.
fn members(client: bool) -> String {
    let others = (0..3_000).map(|number| format!("10.1.{}.{}", number / 32, number % 32 * 8));
    let known = [Stranger].into_iter().chain(client.then_some(Client));
    let known = known.flat_map(|who| Family::ALL.map(|family| format!("\"{}\"", who.address(family))));
    let members: Vec<String> = others.chain(known).collect();
    let rules = "{ id: a, protocol: all, remote: { group: group } }";
    let groups = format!("groups: {{ group: {{}}, web: {{ inner_access: drop, ingress: [{rules}] }} }}");
    Role::Host.policy("web", &format!("members: {{ group: [{}] }}\n{groups}", members.join(", ")))
}

/// The image of a large group is patched: new connections of who joins pass, and those of who leaves end, while others
/// lose nothing.
fn a_member_joins_and_leaves(lab: Lab, attach: Attach) -> Result<()> {
    const ROUNDS: usize = 3;
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &members(false))?;
    let (stranger, server) = (scene.host(Stranger), scene.host(Server));
    let asked = question(Stranger, Server, Family::V4, Service::Udp(80));
    let mut others = Datagrams::open(stranger, server, &asked)?;
    for round in 0..ROUNDS {
        for family in Family::ALL {
            let asked = question(Client, Server, family, Service::Tcp(80));
            scene.puts(Client, &asked, Outcome::Silent).context("before it joins")?;
            agent.apply(&members(true))?;
            let mut pair = open_pair(&scene, &asked)
                .with_context(|| format!("round {round}, a member of {family:?}"))?;
            thread::scope(|scope| {
                let leaving = scope.spawn(|| agent.apply(&members(false)));
                while !leaving.is_finished() {
                    for end in End::ALL {
                        others.send(end)?;
                        others.arrives(end.other(), SILENCE)?;
                    }
                }
                leaving.join().map_err(|_| anyhow::anyhow!("the change panicked"))?
            })?;
            for end in [End::Initiator, End::Responder, End::Initiator] {
                expect_arrival(&mut *pair, end, false).context("after it left")?;
            }
        }
    }
    let lost = End::ALL.map(|end| others.lost(end));
    ensure!(lost == [0, 0], "{lost:?} datagrams of another member were lost");
    // Each round joins and leaves twice, and a patch is only used for what is large.
    let patches = agent.complaints().matches("is patched").count();
    ensure!(patches == 4 * ROUNDS, "{patches} patches:\n{}", agent.complaints());
    Ok(())
}
