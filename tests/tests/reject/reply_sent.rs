//! Rejected packets: their senders get a reset or an ICMP error, in both directions.
//!
//! `no_reply`, `bystanders` and `live_connection` have those who get none, `limits` the rate, `mark` what a reject carries that
//! nobody else can put on a packet, and `options` that IP options make no difference.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, Attach, End, Family, FrameSocket, Lab, Outcome, PATIENCE, Service, Streams};

use crate::support::{
    forwarding::IPV4,
    scene::{Client, Counted, Role, Scene, Server, Who, accepting_port, counts, over_roles, question, web},
    suite::Suite,
};

const TCP: Service = Service::Tcp(81);
const UDP: Service = Service::Udp(81);
const SILENT: [Service; 2] = [Service::Tcp(82), Service::Udp(82)];

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "inbound", |lab, attach, role| a_rule_rejects(lab, attach, role, Client));
    over_roles(suite, "outbound", |lab, attach, role| a_rule_rejects(lab, attach, role, Server));
    suite.over(&Attach::RECEIVED, "the_default_may", the_default_may);
    suite.over(&Attach::RECEIVED, "a_revoked_connection_is_reset", a_revoked_connection_is_reset);
}

/// A filtered scene in which rejects arrive. A guest's Ethernet address is written into the policy: nobody is told in the name of
/// one that has none.
pub(crate) fn scene(
    lab: Lab,
    attach: Attach,
    role: Role,
    policy: &str,
) -> Result<(Scene, Agent, Option<Agent>)> {
    let scene = Scene::new(lab)?;
    let link = FrameSocket::open(scene.host(Server), "eth0", IPV4)?.address();
    let mac = link.map(|byte| format!("{byte:02x}")).join(":");
    let agent = scene.agent(
        role,
        attach,
        &policy.replace("role: guest,", &format!("role: guest, mac: \"{mac}\",")),
    )?;
    let other = accepting_port(attach, scene.lan.switch(), "server")?;
    Ok((scene, agent, other))
}

fn a_rule_rejects(lab: Lab, attach: Attach, role: Role, from: Who) -> Result<()> {
    let way = if from == Client { "ingress" } else { "egress" };
    let other_way = if from == Client { "egress" } else { "ingress" };
    // Nothing passes the other way: a reject needs no rule of its own.
    let rules = format!(
        "
{way}:
  - {{ id: told-tcp, action: reject, protocol: tcp, ports: 81 }}
  - {{ id: told-udp, action: reject, protocol: udp, ports: 81 }}
  - {{ id: silent, action: drop, priority: 2, protocol: all }}
{other_way}:
  - {{ id: nothing, action: drop, protocol: all }}"
    );
    let (scene, agent, _other) = scene(lab, attach, role, &web(role, &rules))?;
    let to = if from == Client { Server } else { Client };
    for family in Family::ALL {
        for (service, rule, expected) in
            [(TCP, "told-tcp", Outcome::Refused), (UDP, "told-udp", Outcome::Prohibited)]
        {
            counts(&agent, Counted::Reason("reject-sent"), 1..=1, || {
                counts(&agent, Counted::Rule(rule), 1..=1, || scene.asks(from, to, family, service, expected))
            })
            .with_context(|| format!("{family:?}, {service}"))?;
        }
        for service in SILENT {
            scene.asks(from, to, family, service, Outcome::Silent)?;
        }
    }
    // The other way nothing was asked, so nothing was counted there but what the link needs.
    ensure!(agent.stats()?.rule("nothing") == 0, "a reject met a rule: {:?}", agent.stats()?);
    Ok(())
}

fn the_default_may(lab: Lab, attach: Attach) -> Result<()> {
    let policy = format!("default: reject\n{}", web(Role::Host, "ingress: [{ protocol: tcp, ports: 80 }]"));
    let (scene, mut agent, _other) = scene(lab, attach, Role::Host, &policy)?;
    for family in Family::ALL {
        scene.asks(Client, Server, family, Service::Tcp(80), Outcome::Reply)?;
        scene.asks(Client, Server, family, TCP, Outcome::Refused)?;
        scene.asks(Client, Server, family, UDP, Outcome::Prohibited)?;
        // The outbound default accepts.
        scene.asks(Server, Client, family, UDP, Outcome::Reply)?;
    }
    agent.apply(&policy.replace("default: reject", "default: drop"))?;
    scene.asks(Client, Server, Family::V4, TCP, Outcome::Silent)
}

/// Who has a connection is told with its next packet that it was revoked, however large that packet is.
fn a_revoked_connection_is_reset(lab: Lab, attach: Attach) -> Result<()> {
    let open = "ingress: [{ id: told, protocol: tcp, ports: 80 }]";
    let (scene, mut agent, _other) = scene(lab, attach, Role::Host, &web(Role::Host, open))?;
    for family in Family::ALL {
        for end in End::ALL {
            let question = question(Client, Server, family, Service::Tcp(80));
            let streams = Streams::open(scene.host(Client), scene.host(Server), &question)?;
            agent.apply(&web(Role::Host, &open.replace("protocol", "action: reject, protocol")))?;
            let mut stream = streams.socket(end);
            stream.set_read_timeout(Some(PATIENCE))?;
            let sent = stream.write_all(&vec![0; 1 << 16]).and_then(|()| stream.read(&mut [0]));
            let kind = sent.map_err(|error| error.kind());
            let expected = std::io::ErrorKind::ConnectionReset;
            ensure!(kind == Err(expected), "{family:?}, the {end:?} speaks: {kind:?}");
            agent.apply(&web(Role::Host, open))?;
        }
    }
    Ok(())
}
