//! The scene of most tests: a server whose NIC is filtered, a client and a stranger, on one switch.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeBounds,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{
    Agent, Attach, Family, Host, Lab, Lan, Options, Outcome, PATIENCE, Question, SILENCE, Service, Stats,
    Tunnel, ask, respond,
};

use crate::support::suite::Suite;

/// Who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Server = 1,
    Client = 2,
    Stranger = 3,
}

pub(crate) use Who::{Client, Server, Stranger};

impl Who {
    pub(crate) fn address(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 77, 0, self as u8).into(),
            Family::V6 => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, self as u16).into(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Server => "server",
            Client => "client",
            Stranger => "stranger",
        }
    }
}

/// Where the filter sits: on the server's own NIC, or on the port of the switch that is the host end of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Host,
    Guest,
}

impl Role {
    pub(crate) const ALL: [Self; 2] = [Self::Host, Self::Guest];

    /// The ways to attach what judges inbound packets.
    pub(crate) fn ways(self) -> &'static [Attach] {
        match self {
            Self::Host => &Attach::RECEIVED,
            Self::Guest => &Attach::ALL,
        }
    }

    /// The policy `text`, with the server's NIC in `groups`.
    pub(crate) fn policy(self, groups: &str, text: &str) -> String {
        let nic = match self {
            Self::Host => "device: eth0".to_owned(),
            Self::Guest => format!(
                "device: server, role: guest, addresses: [{}, \"{}\"]",
                Server.address(Family::V4),
                Server.address(Family::V6)
            ),
        };
        format!("{text}\nnics:\n  - {{ {nic}, groups: [{groups}] }}\n")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Guest => "guest",
        })
    }
}

/// Adds a test that is run in both roles, over each one's ways to attach; its name ends with the role.
pub(crate) fn over_roles(
    suite: &mut Suite,
    name: &str,
    test: impl FnOnce(Lab, Attach, Role) -> Result<()> + Clone + Send + 'static,
) {
    for role in Role::ALL {
        let test = test.clone();
        suite.over(role.ways(), &format!("{name}_{role}"), move |lab, attach| test(lab, attach, role));
    }
}

/// The question that `from` puts to `to`.
pub(crate) fn question(from: Who, to: Who, family: Family, service: Service) -> Question {
    Question::new(from.address(family), to.address(family), service)
}

/// Three hosts on a switch.
pub(crate) struct Scene {
    pub(crate) lan: Lan,
    hosts: [Host; 3],
}

impl Scene {
    pub(crate) fn new(lab: Lab) -> Result<Self> {
        let lan = lab.lan()?;
        let host = |who: Who| {
            let [v4, v6] = Family::ALL.map(|family| who.address(family));
            lan.host(who.name(), &[&format!("{v4}/24"), &format!("{v6}/64")])
        };
        let hosts = [host(Server)?, host(Client)?, host(Stranger)?];
        Ok(Self { lan, hosts })
    }

    /// The same, with two taps in place of the server's wire: complete frames, or `unfinished` ones.
    pub(crate) fn over_taps(lab: Lab, unfinished: bool) -> Result<(Self, Tunnel)> {
        let scene = Self::new(lab)?;
        let (server, switch) = (scene.host(Server), scene.lan.switch());
        server.ip("link delete eth0")?;
        let taps = lab.taps((server, "eth0"), (switch, "server"), unfinished)?;
        switch.ip("link set server master bridge")?;
        let [v4, v6] = Family::ALL.map(|family| Server.address(family));
        server.address("eth0", &[&format!("{v4}/24"), &format!("{v6}/64")])?;
        Ok((scene, taps))
    }

    pub(crate) fn host(&self, who: Who) -> &Host {
        &self.hosts[who as usize - 1]
    }

    /// The filter on the server's NIC, under this policy.
    pub(crate) fn agent(&self, role: Role, options: impl Into<Options>, policy: &str) -> Result<Agent> {
        let host = match role {
            Role::Host => self.host(Server),
            Role::Guest => self.lan.switch(),
        };
        Agent::start(host, policy, options.into())
    }

    /// `from` asks `to`, who would reply.
    pub(crate) fn asks(
        &self,
        from: Who,
        to: Who,
        family: Family,
        service: Service,
        expected: Outcome,
    ) -> Result<()> {
        let _responder = respond(self.host(to), to.address(family), service)?;
        self.puts(from, &question(from, to, family, service), expected)
    }

