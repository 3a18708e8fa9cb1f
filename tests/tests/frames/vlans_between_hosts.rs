//! VLANs: each is a network of its own on a trunk, and a VLAN device is a device like any other. What takes VLAN devices, bonds or
//! VRFs is in [`of_devices`], for kernels that have them.

use std::{
    fmt,
    net::IpAddr,
    process::{Command, Stdio},
};

use anyhow::{Result, bail, ensure};
use sg_tests::{
    lab::{
        Agent, Attach, Family, FrameSocket, Host, Lab, Outcome, PATIENCE, Question, SILENCE, Service, ask,
        respond,
    },
    packet::{UDP, udp},
};

use crate::{
    conntrack::flows::shown,
    support::{
        forwarding::ForwardingPath,
        scene::{Client, Role, Server, filtered, web},
        suite::Suite,
    },
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&Attach::RECEIVED, "replies_belong_to_the_network_of_the_request", a_reply_of_its_network);
    suite.each("a_guest_sends_priorities_only", a_guest_sends_priorities_only);
    suite.each("a_port_has_the_addresses_of_its_bridge", a_port_of_a_bridge);
}

/// Over devices that a kernel makes, where it has them.
pub(crate) fn of_devices(suite: &mut Suite) {
    for layout in [Layout::Device, Layout::Trunk, Layout::Both, Layout::Vrf] {
        let name = format!("of_layout_{layout}");
        suite.each(&name, move |lab, attach| of_layout(lab, attach, layout));
    }
    suite.each("networks_of_a_trunk_are_apart", networks_of_a_trunk_are_apart);
    suite.each("a_bond_is_one_device", a_bond_is_one_device);
    suite.over(&[Attach::Auto], "xdp_is_refused_where_tags_are_taken_off", xdp_is_refused);
}

/// Local experiments (IEEE 802).
const EXPERIMENTAL: u16 = 0x88b5;
const FROM_WITHIN: &str = "
egress:
  - { protocol: all }
";
/// What a tag says: nothing, a priority, two networks.
const TAGS: [Option<u16>; 4] = [None, Some(0xe000), Some(5), Some(0x6006)];

fn tagged(frame: &[u8], tag: Option<u16>) -> Vec<u8> {
    let tag = tag.map_or_else(Vec::new, |control| [[0x81, 0x00], control.to_be_bytes()].concat());
    [&frame[..12], &tag, &frame[12..]].concat()
}

const fn network(tag: Option<u16>) -> u16 {
    match tag {
        None => 0,
        Some(control) => control & 0x0fff,
    }
}

/// A socket receives frames without their tags: no device here is in a network, and the kernel takes tags off.
fn a_reply_of_its_network(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &web(Role::Host, FROM_WITHIN))?;
    if attach == Attach::Xdp {
        // The other end of the server's veth.
        scene.lan.switch().write_tags("server")?;
    }
    let mut port = 40_000;
    for family in Family::ALL {
        let out = ForwardingPath::ip(&scene, Server, Client, family)?;
        let back = ForwardingPath::ip(&scene, Client, Server, family)?;
        for asked in TAGS {
            for replied in TAGS {
                port += 1;
                let question = out.frame(&out.packet(UDP, &udp([port, 53], b"?")));
                let reply = back.frame(&back.packet(UDP, &udp([53, port], b"!")));
                out.send(&tagged(&question, asked))?;
                ensure!(out.receives(PATIENCE, |received| received == question)?, "{asked:x?} was not sent");
                let same = network(asked) == network(replied);
                back.send(&tagged(&reply, replied))?;
                let received =
                    back.receives(if same { PATIENCE } else { SILENCE }, |received| received == reply)?;
                ensure!(received == same, "{asked:x?} got a reply by {replied:x?}: it came in: {received}");
            }
        }
    }
    // Two without a network, one in each; four replies, both families.
    let (name, udp) = (agent.instance(), ["--protocol", "udp", "--port", "53"]);
    let count = |vlan: &str| anyhow::Ok(shown(&agent, &[&udp[..], &["--vlan", vlan]].concat())?.len());
    ensure!((count("none")?, count("5")?, count("6")?) == (16, 8, 8), "{:?}", shown(&agent, &udp)?);
    agent.sgctl(&["flows", "--instance", name, "--delete", "--vlan", "5", "--yes"])?;
    ensure!((count("none")?, count("5")?, count("6")?) == (16, 0, 8), "{:?}", shown(&agent, &udp)?);
    ensure!(
        agent.sgctl(&["flows", "--instance", name, "--vlan", "4095"]).is_err(),
        "there is no such network"
    );
    Ok(())
}

