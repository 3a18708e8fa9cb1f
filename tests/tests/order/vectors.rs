//! The examples that the clouds' own documents give for the order of groups and rules, in both orders:
//! `merged` is Alibaba Cloud's, `sequence` is Huawei Cloud's. A policy, a packet, and what every engine must
//! say.
//!
//! One thing is this project's choice: members of a group with inner access come in before any rule in both
//! orders (vector 4), and what leaves a basic group passes by default in both (vector 5).

use sg_check::EngineKind;
use sg_probe::Reader;

use crate::support::runs::AskedOf;

/// One example.
struct Vector {
    /// The document without its precedence.
    policy: &'static str,
    /// The packet.
    probe: &'static str,
    merged: &'static str,
    sequence: &'static str,
}

impl Vector {
    fn check(&self, engine: EngineKind) {
        for (precedence, expected) in [("merged", self.merged), ("sequence", self.sequence)] {
            let text = format!("precedence: {precedence}\n{}", self.policy);
            let policy = sg_document::parse("vector", text.as_bytes()).unwrap().policy;
            let probe = Reader::new(&policy).probe(self.probe.as_bytes()).unwrap();
            let answer = engine.start(&policy).unwrap().answer(&probe).unwrap();
            assert_eq!(answer.written(&policy).to_string(), expected, "{engine}, {precedence}");
        }
    }
}

macro_rules! vectors {
    ($($(#[$doc:meta])* $name:ident: $vector:expr;)*) => {
        /// Every example by its name.
        pub(crate) const ASKED: &[AskedOf] = &[$((stringify!($name), &EngineKind::ALL, $name)),*];
        $($(#[$doc])* fn $name(engine: EngineKind) { $vector.check(engine); })*
    };
}

const SSH: &str =
    r#"{"nic":"nic","direction":"ingress","protocol":"tcp","src":"10.1.1.1","dst":"10.0.0.5","dport":22}"#;

/// Two groups: one lets its members talk, the other does not. Three NICs.
const ISOLATED_AND_OPEN: &str = "
groups: { isolated: { inner_access: drop }, open: { inner_access: accept } }
nics:
  - { device: one, addresses: [10.0.0.1], groups: [isolated] }
  - { device: two, addresses: [10.0.0.2], groups: [isolated, open] }
  - { device: three, addresses: [10.0.0.3], groups: [open] }
";

vectors! {
    /// A tie between groups.
    vector_1: Vector {
        policy: "
groups:
  g1: { ingress: [{ action: accept, protocol: tcp, ports: 22, priority: 1 }] }
  g2: { ingress: [{ action: drop, protocol: tcp, ports: 22, priority: 1 }] }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1, g2] }]
",
        probe: SSH,
        merged: "drop by rule g2/ingress/0 of group g2",
        sequence: "accept by rule g1/ingress/0 of group g1",
    };
    /// The better priority stands in the later group.
    vector_2: Vector {
        policy: "
groups:
  g1: { ingress: [{ action: accept, protocol: tcp, ports: 22, priority: 100 }] }
  g2: { ingress: [{ action: drop, protocol: tcp, ports: 22, priority: 1 }] }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1, g2] }]
",
        probe: SSH,
        merged: "drop by rule g2/ingress/0 of group g2",
        sequence: "accept by rule g1/ingress/0 of group g1",
    };
    /// The other way round.
    vector_3: Vector {
        policy: "
groups:
  g1: { ingress: [{ action: drop, protocol: tcp, ports: 22, priority: 100 }] }
  g2: { ingress: [{ action: accept, protocol: tcp, ports: 22, remote: 10.0.0.0/8, priority: 1 }] }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1, g2] }]
