//! `enabled`: a rule that is not has no effect.

use crate::support::scenario::{CLIENT, Nftables, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_rule_that_is_not_is_none",
    policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: off, enabled: false, action: drop, protocol: tcp }
      - { id: off-too, enabled: false, protocol: udp }
      - { id: on, enabled: true, protocol: tcp, ports: 80 }
    egress:
      - { id: off-out, enabled: false, action: drop, protocol: all }",
    packets: &[
        from(CLIENT).tcp(80).is("accept by rule on of group web"),
        from(CLIENT).tcp(81).is("drop by default"),
        from(CLIENT).udp(80).is("drop by default"),
        to(CLIENT).tcp(82).is("accept by default"),
    ],
    nftables: Nftables::Rules { inbound: "tcp dport 80 accept", outbound: "accept" },
    ..WEB
}];