fn a_guest_sends_priorities_only(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Guest, &web(Role::Guest, FROM_WITHIN))?;
    for family in Family::ALL {
        let out = ForwardingPath::ip(&scene, Server, Client, family)?;
        for (port, tag) in (40_000..).zip(TAGS) {
            let frame = out.frame(&out.packet(UDP, &udp([port, 53], b"?")));
            let passes = network(tag) == 0;
            let before = agent.stats()?.reason("vlan-tag");
            out.send(&tagged(&frame, tag))?;
            let received =
                out.receives(if passes { PATIENCE } else { SILENCE }, |received| received == frame)?;
            let counted = agent.stats()?.reason("vlan-tag") - before;
            ensure!(
                (received, counted) == (passes, u64::from(!passes)),
                "{tag:x?}: {received}, {counted} counted"
            );
        }
    }
    Ok(())
}

/// Where the filter is, and where the addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// On the VLAN device.
    Device,
    /// On the device below it.
    Trunk,
    /// On both.
    Both,
    /// On a device of a VRF.
    Vrf,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::Trunk => "trunk",
            Self::Both => "both",
            Self::Vrf => "vrf",
        })
    }
}

impl Layout {
    const fn filtered(self) -> &'static [&'static str] {
        match self {
            Self::Device => &["eth0.10"],
            Self::Trunk | Self::Vrf => &["eth0"],
            Self::Both => &["eth0", "eth0.10"],
        }
    }
}

const RULES: &str = "
groups:
  tested:
    inner_access: drop
    ingress:
      - { id: web, protocol: tcp, ports: 8000 }
      - { id: told, action: reject, protocol: tcp, ports: 8001 }
";

fn policy(devices: &[&str]) -> String {
    let nic = |device: &&str| format!("  - {{ device: {device}, groups: [tested] }}\n");
    let nics: Vec<String> = devices.iter().map(nic).collect();
    format!("{RULES}nics:\n{}", nics.concat())
}

fn address(family: Family, number: u8) -> IpAddr {
    match family {
        Family::V4 => [10, 9, 0, number].into(),
        Family::V6 => [0xfd09, 0, 0, 0, 0, 0, 0, number.into()].into(),
    }
}

fn give_addresses([near, far]: &[Host; 2], device: &str) -> Result<()> {
    give_address(near, 1, device)?;
    give_address(far, 2, device)
}

fn give_address(host: &Host, number: u8, device: &str) -> Result<()> {
    let [v4, v6] = Family::ALL.map(|family| address(family, number));
    host.address(device, &[&format!("{v4}/24"), &format!("{v6}/64 nodad")])
}

/// The host with the filter, and its peer, on a wire.
fn wired(lab: Lab) -> Result<[Host; 2]> {
    let hosts = [lab.host("near")?, lab.host("far")?];
    lab.wire((&hosts[0], "eth0"), (&hosts[1], "eth0"), 1_500)?;
    Ok(hosts)
}

fn asks(
    [near, far]: &[Host; 2],
    inbound: bool,
    family: Family,
    service: Service,
    expected: Outcome,
) -> Result<()> {
    let (asker, responder_host, from, to) = if inbound { (far, near, 2, 1) } else { (near, far, 1, 2) };
    let to = address(family, to);
    let _responder = respond(responder_host, to, service)?;
    let patience = if expected == Outcome::Silent { SILENCE } else { PATIENCE };
    let question = Question::new(address(family, from), to, service);
    let outcome = ask(asker, &question, patience)?;
    ensure!(outcome == expected, "{question}: expected {expected}, but {outcome}");
    Ok(())
}

/// Each verdict both ways, a reject, and a datagram in fragments.
fn holds(hosts: &[Host; 2]) -> Result<()> {
    for family in Family::ALL {
        for (inbound, service, expected) in [
            (true, Service::Tcp(8000), Outcome::Reply),
            (true, Service::Tcp(8001), Outcome::Refused),
            (true, Service::Tcp(8002), Outcome::Silent),
            (false, Service::Tcp(8002), Outcome::Reply),
            (false, Service::Udp(53), Outcome::Reply),
        ] {
            asks(hosts, inbound, family, service, expected)?;
        }
        let to = address(family, 2).to_string();
        let mut ping = Command::new("ping");
        ping.args(["-c", "2", "-i", "0.2", "-W", "2", "-s", "3000", &to]).stdout(Stdio::piped());
        let output = hosts[0].spawn(&mut ping)?.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success() && said.contains("2 received"), "{said}");
    }
    Ok(())
}

/// The bridge comes to its addresses after the policy is in force.
fn a_port_of_a_bridge(lab: Lab, attach: Attach) -> Result<()> {
    let hosts = wired(lab)?;
    let mut agent = Agent::start(&hosts[0], &policy(&["eth0"]), attach.into())?;
    hosts[0].ip("link add br0 type bridge stp_state 0 mcast_snooping 0\nlink set br0 up")?;
    hosts[0].ip("link set eth0 master br0")?;
    give_address(&hosts[0], 1, "br0")?;
    give_address(&hosts[1], 2, "eth0")?;
    agent.reread()?;
    holds(&hosts)
}

