//! nftables as most rulesets are: connection tracking, then one rule after the other.

use std::fmt::Write as _;

use anyhow::Result;
use sg_benches::cloud::Rule;
use sg_tests::lab::Host;

use super::{Filter, Peer, feed, nft_sets::ruleset, trust_checksums};
pub(super) const PEER: Peer = Peer { name: "nft-linear", commands: &["nft"], conntrack: true, install };

fn install(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let mut lines = String::new();
    for rule in rules {
        let Rule { accepts, remote, ports: [first, last], .. } = rule;
        let verdict = if *accepts { "accept" } else { "drop" };
        let saddr = if remote.prefix_len() == 0 { String::new() } else { format!("ip saddr {remote} ") };
        let _ = writeln!(lines, "    {saddr}{} dport {first}-{last} {verdict}", rule.protocol());
    }
    feed(host, &["nft", "-f", "-"], &ruleset("", &lines))?;
    trust_checksums(host)?;
    Ok(Filter::Host)
}
