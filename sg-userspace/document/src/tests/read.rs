//! Valid documents, and what they mean.

use std::{collections::BTreeMap, net::IpAddr};

use sg_common::packet::protocol;
use sg_model::{
    Action, Addresses, Established, Group, GroupIndex, GroupType, HeaderNumbers, Hook, Ipsec, Match,
    MatchField, Nic, Policy, PolicyParts, PortListIndex, PortRange, Ports, Precedence, PrefixListIndex,
    Prefixes, Priority, Protocol, Remote, Role, Rule,
};

use super::{super::Notice, EXAMPLE, accepted};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn remote(text: &str) -> Remote {
    Remote::Net(text.parse().unwrap())
}

fn range(first: u16, last: u16) -> PortRange {
    PortRange::new(first, last).unwrap()
}

fn port(port: u16) -> PortRange {
    range(port, port)
}

const ALL: Match = Match::of(Protocol::All);

const fn number(protocol: u8) -> Match {
    Match::of(Protocol::Number(protocol))
}

fn ported(protocol: u8, ports: Ports) -> Match {
    Match { ports, ..number(protocol) }
}

fn rule(id: &str, matches: Match) -> Rule {
    Rule {
        id: id.to_owned(),
        enabled: true,
        action: Action::Accept,
        priority: Priority::FIRST,
        matches,
        description: None,
    }
}

/// The inbound rules of the group web of [`EXAMPLE`].
fn web_ingress(ops: GroupIndex, office: PrefixListIndex, web_ports: PortListIndex) -> Vec<Rule> {
    vec![
        Rule {
            priority: Priority::new(10).unwrap(),
            ..rule(
                "web/ingress/0",
                ported(protocol::TCP, Ports::Ranges(vec![port(80), port(443), range(8080, 8090)])),
            )
        },
        rule(
            "web/ingress/1",
            Match { remote: Remote::PrefixList(office), ..ported(protocol::TCP, Ports::List(web_ports)) },
        ),
        Rule {
            action: Action::Drop,
            priority: Priority::LAST,
            ..rule("no-scan", Match { remote: remote("198.51.100.0/24"), ..ALL })
        },
        Rule {
            enabled: false,
            ..rule(
                "web/ingress/3",
                Match { remote: Remote::Group(ops), ..ported(protocol::SCTP, Ports::Ranges(vec![port(22)])) },
            )
        },
        rule("web/ingress/4", Match { numbers: HeaderNumbers::icmp(8, 0), ..number(protocol::ICMP) }),
        rule(
            "web/ingress/5",
            Match {
                source_ports: Ports::Ranges(vec![port(53)]),
                local: Some("10.0.0.5/32".parse().unwrap()),
                ..ported(protocol::UDP, Ports::Ranges(vec![range(5000, 5010)]))
            },
        ),
        rule(
            "web/ingress/6",
            Match {
                numbers: HeaderNumbers::icmp(128, None),
                remote: remote("::/0"),
                local: Some("2001:db8::5/128".parse().unwrap()),
                ..number(protocol::ICMPV6)
            },
        ),
        Rule { description: Some("tunnels".to_owned()), ..rule("web/ingress/7", number(protocol::GRE)) },
    ]
}

fn entry(text: &str) -> Addresses {
    text.parse().unwrap()
}

