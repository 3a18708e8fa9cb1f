//! `priority` and `action`: a lower number is asked first; on a tie drop stands before reject before accept, then what was written
//! first.

use crate::support::scenario::{BOTH_PRECEDENCES, CLIENT, Nftables, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "the_lower_number_first",
        heads: BOTH_PRECEDENCES,
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: last, action: drop, priority: 100, protocol: all }
      - { id: middle, priority: 50, protocol: tcp, ports: 80-90 }
      - { id: unsaid, action: drop, protocol: tcp, ports: 85 }
      - { id: second, priority: 2, protocol: tcp, ports: 85-86 }
    egress:
      - { id: out-last, action: drop, priority: 3, protocol: all }
      - { id: out-first, priority: 2, protocol: udp }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule middle of group web"),
            from(CLIENT).tcp(85).is("drop by rule unsaid of group web"),
            from(CLIENT).tcp(86).is("accept by rule second of group web"),
            from(CLIENT).tcp(91).is("drop by rule last of group web"),
            to(CLIENT).udp(53).is("accept by rule out-first of group web"),
            to(CLIENT).tcp(53).is("drop by rule out-last of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
tcp dport 85 drop
tcp dport 85-86 accept
tcp dport 80-90 accept
drop",
            outbound: "
meta l4proto udp accept
drop",
        },
        ..WEB
    },
    Scenario {
        name: "on_a_tie_drop_then_reject_then_accept",
        heads: BOTH_PRECEDENCES,
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: accept, protocol: tcp, ports: 80-89 }
      - { id: accept-later, protocol: tcp, ports: 80-90 }
      - { id: reject, action: reject, protocol: tcp, ports: 82-85 }
      - { id: drop, action: drop, protocol: tcp, ports: 84-87 }
      - { id: drop-later, action: drop, protocol: tcp, ports: 86-88 }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule accept of group web"),
            from(CLIENT).tcp(90).is("accept by rule accept-later of group web"),
            from(CLIENT).tcp(82).is("reject by rule reject of group web"),
            from(CLIENT).tcp(84).is("drop by rule drop of group web"),
            from(CLIENT).tcp(87).is("drop by rule drop of group web"),
            from(CLIENT).tcp(88).is("drop by rule drop-later of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
tcp dport 84-87 drop
tcp dport 86-88 drop
tcp dport 82-85 reject with tcp reset
tcp dport 80-90 accept",
            outbound: "accept",
        },
        ..WEB
    },
];
