//! Who receives multicast: a real socket joins a group, and its kernel reports that to the switch and responds to its queries.
//! IGMP needs the rules of [docs/use/networks.md](../../../docs/use/networks.md), MLD none, and the stream its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

use anyhow::{Context as _, Result, ensure};
use nix::net::if_::if_nametoindex;
use sg_tests::{
    lab::{Attach, Family, FrameSocket, Host, Lab, PATIENCE, SILENCE, Stats, until},
    packet::checksum,
};
use socket2::SockRef;

use crate::support::{
    forwarding::{IPV4, IPV6},
    scene::{Client, Role, Server, filtered, over_roles, web},
    suite::Suite,
};

const STREAM: u16 = 5004;
const IGMP: u8 = 2;

/// As the documentation writes them, but for the group's type: outbound traffic that no rule accepts is dropped.
const RULES: [&str; 4] = [
    "{ id: igmp-query, protocol: 2, remote: 10.77.0.2/32 }",
    "{ id: stream, protocol: udp, ports: 5004, local: 239.1.2.3/32 }",
    "{ id: stream-6, protocol: udp, ports: 5004, local: \"ff15::123/128\" }",
    "{ id: igmp-report, protocol: 2 }",
];

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "a_receiver_needs_three_rules", a_receiver_needs_three_rules);
}

fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(239, 1, 2, 3).into(),
        Family::V6 => Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x123).into(),
    }
}

/// The policy without the rules called so.
fn policy(role: Role, without: &[&str]) -> String {
    let rules = |rules: &[&str]| {
        let kept = rules.iter().filter(|rule| !without.iter().any(|id| rule.contains(&format!("id: {id},"))));
        kept.copied().collect::<Vec<_>>().join(", ")
    };
    web(
        role,
        &format!(
            "type: enterprise\ninner_access: drop\ningress: [{}]\negress: [{}]",
            rules(&RULES[..3]),
            rules(&RULES[3..])
        ),
    )
}

fn a_receiver_needs_three_rules(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let all = policy(role, &[]);
    let (scene, mut agent) = filtered(lab, attach, role, &all)?;
    let (server, client) = (scene.host(Server), scene.host(Client));
    // What begins is reported at once.
    server.sysctl("net/ipv4/conf/eth0/igmpv3_unsolicited_report_interval", "10")?;
    let moved = |stats: &Stats, by: &str| match by {
        "egress" | "ingress" => stats.default_of(by),
        rule => stats.rule(rule),
    };
    // Without which rules, whether the report leaves, who decides about it, and the same of a query; and of the stream.
    for (without, report, query, stream) in [
        (&[][..], (true, "igmp-report"), (true, "igmp-query"), (true, "stream")),
        (&["igmp-report"], (false, "egress"), (false, "igmp-query"), (true, "stream")),
        (&["igmp-query"], (true, "igmp-report"), (false, "ingress"), (true, "stream")),
        (&["stream", "stream-6"], (true, "igmp-report"), (true, "igmp-query"), (false, "ingress")),
    ] {
        if !without.is_empty() {
            agent.apply(&policy(role, without))?;
        }
        let switch = FrameSocket::open(client, "eth0", IPV4)?;
        let decided = |by: &str, before: &Stats| {
            until(&format!("{by} counts"), || Ok(moved(&agent.stats()?, by) > moved(before, by)))
        };
        let reported = |what, expected| {
            let patience = if expected { PATIENCE } else { SILENCE };
            switch.receives(patience, |frame| reports(frame, Family::V4, what))
        };

        let before = agent.stats()?;
        let sockets = Family::ALL.map(|family| receiver(server, family));
        let context = || format!("without {without:?}");
        ensure!(reported(BEGINS, report.0)? == report.0, "{}: a report came: {}", context(), !report.0);
        decided(report.1, &before).with_context(context)?;

        let before = agent.stats()?;
        switch.send(&igmp_query(switch.address()))?;
        ensure!(reported(LISTENS, query.0)? == query.0, "{}: a query got a report: {}", context(), !query.0);
        decided(query.1, &before).with_context(context)?;
        // MLD needs no rule.
        let multicast_6 = FrameSocket::open(client, "eth0", IPV6)?;
        multicast_6.send(&mld_query(multicast_6.address()))?;
        ensure!(
            multicast_6.receives(PATIENCE, |frame| reports(frame, Family::V6, LISTENS))?,
            "{}: no report for a query of MLD",
            context()
        );

        for (family, socket) in Family::ALL.into_iter().zip(sockets) {
            let (socket, before) = (socket?, agent.stats()?);
            say(client, family)?;
            socket.set_read_timeout(Some(if stream.0 { PATIENCE } else { SILENCE }))?;
            let received = socket.recv(&mut [0; 16]);
            ensure!(received.is_ok() == stream.0, "{}, {family}: the stream: {received:?}", context());
            let by = if stream.0 && family == Family::V6 { "stream-6" } else { stream.1 };
            decided(by, &before).with_context(context)?;
        }
    }
    Ok(())
}