/// The policy of [`EXAMPLE`].
fn example() -> Policy {
    let (ops, office, web_ports) = (GroupIndex(1), PrefixListIndex(0), PortListIndex(0));
    let web = web_ingress(ops, office, web_ports);
    let egress = Rule {
        action: Action::Drop,
        ..rule("web/egress/0", ported(protocol::TCP, Ports::Ranges(vec![range(0, 65535)])))
    };
    let group = |name: &str, kind, inner_access| Group {
        name: name.to_owned(),
        kind,
        inner_access,
        description: None,
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    let nic = |device: &str, groups| Nic {
        precedence: Precedence::Merged,
        established: Established::Keep,
        ..Nic::new(device, groups)
    };
    let parts = PolicyParts {
        prefix_lists: vec![
            ("office".to_owned(), ["203.0.113.0/24", "2001:db8:1::/48"].map(entry).into_iter().collect()),
            ("none".to_owned(), Prefixes::default()),
        ],
        port_lists: vec![(
            "web".to_owned(),
            vec![port(80), port(443), range(8080, 8090), port(22), port(53)],
        )],
        members: BTreeMap::from([(ops, vec![address("10.1.0.7"), address("2001:db8::7")])]),
        groups: vec![
            Group {
                description: Some("public web servers".to_owned()),
                ingress: web,
                egress: vec![egress],
                ..group("web", GroupType::Basic, false)
            },
            group("ops", GroupType::Basic, true),
            group("strict", GroupType::Enterprise, false),
        ],
        nics: vec![
            Nic {
                addresses: vec![address("10.0.0.5"), address("2001:db8::5")],
                ..nic("eth0", vec![GroupIndex(0), GroupIndex(1)])
            },
            Nic { role: Role::Guest, anti_spoofing_written: Some(true), ..nic("tap0", vec![GroupIndex(2)]) },
            Nic {
                addresses_from_device: true,
                hook: Hook::Xdp,
                ipsec_written: Some(Ipsec::Pass),
                ethertypes: ["lldp", "stp", "0x8915", "ptp"].map(|kind| kind.parse().unwrap()).to_vec(),
                ..nic("eth1", vec![GroupIndex(1)])
            },
        ],
    };
    Policy::new(parts).unwrap()
}

#[test]
fn the_example_means_what_it_says() {
    let loaded = accepted(EXAMPLE);
    assert_eq!(loaded.policy, example());
    assert_eq!(loaded.warnings, []);
}

#[test]
fn json_says_the_same() {
    let json = include_str!("example.json");
    let _: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(accepted(json).policy, example());
}

#[test]
fn what_is_left_out_has_its_default() {
    let loaded = accepted(
        "groups: { g: { ingress: [ { protocol: all } ] } }\nnics: [ { device: eth0, groups: [g] } ]",
    );
    let policy = &loaded.policy;
    let group = &policy.groups()[0];
    assert_eq!((group.kind, group.inner_access), (GroupType::Basic, true));
    assert_eq!(group.ingress, [rule("g/ingress/0", ALL)]);
    assert!(group.egress.is_empty());
    let nic = &policy.nics()[0];
    assert_eq!((nic.precedence, nic.established), (Precedence::Sequence, Established::Revalidate));
    assert_eq!((nic.role, nic.addresses_from_device, nic.anti_spoofing()), (Role::Host, true, false));
    assert_eq!((nic.hook, nic.ipsec_written, nic.ipsec()), (Hook::Tc, None, Ipsec::Pass));
}

#[test]
fn nothing_stands_for_an_empty_thing() {
    let empty = accepted("{}").policy;
    assert_eq!(empty, Policy::new(PolicyParts::default()).unwrap());
    for text in [
        "groups:",
        "nics:\ngroups: {}\nmembers:\nprefix_lists:\nport_lists:",
        "\u{feff}{}",
        "---\n{}\n...\n",
        "{}\r\n",
    ] {
        let loaded = accepted(text);
        assert_eq!(loaded.policy, empty, "{text:?}");
        let said: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{text:?}");
        assert!(said[0].ends_with(": the document has no nics: nothing is protected"), "{said:?}");
    }
    let lists = accepted("prefix_lists: { a: }\nport_lists: { b: }\ngroups: { g: }\nmembers: { g: }").policy;
    assert_eq!(lists.prefixes(PrefixListIndex(0)), []);
    assert_eq!(lists.port_list(PortListIndex(0)), []);
    assert!(lists.remote_members(GroupIndex(0)).is_empty());
}

#[test]
fn every_way_to_write_ports() {
    let ports = |written: &str| {
        let text = format!("groups: {{ g: {{ ingress: [ {{ protocol: tcp, ports: {written} }} ] }} }}");
        let policy = accepted(&text).policy;
        match &policy.groups()[0].ingress[0].matches.ports {
            Ports::Ranges(ranges) => ranges.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ports("22"), [port(22)]);
    assert_eq!(ports("\"22\""), [port(22)]);
    assert_eq!(ports("0"), [port(0)]);
    assert_eq!(ports("8000-8100"), [range(8000, 8100)]);
    assert_eq!(ports("65535-65535"), [port(65535)]);
    assert_eq!(ports("\"22, 80 - 90\""), [port(22), range(80, 90)]);
    assert_eq!(ports("[80, 443, 8080-8090]"), [port(80), port(443), range(8080, 8090)]);
    assert_eq!(ports("[\"22,80\", 90]"), [port(22), port(80), port(90)]);
}

#[test]
fn a_rule_may_name_its_own_group() {
    let policy = accepted("groups: { g: { egress: [ { protocol: all, remote: { group: g } } ] } }").policy;
    assert_eq!(policy.groups()[0].egress[0].matches.remote, Remote::Group(GroupIndex(0)));
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let text = "
groups:
  g:
    ingress:
      - &ssh { protocol: tcp, ports: 22 }
      - { <<: *ssh, ports: 23, action: drop }
    egress: [ *ssh ]
";
    let policy = accepted(text).policy;
    let group = &policy.groups()[0];
    assert_eq!(group.ingress[1].matches, ported(protocol::TCP, Ports::Ranges(vec![port(23)])));
    assert_eq!(group.egress[0], Rule { id: "g/egress/0".to_owned(), ..group.ingress[0].clone() });
}

#[test]
fn host_bits_are_cleared_with_a_warning() {
    let text = "
prefix_lists: { l: [10.0.0.0/8, 10.1.2.3/8] }
groups:
  g:
    ingress:
      - { protocol: all, remote: \"2001:db8::1/32\", local: fe80::1/10 }
";
    let loaded = accepted(text);
    let rule = &loaded.policy.groups()[0].ingress[0];
    assert_eq!(rule.matches.remote, remote("2001:db8::/32"));
    assert_eq!(rule.matches.local, Some("fe80::/10".parse().unwrap()));
    let ten = "10.0.0.0/8".parse().unwrap();
    assert_eq!(loaded.policy.prefixes(PrefixListIndex(0)), [ten, ten]);
    let warnings: Vec<_> = loaded.warnings[..3].iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "policy.yaml:2:33: prefix_lists.l[1]: \"10.1.2.3/8\" has bits beyond its length: read as 10.0.0.0/8",
            "policy.yaml:6:34: groups.g.ingress[0].remote: \"2001:db8::1/32\" has bits beyond its length: read as 2001:db8::/32",
            "policy.yaml:6:59: groups.g.ingress[0].local: \"fe80::1/10\" has bits beyond its length: read as fe80::/10",
        ]
    );
}

#[test]
fn a_guest_without_addresses_is_asked_for_them() {
    let loaded = accepted("groups: { g: }\nnics: [ { device: tap0, role: guest, groups: [g] } ]");
    let warning = &loaded.warnings[0];
    assert_eq!(warning.notice, Notice::GuestWithoutAddresses { device: "tap0".to_owned() });
    assert_eq!((warning.at.line, warning.at.column, warning.path.to_string().as_str()), (2, 9, "nics[0]"));
}

#[test]
fn what_can_never_match_is_warned_of() {
    let text = "
members: { web: [10.0.0.7, fe80::7, 169.254.0.7] }
groups: { web: { ingress: [{ protocol: 60 }, { protocol: 61 }, { protocol: 0 }] } }
";
    let loaded = accepted(text);
    let notices: Vec<_> = loaded.warnings.into_iter().map(|warning| warning.notice).collect();
    let [v6, v4] = ["fe80::7", "169.254.0.7"].map(|address| address.parse().unwrap());
    assert_eq!(
        notices,
        [
            Notice::LinkLocalMember { address: v6 },
            Notice::LinkLocalMember { address: v4 },
            Notice::ExtensionHeader { protocol: 60 },
            Notice::ExtensionHeader { protocol: 0 },
            Notice::NothingProtected,
        ]
    );
}

#[test]
fn frames_that_carry_others_are_warned_of() {
    let text = "groups: { g: }\nnics: [ { device: eth0, ethertypes: [lldp, 0x88e5, 35041], groups: [g] } ]";
    let warnings = accepted(text).warnings;
    let said: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "policy.yaml:2:44: nics[0].ethertypes[1]: 0x88e5 is MACsec, which carries frames that no rule of this NIC sees: make \
             the device where they come out a NIC, too"
        ]
    );
}

