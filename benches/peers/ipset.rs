//! iptables with ipset: a set of network and port for rules of few ports, and a set of networks for each range that several rules
//! share, which `hash:net,port` would expand into ports.
//!
//! The older `iptables` (not over nftables): there, sets are a match of their own.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;
use ipnet::Ipv4Net;
use sg_benches::cloud::{ALL_PORTS, RANGES, Rule};
use sg_tests::lab::Host;

use super::{
    Filter, Peer, feed,
    iptables::{table, target},
    nft_sets::outermost,
    trust_checksums,
};
pub(super) const PEER: Peer =
    Peer { name: "ipset", commands: &["ipset", "iptables-legacy-restore"], conntrack: true, install };

fn install(host: &Host, rules: &[Rule]) -> Result<Filter> {
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
    trust_checksums(host)?;
    Ok(Filter::Host)
}

/// A set of networks takes no prefix of length 0.
fn halves(net: Ipv4Net) -> Vec<Ipv4Net> {
    match net.prefix_len() {
        0 => net.subnets(1).map(Iterator::collect).unwrap_or_default(),
        _ => vec![net],
    }
}
