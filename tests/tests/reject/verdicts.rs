//! `action: reject`, both ways. Who is told, and how, is in the other files of this folder.

use crate::support::scenario::{CLIENT, Nftables, STRANGER, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_rule_rejects",
    policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: told-tcp, action: reject, protocol: tcp, ports: 81 }
      - { id: told-udp, action: reject, protocol: udp, ports: 81 }
      - { id: open, protocol: tcp, ports: 80 }
    egress:
      - { id: told-out, action: reject, protocol: all, remote: 10.77.0.3 }
      - { id: told-out-v6, action: reject, protocol: all, remote: \"fd77::3\" }",
    packets: &[
        from(CLIENT).tcp(80).is("accept by rule open of group web"),
        from(CLIENT).tcp(81).is("reject by rule told-tcp of group web"),
        from(CLIENT).udp(81).is("reject by rule told-udp of group web"),
        from(CLIENT).tcp(82).is("drop by default"),
        to(STRANGER).tcp(90).v4().is("reject by rule told-out of group web"),
        to(STRANGER).icmpv6(128, 0).is("reject by rule told-out-v6 of group web"),
        to(CLIENT).tcp(91).is("accept by default"),
    ],
    nftables: Nftables::Rules {
        inbound: "
tcp dport 80 accept
tcp dport 81 reject with tcp reset
udp dport 81 reject with icmpx admin-prohibited",
        outbound: "
ip daddr 10.77.0.3 reject with icmpx admin-prohibited
ip6 daddr fd77::3 reject with icmpx admin-prohibited
accept",
    },
    ..WEB
}];
