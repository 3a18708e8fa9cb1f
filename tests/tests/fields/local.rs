//! `local`: an address or a network on the side of the NIC.

use crate::support::scenario::{CLIENT, LOCAL, NOT_LOCAL, Nftables, SECOND, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "one_address_of_several",
    policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: first-v4, protocol: tcp, ports: 80, local: 172.16.0.5 }
      - { id: first-v6, protocol: tcp, ports: 80, local: \"fd03::5\" }
      - { id: beside, protocol: tcp, ports: 81, local: 172.16.0.6/31 }
    egress:
      - { id: out-v4, action: drop, protocol: udp, local: 172.16.0.6 }
      - { id: out-v6, action: drop, protocol: udp, local: \"fd03::6/127\" }",
    packets: &[
        from(CLIENT).tcp(80).at(LOCAL).v4().is("accept by rule first-v4 of group web"),
        from(CLIENT).tcp(80).at(LOCAL).v6().is("accept by rule first-v6 of group web"),
        from(CLIENT).tcp(80).at(SECOND).is("drop by default"),
        from(CLIENT).tcp(81).at(LOCAL).is("drop by default"),
        from(CLIENT).tcp(81).at(SECOND).v4().is("accept by rule beside of group web"),
        from(CLIENT).tcp(81).at(NOT_LOCAL).v4().is("accept by rule beside of group web"),
        from(CLIENT).tcp(81).at(SECOND).v6().is("drop by default"),
        to(CLIENT).udp(53).at(LOCAL).is("accept by default"),
        to(CLIENT).udp(54).at(SECOND).v4().is("drop by rule out-v4 of group web"),
        to(CLIENT).udp(54).at(SECOND).v6().is("drop by rule out-v6 of group web"),
    ],
    nftables: Nftables::Rules {
        inbound: "
ip daddr 172.16.0.5 tcp dport 80 accept
ip6 daddr fd03::5 tcp dport 80 accept
ip daddr 172.16.0.6/31 tcp dport 81 accept",
        outbound: "
meta l4proto udp ip saddr 172.16.0.6 drop
meta l4proto udp ip6 saddr fd03::6/127 drop
accept",
    },
    ..WEB
}];
