//! `remote`: any, an address, a network, a group and a prefix list, in both families.

use crate::support::scenario::{CLIENT, Ends, Nftables, STRANGER, Scenario, WEB, from, to};

/// Beside and at the bounds of two networks.
const BELOW: Ends = ["10.80.0.255", "fd80:0:ffff:ffff:ffff:ffff:ffff:ffff"];
const FIRST: Ends = ["10.80.1.0", "fd80:1::"];
const LAST: Ends = ["10.80.1.255", "fd80:1:ffff:ffff:ffff:ffff:ffff:ffff"];
const ABOVE: Ends = ["10.80.2.0", "fd80:2::"];

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_network_holds_its_bounds",
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: net-v4, protocol: tcp, remote: 10.80.1.0/24 }
      - { id: net-v6, protocol: tcp, remote: \"fd80:1::/32\" }
      - { id: one-v4, protocol: udp, remote: 10.77.0.2 }
      - { id: one-v6, protocol: udp, remote: \"fd77::2\" }
    egress:
      - { id: out-v4, protocol: tcp, remote: 10.80.1.0/24 }
      - { id: out-v6, protocol: tcp, remote: \"fd80:1::/32\" }
      - { id: nothing-else, action: drop, priority: 2, protocol: all }",
        packets: &[
            from(BELOW).tcp(80).is("drop by default"),
            from(FIRST).tcp(80).v4().is("accept by rule net-v4 of group web"),
            from(FIRST).tcp(80).v6().is("accept by rule net-v6 of group web"),
            from(LAST).tcp(80).v4().is("accept by rule net-v4 of group web"),
            from(LAST).tcp(80).v6().is("accept by rule net-v6 of group web"),
            from(ABOVE).tcp(80).is("drop by default"),
            from(CLIENT).udp(80).v4().is("accept by rule one-v4 of group web"),
            from(CLIENT).udp(80).v6().is("accept by rule one-v6 of group web"),
            from(STRANGER).udp(80).is("drop by default"),
            to(BELOW).tcp(80).is("drop by rule nothing-else of group web"),
            to(FIRST).tcp(81).v4().is("accept by rule out-v4 of group web"),
            to(LAST).tcp(81).v6().is("accept by rule out-v6 of group web"),
            to(ABOVE).tcp(80).is("drop by rule nothing-else of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
meta l4proto tcp ip saddr 10.80.1.0/24 accept
meta l4proto tcp ip6 saddr fd80:1::/32 accept
meta l4proto udp ip saddr 10.77.0.2 accept
meta l4proto udp ip6 saddr fd77::2 accept",
            outbound: "
meta l4proto tcp ip daddr 10.80.1.0/24 accept
meta l4proto tcp ip6 daddr fd80:1::/32 accept",
        },
        ..WEB
    },
    Scenario {
        name: "every_address_of_a_family",
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: v4, protocol: tcp, ports: 4, remote: 0.0.0.0/0 }
      - { id: v6, protocol: tcp, ports: 6, remote: \"::/0\" }
      - { id: any, protocol: tcp, ports: 46, remote: any }",
        packets: &[
            from(CLIENT).tcp(4).v4().is("accept by rule v4 of group web"),
            from(CLIENT).tcp(4).v6().is("drop by default"),
            from(CLIENT).tcp(6).v4().is("drop by default"),
            from(CLIENT).tcp(6).v6().is("accept by rule v6 of group web"),
            from(CLIENT).tcp(46).is("accept by rule any of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
meta nfproto ipv4 tcp dport { 4, 46 } accept
meta nfproto ipv6 tcp dport { 6, 46 } accept",
            outbound: "accept",
        },
        ..WEB
    },
    Scenario {
        name: "a_prefix_list",
        policy: "
prefix_lists: { office: [10.77.0.2/31, \"fd77::2/127\"], nobody: [] }
groups:
  web:
    inner_access: drop
    ingress:
      - { id: not-him, action: drop, protocol: all, remote: 10.77.0.3 }
      - { id: nor-her, action: drop, protocol: all, remote: \"fd77::3\" }
      - { id: empty, protocol: all, remote: { prefix_list: nobody } }
      - { id: listed, protocol: tcp, ports: 80, priority: 2, remote: { prefix_list: office } }
    egress:
      - { id: listed-out, action: drop, protocol: udp, remote: { prefix_list: office } }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule listed of group web"),
            from(STRANGER).tcp(80).v4().is("drop by rule not-him of group web"),
            from(STRANGER).tcp(80).v6().is("drop by rule nor-her of group web"),
            from(BELOW).tcp(80).is("drop by default"),
            to(CLIENT).udp(53).is("drop by rule listed-out of group web"),
            to(STRANGER).udp(53).is("drop by rule listed-out of group web"),
            to(BELOW).udp(53).is("accept by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 10.77.0.3 drop
ip6 saddr fd77::3 drop
ip saddr 10.77.0.2/31 tcp dport 80 accept
ip6 saddr fd77::2/127 tcp dport 80 accept",
            outbound: "
meta l4proto udp ip daddr 10.77.0.2/31 drop
meta l4proto udp ip6 daddr fd77::2/127 drop
accept",
        },
        ..WEB
    },
    Scenario {
        name: "a_group",
        policy: "
members: { ops: [10.77.0.2, \"fd77::2\"] }
groups:
  ops: {}
  web:
    inner_access: drop
    ingress:
      - { id: named, protocol: tcp, ports: 80, remote: { group: ops } }
      - { id: itself, protocol: tcp, ports: 81, remote: { group: web } }
    egress:
      - { id: named-out, action: drop, protocol: all, remote: { group: ops } }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule named of group web"),
            from(CLIENT).tcp(81).is("drop by default"),
            from(STRANGER).tcp(80).is("drop by default"),
            to(CLIENT).tcp(82).is("drop by rule named-out of group web"),
            to(STRANGER).tcp(82).is("accept by default"),
        ],
        nftables: Nftables::Rules {
            inbound: "
ip saddr 10.77.0.2 tcp dport 80 accept
ip6 saddr fd77::2 tcp dport 80 accept",
            outbound: "
ip daddr 10.77.0.2 drop
ip6 daddr fd77::2 drop
accept",
        },
        ..WEB
    },
];
