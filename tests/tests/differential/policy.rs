//! A policy of one NIC, and its two renderings: the document that `sgd` reads, and the rules of nftables.
//!
//! The order of the rules is written here a second time, from the documentation: groups in their order, by
//! priority, drop before accept.

use std::{fmt::Write as _, net::IpAddr};

use fastrand::Rng;
use ipnet::IpNet;
use sg_common::{flow::Direction, packet::protocol};

use crate::differential::{
    packet::LAST,
    rig::{INNER, LOCAL, OUTER},
};

pub(crate) struct Policy {
    /// In the order in which the NIC holds them.
    pub(crate) groups: Vec<Group>,
    /// Whether what no rule decides is dropped outbound too.
    pub(crate) enterprise: bool,
    /// Whether the filter sits on the device towards the local end.
    pub(crate) guest: bool,
}

/// Rules by direction.
pub(crate) type Group = [Vec<Rule>; 2];

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) accepts: bool,
    pub(crate) priority: u8,
    pub(crate) service: Service,
    pub(crate) remote: Option<IpNet>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Service {
    All,
    Tcp([u16; 2]),
    Udp([u16; 2]),
    Icmp(Option<u8>),
    Icmpv6(Option<u8>),
}

/// Ports that rules and packets cluster around.
pub(crate) const PORTS: [u16; 6] = [22, 53, 80, 443, 8000, 8010];

impl Policy {
    /// Any policy about these other ends.
    pub(crate) fn random(random: &mut Rng, remotes: &[IpAddr]) -> Self {
        let mut rules = |most: usize| {
            (0..random.usize(1..=most)).map(|_| Rule::random(random, remotes)).collect::<Vec<_>>()
        };
        let groups: Vec<_> = (0..2).map(|_| [rules(6), rules(4)]).collect();
        let wanted = random.usize(1..=2);
        Self {
            groups: groups.into_iter().take(wanted).collect(),
            enterprise: random.bool(),
            guest: random.bool(),
        }
    }

    /// One group with these rules, inbound and outbound, of one priority.
    pub(crate) fn of(ingress: &[(bool, Service)], egress: &[(bool, Service)]) -> Self {
        let rules = |rules: &[(bool, Service)]| {
            let rule = |&(accepts, service)| Rule { accepts, priority: 2, service, remote: None };
            rules.iter().map(rule).collect()
        };
        Self { groups: vec![[rules(ingress), rules(egress)]], enterprise: true, guest: false }
    }

    /// What `sgd` reads.
    pub(crate) fn document(&self) -> String {
        let mut text = "groups:\n".to_owned();
        for (number, group) in self.groups.iter().enumerate() {
            let kind = if self.enterprise { "enterprise" } else { "basic" };
            let inner = if self.enterprise { "" } else { ", inner_access: drop" };
            let [ingress, egress] = group.each_ref().map(|rules| {
                // What ends a sequence is asked for first.
                let last = (number == 0).then(|| format!("{{ protocol: {LAST}, priority: 1 }}"));
                last.into_iter().chain(rules.iter().map(Rule::document)).collect::<Vec<_>>().join(", ")
            });
            let _ = writeln!(
                text,
                "  g{number}: {{ type: {kind}{inner}, ingress: [{ingress}], egress: [{egress}] }}"
            );
        }
        let (device, role) = if self.guest { (INNER, "guest") } else { (OUTER, "host") };
        let names: Vec<_> = (0..self.groups.len()).map(|number| format!("g{number}")).collect();
        let [v4, v6] = LOCAL;
        let _ = writeln!(
            text,
            "nics:\n  - {{ device: {device}, role: {role}, addresses: [{v4}, \"{v6}\"], anti_spoofing: false, groups: [{}] }}\n\
             allow_unfiltered: [{OUTER}, {INNER}]\nkeep_ssh: false",
            names.join(", ")
        );
        text
    }

    /// What `nft -f` reads.
    pub(crate) fn ruleset(&self) -> String {
        self.ruleset_with("", "")
    }

    /// The same with sets that tell afterwards which state conntrack gave to which packet.
    pub(crate) fn telling_ruleset(&self) -> String {
        let sets = "  set states4 { typeof ip id . ct state; flags dynamic; size 65535; }
  set states6 { typeof ip6 flowlabel . ct state; flags dynamic; size 65535; }
";
        let notes = "    meta nfproto ipv4 add @states4 { ip id . ct state }
    meta nfproto ipv6 add @states6 { ip6 flowlabel . ct state }
";
        self.ruleset_with(sets, notes)
    }

