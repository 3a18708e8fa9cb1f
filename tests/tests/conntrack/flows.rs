//! Flows as operators meet them: shown, filtered, deleted; and datagrams that come in fragments.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, End, Family, Lab, PATIENCE, Pair as _, SILENCE, Service, Streams};

use crate::support::{
    scene::{Client, Role, Scene, Server, Who, filtered, over_roles, question, web},
    suite::Suite,
};

/// Inbound some is open, outbound is shut.
const REPLIES_ONLY: &str = "
ingress:
  - { id: tcp-in, protocol: tcp, ports: 80 }
  - { id: udp-in, protocol: udp, ports: 54 }
egress:
  - { id: nothing-out, action: drop, protocol: all }
";

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "are_shown_and_deleted", are_shown_and_deleted);
    over_roles(suite, "large_datagrams_arrive", large_datagrams_arrive);
}

pub(crate) fn shown(agent: &Agent, filter: &[&str]) -> Result<Vec<Value>> {
    let name = agent.instance();
    let output = agent.sgctl(&[&["flows", "--instance", name, "-o", "json"], filter].concat())?;
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn are_shown_and_deleted(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, role, &web(role, REPLIES_ONLY))?;
    for family in Family::ALL {
        let asked = question(Client, Server, family, Service::Tcp(80));
        let mut pair = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
        for end in End::ALL {
            pair.send(end)?;
            ensure!(pair.arrives(end.other(), PATIENCE)?, "they exchange data");
        }
        let remote = Client.address(family).to_string();
        let flows = shown(&agent, &["--remote", &remote, "--state", "established", "--port", "80"])?;
        ensure!(flows.len() == 1, "one connection is open: {flows:?}");
        let flow = &flows[0];
        ensure!(
            flow["rule"] == "tcp-in" && flow["direction"] == "ingress" && flow["protocol"] == "tcp",
            "{flow}"
        );
        ensure!(flow["local_port"] == 80 && flow["remote"] == remote.as_str(), "{flow}");
        ensure!(flow["packets"][0].as_u64() > Some(1) && flow["packets"][1].as_u64() > Some(1), "{flow}");
        for other in
            [&["--protocol", "udp"][..], &["--rule", "udp-in"], &["--state", "revoked"], &["--port", "81"]]
        {
            ensure!(shown(&agent, other)?.is_empty(), "{other:?}");
        }

        let name = agent.instance();
        let asks = agent.sgctl(&["flows", "--instance", name, "--delete", "--remote", &remote]);
        ensure!(asks.is_err(), "nobody was asked");
        agent.sgctl(&["flows", "--instance", name, "--delete", "--remote", &remote, "--yes"])?;
        ensure!(shown(&agent, &["--remote", &remote])?.is_empty(), "it is deleted");
        // Outbound nothing may start, and nothing is known of a connection any more.
        pair.send(End::Responder)?;
        ensure!(!pair.arrives(End::Initiator, SILENCE)?, "what the server sends is no reply any more");
    }
    Ok(())
}

/// 4,000 bytes over an MTU of 1,500: three fragments each way.
fn large_datagrams_arrive(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    const LARGE: usize = 4_000;
    let (scene, _agent) = filtered(lab, attach, role, &web(role, REPLIES_ONLY))?;
    for family in Family::ALL {
        let (from, to) = (Client.address(family), Server.address(family));
        for (port, open) in [(54, true), (55, false)] {
            let server = bound(&scene, Server, SocketAddr::new(to, port))?;
            let client = bound(&scene, Client, SocketAddr::new(from, 0))?;
            client.send_to(&[7; LARGE], (to, port))?;
            let mut buffer = vec![0; 2 * LARGE];
            server.set_read_timeout(Some(if open { PATIENCE } else { SILENCE }))?;
            let arrived = server.recv_from(&mut buffer);
            ensure!(arrived.is_ok() == open, "{family:?}, port {port}: {arrived:?}");
            let Ok((length, asker)) = arrived else { continue };
            ensure!(length == LARGE && buffer[..LARGE] == [7; LARGE]);
            // The reply belongs to the flow, and so do all of its fragments.
            server.send_to(&[8; LARGE], asker)?;
            client.set_read_timeout(Some(PATIENCE.max(Duration::from_secs(1))))?;
            let length = client.recv(&mut buffer).context("the reply")?;
            ensure!(length == LARGE && buffer[..LARGE] == [8; LARGE]);
        }
    }
    Ok(())
}

fn bound(scene: &Scene, who: Who, at: SocketAddr) -> Result<UdpSocket> {
    scene.host(who).inside(|| Ok(UdpSocket::bind(at)?))
}
