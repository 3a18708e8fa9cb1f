//! IPsec in tunnel mode, by policies and without a device of its own: what is decrypted comes by the device a second time.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{
    Agent, Attach, Family, Host, Lab, Outcome, PATIENCE, Question, SILENCE, Service, ask, respond,
};

use crate::support::suite::Suite;

const AEAD: &str = "aead 'rfc4106(gcm(aes))' 0x0123456789abcdef0123456789abcdef01234567 128";

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&Attach::RECEIVED, "what_it_delivers_passes", what_it_delivers_passes);
    suite.each("what_it_delivers_may_be_judged", what_it_delivers_may_be_judged);
    suite.each("a_closed_guest_gets_nothing", a_closed_guest_gets_nothing);
}

/// What of two hosts on a wire IPsec protects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protected {
    /// In tunnel mode: what a device puts this on.
    Marked(&'static str),
    /// In transport mode: what the two say to each other.
    Ends,
}

/// Puts states and policies for IPsec between two hosts on a wire, `10.78.0.1` and `10.78.0.2`, and for the other family.
///
/// # Errors
/// Where the kernel does not take them.
pub(crate) fn protect(hosts: &[Host; 2], what: Protected) -> Result<()> {
    let selectors = [("10.78.0.1", "10.78.0.2", "0.0.0.0/0"), ("fd78::1", "fd78::2", "::/0")];
    let (mode, mark) = match what {
        Protected::Marked(mark) => ("tunnel", mark),
        Protected::Ends => ("transport", ""),
    };
    for (number, host) in hosts.iter().enumerate() {
        for (at, (one, other, all)) in selectors.into_iter().enumerate() {
            let (local, remote) = if number == 0 { (one, other) } else { (other, one) };
            let spi = |source: &str| if source == one { 0x11 + at } else { 0x21 + at };
            let state = |from: &str, to: &str| {
                format!(
                    "xfrm state add src {from} dst {to} proto esp spi {:#x} mode {mode} {AEAD} {mark}\n",
                    spi(from)
                )
            };
            let policy = |direction: &str, from: &str, to: &str| {
                let [of, for_] = if mode == "tunnel" { [all, all] } else { [from, to] };
                format!(
                    "xfrm policy add src {of} dst {for_} dir {direction} {mark} tmpl src {from} dst {to} proto esp mode {mode}\n"
                )
            };
            host.ip(&[
                state(local, remote),
                state(remote, local),
                policy("out", local, remote),
                policy("in", remote, local),
            ]
            .concat())?;
        }
    }
    Ok(())
}

/// Who is there: the host with the filter, its peer, and a guest of the host, whose NIC is filtered, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Host,
    Peer,
    Guest,
}

/// An address inside the tunnel.
fn inside(who: Who, family: Family) -> IpAddr {
    match (who, family) {
        (Who::Host, Family::V4) => [172, 20, 1, 1].into(),
        (Who::Guest, Family::V4) => [172, 20, 1, 9].into(),
        (Who::Peer, Family::V4) => [172, 20, 2, 1].into(),
        (Who::Host, Family::V6) => [0xfd20, 1, 0, 0, 0, 0, 0, 1].into(),
        (Who::Guest, Family::V6) => [0xfd20, 1, 0, 0, 0, 0, 0, 9].into(),
        (Who::Peer, Family::V6) => [0xfd20, 2, 0, 0, 0, 0, 0, 1].into(),
    }
}

/// The host's address towards its guest.
fn gateway(family: Family) -> IpAddr {
    match family {
        Family::V4 => [172, 20, 1, 2].into(),
        Family::V6 => [0xfd20, 1, 0, 0, 0, 0, 0, 2].into(),
    }
}

/// An address on the wire.
fn outside(who: Who, family: Family) -> IpAddr {
    let number = if who == Who::Host { 1 } else { 2 };
    match family {
        Family::V4 => [10, 80, 0, number].into(),
        Family::V6 => [0xfd80, 0, 0, 0, 0, 0, 0, number.into()].into(),
    }
}

