//! `ports`: the bounds of ranges, several ports, port lists, and every protocol that has ports.

use crate::support::scenario::{CLIENT, Nftables, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ranges_hold_their_bounds",
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: one, protocol: tcp, ports: 22 }
      - { id: some, protocol: tcp, ports: [80, 8080-8090] }
      - { id: first, protocol: udp, ports: 0-1 }
      - { id: last, protocol: udp, ports: 65534-65535 }
    egress:
      - { id: out, protocol: tcp, ports: \"443,8443-8444\" }
      - { id: nothing-else, action: drop, priority: 2, protocol: all }",
        packets: &[
            from(CLIENT).tcp(21).is("drop by default"),
            from(CLIENT).tcp(22).is("accept by rule one of group web"),
            from(CLIENT).tcp(23).is("drop by default"),
            from(CLIENT).tcp(79).is("drop by default"),
            from(CLIENT).tcp(80).is("accept by rule some of group web"),
            from(CLIENT).tcp(81).is("drop by default"),
            from(CLIENT).tcp(8_079).is("drop by default"),
            from(CLIENT).tcp(8_080).is("accept by rule some of group web"),
            from(CLIENT).tcp(8_085).is("accept by rule some of group web"),
            from(CLIENT).tcp(8_090).is("accept by rule some of group web"),
            from(CLIENT).tcp(8_091).is("drop by default"),
            from(CLIENT).udp(22).is("drop by default"),
            from(CLIENT).udp(0).is("accept by rule first of group web"),
            from(CLIENT).udp(1).is("accept by rule first of group web"),
            from(CLIENT).udp(2).is("drop by default"),
            from(CLIENT).udp(65_533).is("drop by default"),
            from(CLIENT).udp(65_534).is("accept by rule last of group web"),
            from(CLIENT).udp(65_535).is("accept by rule last of group web"),
            to(CLIENT).tcp(442).is("drop by rule nothing-else of group web"),
            to(CLIENT).tcp(443).is("accept by rule out of group web"),
            to(CLIENT).tcp(8_443).is("accept by rule out of group web"),
            to(CLIENT).tcp(8_444).is("accept by rule out of group web"),
            to(CLIENT).tcp(8_445).is("drop by rule nothing-else of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
tcp dport { 22, 80, 8080-8090 } accept
udp dport { 0-1, 65534-65535 } accept",
            outbound: "tcp dport { 443, 8443-8444 } accept",
        },
        ..WEB
    },
    Scenario {
        name: "a_list",
        policy: "
port_lists: { web: [80, 443, 8080-8090], none: [] }
groups:
  web:
    inner_access: drop
    ingress:
      - { id: listed, protocol: tcp, ports: { port_list: web } }
      - { id: nothing, protocol: udp, ports: { port_list: none } }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule listed of group web"),
            from(CLIENT).tcp(443).is("accept by rule listed of group web"),
            from(CLIENT).tcp(8_080).is("accept by rule listed of group web"),
            from(CLIENT).tcp(8_090).is("accept by rule listed of group web"),
            from(CLIENT).tcp(79).is("drop by default"),
            from(CLIENT).tcp(444).is("drop by default"),
            from(CLIENT).tcp(8_091).is("drop by default"),
            from(CLIENT).udp(80).is("drop by default"),
        ],
        nftables: Nftables::Rules { inbound: "tcp dport { 80, 443, 8080-8090 } accept", outbound: "accept" },
        ..WEB
    },
    Scenario {
        name: "every_protocol_that_has_them",
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: tcp, protocol: tcp, ports: 5000 }
      - { id: udp, protocol: udp, ports: 5000 }
      - { id: sctp, protocol: sctp, ports: 5000 }
      - { id: dccp, protocol: 33, ports: 5000 }
      - { id: udp-lite, protocol: 136, ports: 5000 }",
        packets: &[
            from(CLIENT).tcp(5_000).is("accept by rule tcp of group web"),
            from(CLIENT).udp(5_000).is("accept by rule udp of group web"),
            from(CLIENT).ported("sctp", 5_000).is("accept by rule sctp of group web"),
            from(CLIENT).ported("33", 5_000).is("accept by rule dccp of group web"),
            from(CLIENT).ported("136", 5_000).is("accept by rule udp-lite of group web"),
            from(CLIENT).tcp(5_001).is("drop by default"),
            from(CLIENT).udp(4_999).is("drop by default"),
            from(CLIENT).ported("sctp", 5_001).is("drop by default"),
            from(CLIENT).ported("33", 4_999).is("drop by default"),
            from(CLIENT).ported("136", 5_001).is("drop by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "meta l4proto { 6, 17, 132, 33, 136 } th dport 5000 accept",
            outbound: "accept",
        },
        ..WEB
    },
];
