//! `dscp`: one of the 64 classes, of every protocol and both families, whatever the two bits behind it are.

use crate::support::scenario::{CLIENT, Nftables, STRANGER, Scenario, WEB, from, to};

pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "one_class",
    policy: "
groups:
  web:
    inner_access: drop
    ingress:
      - { id: voice, protocol: udp, ports: 5004, dscp: 46 }
      - { id: best-effort, protocol: tcp, ports: 22, dscp: 0 }
      - { id: no-last, action: drop, protocol: all, remote: 10.77.0.3, dscp: 63 }
      - { id: stranger, priority: 2, protocol: all, remote: 10.77.0.3 }
      - { id: ping, protocol: icmp, icmp_type: 8, dscp: 8 }
    egress:
      - { id: no-bulk, action: drop, protocol: all, dscp: 8 }",
    packets: &[
        // What is accepted comes last: its flow is known from then on.
        from(CLIENT).udp(5004).dscp(47).is("drop by default"),
        from(CLIENT).udp(5004).dscp(45).is("drop by default"),
        from(CLIENT).udp(5004).dscp(14).is("drop by default"),
        from(CLIENT).udp(5004).is("drop by default"),
        from(CLIENT).udp(5005).dscp(46).is("drop by default"),
        from(CLIENT).udp(5004).dscp(46).is("accept by rule voice of group web"),
        from(CLIENT).tcp(22).is("accept by rule best-effort of group web"),
        from(CLIENT).tcp(22).dscp(0).is("accept by rule best-effort of group web"),
        from(CLIENT).tcp(22).dscp(1).is("drop by default"),
        from(CLIENT).tcp(22).dscp(32).is("drop by default"),
        from(STRANGER).v4().bare("47").dscp(63).is("drop by rule no-last of group web"),
        from(STRANGER).v4().bare("47").dscp(62).is("accept by rule stranger of group web"),
        from(STRANGER).v4().bare("47").dscp(31).is("accept by rule stranger of group web"),
        from(CLIENT).icmp(8, 0).is("drop by default"),
        from(CLIENT).icmp(8, 0).dscp(8).is("accept by rule ping of group web"),
        to(CLIENT).tcp(443).dscp(8).is("drop by rule no-bulk of group web"),
        to(CLIENT).tcp(443).dscp(9).is("accept by default"),
        to(CLIENT).tcp(443).dscp(10).is("accept by default"),
        to(CLIENT).tcp(443).dscp(24).is("accept by default"),
        to(CLIENT).tcp(443).is("accept by default"),
    ],
    nftables: Nftables::Rules {
        inbound: "
udp dport 5004 ip dscp 46 accept
udp dport 5004 ip6 dscp 46 accept
tcp dport 22 ip dscp 0 accept
tcp dport 22 ip6 dscp 0 accept
ip saddr 10.77.0.3 ip dscp 63 drop
ip saddr 10.77.0.3 accept
ip protocol icmp icmp type 8 ip dscp 8 accept",
        outbound: "
ip dscp 8 drop
ip6 dscp 8 drop
accept",
    },
    ..WEB
}];
