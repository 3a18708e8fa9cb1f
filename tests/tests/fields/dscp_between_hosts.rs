//! `dscp` with the stacks of real hosts: a flow is judged by its first packet, whatever class the later ones have.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Result, ensure};
use sg_tests::lab::{Attach, Family, Host, Lab, PATIENCE, SILENCE};
use socket2::{Domain, Socket, Type};

use crate::support::{
    scene::{Client, Role, Server, filtered, over_roles, web},
    suite::Suite,
};

const EXPEDITED: u32 = 46;

const VOICE: &str = "
inner_access: drop
ingress:
  - { id: voice, protocol: udp, ports: 5004, dscp: 46 }
  - { id: ssh, protocol: tcp, ports: 22, dscp: 46 }
";
const VOICE_AND_MORE: &str = "
inner_access: drop
ingress:
  - { id: voice, protocol: udp, ports: 5004, dscp: 46 }
  - { id: web, protocol: tcp, ports: 80 }
";
const ANOTHER_CLASS: &str = "
inner_access: drop
ingress:
  - { id: voice, protocol: udp, ports: 5004, dscp: 10 }
";

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "a_flow_is_judged_by_its_first_packet", by_its_first_packet);
}

/// Marks what the socket sends from now on. The lowest two bits are the sender's to use: they say nothing here.
fn mark(socket: &socket2::SockRef<'_>, family: Family, dscp: u32) -> Result<()> {
    let class = dscp << 2 | 2;
    match family {
        Family::V4 => socket.set_tos_v4(class)?,
        Family::V6 => socket.set_tclass_v6(class)?,
    }
    Ok(())
}

/// A socket whose datagrams are waited for.
pub(super) fn datagrams(host: &Host, at: SocketAddr) -> Result<UdpSocket> {
    let socket = host.inside(|| Ok(UdpSocket::bind(at)?))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whether a datagram arrives within `patience`.
pub(super) fn arrives(from: &UdpSocket, to: &UdpSocket, patience: Duration) -> Result<bool> {
    from.send_to(b"here", to.local_addr()?)?;
    to.set_read_timeout(Some(patience))?;
    match to.recv_from(&mut [0; 16]) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether a connection whose packets have the class is accepted.
fn connects(host: &Host, family: Family, to: SocketAddr, dscp: u32) -> Result<bool> {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = host.inside(|| Ok(Socket::new(domain, Type::STREAM, None)?))?;
    mark(&socket2::SockRef::from(&socket), family, dscp)?;
    Ok(socket.connect_timeout(&to.into(), SILENCE).is_ok())
}

fn by_its_first_packet(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, VOICE))?;
    let mut flows = Vec::new();
    for family in Family::ALL {
        let at = |who: IpAddr, port| SocketAddr::new(who, port);
        let server = datagrams(scene.host(Server), at(Server.address(family), 5004))?;
        let client = |port| datagrams(scene.host(Client), at(Client.address(family), port));
        let (voice, other) = (client(4_000)?, client(4_001)?);
        ensure!(!arrives(&other, &server, SILENCE)?, "{family}: no rule accepts the default class");
        mark(&(&voice).into(), family, EXPEDITED)?;
        ensure!(arrives(&voice, &server, PATIENCE)?, "{family}: a rule accepts the class");
        mark(&(&voice).into(), family, 0)?;
        ensure!(arrives(&voice, &server, PATIENCE)?, "{family}: the flow is known");
        ensure!(arrives(&server, &voice, PATIENCE)?, "{family}: so is its other direction");
        ensure!(!arrives(&other, &server, SILENCE)?, "{family}: another flow is none of it");

        let ssh = at(Server.address(family), 22);
        let _listener = scene.host(Server).inside(|| Ok(std::net::TcpListener::bind(ssh)?))?;
        ensure!(
            connects(scene.host(Client), family, ssh, EXPEDITED)?,
            "{family}: a connection with the class"
        );
        ensure!(!connects(scene.host(Client), family, ssh, 0)?, "{family}: a connection without");
        flows.push((family, voice, server));
    }
    agent.apply(&web(role, VOICE_AND_MORE))?;
    for (family, voice, server) in &flows {
        let what = "judged again by its first packet";
        ensure!(arrives(voice, server, PATIENCE)?, "{family}: {what}");
        ensure!(arrives(server, voice, PATIENCE)?, "{family}: {what}, the other way");
    }
    agent.apply(&web(role, ANOTHER_CLASS))?;
    for (family, voice, server) in &flows {
        ensure!(!arrives(voice, server, SILENCE)?, "{family}: the rule is about another class now");
        ensure!(!arrives(server, voice, SILENCE)?, "{family}: so its other direction is revoked, too");
    }
    Ok(())
}
