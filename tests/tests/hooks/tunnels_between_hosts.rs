//! Devices whose packets have no Ethernet header: a NIC there is judged as any other, at tc.

use std::{
    fmt,
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use sg_tests::lab::{
    Agent, Attach, Family, Host, Lab, Outcome, PATIENCE, Question, SILENCE, Service, Tunnel, ask, respond,
};

use crate::{
    hooks::ipsec::{Protected, protect},
    support::{scene::Role, suite::Suite},
};

const RULES: &str = "
groups:
  tested:
    inner_access: drop
    ingress:
      - { id: web, protocol: tcp, ports: 80 }
      - { id: told-tcp, action: reject, protocol: tcp, ports: 81 }
      - { id: told-udp, action: reject, protocol: udp, ports: 81 }
      - { id: ping, protocol: icmp, icmp_type: 8 }
      - { id: ping6, protocol: icmpv6, icmp_type: 128 }
    egress:
      - { id: out, protocol: udp, ports: 54 }
      - { id: told-out, action: reject, protocol: tcp, ports: 81 }
      - { id: shut, action: drop, protocol: all, priority: 100 }
";

/// Tunnels that kernels have without help from user space, where they were built with them: by what `ip link` calls them, with
/// what it says between the name and the end. `LOCAL` and `REMOTE` are addresses on the wire below.
const KINDS: [(&str, &str); 10] = [
    ("gre", "type gre local LOCAL4 remote REMOTE4"),
    ("ip6gre", "type ip6gre local LOCAL6 remote REMOTE6"),
    ("ipip", "type ipip local LOCAL4 remote REMOTE4"),
    ("sit", "type sit local LOCAL4 remote REMOTE4"),
    ("ip6tnl", "type ip6tnl mode any local LOCAL6 remote REMOTE6"),
    ("vti", "type vti local LOCAL4 remote REMOTE4 key 7"),
    ("xfrm", "type xfrm dev eth0 if_id 7"),
    ("wireguard", "type wireguard"),
    // What IPsec decrypted passes on the wire's device; what was inside of that is judged on the tunnel's.
    ("gre_in_esp", "type gre local LOCAL4 remote REMOTE4"),
    ("vxlan_in_esp", "type vxlan id 7 local LOCAL4 remote REMOTE4 dstport 4789"),
];

/// Of each end of `WireGuard`: the private key and, by X25519, the public one.
const KEYS: [[&str; 2]; 2] = [
    ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "pOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk="],
    ["AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=", "zo060cy2M+x7cMF4FKXHbs0CloUFDTRHRboFhw5YfVk="],
];

pub(crate) fn tests(suite: &mut Suite) {
    for role in Role::ALL {
        let name = format!("are_filtered_{role}");
        suite.each(&name, move |lab, attach| are_filtered(lab, attach, role));
    }
    suite.each("a_guest_speaks_for_itself_only", a_guest_speaks_for_itself_only);
    suite.over(&[Attach::Auto], "xdp_is_refused", xdp_is_refused);
}

/// Over the kinds of tunnels that a kernel makes, where it has them.
pub(crate) fn of_kinds(suite: &mut Suite) {
    for (kind, how) in KINDS {
        let name = format!("of_kind_{kind}");
        suite.over(&Attach::ALL, &name, move |lab, attach| of_kind(lab, attach, kind, how));
    }
}

/// One end of the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Where the filter is.
    Near,
    Far,
}

use End::{Far, Near};

impl End {
    fn address(self, family: Family) -> IpAddr {
        let number = self as u8 + 1;
        match family {
            Family::V4 => [10, 79, 0, number].into(),
            Family::V6 => [0xfd79, 0, 0, 0, 0, 0, 0, number.into()].into(),
        }
    }

    const fn other(self) -> Self {
        match self {
            Near => Far,
            Far => Near,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Near { "near" } else { "far" })
    }
}

/// The hosts at both ends.
struct Ends {
    hosts: [Host; 2],
    /// None where the kernel carries packets by itself.
    _tunnel: Option<Tunnel>,
}

