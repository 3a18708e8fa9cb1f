//! `source_ports`: the other port, alone and together with `ports`.

use crate::support::scenario::{CLIENT, Nftables, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "alone_and_with_ports",
    policy: "
port_lists: { high: [60000-65535] }
groups:
  web:
    inner_access: drop
    ingress:
      - { id: both, protocol: udp, ports: \"5000-5010,5353\", source_ports: 53 }
      - { id: alone, protocol: tcp, source_ports: [1023, 2000-2001] }
      - { id: listed, protocol: sctp, source_ports: { port_list: high } }
    egress:
      - { id: out, protocol: udp, source_ports: 123, ports: 123 }
      - { id: nothing-else, action: drop, priority: 2, protocol: all }",
    packets: &[
        from(CLIENT).udp(5_000).source_port(53).is("accept by rule both of group web"),
        from(CLIENT).udp(5_353).source_port(53).is("accept by rule both of group web"),
        from(CLIENT).udp(5_011).source_port(53).is("drop by default"),
        from(CLIENT).udp(5_001).source_port(54).is("drop by default"),
        from(CLIENT).udp(53).source_port(5_000).is("drop by default"),
        from(CLIENT).tcp(1).source_port(1_023).is("accept by rule alone of group web"),
        from(CLIENT).tcp(1).source_port(1_022).is("drop by default"),
        from(CLIENT).tcp(1).source_port(1_024).is("drop by default"),
        from(CLIENT).tcp(2_000).source_port(2_000).is("accept by rule alone of group web"),
        from(CLIENT).tcp(2_000).source_port(2_001).is("accept by rule alone of group web"),
        from(CLIENT).tcp(2_000).source_port(2_002).is("drop by default"),
        from(CLIENT).ported("sctp", 1).source_port(60_000).is("accept by rule listed of group web"),
        from(CLIENT).ported("sctp", 1).source_port(59_999).is("drop by default"),
        to(CLIENT).udp(123).source_port(123).is("accept by rule out of group web"),
        to(CLIENT).udp(123).source_port(124).is("drop by rule nothing-else of group web"),
        to(CLIENT).udp(124).source_port(123).is("drop by rule nothing-else of group web"),
    ],
    nftables: Nftables::Rules {
        inbound: "
udp sport 53 udp dport { 5000-5010, 5353 } accept
tcp sport { 1023, 2000-2001 } accept
sctp sport 60000-65535 accept",
        outbound: "udp sport 123 udp dport 123 accept",
    },
    ..WEB
}];
