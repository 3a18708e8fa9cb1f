//! `protocol`: by name, by number, and `all`, both ways.

use crate::support::scenario::{CLIENT, Nftables, Packet, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_name_or_a_number",
        policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: in-tcp, protocol: tcp }
      - { id: in-udp, protocol: 17 }
      - { id: in-icmp, protocol: icmp }
      - { id: in-icmpv6, protocol: ICMPv6 }
      - { id: in-sctp, protocol: sctp }
      - { id: in-gre, protocol: gre }
      - { id: in-200, protocol: 200 }
    egress:
      - { id: out-tcp, protocol: 6 }
      - { id: out-udp, protocol: udp }
      - { id: out-icmp, protocol: 1 }
      - { id: out-icmpv6, protocol: 58 }
      - { id: out-sctp, protocol: 132 }
      - { id: out-gre, protocol: 47 }
      - { id: out-255, protocol: 255 }
      - { id: nothing-else, action: drop, priority: 2, protocol: all }",
        packets: &[
            from(CLIENT).tcp(80).is("accept by rule in-tcp of group web"),
            from(CLIENT).udp(80).is("accept by rule in-udp of group web"),
            from(CLIENT).icmp(8, 0).is("accept by rule in-icmp of group web"),
            from(CLIENT).icmpv6(128, 0).is("accept by rule in-icmpv6 of group web"),
            from(CLIENT).ported("sctp", 80).is("accept by rule in-sctp of group web"),
            from(CLIENT).bare("gre").is("accept by rule in-gre of group web"),
            from(CLIENT).bare("200").is("accept by rule in-200 of group web"),
            from(CLIENT).bare("199").is("drop by default"),
            from(CLIENT).bare("255").is("drop by default"),
            from(CLIENT).ported("33", 80).is("drop by default"),
            to(CLIENT).tcp(80).is("accept by rule out-tcp of group web"),
            to(CLIENT).udp(80).is("accept by rule out-udp of group web"),
            to(CLIENT).icmp(13, 0).is("accept by rule out-icmp of group web"),
            to(CLIENT).icmpv6(139, 0).is("accept by rule out-icmpv6 of group web"),
            to(CLIENT).ported("sctp", 81).is("accept by rule out-sctp of group web"),
            to(CLIENT).bare("255").is("accept by rule out-255 of group web"),
            to(CLIENT).bare("254").is("drop by rule nothing-else of group web"),
            to(CLIENT).ported("136", 80).is("drop by rule nothing-else of group web"),
        ],
        nftables: Nftables::Rules {
            inbound: "
meta nfproto ipv4 meta l4proto { 6, 17, 1, 132, 47, 200 } accept
meta nfproto ipv6 meta l4proto { 6, 17, 58, 132, 47, 200 } accept",
            outbound: "
meta nfproto ipv4 meta l4proto { 6, 17, 1, 132, 47, 255 } accept
meta nfproto ipv6 meta l4proto { 6, 17, 58, 132, 47, 255 } accept",
        },
        ..WEB
    },
    Scenario {
        name: "all",
        policy: "groups: { web: { inner_access: drop, ingress: [{ id: everything, protocol: all }] } }",
        packets: EVERYTHING,
        nftables: Nftables::Rules { inbound: "accept", outbound: "accept" },
        ..WEB
    },
];

const EVERYTHING: &[Packet] = &[
    from(CLIENT).tcp(0).is("accept by rule everything of group web"),
    from(CLIENT).udp(65_535).is("accept by rule everything of group web"),
    from(CLIENT).icmp(255, 255).is("accept by rule everything of group web"),
    from(CLIENT).icmpv6(200, 0).is("accept by rule everything of group web"),
    from(CLIENT).ported("sctp", 1).is("accept by rule everything of group web"),
    from(CLIENT).ported("33", 1).is("accept by rule everything of group web"),
    from(CLIENT).ported("136", 1).is("accept by rule everything of group web"),
    from(CLIENT).bare("61").is("accept by rule everything of group web"),
];
