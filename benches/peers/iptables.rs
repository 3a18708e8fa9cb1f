//! iptables as distributions have it, over nftables: connection tracking, then one rule after the other.

use std::fmt::Write as _;

use anyhow::Result;
use sg_benches::cloud::Rule;
use sg_tests::lab::Host;

use super::{Filter, Peer, feed, trust_checksums};
use crate::forwarding_path::OUTER;

pub(super) const PEER: Peer =
    Peer { name: "iptables-nft", commands: &["iptables-nft-restore"], conntrack: true, install };

fn install(host: &Host, rules: &[Rule]) -> Result<Filter> {
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
    trust_checksums(host)?;
    Ok(Filter::Host)
}

pub(super) fn target(accepts: bool) -> &'static str {
    if accepts { "ACCEPT" } else { "DROP" }
}

/// The table that evaluates these lines for what opens a connection from outside.
pub(super) fn table(lines: &str) -> String {
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