#[test]
fn warnings_without_end_are_counted() {
    let prefixes = "10.0.0.1/8, ".repeat(3000);
    let loaded = accepted(&format!("prefix_lists: {{ l: [ {prefixes} ] }}"));
    assert_eq!(loaded.warnings.len(), 1001);
    // The last one is that there are no NICs.
    assert_eq!(loaded.warnings[1000].notice, Notice::More { count: 2001 });
}

/// The warnings about rules of a group that a NIC holds.
fn of_rules(rules: &str) -> Vec<String> {
    let text = format!(
        "prefix_lists: {{ all: [10.0.0.0/8, 192.0.2.0/24], one: [10.1.0.0/16], none: [] }}\nport_lists: {{ web: [80, 443, 8080-8090] }}\n\
         groups: {{ h: , g: {{ ingress: [{rules}] }} }}\nnics: [{{ device: eth0, groups: [g] }}]"
    );
    accepted(&text).warnings.iter().map(|warning| format!("{}: {}", warning.path, warning.notice)).collect()
}

#[test]
fn rules_that_never_decide_are_warned_of() {
    let never = |position: usize, by: &str, does: &str| {
        let (place, by) = (format!("groups.g.ingress[{position}]"), format!("{by:?}"));
        vec![format!(
            "{place}: this rule never decides: rule {by} is asked first, matches all that this one matches, and {does}"
        )]
    };
    for (rules, wanted) in [
        (
            "{ protocol: tcp, ports: 22 }, { protocol: tcp, ports: 22 }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: tcp, ports: 22 }, { id: no, action: drop, protocol: all }",
            never(0, "no", "does the opposite"),
        ),
        (
            "{ action: reject, priority: 1, protocol: all }, { id: x, action: drop, priority: 2, protocol: udp }",
            never(1, "g/ingress/0", "lets nothing through either"),
        ),
        (
            "{ protocol: tcp, ports: [1-100, 101-200] }, { priority: 2, protocol: tcp, ports: 50-150 }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: tcp, ports: { port_list: web } }, { priority: 2, protocol: tcp, ports: [443, 8085] }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: all, remote: { prefix_list: all } }, { priority: 2, protocol: gre, remote: { prefix_list: one } }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: all, remote: { group: h } }, { priority: 2, protocol: gre, remote: { group: h } }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: icmp, icmp_type: 8 }, { priority: 2, protocol: icmp, icmp_type: 8, icmp_code: 0 }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: all, local: 10.0.0.0/8 }, { priority: 2, protocol: all, local: 10.0.0.1 }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: all, family: ipv4 }, { priority: 2, protocol: tcp, remote: 10.0.0.0/8 }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: all, remote: \"::/0\" }, { priority: 2, protocol: tcp, family: ipv6 }",
            never(1, "g/ingress/0", "does the same"),
        ),
        (
            "{ protocol: all, remote: { group: h } }, { priority: 2, protocol: tcp, family: ipv6, remote: { group: h } }",
            never(1, "g/ingress/0", "does the same"),
        ),
    ] {
        assert_eq!(of_rules(rules), wanted, "{rules}");
    }
}