    /// `from` puts this question; whether anybody would reply is the test's affair.
    pub(crate) fn puts(&self, from: Who, question: &Question, expected: Outcome) -> Result<()> {
        let patience = if expected == Outcome::Silent { SILENCE } else { PATIENCE };
        let outcome = ask(self.host(from), question, patience)?;
        ensure!(outcome == expected, "{question}: expected {expected}, but {outcome}");
        Ok(())
    }
}

/// The rules of a group that lets nothing in and nothing out.
pub(crate) const NOTHING: &str = "
ingress:
  - { action: drop, protocol: all }
egress:
  - { action: drop, protocol: all }
";

/// A policy with one NIC, which is in the group `web`; `rules` are those of the group.
pub(crate) fn web(role: Role, rules: &str) -> String {
    role.policy("web", &format!("groups:\n  web:\n    {}", indented(rules)))
}

fn indented(rules: &str) -> String {
    rules.trim_matches('\n').replace('\n', "\n    ")
}

/// What makes replies from XDP arrive at `device`, the other end of the wire: one end of a veth pair receives frames from the
/// program of the other only where it has one itself (`veth_xdp_xmit`, drivers/net/veth.c), or GRO.
pub(crate) fn accepting_port(attach: Attach, host: &Host, device: &str) -> Result<Option<Agent>> {
    let port = format!(
        "groups: {{ all: {{ ingress: [{{ protocol: all }}] }} }}\n\
         nics: [{{ device: {device}, hook: xdp, groups: [all] }}]\n"
    );
    match attach {
        Attach::Xdp => Agent::start(host, &port, Attach::Auto.into()).map(Some),
        Attach::Tcx | Attach::Clsact | Attach::Auto => Ok(None),
    }
}

/// A counter of the agent, or several.
#[derive(Clone, Copy)]
pub(crate) enum Counted<'a> {
    /// What the rule of this id decides.
    Rule(&'a str),
    /// What no rule of this direction matches.
    Default(&'a str),
    /// What is accepted or dropped for this reason.
    Reason(&'a str),
    /// Others, and what to call them.
    Of(&'a str, &'a dyn Fn(&Stats) -> u64),
}

/// Checks that `counted` grows by `expected` while `work` runs.
pub(crate) fn counts(
    agent: &Agent,
    counted: Counted<'_>,
    expected: impl RangeBounds<u64> + fmt::Debug,
    work: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let (what, read): (&str, &dyn Fn(&Stats) -> u64) = match counted {
        Counted::Rule(id) => (id, &|stats| stats.rule(id)),
        Counted::Default(direction) => (direction, &|stats| stats.default_of(direction)),
        Counted::Reason(name) => (name, &|stats| stats.reason(name)),
        Counted::Of(what, read) => (what, read),
    };
    let before = agent.stats()?;
    work()?;
    let after = agent.stats()?;
    let moved = read(&after) - read(&before);
    ensure!(
        expected.contains(&moved),
        "{what} counted {moved} packets, expected {expected:?}; what moved: {:?}",
        after.moved_since(&before)
    );
    Ok(())
}

/// The native XDP program of a device, as others see it.
pub(crate) fn native_xdp(host: &Host, device: &str) -> Result<Option<u64>> {
    const NATIVE: u64 = 1;
    let mut ip = Command::new("ip");
    ip.args(["-j", "link", "show", "dev", device]).stdin(Stdio::null()).stdout(Stdio::piped());
    let output = host.spawn(&mut ip)?.wait_with_output()?;
    let links: Value = serde_json::from_slice(&output.stdout)?;
    let xdp = &links[0]["xdp"];
    ensure!(xdp.is_null() || xdp["mode"] == NATIVE, "not native: {xdp}");
    Ok(xdp["prog"]["id"].as_u64())
}

/// A filtered scene over one way to attach: what most tests begin with.
pub(crate) fn filtered(lab: Lab, attach: Attach, role: Role, policy: &str) -> Result<(Scene, Agent)> {
    let scene = Scene::new(lab)?;
    let agent = scene.agent(role, attach, policy).context("starting the agent")?;
    if attach == Attach::Xdp {
        ensure!(native_xdp(scene.host(Server), "eth0")?.is_some(), "it is not attached at XDP");
    }
    Ok((scene, agent))
}
