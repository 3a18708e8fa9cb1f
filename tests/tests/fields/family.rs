//! `family`: packets of one family, of every remote that has both.

use crate::support::scenario::{CLIENT, LOCAL, Nftables, SECOND, STRANGER, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one_of_two",
        policy: "
prefix_lists: { clients: [10.77.0.2, \"fd77::2\"] }
members: { friends: [10.77.0.3, \"fd77::3\"] }
groups:
  friends: {}
  web:
    inner_access: drop
    ingress:
      - { id: ssh, protocol: tcp, ports: 22, family: ipv4 }
      - { id: web, protocol: tcp, ports: 80, family: ipv6 }
      - { id: listed, protocol: udp, ports: 53, family: ipv6, remote: { prefix_list: clients } }
      - { id: known, protocol: tcp, ports: 443, family: ipv4, remote: { group: friends } }
      - { id: said-twice, protocol: tcp, ports: 8080, family: ipv6, remote: \"fd77::/64\", local: \"fd03::5\" }
      - { id: gre, protocol: gre, family: ipv6 }
      - { id: ping, protocol: icmp, family: ipv4, icmp_type: 8 }
    egress:
      - { id: only-v4, action: drop, protocol: all, family: ipv6 }",
        packets: &[
            from(CLIENT).tcp(22).v4().is("accept by rule ssh of group web"),
            from(CLIENT).tcp(22).v6().is("drop by default"),
            from(CLIENT).tcp(80).v6().is("accept by rule web of group web"),
            from(CLIENT).tcp(80).v4().is("drop by default"),
            from(CLIENT).udp(53).v6().is("accept by rule listed of group web"),
            from(CLIENT).udp(53).v4().is("drop by default"),
            from(STRANGER).udp(53).is("drop by default"),
            from(STRANGER).tcp(443).v4().is("accept by rule known of group web"),
            from(STRANGER).tcp(443).v6().is("drop by default"),
            from(CLIENT).tcp(443).is("drop by default"),
            from(CLIENT).tcp(8080).v6().at(LOCAL).is("accept by rule said-twice of group web"),
            from(CLIENT).tcp(8080).v6().at(SECOND).is("drop by default"),
            from(CLIENT).tcp(8080).v4().is("drop by default"),
            from(CLIENT).bare("47").v6().is("accept by rule gre of group web"),
            from(CLIENT).bare("47").v4().is("drop by default"),
            from(CLIENT).icmp(8, 0).is("accept by rule ping of group web"),
            to(CLIENT).tcp(25).v6().is("drop by rule only-v4 of group web"),
            to(CLIENT).tcp(25).v4().is("accept by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
meta nfproto ipv4 tcp dport 22 accept
meta nfproto ipv6 tcp dport 80 accept
ip6 saddr fd77::2 udp dport 53 accept
ip saddr 10.77.0.3 tcp dport 443 accept
ip6 saddr fd77::/64 ip6 daddr fd03::5 tcp dport 8080 accept
meta nfproto ipv6 meta l4proto 47 accept
ip protocol icmp icmp type 8 accept",
            outbound: "
meta nfproto ipv6 drop
accept",
        },
        ..WEB
    },
    Scenario {
        name: "one_family_comes_first",
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: not-v6, action: drop, protocol: tcp, family: ipv6 }
      - { id: all, priority: 2, protocol: tcp }
      - { id: rest-v6, priority: 3, protocol: all, family: ipv6 }
    egress:
      - { id: none, action: drop, protocol: all }",
        packets: &[
            from(CLIENT).tcp(22).v4().is("accept by rule all of group web"),
            from(CLIENT).tcp(22).v6().is("drop by rule not-v6 of group web"),
            from(CLIENT).udp(22).v6().is("accept by rule rest-v6 of group web"),
            from(CLIENT).udp(22).v4().is("drop by default"),
            from(CLIENT).icmpv6(128, 0).is("accept by rule rest-v6 of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
meta nfproto ipv6 meta l4proto tcp drop
meta l4proto tcp accept
meta nfproto ipv6 accept",
            outbound: "drop",
        },
        ..WEB
    },
];
