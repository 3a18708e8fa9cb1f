//! iptables after connection tracking: as distributions have it, over nftables, one rule after the other; and with ipset: a set of
//! network and port for rules of few ports, and a set of networks for each range that several rules share, which `hash:net,port`
//! would expand into ports. That is the older `iptables` (not over nftables): there, sets are a match of their own.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;
use ipnet::Ipv4Net;
use sg_benches::cloud::{ALL_PORTS, RANGES, Rule};
use sg_tests::lab::Host;

use super::{Filter, Peer, feed, host_filter, nft::outermost};
use crate::forwarding_path::OUTER;

pub(super) const LINEAR: Peer = Peer {
    name: "iptables-nft",
    commands: &["iptables-nft-restore"],
    conntrack: true,
    install: install_linear,
};
pub(super) const IPSET: Peer = Peer {
    name: "ipset",
    commands: &["ipset", "iptables-legacy-restore"],
    conntrack: true,
    install: install_ipset,
};

fn install_linear(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let mut lines = String::new();
    for rule in rules {
        let Rule { accepts, remote, ports: [first, last], .. } = rule;
        let protocol = rule.protocol();
        let _ = writeln!(
            lines,
            "-A FORWARD -s {remote} -p {protocol} -m {protocol} --dport {first}:{last} -j {}",
            target(*accepts)
        );
    }
    feed(host, &["iptables-nft-restore"], &table(&lines))?;
    host_filter(host)
}

fn install_ipset(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let (mut sets, mut lines) = (String::new(), String::new());
    for accepts in [false, true] {
        let verdict = target(accepts);
        let mut shared: BTreeMap<_, Vec<Rule>> = BTreeMap::new();
        let _ = writeln!(sets, "create {verdict} hash:net,port hashsize 65536 maxelem 1048576");
        for rule in outermost(rules, accepts) {
            if rule.ports == ALL_PORTS || RANGES.contains(&rule.ports) {
                shared.entry((rule.protocol(), rule.ports)).or_default().push(rule);
                continue;
            }
            let [first, last] = rule.ports;
            for net in halves(rule.remote) {
                let _ = writeln!(sets, "add {verdict} {net},{}:{first}-{last} -exist", rule.protocol());
            }
        }
        let _ = writeln!(lines, "-A FORWARD -m set --match-set {verdict} src,dst -j {verdict}");
        for ((protocol, [first, last]), rules) in shared {
            let name = format!("{verdict}-{protocol}-{first}-{last}");
            let _ = writeln!(sets, "create {name} hash:net");
            for net in rules.iter().flat_map(|rule| halves(rule.remote)) {
                let _ = writeln!(sets, "add {name} {net} -exist");
            }
            let _ = writeln!(
                lines,
                "-A FORWARD -p {protocol} -m {protocol} --dport {first}:{last} -m set --match-set {name} src -j {verdict}"
            );
        }
    }
    feed(host, &["ipset", "restore"], &sets)?;
    feed(host, &["iptables-legacy-restore"], &table(&lines))?;
    host_filter(host)
}

/// A set of networks takes no prefix of length 0.
fn halves(net: Ipv4Net) -> Vec<Ipv4Net> {
    match net.prefix_len() {
        0 => net.subnets(1).map(Iterator::collect).unwrap_or_default(),
        _ => vec![net],
    }
}

fn target(accepts: bool) -> &'static str {
    if accepts { "ACCEPT" } else { "DROP" }
}

/// The table that evaluates these lines for what opens a connection from outside.
fn table(lines: &str) -> String {
    format!(
        "*filter
:FORWARD DROP
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD ! -i {OUTER} -j ACCEPT
{lines}COMMIT
"
    )
}
