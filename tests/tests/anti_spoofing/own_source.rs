//! Who a packet says it is from: an address of the NIC itself, which nobody else has, and addresses of the link, which make
//! nobody a member.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener},
};

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use sg_tests::{
    lab::{Agent, Attach, Family, Host, Lab, PATIENCE, SILENCE},
    packet::{SYN, TCP, UDP, ip, tcp, udp},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::support::{
    forwarding::{ForwardingPath, IPV4, IPV6},
    scene::{Client, Counted, Role, Scene, Server, counts, filtered, over_roles},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "nobody_else_sends_from_it", nobody_else_sends_from_it);
    suite.over(Role::Host.ways(), "a_flow_ends_when_its_sender_is_the_nic", a_flow_ends);
    suite.over(Role::Host.ways(), "link_local_addresses_make_no_members", link_local_addresses);
    suite.over(
        Role::Host.ways(),
        "link_local_addresses_of_another_nic_make_no_members",
        link_local_addresses_of_another_nic,
    );
}

const ALL: &str = "groups: { web: { inner_access: drop, ingress: [{ id: all, protocol: all }] } }";

/// Sends a packet to the server from `source`, and tells whether it arrived and was counted for `reason`, or for a rule.
fn comes(
    scene: &Scene,
    agent: &Agent,
    ends: [IpAddr; 2],
    (protocol, payload): (u8, &[u8]),
    reason: Option<&str>,
) -> Result<()> {
    let [source, destination] = ends;
    let (family, ethertype) = if source.is_ipv4() { (Family::V4, IPV4) } else { (Family::V6, IPV6) };
    let path = ForwardingPath::open(scene, Client, Server, family, ethertype)?;
    let frame = path.frame(&ip([source, destination], protocol, 64, payload));
    let counted = |stats: &sg_tests::lab::Stats| {
        reason.map_or_else(|| stats.rule("all"), |reason| stats.reason(reason))
    };
    counts(agent, Counted::Of(reason.unwrap_or("all"), &counted), 1.., || {
        let arrived = path.carries(&frame, reason.is_none())?;
        ensure!(arrived == reason.is_none(), "it {}", if arrived { "arrived" } else { "did not arrive" });
        Ok(())
    })
    .with_context(|| format!("from {source}"))
}

fn nobody_else_sends_from_it(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let policy = role.policy("web", ALL);
    // What it may send beside is not its own: another may have it.
    let pairs =
        policy.replace("groups: [web]", "allowed_address_pairs: [10.77.0.50, \"fd77::50\"], groups: [web]");
    let (scene, mut agent) = filtered(lab, attach, role, &pairs)?;
    let address = |text: &str| text.parse::<IpAddr>();
    for family in Family::ALL {
        let (own, pair) = match family {
            Family::V4 => (Server.address(family), address("10.77.0.50")?),
            Family::V6 => (Server.address(family), address("fd77::50")?),
        };
        for (source, reason) in [(own, Some("own-source")), (pair, None), (Client.address(family), None)] {
            for (protocol, payload) in [(UDP, udp([1_000, 53], b"?")), (TCP, tcp([1_000, 80], [0, 0], SYN))] {
                comes(&scene, &agent, [source, own], (protocol, &payload), reason)?;
            }
        }
    }
    agent.apply(&policy.replace("groups: [web]", "accept_own_source: true, groups: [web]"))?;
    for family in Family::ALL {
        let own = Server.address(family);
        comes(&scene, &agent, [own, own], (UDP, &udp([1_001, 53], b"?")), None).context("accepted")?;
    }
    Ok(())
}

/// The rules accepted a flow; now its sender's address is the NIC's.
fn a_flow_ends(lab: Lab, attach: Attach) -> Result<()> {
    let policy = |addresses: &str| {
        format!("{ALL}\nnics:\n  - {{ device: eth0, addresses: [{addresses}], groups: [web] }}\n")
    };
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy("10.77.0.1, \"fd77::1\""))?;
    let flow = |family| ([Client.address(family), Server.address(family)], udp([2_000, 53], b"?"));
    for family in Family::ALL {
        let (ends, payload) = flow(family);
        comes(&scene, &agent, ends, (UDP, &payload), None)?;
    }
    agent.apply(&policy("10.77.0.1, \"fd77::1\", 10.77.0.2, \"fd77::2\""))?;
    for family in Family::ALL {
        let (ends, payload) = flow(family);
        comes(&scene, &agent, ends, (UDP, &payload), Some("own-source"))
            .context("when it is the NIC's own")?;
    }
    Ok(())
}