fn of_layout(lab: Lab, attach: Attach, layout: Layout) -> Result<()> {
    let hosts = wired(lab)?;
    if layout == Layout::Vrf {
        // Who is bound to no device has addresses of it, and replies there, too; routes are looked for there as well.
        let accept = ["tcp", "udp", "raw"].map(|protocol| format!("net/ipv4/{protocol}_l3mdev_accept"));
        let bind = ["ipv4", "ipv6"].map(|family| format!("net/{family}/ip_nonlocal_bind"));
        accept.iter().chain(&bind).try_for_each(|parameter| hosts[0].sysctl(parameter, "1"))?;
        hosts[0].ip("link add red type vrf table 10\nlink set red up\nlink set eth0 master red")?;
        for family in ["-4", "-6"] {
            let mut rule = Command::new("ip");
            rule.args([family, "rule", "add", "pref", "2000", "lookup", "10"]);
            ensure!(hosts[0].spawn(&mut rule)?.wait()?.success(), "no rule for {family}");
        }
        give_addresses(&hosts, "eth0")?;
    } else {
        for host in &hosts {
            host.ip("link add link eth0 name eth0.10 type vlan id 10\nlink set eth0.10 up")?;
        }
        give_addresses(&hosts, "eth0.10")?;
    }
    let _agent = Agent::start(&hosts[0], &policy(layout.filtered()), attach.into())?;
    holds(&hosts)
}

/// The peer has the same addresses in two networks, and replies in the other one.
fn networks_of_a_trunk_are_apart(lab: Lab, attach: Attach) -> Result<()> {
    let hosts = wired(lab)?;
    for (host, id) in [(&hosts[0], 10), (&hosts[1], 10), (&hosts[1], 20), (&hosts[0], 20)] {
        host.ip(&format!("link add link eth0 name eth0.{id} type vlan id {id}\nlink set eth0.{id} up"))?;
        for file in ["all", &format!("eth0.{id}")] {
            host.sysctl(&format!("net/ipv4/conf/{file}/rp_filter"), "0")?;
        }
    }
    give_addresses(&hosts, "eth0.10")?;
    let _agent = Agent::start(&hosts[0], &policy(&["eth0"]), attach.into())?;
    asks(&hosts, false, Family::V4, Service::Udp(53), Outcome::Reply)?;
    // From now on it replies by the other VLAN device.
    let [near, far] = [1, 2].map(|number| address(Family::V4, number));
    let mac = FrameSocket::open(&hosts[0], "eth0", EXPERIMENTAL)?.address();
    let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
    hosts[1].ip(&format!(
        "route add {near}/32 dev eth0.20 src {far}\nneigh add {near} dev eth0.20 lladdr {mac} nud permanent"
    ))?;
    asks(&hosts, false, Family::V4, Service::Udp(54), Outcome::Silent)
}

/// Whichever port of the bond a packet comes by.
fn a_bond_is_one_device(lab: Lab, attach: Attach) -> Result<()> {
    let hosts = wired(lab)?;
    lab.wire((&hosts[0], "eth1"), (&hosts[1], "eth1"), 1_500)?;
    for host in &hosts {
        host.ip(
            "link set eth0 down\nlink set eth1 down\nlink add bond0 type bond mode balance-rr miimon 50",
        )?;
        host.ip("link set eth0 master bond0\nlink set eth1 master bond0\nlink set bond0 up")?;
    }
    give_addresses(&hosts, "bond0")?;
    let _agent = Agent::start(&hosts[0], &policy(&["bond0"]), attach.into())?;
    for family in Family::ALL {
        asks(&hosts, true, family, Service::Tcp(8000), Outcome::Reply)?;
        asks(&hosts, true, family, Service::Tcp(8002), Outcome::Silent)?;
        for _ in 0..4 {
            asks(&hosts, false, family, Service::Udp(53), Outcome::Reply)?;
        }
    }
    Ok(())
}

/// A bond says that it takes tags off, as devices of hardware do.
fn xdp_is_refused(lab: Lab, attach: Attach) -> Result<()> {
    let hosts = wired(lab)?;
    hosts[0].ip("link add bond0 type bond mode active-backup\nlink set bond0 up")?;
    let policy = format!("{RULES}nics:\n  - {{ device: bond0, hook: xdp, groups: [tested] }}\n");
    let Err(error) = Agent::start(&hosts[0], &policy, attach.into()) else {
        bail!("it is not refused");
    };
    let said = format!("{error:?}");
    ensure!(said.contains("ethtool -K bond0 rxvlan off"), "{said}");
    Ok(())
}
