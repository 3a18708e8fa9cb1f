//! `icmp_type` and `icmp_code`, of ICMP and of ICMPv6, whose numbers mean different things.

use crate::support::scenario::{CLIENT, Nftables, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "a_type_and_a_code",
    policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: echo, protocol: icmp, icmp_type: 8 }
      - { id: unreachable, protocol: icmp, icmp_type: 3, icmp_code: 4 }
      - { id: echo-v6, protocol: icmpv6, icmp_type: 128, icmp_code: 0 }
      - { id: query-v6, protocol: icmpv6, icmp_type: 139 }
    egress:
      - { id: timestamp, protocol: icmp, icmp_type: 13 }
      - { id: echo-out, protocol: icmpv6, icmp_type: 128 }
      - { id: nothing-else, action: drop, priority: 2, protocol: all }",
    packets: &[
        from(CLIENT).icmp(8, 0).is("accept by rule echo of group web"),
        from(CLIENT).icmp(8, 9).is("accept by rule echo of group web"),
        from(CLIENT).icmp(13, 0).is("drop by default"),
        from(CLIENT).icmp(3, 4).is("accept by rule unreachable of group web"),
        from(CLIENT).icmp(3, 3).is("drop by default"),
        from(CLIENT).icmp(128, 0).is("drop by default"),
        // First: the other one opens a flow, of which this is then a packet.
        from(CLIENT).icmpv6(128, 1).is("drop by default"),
        from(CLIENT).icmpv6(128, 0).is("accept by rule echo-v6 of group web"),
        from(CLIENT).icmpv6(139, 0).is("accept by rule query-v6 of group web"),
        from(CLIENT).icmpv6(139, 2).is("accept by rule query-v6 of group web"),
        from(CLIENT).icmpv6(8, 0).is("drop by default"),
        to(CLIENT).icmp(13, 0).is("accept by rule timestamp of group web"),
        to(CLIENT).icmp(15, 0).is("drop by rule nothing-else of group web"),
        to(CLIENT).icmpv6(128, 0).is("accept by rule echo-out of group web"),
        to(CLIENT).icmpv6(139, 0).is("drop by rule nothing-else of group web"),
    ],
    nftables: Nftables::Rules {
        inbound: "
meta nfproto ipv4 icmp type 8 accept
meta nfproto ipv4 icmp type 3 icmp code 4 accept
meta nfproto ipv6 icmpv6 type 128 icmpv6 code 0 accept
meta nfproto ipv6 icmpv6 type 139 accept",
        outbound: "
meta nfproto ipv4 icmp type 13 accept
meta nfproto ipv6 icmpv6 type 128 accept",
    },
    ..WEB
}];