impl Ends {
    fn new(lab: Lab) -> Result<Self> {
        let hosts = [lab.host("near")?, lab.host("far")?];
        let tunnel = lab.tunnel((&hosts[0], "tun0"), (&hosts[1], "tun0"))?;
        let ends = Self { hosts, _tunnel: Some(tunnel) };
        ends.address()?;
        Ok(ends)
    }

    fn address(&self) -> Result<()> {
        [Near, Far].into_iter().try_for_each(|end| {
            let [v4, v6] = Family::ALL.map(|family| end.address(family));
            self.host(end).address("tun0", &[&format!("{v4}/24"), &format!("{v6}/64 nodad")])
        })
    }

    fn host(&self, end: End) -> &Host {
        &self.hosts[end as usize]
    }

    fn asks(&self, from: End, family: Family, service: Service, expected: Outcome) -> Result<()> {
        let to = from.other();
        let _responder = respond(self.host(to), to.address(family), service)?;
        self.puts(from, &Question::new(from.address(family), to.address(family), service), expected)
    }

    fn puts(&self, from: End, question: &Question, expected: Outcome) -> Result<()> {
        let patience = if expected == Outcome::Silent { SILENCE } else { PATIENCE };
        let outcome = ask(self.host(from), question, patience)?;
        ensure!(outcome == expected, "the {from} end, {question}: expected {expected}, but {outcome}");
        Ok(())
    }
}

/// A policy for the device: of the near end itself, or of a guest that is the far one.
fn policy(role: Role, more: &str) -> String {
    let nic = match role {
        Role::Host => "device: tun0".to_owned(),
        Role::Guest => {
            let [v4, v6] = Family::ALL.map(|family| Far.address(family));
            format!("device: tun0, role: guest, addresses: [{v4}, \"{v6}\"]")
        }
    };
    format!("{RULES}\nnics:\n  - {{ {nic}{more}, groups: [tested] }}\n")
}

/// Each verdict, both ways, and the rejects.
fn holds(ends: &Ends, agent: &Agent, role: Role, family: Family) -> Result<()> {
    let own = if role == Role::Host { Near } else { Far };
    let before = agent.stats()?;
    for (from, service, expected) in [
        (own.other(), Service::Tcp(80), Outcome::Reply),
        (own.other(), Service::Echo, Outcome::Reply),
        (own.other(), Service::Tcp(82), Outcome::Silent),
        (own.other(), Service::Tcp(81), Outcome::Refused),
        (own.other(), Service::Udp(81), Outcome::Prohibited),
        (own, Service::Udp(54), Outcome::Reply),
        (own, Service::Udp(55), Outcome::Silent),
        (own, Service::Tcp(81), Outcome::Refused),
    ] {
        ends.asks(from, family, service, expected)?;
    }
    let after = agent.stats()?;
    let rejects = after.reason("reject-sent") - before.reason("reject-sent");
    ensure!(rejects >= 3, "{rejects} rejects were sent; what moved: {:?}", after.moved_since(&before));
    for reason in ["malformed", "not-ip"] {
        let counted = after.reason(reason) - before.reason(reason);
        ensure!(counted == 0, "{reason} counted {counted}");
    }
    Ok(())
}

fn are_filtered(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let ends = Ends::new(lab)?;
    for family in Family::ALL {
        ends.asks(Far, family, Service::Tcp(82), Outcome::Reply).context("without a filter")?;
    }
    let agent = Agent::start(ends.host(Near), &policy(role, ""), attach.into())?;
    Family::ALL.into_iter().try_for_each(|family| holds(&ends, &agent, role, family))
}