",
        probe: SSH,
        merged: "accept by rule g2/ingress/0 of group g2",
        sequence: "drop by rule g1/ingress/0 of group g1",
    };
    /// Inner access stands before every rule.
    vector_4: Vector {
        policy: "
members: { g1: [10.1.1.1] }
groups: { g1: { inner_access: accept, ingress: [{ action: drop, protocol: all, priority: 1 }] } }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1] }]
",
        probe: SSH,
        merged: "accept by intra-group of group g1",
        sequence: "accept by intra-group of group g1",
    };
    /// What leaves a basic group.
    vector_5: Vector {
        policy: "
groups: { g1: { type: basic } }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1] }]
",
        probe: r#"{"nic":"nic","direction":"egress","protocol":47,"src":"10.0.0.5","dst":"10.1.1.1"}"#,
        merged: "accept by default",
        sequence: "accept by default",
    };
    /// What leaves an enterprise group.
    vector_6: Vector {
        policy: "
groups: { g1: { type: enterprise } }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1] }]
",
        probe: r#"{"nic":"nic","direction":"egress","protocol":47,"src":"10.0.0.5","dst":"10.1.1.1"}"#,
        merged: "drop by default",
        sequence: "drop by default",
    };
    /// A rule lets in members of a group without inner access.
    vector_7: Vector {
        policy: "
members: { g1: [10.0.0.9] }
groups:
  g1: { inner_access: drop, ingress: [{ action: accept, protocol: all, remote: 10.0.0.0/24, priority: 1 }] }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1] }]
",
        probe: r#"{"nic":"nic","direction":"ingress","protocol":47,"src":"10.0.0.9","dst":"10.0.0.5"}"#,
        merged: "accept by rule g1/ingress/0 of group g1",
        sequence: "accept by rule g1/ingress/0 of group g1",
    };
    /// A rule may name its own group.
    vector_7b: Vector {
        policy: "
members: { g1: [10.0.0.9] }
groups: { g1: { inner_access: drop, ingress: [{ protocol: all, remote: { group: g1 } }] } }
nics: [{ device: nic, addresses: [10.0.0.5], groups: [g1] }]
",
        probe: r#"{"nic":"nic","direction":"ingress","protocol":47,"src":"10.0.0.9","dst":"10.0.0.5"}"#,
        merged: "accept by rule g1/ingress/0 of group g1",
        sequence: "accept by rule g1/ingress/0 of group g1",
    };
    /// The group that both hold lets nobody talk.
    vector_8_one_to_two: Vector {
        policy: ISOLATED_AND_OPEN,
        probe: r#"{"nic":"two","direction":"ingress","protocol":47,"src":"10.0.0.1","dst":"10.0.0.2"}"#,
        merged: "drop by default",
        sequence: "drop by default",
    };
    /// The group that both hold lets its members talk; the isolating one takes nothing away.
    vector_8_two_to_three: Vector {
        policy: ISOLATED_AND_OPEN,
        probe: r#"{"nic":"three","direction":"ingress","protocol":47,"src":"10.0.0.2","dst":"10.0.0.3"}"#,
        merged: "accept by intra-group of group open",
        sequence: "accept by intra-group of group open",
    };
    /// And back.
    vector_8_three_to_two: Vector {
        policy: ISOLATED_AND_OPEN,
        probe: r#"{"nic":"two","direction":"ingress","protocol":47,"src":"10.0.0.3","dst":"10.0.0.2"}"#,
        merged: "accept by intra-group of group open",
        sequence: "accept by intra-group of group open",
    };
    /// They hold no group together.
    vector_8_one_to_three: Vector {
        policy: ISOLATED_AND_OPEN,
        probe: r#"{"nic":"three","direction":"ingress","protocol":47,"src":"10.0.0.1","dst":"10.0.0.3"}"#,
        merged: "drop by default",
        sequence: "drop by default",
    };
    /// Every IPv4 address is no IPv6 address. (Vector 10, answers of an accepted flow, needs a flow: the lab
    /// sends one.)
    vector_9: Vector {
        policy: "
groups: { g1: { ingress: [{ protocol: tcp, ports: 80, remote: 0.0.0.0/0 }] } }
nics: [{ device: nic, addresses: [\"2001:db8::5\"], groups: [g1] }]
",
        probe: r#"{"nic":"nic","direction":"ingress","protocol":"tcp","src":"2001:db8::1","dst":"2001:db8::5",
                   "dport":80}"#,
        merged: "drop by default",
        sequence: "drop by default",
    };
}