struct ForwardingPath {
    hosts: [Host; 3],
}

impl ForwardingPath {
    fn new(lab: Lab) -> Result<Self> {
        let hosts = [lab.host("host")?, lab.host("peer")?, lab.host("guest")?];
        lab.wire((&hosts[0], "eth0"), (&hosts[1], "eth0"), 1_500)?;
        lab.wire((&hosts[0], "tap0"), (&hosts[2], "eth0"), 1_500)?;
        let path = Self { hosts };
        let [host, peer, guest] = &path.hosts;
        host.sysctl("net/ipv4/ip_forward", "1")?;
        host.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        for (who, here) in [(Who::Host, host), (Who::Peer, peer)] {
            let other = if who == Who::Host { Who::Peer } else { Who::Host };
            for (family, outer, inner, whole) in
                [(Family::V4, 24, 32, "172.20"), (Family::V6, 64, 128, "fd20")]
            {
                let (own_out, other_out) = (outside(who, family), outside(other, family));
                let own_in = inside(who, family);
                here.address("eth0", &[&format!("{own_out}/{outer}")])?;
                here.address("lo", &[&format!("{own_in}/{inner}")])?;
                let net = |who: Who| {
                    let number = if who == Who::Host { 1 } else { 2 };
                    match family {
                        Family::V4 => format!("{whole}.{number}.0/24"),
                        Family::V6 => format!("{whole}:{number}::/64"),
                    }
                };
                let (own, others) = (net(who), net(other));
                let spi = |who: Who| 0x10 * (1 + who as u32) + family as u32;
                here.ip(&format!(
                    "route add {others} via {other_out} src {own_in}\n\
                     xfrm state add src {own_out} dst {other_out} proto esp spi {} mode tunnel {AEAD}\n\
                     xfrm state add src {other_out} dst {own_out} proto esp spi {} mode tunnel {AEAD}\n\
                     xfrm policy add src {own} dst {others} dir out tmpl src {own_out} dst {other_out} proto esp mode tunnel\n\
                     xfrm policy add src {others} dst {own} dir in tmpl src {other_out} dst {own_out} proto esp mode tunnel\n\
                     xfrm policy add src {others} dst {own} dir fwd tmpl src {other_out} dst {own_out} proto esp mode tunnel",
                    spi(who),
                    spi(other),
                ))?;
            }
        }
        for (family, length) in [(Family::V4, 32), (Family::V6, 128)] {
            let (gateway, of_guest) = (gateway(family), inside(Who::Guest, family));
            host.address("tap0", &[&format!("{gateway}/{length}")])?;
            guest.address("eth0", &[&format!("{of_guest}/{length}")])?;
            host.ip(&format!("route add {of_guest} dev tap0"))?;
            guest.ip(&format!("route add {gateway} dev eth0\nroute add default via {gateway} dev eth0"))?;
        }
        Ok(path)
    }

    fn asks(&self, from: Who, to: Who, family: Family, service: Service, expected: Outcome) -> Result<()> {
        self.puts(from, inside(from, family), to, inside(to, family), service, expected)
    }

    fn puts(
        &self,
        from: Who,
        source: IpAddr,
        to: Who,
        destination: IpAddr,
        service: Service,
        expected: Outcome,
    ) -> Result<()> {
        let _responder = respond(&self.hosts[to as usize], destination, service)?;
        let patience = if expected == Outcome::Silent { SILENCE } else { PATIENCE };
        let question = Question::new(source, destination, service);
        let outcome = ask(&self.hosts[from as usize], &question, patience)?;
        ensure!(outcome == expected, "{question}: expected {expected}, but {outcome}");
        Ok(())
    }
}

