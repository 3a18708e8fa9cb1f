//! `inner_access`: members of a group reach each other before any rule is asked, or do not.

use crate::support::scenario::{BOTH_PRECEDENCES, CLIENT, Nftables, STRANGER, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "members_come_before_rules",
        heads: BOTH_PRECEDENCES,
        policy: "
members: { web: [10.77.0.2, \"fd77::2\"] }
groups:
  web:
    inner_access: accept
    ingress: [{ id: nobody, action: drop, protocol: all }]
    egress: [{ id: nothing, action: drop, protocol: all }]",
        packets: &[
            from(CLIENT).tcp(80).is("accept by intra-group of group web"),
            from(CLIENT).udp(80).is("accept by intra-group of group web"),
            from(CLIENT).icmp(8, 0).is("accept by intra-group of group web"),
            from(CLIENT).icmpv6(128, 0).is("accept by intra-group of group web"),
            from(CLIENT).ported("sctp", 80).is("accept by intra-group of group web"),
            from(CLIENT).bare("200").is("accept by intra-group of group web"),
            from(STRANGER).tcp(80).is("drop by rule nobody of group web"),
            // Inbound only.
            to(CLIENT).tcp(80).is("drop by rule nothing of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 10.77.0.2 accept
ip6 saddr fd77::2 accept",
            outbound: "drop",
        },
        ..WEB
    },
    Scenario {
        name: "members_that_may_not",
        heads: BOTH_PRECEDENCES,
        policy: "
members: { web: [10.77.0.2, \"fd77::2\"] }
groups: { web: { inner_access: drop, ingress: [{ id: one, protocol: tcp, ports: 80 }] } }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule one of group web"),
            from(CLIENT).tcp(81).is("drop by default"),
            from(CLIENT).udp(80).is("drop by default"),
        ],
        nftables: Nftables::Rules { inbound: "tcp dport 80 accept", outbound: "accept" },
        ..WEB
    },
    Scenario {
        name: "a_closed_group_that_names_itself",
        heads: BOTH_PRECEDENCES,
        policy: "
members: { web: [10.77.0.2, \"fd77::2\"] }
groups:
  web:
    type: closed
    ingress: [{ id: own, protocol: all, remote: { group: web } }]
    egress: [{ id: out, protocol: tcp, ports: 443 }]",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule own of group web"),
            from(CLIENT).bare("200").is("accept by rule own of group web"),
            from(STRANGER).tcp(80).is("drop by default"),
            to(CLIENT).tcp(443).is("accept by rule out of group web"),
            to(CLIENT).tcp(80).is("drop by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 10.77.0.2 accept
ip6 saddr fd77::2 accept",
            outbound: "tcp dport 443 accept",
        },
        ..WEB
    },
];
