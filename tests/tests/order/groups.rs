//! The order of the rules of several groups, by the examples that the clouds' own documents give: `merged` is Alibaba Cloud's order,
//! `sequence` is Huawei Cloud's.
//!
//! One thing is this project's choice: members of a group with inner access come in before any rule in both orders, and what
//! leaves a basic group passes by default in both.

use crate::support::scenario::{BOTH_PRECEDENCES, CLIENT, Nftables, STRANGER, Scenario, WEB, from, to};

const TWO: Scenario = Scenario { nic: "groups: [g1, g2]", ..WEB };

/// A tie between groups.
const A_TIE: &str = "
groups:
  g1: { ingress: [{ id: in-g1, action: accept, protocol: tcp, ports: 22, priority: 1 }] }
  g2: { ingress: [{ id: in-g2, action: drop, protocol: tcp, ports: 22, priority: 1 }] }";
/// The better priority stands in the later group.
const BETTER_DROP: &str = "
groups:
  g1: { ingress: [{ id: in-g1, action: accept, protocol: tcp, ports: 22, priority: 100 }] }
  g2: { ingress: [{ id: in-g2, action: drop, protocol: tcp, ports: 22, priority: 1 }] }";
/// The other way round.
const BETTER_ACCEPT: &str = "
groups:
  g1: { ingress: [{ id: in-g1, action: drop, protocol: tcp, ports: 22, priority: 100 }] }
  g2: { ingress: [{ id: in-g2, action: accept, protocol: tcp, ports: 22, remote: 10.0.0.0/8, priority: 1 }] }";

const ACCEPTED: Nftables = Nftables::Rules { inbound: "tcp dport 22 accept", outbound: "accept" };
const DROPPED: Nftables = Nftables::Rules { inbound: "", outbound: "accept" };

