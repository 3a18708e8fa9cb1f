//! `anti_spoofing` and `accept_own_source`: a guest sends from its own addresses, and from those of its pairs; nobody else does.

use crate::support::scenario::{
    BOTH_ROLES, CLIENT, LOCAL, NOT_LOCAL, Nftables, Role, SECOND, Scenario, WEB, from, to,
};

const OPEN: &str = "groups: { web: { inner_access: drop, ingress: [{ id: in, protocol: all }], egress: [{ id: out, protocol: all }] } }";

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_guest_speaks_for_itself",
        policy: OPEN,
        nic: "allowed_address_pairs: [172.16.1.0/24, \"fd03::1:0/112\"], groups: [web]",
        roles: &[Role::Guest],
        packets: &[
            to(CLIENT).at(LOCAL).tcp(80).is("accept by rule out of group web"),
            to(CLIENT).at(SECOND).udp(80).is("accept by rule out of group web"),
            to(CLIENT).at(["172.16.1.9", "fd03::1:9"]).tcp(80).is("accept by rule out of group web"),
            to(CLIENT).at(NOT_LOCAL).tcp(80).is("drop by anti-spoofing"),
            to(CLIENT).at(["172.16.2.9", "fd03::2:9"]).icmp(8, 0).is("drop by anti-spoofing"),
            // What is sent to others is not its claim.
            from(CLIENT).at(NOT_LOCAL).tcp(81).is("accept by rule in of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "accept",
            outbound: "
ip saddr { 172.16.0.5, 172.16.0.6, 172.16.1.0/24 } accept
ip6 saddr { fd03::5, fd03::6, fd03::1:0/112 } accept",
        },
        ..WEB
    },
    Scenario {
        name: "a_nic_without_it_speaks_for_anybody",
        policy: OPEN,
        nic: "anti_spoofing: false, groups: [web]",
        roles: BOTH_ROLES,
        packets: &[to(CLIENT).at(NOT_LOCAL).tcp(80).is("accept by rule out of group web")],
        nftables: Nftables::Rules { inbound: "", outbound: "accept" },
        ..WEB
    },
    Scenario {
        name: "nobody_else_sends_from_the_address_of_the_nic",
        policy: OPEN,
        packets: &[
            from(SECOND).tcp(80).is("drop by own-source"),
            from(LOCAL).udp(80).is("drop by own-source"),
            from(NOT_LOCAL).tcp(80).is("accept by rule in of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr { 172.16.0.5, 172.16.0.6 } drop
ip6 saddr { fd03::5, fd03::6 } drop
accept",
            outbound: "accept",
        },
        ..WEB
    },
    Scenario {
        name: "unless_the_policy_says_so",
        policy: OPEN,
        nic: "accept_own_source: true, groups: [web]",
        packets: &[from(SECOND).tcp(80).is("accept by rule in of group web")],
        nftables: Nftables::Rules { inbound: "accept", outbound: "accept" },
        ..WEB
    },
];