/// An address of another link, which somebody on this one took.
fn link_local_addresses(lab: Lab, attach: Attach) -> Result<()> {
    let policy = "
members: { web: [fe80::7, 169.254.7.7, 10.77.0.2, \"fd77::2\"] }
groups:
  web: {}
";
    let (scene, agent) = filtered(lab, attach, Role::Host, &Role::Host.policy("web", policy))?;
    let comes = |source: &str, destination: &str, member: bool| {
        let [source, destination] = [source.parse()?, destination.parse()?];
        let (family, ethertype) = match source {
            IpAddr::V4(_) => (Family::V4, IPV4),
            IpAddr::V6(_) => (Family::V6, IPV6),
        };
        let path = ForwardingPath::open(&scene, Client, Server, family, ethertype)?;
        let frame = path.frame(&ip([source, destination], UDP, 64, &udp([3_000, 53], b"?")));
        let members = |stats: &sg_tests::lab::Stats| stats.intra_group("web");
        let expected = u64::from(member);
        counts(&agent, Counted::Of("members of web", &members), expected..=expected, || {
            ensure!(path.carries(&frame, member)? == member, "member: {member}");
            Ok(())
        })
        .with_context(|| format!("from {source}"))
    };
    comes("10.77.0.2", "10.77.0.1", true)?;
    comes("fd77::2", "fd77::1", true)?;
    comes("169.254.7.7", "10.77.0.1", false)?;
    comes("fe80::7", "fd77::1", false)
}

/// 06: two NICs of one group, whose members may reach each other, are members by the addresses of their devices. Somebody on the
/// link of the one has the link-local addresses of the other.
fn link_local_addresses_of_another_nic(lab: Lab, attach: Attach) -> Result<()> {
    const POLICY: &str = "
members: { mine: [10.78.0.3, \"fd78::3\"] }
groups:
  mine: {}
nics:
  - { device: eth0, groups: [mine] }
  - { device: eth1, groups: [mine] }
";
    let scene = Scene::new(lab)?;
    let (server, neighbour) = (scene.host(Server), lab.host("neighbour")?);
    lab.wire((server, "eth1"), (&neighbour, "eth1"), 1_500)?;
    let near = ["10.78.0.1/24", "fd78::1/64", "fe80::aa/64"];
    let far = ["10.78.0.2/24", "10.78.0.3/24", "fd78::2/64", "fd78::3/64", "fe80::bb/64"];
    server.address("eth0", &["169.254.7.7/16", "fe80::1/64"])?;
    server.address("eth1", &near)?;
    neighbour.address("eth1", &far)?;
    neighbour.address("eth1", &["169.254.7.7/32", "fe80::1/64"])?;
    let agent = scene.agent(Role::Host, attach, POLICY)?;
    let _listener = server.inside(|| Ok(TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80))?))?;
    let members = |stats: &sg_tests::lab::Stats| stats.intra_group("mine");
    for (from, to, member) in [
        // Members that the document names, as the control.
        ("10.78.0.3", "10.78.0.1", true),
        ("fd78::3", "fd78::1", true),
        // Strangers.
        ("10.78.0.2", "10.78.0.1", false),
        ("fd78::2", "fd78::1", false),
        ("fe80::bb", "fe80::aa", false),
        // Addresses that are eth0's, too.
        ("169.254.7.7", "10.78.0.1", false),
        ("fe80::1", "fe80::aa", false),
        ("fe80::1", "fd78::1", false),
    ] {
        let connected = || is_connected(&neighbour, from.parse()?, to.parse()?, member);
        let counted = if member { 1..=u64::MAX } else { 0..=0 };
        counts(&agent, Counted::Of("members of mine", &members), counted, || {
            counts(&agent, Counted::Default("ingress"), if member { 0..=0 } else { 1..=u64::MAX }, || {
                ensure!(connected()? == member, "connected: {}", !member);
                Ok(())
            })
        })
        .with_context(|| format!("from {from} to {to}"))?;
    }
    Ok(())
}

/// Whether a connection to port 80, out of `eth1`, comes about, where it should (or should not).
fn is_connected(host: &Host, from: IpAddr, to: IpAddr, expected: bool) -> Result<bool> {
    host.inside(|| {
        let link = if_nametoindex("eth1")?;
        let at = |address: IpAddr, port| match address {
            IpAddr::V4(_) => SocketAddr::new(address, port),
            IpAddr::V6(v6) => {
                SocketAddrV6::new(v6, port, 0, if v6.is_unicast_link_local() { link } else { 0 }).into()
            }
        };
        let socket = Socket::new(Domain::for_address(at(from, 0)), Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&at(from, 0).into())?;
        let patience = if expected { PATIENCE } else { SILENCE };
        match socket.connect_timeout(&at(to, 80).into(), patience) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
}