    fn ruleset_with(&self, sets: &str, notes: &str) -> String {
        let [ingress, egress] = [Direction::Ingress, Direction::Egress].map(|direction| {
            let mut text = String::new();
            for group in &self.groups {
                let mut rules: Vec<_> = group[direction as usize].iter().collect();
                rules.sort_by_key(|rule| (rule.priority, rule.accepts));
                for rule in rules {
                    let _ = writeln!(text, "    {}", rule.statement(direction));
                }
            }
            text
        });
        let otherwise = if self.enterprise { "drop" } else { "accept" };
        format!(
            "flush ruleset
table inet differential {{
{sets}  chain inbound {{
{ingress}    drop
  }}
  chain outbound {{
{egress}    {otherwise}
  }}
  chain forward {{
    type filter hook forward priority 0; policy drop;
    meta l4proto {LAST} accept
{notes}    ct state established,related accept
    iifname \"{OUTER}\" goto inbound
    iifname \"{INNER}\" goto outbound
  }}
}}
"
        )
    }
}

impl Rule {
    fn random(random: &mut Rng, remotes: &[IpAddr]) -> Self {
        let port = |random: &mut Rng| PORTS[random.usize(..PORTS.len())];
        let ports = |random: &mut Rng| {
            let (one, other) = (port(random), port(random));
            match random.u8(..4) {
                0 => [0, u16::MAX],
                1 => [one, one],
                _ => [one.min(other), one.max(other)],
            }
        };
        let service = match random.u8(..10) {
            0 => Service::All,
            1..=4 => Service::Tcp(ports(random)),
            5..=7 => Service::Udp(ports(random)),
            8 => Service::Icmp(random.bool().then_some(8)),
            _ => Service::Icmpv6(random.bool().then_some(128)),
        };
        let remote = remotes[random.usize(..remotes.len())];
        let fits = match service {
            Service::Icmp(_) => remote.is_ipv4(),
            Service::Icmpv6(_) => remote.is_ipv6(),
            _ => true,
        };
        let most = if remote.is_ipv4() { 32 } else { 128 };
        let remote = (fits && random.bool())
            .then(|| IpNet::new(remote, most - random.u8(..4)).ok())
            .flatten()
            .map(|net| net.trunc());
        Self { accepts: random.u8(..10) < 6, priority: random.u8(2..6), service, remote }
    }

    fn document(&self) -> String {
        let action = if self.accepts { "accept" } else { "drop" };
        let service = match self.service {
            Service::All => "protocol: all".to_owned(),
            Service::Tcp([first, last]) => format!("protocol: tcp, ports: {first}-{last}"),
            Service::Udp([first, last]) => format!("protocol: udp, ports: {first}-{last}"),
            Service::Icmp(None) => "protocol: icmp".to_owned(),
            Service::Icmp(Some(kind)) => format!("protocol: icmp, icmp_type: {kind}"),
            Service::Icmpv6(None) => "protocol: icmpv6".to_owned(),
            Service::Icmpv6(Some(kind)) => format!("protocol: icmpv6, icmp_type: {kind}"),
        };
        let remote = self.remote.map(|net| format!(", remote: \"{net}\"")).unwrap_or_default();
        format!("{{ action: {action}, priority: {}, {service}{remote} }}", self.priority)
    }

    fn statement(&self, direction: Direction) -> String {
        let end = match direction {
            Direction::Ingress => "saddr",
            Direction::Egress => "daddr",
        };
        let remote = self.remote.map_or(String::new(), |net| {
            format!("{} {end} {net} ", if net.addr().is_ipv4() { "ip" } else { "ip6" })
        });
        let icmp = |family: &str, name: &str, number: u8, kind: Option<u8>| {
            let kind = kind.map_or(String::new(), |kind| format!("{name} type {kind} "));
            format!("meta nfproto {family} meta l4proto {number} {kind}")
        };
        let service = match self.service {
            Service::All => String::new(),
            Service::Tcp([first, last]) => format!("tcp dport {first}-{last} "),
            Service::Udp([first, last]) => format!("udp dport {first}-{last} "),
            Service::Icmp(kind) => icmp("ipv4", "icmp", protocol::ICMP, kind),
            Service::Icmpv6(kind) => icmp("ipv6", "icmpv6", protocol::ICMPV6, kind),
        };
        format!("{remote}{service}{}", if self.accepts { "accept" } else { "drop" })
    }
}