/// A socket that has joined the group on `eth0`.
fn receiver(host: &Host, family: Family) -> Result<UdpSocket> {
    host.inside(|| {
        let socket = UdpSocket::bind((group(family), STREAM))?;
        match group(family) {
            IpAddr::V4(group) => {
                socket.join_multicast_v4(&group, &Ipv4Addr::new(10, 77, 0, Server as u8))?;
            }
            IpAddr::V6(group) => socket.join_multicast_v6(&group, if_nametoindex("eth0")?)?,
        }
        Ok(socket)
    })
}

/// A datagram to the group, out of `eth0`.
fn say(host: &Host, family: Family) -> Result<()> {
    host.inside(|| {
        let socket = UdpSocket::bind((Client.address(family), 0))?;
        let to: SocketAddr = match (group(family), Client.address(family)) {
            (group @ IpAddr::V4(_), IpAddr::V4(own)) => {
                SockRef::from(&socket).set_multicast_if_v4(&own)?;
                (group, STREAM).into()
            }
            (IpAddr::V6(group), _) => SocketAddrV6::new(group, STREAM, 0, if_nametoindex("eth0")?).into(),
            (group, _) => (group, STREAM).into(),
        };
        socket.send_to(b"a stream", to)?;
        Ok(())
    })
}

/// Router alert, as IGMP demands it (RFC 2113).
const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];

/// "Who listens to what?", to be reported within a tenth of a second (RFC 3376 4.1).
fn igmp_query(from: [u8; 6]) -> Vec<u8> {
    let mut query = vec![0x11, 1, 0, 0, 0, 0, 0, 0, 2, 20, 0, 0];
    let sum = checksum(&query);
    query[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x46, 0xc0, 0, 36, 0, 0, 0, 0, 1, IGMP, 0, 0, 10, 77, 0, 2, 224, 0, 0, 1];
    packet.extend(ROUTER_ALERT);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    [&[1, 0, 0x5e, 0, 0, 1][..], &from, &IPV4.to_be_bytes(), &packet, &query].concat()
}

/// The same of MLD (RFC 3810 5.1), from a router's link-local address, behind hop-by-hop options.
fn mld_query(from: [u8; 6]) -> Vec<u8> {
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2).octets();
    let nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets();
    let mut query = [&[130, 0, 0, 0, 0, 100, 0, 0][..], &[0; 16], &[2, 20, 0, 0]].concat();
    let length = query.len() as u8;
    let sum = checksum(&[&router[..], &nodes, &[0, 58, 0, length], &query].concat());
    query[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = [&[0x60, 0, 0, 0, 0, 8 + length, 0, 1][..], &router, &nodes].concat();
    let options = [58, 0, 5, 2, 0, 0, 1, 0];
    let link = [&[0x33, 0x33, 0, 0, 0, 1][..], &from, &IPV6.to_be_bytes()].concat();
    [&link[..], &header, &options, &query].concat()
}

/// What a record of a report says, with IGMP and MLD (RFC 3376 4.2.12, RFC 3810 5.2.12): that somebody listens, or begins to.
const LISTENS: u8 = 2;
const BEGINS: u8 = 4;

/// Whether `frame` reports `what` about the group.
fn reports(frame: &[u8], family: Family, what: u8) -> bool {
    let (protocol, kind, at) = match family {
        Family::V4 => (23, [IGMP, 0x22], 14 + frame.get(14).map_or(0, |first| usize::from(first & 15) * 4)),
        // Behind hop-by-hop options.
        Family::V6 => (20, [0, 143], 14 + 40 + 8),
    };
    let record = match group(family) {
        IpAddr::V4(group) => [&[what, 0, 0, 0][..], &group.octets()].concat(),
        IpAddr::V6(group) => [&[what, 0, 0, 0][..], &group.octets()].concat(),
    };
    frame.get(protocol) == Some(&kind[0])
        && frame.get(at) == Some(&kind[1])
        && frame[at..].windows(record.len()).any(|window| window == record)
}
