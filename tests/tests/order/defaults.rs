//! What no rule decides: by direction, by the type of the groups, and with `default`.

use crate::support::scenario::{CLIENT, Nftables, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "of_basic_groups",
        policy: "groups: { web: { type: basic } }",
        packets: &[
            from(CLIENT).tcp(80).is("drop by default"),
            from(CLIENT).bare("47").is("drop by default"),
            to(CLIENT).tcp(80).is("accept by default"),
            to(CLIENT).bare("47").is("accept by default"),
        ],
        nftables: Nftables::Rules { inbound: "", outbound: "accept" },
        ..WEB
    },
    Scenario {
        name: "of_enterprise_groups",
        policy: "groups: { web: { type: enterprise } }",
        packets: &[
            from(CLIENT).tcp(80).is("drop by default"),
            to(CLIENT).tcp(80).is("drop by default"),
            to(CLIENT).bare("47").is("drop by default"),
        ],
        nftables: Nftables::Rules { inbound: "", outbound: "" },
        ..WEB
    },
    Scenario {
        name: "of_closed_groups",
        policy: "groups: { web: { type: closed } }",
        packets: &[
            from(CLIENT).tcp(80).is("drop by default"),
            to(CLIENT).tcp(80).is("drop by default"),
            to(CLIENT).bare("47").is("drop by default"),
        ],
        nftables: Nftables::Rules { inbound: "", outbound: "" },
        ..WEB
    },
    Scenario {
        name: "of_closed_groups_that_reject",
        policy: "
default: reject
groups: { web: { type: closed, egress: [{ id: dns, protocol: udp, ports: 53 }] } }",
        packets: &[
            from(CLIENT).tcp(80).is("reject by default"),
            to(CLIENT).udp(53).is("accept by rule dns of group web"),
            to(CLIENT).udp(54).is("reject by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
meta l4proto tcp reject with tcp reset
reject with icmpx admin-prohibited",
            outbound: "
udp dport 53 accept
meta l4proto tcp reject with tcp reset
reject with icmpx admin-prohibited",
        },
        ..WEB
    },
    Scenario {
        name: "that_rejects_where_it_would_drop",
        policy: "
default: reject
groups: { web: { ingress: [{ id: one, protocol: tcp, ports: 80 }] } }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule one of group web"),
            from(CLIENT).tcp(81).is("reject by default"),
            from(CLIENT).udp(81).is("reject by default"),
            to(CLIENT).udp(82).is("accept by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
tcp dport 80 accept
meta l4proto tcp reject with tcp reset
reject with icmpx admin-prohibited",
            outbound: "accept",
        },
        ..WEB
    },
];