/// Two groups: one lets its members reach each other, the other does not. The client is in one of them or in both.
macro_rules! isolated_and_open {
    ($members:literal) => {
        concat!(
            "groups: { isolated: { inner_access: drop }, open: { inner_access: accept } }\nmembers: ",
            $members
        )
    };
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_tie_in_sequence",
        heads: &["precedence: sequence"],
        policy: A_TIE,
        packets: &[from(CLIENT).tcp(22).is("accept by rule in-g1 of group g1")],
        nftables: ACCEPTED,
        ..TWO
    },
    Scenario {
        name: "a_tie_merged",
        heads: &["precedence: merged"],
        policy: A_TIE,
        packets: &[from(CLIENT).tcp(22).is("drop by rule in-g2 of group g2")],
        nftables: DROPPED,
        ..TWO
    },
    Scenario {
        name: "a_better_drop_in_sequence",
        heads: &["precedence: sequence"],
        policy: BETTER_DROP,
        packets: &[from(CLIENT).tcp(22).is("accept by rule in-g1 of group g1")],
        nftables: ACCEPTED,
        ..TWO
    },
    Scenario {
        name: "a_better_drop_merged",
        heads: &["precedence: merged"],
        policy: BETTER_DROP,
        packets: &[from(CLIENT).tcp(22).is("drop by rule in-g2 of group g2")],
        nftables: DROPPED,
        ..TWO
    },
    Scenario {
        name: "a_better_accept_in_sequence",
        heads: &["precedence: sequence"],
        policy: BETTER_ACCEPT,
        packets: &[from(CLIENT).tcp(22).is("drop by rule in-g1 of group g1")],
        nftables: DROPPED,
        ..TWO
    },
    Scenario {
        name: "a_better_accept_merged",
        heads: &["precedence: merged"],
        policy: BETTER_ACCEPT,
        packets: &[
            from(CLIENT).tcp(22).v4().is("accept by rule in-g2 of group g2"),
            from(CLIENT).tcp(22).v6().is("drop by rule in-g1 of group g1"),
        ],
        nftables: Nftables::Rules { inbound: "meta nfproto ipv4 tcp dport 22 accept", outbound: "accept" },
        ..TWO
    },
    Scenario {
        name: "a_rule_lets_members_in",
        heads: BOTH_PRECEDENCES,
        policy: "
members: { web: [10.77.0.2] }
groups:
  web: { inner_access: drop, ingress: [{ id: net, protocol: all, remote: 10.77.0.0/24, priority: 1 }] }",
        packets: &[
            from(CLIENT).bare("47").v4().is("accept by rule net of group web"),
            from(CLIENT).bare("47").v6().is("drop by default"),
        ],
        nftables: Nftables::Rules { inbound: "ip saddr 10.77.0.0/24 accept", outbound: "accept" },
        ..WEB
    },
    Scenario {
        name: "a_rule_names_its_own_group",
        heads: BOTH_PRECEDENCES,
        policy: "
members: { web: [10.77.0.2, \"fd77::2\"] }
groups: { web: { inner_access: drop, ingress: [{ id: own, protocol: all, remote: { group: web } }] } }",
        packets: &[
            from(CLIENT).bare("47").is("accept by rule own of group web"),
            from(STRANGER).bare("47").is("drop by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 10.77.0.2 accept
ip6 saddr fd77::2 accept",
            outbound: "accept",
        },
        ..WEB
    },
    Scenario {
        name: "both_are_in_the_group_that_isolates",
        heads: BOTH_PRECEDENCES,
        policy: isolated_and_open!("{ isolated: [10.77.0.2, \"fd77::2\"] }"),
        nic: "groups: [isolated, open]",
        packets: &[from(CLIENT).bare("47").is("drop by default")],
        nftables: DROPPED,
        ..WEB
    },
    Scenario {
        name: "both_are_in_the_group_that_is_open",
        heads: BOTH_PRECEDENCES,
        policy: isolated_and_open!("{ isolated: [10.77.0.2, \"fd77::2\"], open: [10.77.0.2, \"fd77::2\"] }"),
        nic: "groups: [open]",
        packets: &[
            from(CLIENT).bare("47").is("accept by intra-group of group open"),
            from(STRANGER).bare("47").is("drop by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 10.77.0.2 accept
ip6 saddr fd77::2 accept",
            outbound: "accept",
        },
        ..WEB
    },
    Scenario {
        name: "the_group_that_isolates_takes_nothing_away",
        heads: BOTH_PRECEDENCES,
        policy: isolated_and_open!("{ open: [10.77.0.2, \"fd77::2\"] }"),
        nic: "groups: [isolated, open]",
        packets: &[from(CLIENT).bare("47").is("accept by intra-group of group open")],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 10.77.0.2 accept
ip6 saddr fd77::2 accept",
            outbound: "accept",
        },
        ..WEB
    },
    Scenario {
        name: "they_share_no_group",
        heads: BOTH_PRECEDENCES,
        policy: isolated_and_open!("{ isolated: [10.77.0.2, \"fd77::2\"] }"),
        nic: "groups: [open]",
        packets: &[from(CLIENT).bare("47").is("drop by default")],
        nftables: DROPPED,
        ..WEB
    },
    Scenario {
        name: "the_page_on_policies",
        heads: &["precedence: sequence"],
        policy: WORKED,
        nic: "groups: [web, guard]",
        packets: &[
            from(SCANNER).tcp(443).v4().is("accept by rule allow-web of group web"),
            from(SCANNER).tcp(22).v4().is("drop by rule no-scan of group guard"),
            from(OTHERS).tcp(22).v4().is("accept by rule allow-all of group guard"),
        ],
        nftables: Nftables::Rules {
            inbound: "
tcp dport 443 accept
ip saddr 198.51.100.0/24 drop
meta l4proto tcp accept",
            outbound: "accept",
        },
        ..WEB
    },
    Scenario {
        name: "the_page_on_policies_merged",
        heads: &["precedence: merged"],
        policy: WORKED,
        nic: "groups: [web, guard]",
        packets: &[
            from(SCANNER).tcp(443).v4().is("drop by rule no-scan of group guard"),
            from(SCANNER).tcp(22).v4().is("drop by rule no-scan of group guard"),
            from(OTHERS).tcp(22).v4().is("accept by rule allow-all of group guard"),
            to(OTHERS).tcp(22).is("accept by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 198.51.100.0/24 drop
meta l4proto tcp accept",
            outbound: "accept",
        },
        ..WEB
    },
];

/// The worked example of `docs/use/policy.md`.
const WORKED: &str = "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: allow-web, protocol: tcp, ports: 443, priority: 50 }
  guard:
    inner_access: drop
    ingress:
      - { id: allow-all, protocol: tcp, priority: 20 }
      - { id: no-scan, action: drop, protocol: all, remote: 198.51.100.0/24, priority: 20 }";
const SCANNER: [&str; 2] = ["198.51.100.9", "fd78::9"];
const OTHERS: [&str; 2] = ["203.0.113.9", "fd79::9"];