#[test]
fn rules_that_may_decide_are_not_warned_of() {
    for rules in [
        "{ protocol: tcp, ports: 22 }, { protocol: tcp, ports: 22-23 }",
        "{ protocol: tcp, ports: 22 }, { protocol: udp, ports: 22 }",
        "{ protocol: all, priority: 2 }, { protocol: tcp }",
        "{ enabled: false, protocol: all, action: drop }, { protocol: tcp }",
        "{ protocol: all, action: drop, priority: 50, remote: 10.0.0.0/8 }, { priority: 60, protocol: all }",
        "{ protocol: all, remote: { group: h } }, { priority: 2, protocol: all, remote: { group: g } }",
        "{ protocol: all }, { priority: 2, protocol: all, action: drop, remote: { prefix_list: none } }",
        "{ protocol: tcp, source_ports: 53 }, { protocol: tcp }",
        "{ protocol: icmp, icmp_type: 8, icmp_code: 0 }, { protocol: icmp, icmp_type: 8 }",
        "{ protocol: all, local: 10.0.0.1 }, { protocol: all, local: 10.0.0.2 }",
        "{ protocol: all, family: ipv4 }, { priority: 2, protocol: tcp }",
        "{ protocol: all, family: ipv4 }, { priority: 2, protocol: tcp, family: ipv6 }",
        "{ protocol: all, family: ipv4 }, { priority: 2, protocol: icmpv6 }",
        "{ protocol: all, family: ipv4, remote: { group: h } }, { priority: 2, protocol: all, remote: { group: h } }",
        "{ protocol: all, remote: 0.0.0.0/0 }, { priority: 2, protocol: tcp, family: ipv6 }",
    ] {
        assert_eq!(of_rules(rules), Vec::<String>::new(), "{rules}");
    }
}

#[test]
fn rules_without_end_are_not_all_compared() {
    let rules: Vec<String> = (0..2_000).map(|port| format!("{{ protocol: tcp, ports: {port} }}")).collect();
    let said = of_rules(&rules.join(","));
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with("not all of them were"), "{said:?}");
}

#[test]
fn the_manual_has_a_row_for_every_field() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/use/policy.md"));
    for field in MatchField::ALL {
        assert!(page.contains(&format!("\n| `{field}` |")), "{field}");
    }
}
