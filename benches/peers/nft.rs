//! nftables, after a verdict map of connection states: as most rulesets are, one rule after the other (linear); and at its best,
//! with one lookup in a set of address, protocol and ports for what is dropped, and one for what is accepted.
//!
//! Such a set takes no element that begins or ends within another one (`nft_pipapo_insert`, `net/netfilter/nft_set_pipapo.c`).
//! Rules that others cover are left out, and what still overlaps is in a second set, or in a third.

use std::fmt::Write as _;

use anyhow::Result;
use sg_benches::cloud::Rule;
use sg_tests::lab::Host;

use super::{Filter, Peer, feed, host_filter};
use crate::forwarding_path::OUTER;

pub(super) const SETS: Peer =
    Peer { name: "nft-sets", commands: &["nft"], conntrack: true, install: install_sets };
pub(super) const LINEAR: Peer =
    Peer { name: "nft-linear", commands: &["nft"], conntrack: true, install: install_linear };

fn install_linear(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let mut lines = String::new();
    for rule in rules {
        let Rule { accepts, remote, ports: [first, last], .. } = rule;
        let verdict = if *accepts { "accept" } else { "drop" };
        let saddr = if remote.prefix_len() == 0 { String::new() } else { format!("ip saddr {remote} ") };
        let _ = writeln!(lines, "    {saddr}{} dport {first}-{last} {verdict}", rule.protocol());
    }
    load(host, "", &lines)
}

fn install_sets(host: &Host, rules: &[Rule]) -> Result<Filter> {
    let (mut sets, mut lines) = (String::new(), String::new());
    for (verdict, accepts) in [("drop", false), ("accept", true)] {
        for (number, elements) in disjoint(rules, accepts).iter().enumerate() {
            let elements: Vec<_> = elements.iter().map(element).collect();
            let _ = writeln!(
                sets,
                "  set {verdict}{number} {{ typeof ip saddr . meta l4proto . th dport; flags interval; elements = {{ {} }}; }}",
                elements.join(", ")
            );
            let _ = writeln!(lines, "    ip saddr . meta l4proto . th dport @{verdict}{number} {verdict}");
        }
    }
    load(host, &sets, &lines)
}

/// Loads a table with these sets, which evaluates these lines for what opens a connection from outside.
fn load(host: &Host, sets: &str, lines: &str) -> Result<Filter> {
    let ruleset = format!(
        "table ip cloud {{
{sets}  chain forward {{
    type filter hook forward priority 0; policy drop;
    ct state vmap {{ established : accept, related : accept, invalid : drop }}
    iifname != \"{OUTER}\" accept
{lines}  }}
}}
"
    );
    feed(host, &["nft", "-f", "-"], &ruleset)?;
    host_filter(host)
}

fn element(rule: &Rule) -> String {
    let [first, last] = rule.ports;
    // For a prefix of length 0, nft needs a range.
    let remote = match rule.remote.prefix_len() {
        0 => "0.0.0.0-255.255.255.255".to_owned(),
        _ => rule.remote.to_string(),
    };
    let ports = if first == last { first.to_string() } else { format!("{first}-{last}") };
    format!("{remote} . {} . {ports}", rule.protocol())
}

/// The rules of one verdict, without those that another one covers, in as few sets as possible.
fn disjoint(rules: &[Rule], accepts: bool) -> Vec<Vec<Rule>> {
    let mut sets: Vec<Vec<Rule>> = Vec::new();
    for rule in outermost(rules, accepts) {
        let fits = |set: &&mut Vec<Rule>| !set.iter().any(|other| touch(&rule, other) || touch(other, &rule));
        match sets.iter_mut().find(fits) {
            Some(set) => set.push(rule),
            None => sets.push(vec![rule]),
        }
    }
    sets
}

/// The rules of one verdict, without those that another one covers.
pub(super) fn outermost(rules: &[Rule], accepts: bool) -> Vec<Rule> {
    let mut kept: Vec<Rule> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.accepts == accepts) {
        if !kept.iter().any(|other| other.covers(rule)) {
            kept.retain(|other| !rule.covers(other));
            kept.push(*rule);
        }
    }
    kept
}

/// Whether an element begins or ends within another.
fn touch(one: &Rule, other: &Rule) -> bool {
    let contains = |address, port: u16| {
        other.remote.contains(&address) && (other.ports[0]..=other.ports[1]).contains(&port)
    };
    let [first, last] = one.ports;
    one.protocol == other.protocol
        && (contains(one.remote.network(), first) || contains(one.remote.broadcast(), last))
}