/// Its Ethernet address, where one is written down, is not looked at: there is none.
fn a_guest_speaks_for_itself_only(lab: Lab, attach: Attach) -> Result<()> {
    let ends = Ends::new(lab)?;
    let policy = policy(Role::Guest, ", mac: \"02:00:00:00:00:05\"");
    let agent = Agent::start(ends.host(Near), &policy, attach.into())?;
    for (family, foreign, with_length) in
        [(Family::V4, "10.79.0.66", "10.79.0.66/24"), (Family::V6, "fd79::66", "fd79::66/64 nodad")]
    {
        ends.asks(Far, family, Service::Udp(54), Outcome::Reply)?;
        ends.host(Far).address("tun0", &[with_length])?;
        let to = Near.address(family);
        let _responder = respond(ends.host(Near), to, Service::Udp(54))?;
        let before = agent.stats()?;
        ends.puts(Far, &Question::new(foreign.parse()?, to, Service::Udp(54)), Outcome::Silent)?;
        let after = agent.stats()?;
        let counted = after.reason("anti-spoofing") - before.reason("anti-spoofing");
        ensure!(counted >= 1, "nothing was counted; what moved: {:?}", after.moved_since(&before));
    }
    Ok(())
}

fn xdp_is_refused(lab: Lab, attach: Attach) -> Result<()> {
    let ends = Ends::new(lab)?;
    let Err(error) = Agent::start(ends.host(Near), &policy(Role::Host, ", hook: xdp"), attach.into()) else {
        bail!("it is not refused");
    };
    let said = format!("{error:?}");
    let expected =
        "device tun0: its packets have no Ethernet header, so XDP cannot judge them; write `hook: tc`";
    ensure!(said.contains(expected), "{said}");
    Ok(())
}

/// The same through a tunnel that the kernel makes over a wire.
fn of_kind(lab: Lab, attach: Attach, kind: &str, how: &str) -> Result<()> {
    let hosts = [lab.host("near")?, lab.host("far")?];
    lab.wire((&hosts[0], "eth0"), (&hosts[1], "eth0"), 2_000)?;
    for (number, host) in [1, 2].into_iter().zip(&hosts) {
        host.address("eth0", &[&format!("10.78.0.{number}/24"), &format!("fd78::{number}/64 nodad")])?;
    }
    for (local, host) in [1, 2].into_iter().zip(&hosts) {
        let remote = 3 - local;
        let how = how
            .replace("LOCAL4", &format!("10.78.0.{local}"))
            .replace("REMOTE4", &format!("10.78.0.{remote}"))
            .replace("LOCAL6", &format!("fd78::{local}"))
            .replace("REMOTE6", &format!("fd78::{remote}"));
        host.ip(&format!("link add tun0 {how}"))?;
        host.ip("link set tun0 up")?;
    }
    let ends = Ends { hosts, _tunnel: None };
    ends.address()?;
    let families: &[Family] = match kind {
        "ipip" | "vti" => &[Family::V4],
        "sit" => &[Family::V6],
        _ => &Family::ALL,
    };
    match kind {
        "vti" => protect(&ends.hosts, Protected::Marked("mark 7"))?,
        "xfrm" => protect(&ends.hosts, Protected::Marked("if_id 7"))?,
        "gre_in_esp" | "vxlan_in_esp" => protect(&ends.hosts, Protected::Ends)?,
        "wireguard" => connect_wireguard(&ends.hosts)?,
        _ => {}
    }
    let agent = Agent::start(ends.host(Near), &policy(Role::Host, ""), attach.into())?;
    families.iter().try_for_each(|&family| holds(&ends, &agent, Role::Host, family))
}

/// Tells each end of `WireGuard` its key, and the other's.
fn connect_wireguard(hosts: &[Host; 2]) -> Result<()> {
    for (local, host) in hosts.iter().enumerate() {
        let remote = 1 - local;
        let ([private, _], [_, public]) = (KEYS[local], KEYS[remote]);
        let mut wg = Command::new("wg");
        wg.args(["set", "tun0", "listen-port", "51820", "private-key", "/proc/self/fd/0", "peer", public]);
        wg.args(["allowed-ips", "0.0.0.0/0,::/0", "endpoint"]).arg(format!("10.78.0.{}:51820", remote + 1));
        let mut child = host.spawn(wg.stdin(Stdio::piped()))?;
        child.stdin.take().context("no standard input")?.write_all(private.as_bytes())?;
        let status = child.wait()?;
        ensure!(status.success(), "`wg set` failed ({status})");
    }
    Ok(())
}