/// Nothing but ESP from the peer comes in, by the rules of a host's NIC.
fn policy(rules: &str, nic: &str, more: &str) -> String {
    format!(
        "
groups:
  outside:
    inner_access: drop
    ingress: [ {{ id: esp, protocol: 50 }}{rules} ]
  closed: {{ inner_access: drop }}
  open: {{ inner_access: drop, ingress: [ {{ protocol: tcp, ports: 80 }} ] }}
nics:
  - {{ device: eth0, groups: [outside]{nic} }}
{more}"
    )
}

fn what_it_delivers_passes(lab: Lab, attach: Attach) -> Result<()> {
    let path = ForwardingPath::new(lab)?;
    let mut agent = Agent::start(&path.hosts[0], &policy("", "", ""), attach.into())?;
    for family in Family::ALL {
        let before = agent.stats()?;
        for (from, to) in [(Who::Host, Who::Peer), (Who::Peer, Who::Host)] {
            for service in [Service::Tcp(80), Service::Udp(54), Service::Echo] {
                path.asks(from, to, family, service, Outcome::Reply)?;
            }
        }
        // XDP does not see it.
        if attach != Attach::Xdp {
            let after = agent.stats()?;
            let counted = after.reason("decrypted") - before.reason("decrypted");
            ensure!(counted >= 6, "{counted} were counted; what moved: {:?}", after.moved_since(&before));
        }
        // What is on the wire is judged.
        let (from, to) = (outside(Who::Peer, family), outside(Who::Host, family));
        path.puts(Who::Peer, from, Who::Host, to, Service::Tcp(80), Outcome::Silent)?;
    }
    // Nor may ESP go out: what comes in would be its reply.
    let no_esp = policy("", "", "").replace(
        "id: esp, protocol: 50 } ]",
        "id: esp, protocol: 51 } ]\n    egress: [ { protocol: 50, action: drop } ]",
    );
    agent.apply(&no_esp).with_context(|| agent.complaints())?;
    for family in Family::ALL {
        path.asks(Who::Peer, Who::Host, family, Service::Tcp(80), Outcome::Silent)
            .context("no rule for ESP")?;
    }
    Ok(())
}

fn what_it_delivers_may_be_judged(lab: Lab, attach: Attach) -> Result<()> {
    let path = ForwardingPath::new(lab)?;
    let policy = policy(", { id: web, protocol: tcp, ports: 80 }", ", ipsec: judge", "");
    let agent = Agent::start(&path.hosts[0], &policy, attach.into())?;
    for family in Family::ALL {
        path.asks(Who::Peer, Who::Host, family, Service::Tcp(80), Outcome::Reply)?;
        path.asks(Who::Peer, Who::Host, family, Service::Tcp(81), Outcome::Silent)?;
    }
    ensure!(agent.stats()?.reason("decrypted") == 0, "nothing passes for that reason");
    Ok(())
}

/// What is decrypted and forwarded is judged where it leaves, by the policy of the guest.
fn a_closed_guest_gets_nothing(lab: Lab, attach: Attach) -> Result<()> {
    let path = ForwardingPath::new(lab)?;
    let guest = |group: &str| {
        let [v4, v6] = Family::ALL.map(|family| inside(Who::Guest, family));
        policy(
            "",
            "",
            &format!("  - {{ device: tap0, role: guest, addresses: [{v4}, \"{v6}\"], groups: [{group}] }}\n"),
        )
    };
    let mut agent = Agent::start(&path.hosts[0], &guest("open"), attach.into())?;
    for family in Family::ALL {
        path.asks(Who::Peer, Who::Guest, family, Service::Tcp(80), Outcome::Reply)?;
        path.asks(Who::Peer, Who::Guest, family, Service::Tcp(81), Outcome::Silent)?;
    }
    agent.apply(&guest("closed"))?;
    for family in Family::ALL {
        for service in [Service::Tcp(80), Service::Udp(54), Service::Echo] {
            path.asks(Who::Peer, Who::Guest, family, service, Outcome::Silent)?;
        }
    }
    Ok(())
}
