//! What is refused: each with its line, its column, its path, what was found and what is allowed.

use std::time::{Duration, Instant};

use super::refused;

/// A document and what is said about it, after `policy.yaml:`.
type Case = (&'static str, &'static str);

fn check(cases: &[Case]) {
    for (text, message) in cases {
        assert_eq!(refused(text.as_bytes()), format!("policy.yaml:{message}"), "{text}");
    }
}

/// Rules and what is said about them, from the column on that the rule has on its line, 3.
fn check_rules(cases: &[Case]) {
    for (rule, message) in cases {
        let text = format!("groups:\n  g: {{ ingress: [\n{rule}\n] }}\n  h:\n");
        assert_eq!(refused(text.as_bytes()), format!("policy.yaml:3:{message}"), "{rule}");
    }
}

#[test]
fn ports() {
    check_rules(&[
        (
            "{ protocol: tcp, ports: 90-80 }",
            "25: groups.g.ingress[0].ports: found \"90-80\": a range goes from low to high, write 80-90",
        ),
        (
            "{ protocol: tcp, ports: 65536 }",
            "25: groups.g.ingress[0].ports: found 65536: a port is a number from 0 to 65535",
        ),
        (
            "{ protocol: tcp, ports: -1 }",
            "25: groups.g.ingress[0].ports: found -1: a port is a number from 0 to 65535",
        ),
        (
            "{ protocol: tcp, ports: 22.5 }",
            "25: groups.g.ingress[0].ports: found 22.5: write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port",
        ),
        (
            "{ protocol: tcp, ports: \"22,90-80\" }",
            "25: groups.g.ingress[0].ports: found \"90-80\": a range goes from low to high, write 80-90",
        ),
        (
            "{ protocol: tcp, ports: \"22,65536\" }",
            "25: groups.g.ingress[0].ports: found \"65536\": a port is a number from 0 to 65535",
        ),
        (
            "{ protocol: tcp, ports: \"22,\" }",
            "25: groups.g.ingress[0].ports: found \"22,\": write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port",
        ),
        (
            "{ protocol: tcp, ports: 80- }",
            "25: groups.g.ingress[0].ports: found \"80-\": write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port",
        ),
        (
            "{ protocol: tcp, ports: http }",
            "25: groups.g.ingress[0].ports: found \"http\": a port is a number from 0 to 65535",
        ),
        (
            "{ protocol: tcp, ports: \"+22\" }",
            "25: groups.g.ingress[0].ports: found \"+22\": a port is a number from 0 to 65535",
        ),
        (
            "{ protocol: tcp, ports: \"\" }",
            "25: groups.g.ingress[0].ports: found \"\": write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port",
        ),
        (
            "{ protocol: tcp, ports: null }",
            "25: groups.g.ingress[0].ports: found nothing: write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port",
        ),
        (
            "{ protocol: tcp, ports: [22, 80] }",
            "25: groups.g.ingress[0].ports: found a list: write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port",
        ),
        (
            "{ protocol: tcp, ports: 22,80 }",
            "28: groups.g.ingress[0].80: found 80 where a key belongs: quote it; a list of ports inside { } is written \"22,80\"",
        ),
        (
            "{ protocol: tcp, ports: { port_list: web } }",
            "38: groups.g.ingress[0].ports.port_list: no port list is named \"web\": the document has none",
        ),
        (
            "{ protocol: tcp, ports: { list: web } }",
            "27: groups.g.ingress[0].ports.list: unknown key \"list\": allowed are port_list",
        ),
        (
            "{ protocol: tcp, ports: {} }",
            "25: groups.g.ingress[0].ports: port_list is missing: write ports as 22, 8000-8100, \"22,80-90\" or { port_list: NAME }; leave the key out for every port",
        ),
        (
            "{ protocol: udp, source_ports: 9-8 }",
            "32: groups.g.ingress[0].source_ports: found \"9-8\": a range goes from low to high, write 8-9",
        ),
    ]);
}

#[test]
fn protocol() {
    check_rules(&[
        (
            "{ action: accept }",
            "1: groups.g.ingress[0]: protocol is missing: write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255",
        ),
        (
            "{ protocol: 256 }",
            "13: groups.g.ingress[0].protocol: found 256: write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255",
        ),
        (
            "{ protocol: -1 }",
            "13: groups.g.ingress[0].protocol: found -1: write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255",
        ),
        (
            "{ protocol: tpc }",
            "13: groups.g.ingress[0].protocol: found \"tpc\": write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255",
        ),
        (
            "{ protocol: 6.0 }",
            "13: groups.g.ingress[0].protocol: found 6.0: write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255",
        ),
        (
            "{ protocol: [tcp, udp] }",
            "13: groups.g.ingress[0].protocol: found a list: write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255",
        ),
        (
            "{ protocol: null }",
            "13: groups.g.ingress[0].protocol: found nothing: write tcp, udp, icmp, icmpv6, gre, sctp, all or a number from 0 to 255",
        ),
        (
            "{ protocol: gre, ports: 22 }",
            "25: groups.g.ingress[0].ports: ports belongs to tcp, udp and sctp, and the protocol of this rule is gre: leave it out",
        ),
        (
            "{ protocol: ALL, source_ports: 22 }",
            "32: groups.g.ingress[0].source_ports: source_ports belongs to tcp, udp and sctp, and the protocol of this rule is ALL: leave it out",
        ),
        (
            "{ protocol: 1, ports: 22 }",
            "23: groups.g.ingress[0].ports: ports belongs to tcp, udp and sctp, and the protocol of this rule is 1: leave it out",
        ),
        (
            "{ protocol: tcp, icmp_type: 8 }",
            "29: groups.g.ingress[0].icmp_type: icmp_type belongs to icmp and icmpv6, and the protocol of this rule is tcp: leave it out",
        ),
        (
            "{ protocol: all, icmp_code: 0 }",
            "29: groups.g.ingress[0].icmp_code: icmp_code belongs to icmp and icmpv6, and the protocol of this rule is all: leave it out",
        ),
        (
            "{ protocol: icmp, icmp_code: 0 }",
            "30: groups.g.ingress[0].icmp_code: a code means nothing without a type: write icmp_type too, or leave icmp_code out",
        ),
        (
            "{ protocol: icmp, icmp_type: 256 }",
            "30: groups.g.ingress[0].icmp_type: found 256: an ICMP type is a whole number from 0 to 255, without quotes",
        ),
        (
            "{ protocol: icmp, icmp_type: 3, icmp_code: -1 }",
            "44: groups.g.ingress[0].icmp_code: found -1: an ICMP code is a whole number from 0 to 255, without quotes",
        ),
        (
            "{ protocol: icmp, icmp_type: echo }",
            "30: groups.g.ingress[0].icmp_type: found \"echo\": an ICMP type is a whole number from 0 to 255, without quotes",
        ),
    ]);
}

#[test]
fn remote() {
    check_rules(&[
        (
            "{ protocol: tcp, remote: anyone }",
            "26: groups.g.ingress[0].remote: found \"anyone\": write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }",
        ),
        (
            "{ protocol: tcp, remote: 10.0.0.0/33 }",
            "26: groups.g.ingress[0].remote: found \"10.0.0.0/33\": the length of an IPv4 prefix is a number from 0 to 32",
        ),
        (
            "{ protocol: tcp, remote: \"::/129\" }",
            "26: groups.g.ingress[0].remote: found \"::/129\": the length of an IPv6 prefix is a number from 0 to 128",
        ),
        (
            "{ protocol: tcp, remote: 10.0.0.0/-1 }",
            "26: groups.g.ingress[0].remote: found \"10.0.0.0/-1\": the length of an IPv4 prefix is a number from 0 to 32",
        ),
        (
            "{ protocol: tcp, remote: 10.0.0.0/ }",
            "26: groups.g.ingress[0].remote: found \"10.0.0.0/\": the length of an IPv4 prefix is a number from 0 to 32",
        ),
        (
            "{ protocol: tcp, remote: 10.0.0.256 }",
            "26: groups.g.ingress[0].remote: found \"10.0.0.256\": write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }",
        ),
        (
            "{ protocol: tcp, remote: 10 }",
            "26: groups.g.ingress[0].remote: found 10: write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }",
        ),
        (
            "{ protocol: tcp, remote: null }",
            "26: groups.g.ingress[0].remote: found nothing: write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }",
        ),
        (
            "{ protocol: tcp, remote: [10.0.0.1] }",
            "26: groups.g.ingress[0].remote: found a list: write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }",
        ),
        (
            "{ protocol: tcp, remote: { group: i } }",
            "35: groups.g.ingress[0].remote.group: no group is named \"i\": the document has \"g\", \"h\"",
        ),
        (
            "{ protocol: tcp, remote: { group: nobody } }",
            "35: groups.g.ingress[0].remote.group: no group is named \"nobody\": the document has \"g\", \"h\"",
        ),
        (
            "{ protocol: tcp, remote: { prefix_list: office } }",
            "41: groups.g.ingress[0].remote.prefix_list: no prefix list is named \"office\": the document has none",
        ),
        (
            "{ protocol: tcp, remote: { group: g, prefix_list: l } }",
            "26: groups.g.ingress[0].remote: found a mapping: write any, an address or CIDR such as 10.0.0.0/8 or \"2001:db8::/32\", { group: NAME } or { prefix_list: NAME }",
        ),
        (
            "{ protocol: tcp, remote: { grup: g } }",
            "28: groups.g.ingress[0].remote.grup: unknown key \"grup\" (did you mean \"group\"?): allowed are group, prefix_list",
        ),
        (
            "{ protocol: tcp, remote: { group: 1 } }",
            "35: groups.g.ingress[0].remote.group: found 1: write text; numbers, true and false are text in quotes",
        ),
        (
            "{ protocol: tcp, remote: \"::ffff:10.0.0.1\" }",
            "26: groups.g.ingress[0].remote: found \"::ffff:10.0.0.1\", an IPv4-mapped IPv6 address, which no packet carries: write 10.0.0.1",
        ),
        (
            "{ protocol: tcp, remote: \"::ffff:10.1.0.0/104\" }",
            "26: groups.g.ingress[0].remote: found \"::ffff:10.1.0.0/104\", an IPv4-mapped IPv6 address, which no packet carries: write 10.0.0.0/8",
        ),
        (
            "{ protocol: tcp, local: any }",
            "25: groups.g.ingress[0].local: found \"any\": write an address or CIDR, such as 10.0.0.5 or \"2001:db8::/32\"; leave the key out for every address of the NIC",
        ),
        (
            "{ protocol: tcp, local: { group: g } }",
            "25: groups.g.ingress[0].local: found a mapping: write an address or CIDR, such as 10.0.0.5 or \"2001:db8::/32\"; leave the key out for every address of the NIC",
        ),
    ]);
}

#[test]
fn mixed_families() {
    check_rules(&[
        (
            "{ protocol: icmp, remote: \"2001:db8::/32\" }",
            "27: groups.g.ingress[0].remote: protocol is IPv4 and remote is IPv6: one rule has one family; write two rules",
        ),
        (
            "{ protocol: ICMPv6, remote: 10.0.0.0/8 }",
            "29: groups.g.ingress[0].remote: protocol is IPv6 and remote is IPv4: one rule has one family; write two rules",
        ),
        (
            "{ protocol: icmp, local: \"::1\" }",
            "26: groups.g.ingress[0].local: protocol is IPv4 and local is IPv6: one rule has one family; write two rules",
        ),
        (
            "{ protocol: tcp, remote: 10.0.0.0/8, local: \"2001:db8::5\" }",
            "45: groups.g.ingress[0].local: remote is IPv4 and local is IPv6: one rule has one family; write two rules",
        ),
    ]);
}

#[test]
fn the_rest_of_a_rule() {
    check_rules(&[
        (
            "{ protocol: tcp, priority: 0 }",
            "28: groups.g.ingress[0].priority: found 0: a priority is a whole number from 1 to 100, without quotes",
        ),
        (
            "{ protocol: tcp, priority: 101 }",
            "28: groups.g.ingress[0].priority: found 101: a priority is a whole number from 1 to 100, without quotes",
        ),
        (
            "{ protocol: tcp, priority: -5 }",
            "28: groups.g.ingress[0].priority: found -5: a priority is a whole number from 1 to 100, without quotes",
        ),
        (
            "{ protocol: tcp, priority: 1.5 }",
            "28: groups.g.ingress[0].priority: found 1.5: a priority is a whole number from 1 to 100, without quotes",
        ),
        (
            "{ protocol: tcp, priority: \"10\" }",
            "28: groups.g.ingress[0].priority: found \"10\": a priority is a whole number from 1 to 100, without quotes",
        ),
        (
            "{ protocol: tcp, priority: 18446744073709551616 }",
            "28: groups.g.ingress[0].priority: found 1.8446744073709552e19: a priority is a whole number from 1 to 100, without quotes",
        ),
        (
            "{ protocol: tcp, action: Accept }",
            "26: groups.g.ingress[0].action: found \"Accept\": write accept or drop",
        ),
        (
            "{ protocol: tcp, action: reject }",
            "26: groups.g.ingress[0].action: found \"reject\": write accept or drop",
        ),
        (
            "{ protocol: tcp, action: null }",
            "26: groups.g.ingress[0].action: found nothing: write accept or drop",
        ),
        (
            "{ protocol: tcp, enabled: yes }",
            "27: groups.g.ingress[0].enabled: found \"yes\": write true or false, without quotes",
        ),
        (
            "{ protocol: tcp, enabled: 1 }",
            "27: groups.g.ingress[0].enabled: found 1: write true or false, without quotes",
        ),
        (
            "{ protocol: tcp, id: \"\" }",
            "22: groups.g.ingress[0].id: found an empty name: a rule needs a name of one character or more",
        ),
        (
            "{ protocol: tcp, id: 7 }",
            "22: groups.g.ingress[0].id: found 7: write text; numbers, true and false are text in quotes",
        ),
        (
            "{ protocol: tcp, description: [a] }",
            "31: groups.g.ingress[0].description: found a list: write text; numbers, true and false are text in quotes",
        ),
        (
            "{ protocol: tcp, port: 22 }",
            "18: groups.g.ingress[0].port: unknown key \"port\" (did you mean \"ports\"?): allowed are action, priority, protocol, ports, source_ports, icmp_type, icmp_code, remote, local, enabled, id, description",
        ),
        (
            "{ protocol: tcp, colour: red }",
            "18: groups.g.ingress[0].colour: unknown key \"colour\": allowed are action, priority, protocol, ports, source_ports, icmp_type, icmp_code, remote, local, enabled, id, description",
        ),
        (
            "{ id: a, protocol: tcp }, { id: a, protocol: udp }",
            "33: groups.g.ingress[1].id: rule id \"a\" is there twice in this direction of the group: give each rule an id of its own",
        ),
        ("tcp", "1: groups.g.ingress[0]: found \"tcp\": write a mapping, key: value"),
        (
            "{ protocol: tcp, protocol: udp }",
            "18: groups.g.ingress[0].protocol: key \"protocol\" is there twice, first at 3:3: write each key once",
        ),
    ]);
}

#[test]
fn sections() {
    check(&[
        (
            "grups: {}",
            "1:1: grups: unknown key \"grups\" (did you mean \"groups\"?): allowed are precedence, established, prefix_lists, port_lists, members, groups, nics",
        ),
        (
            "rules: []",
            "1:1: rules: unknown key \"rules\": allowed are precedence, established, prefix_lists, port_lists, members, groups, nics",
        ),
        ("precedence: sequense", "1:13: precedence: found \"sequense\": write sequence or merged"),
        ("precedence: true", "1:13: precedence: found true: write sequence or merged"),
        ("established: null", "1:14: established: found nothing: write revalidate or keep"),
        ("groups: []", "1:9: groups: found an empty list: write a mapping, NAME: ..."),
        ("groups: web", "1:9: groups: found \"web\": write a mapping, NAME: ..."),
        (
            "groups: { 1: {} }",
            "1:11: groups.1: found 1: write text; numbers, true and false are text in quotes",
        ),
        (
            "groups: { \"\": {} }",
            "1:11: groups.\"\": found an empty name: a group needs a name of one character or more",
        ),
        (
            "groups: { [a]: {} }",
            "1:11: groups.\"a list\": found a list: write text; numbers, true and false are text in quotes",
        ),
        ("groups: { g: [] }", "1:14: groups.g: found an empty list: write a mapping, key: value"),
        (
            "groups: { g: { type: premium } }",
            "1:22: groups.g.type: found \"premium\": write basic or enterprise",
        ),
        (
            "groups: { g: { inner_access: true } }",
            "1:30: groups.g.inner_access: found true: write accept or drop",
        ),
        (
            "groups: { g: { type: enterprise, inner_access: accept } }",
            "1:48: groups.g.inner_access: an enterprise group never lets its members talk by itself: inner_access is always drop",
        ),
        (
            "groups: { g: { ingress: {} } }",
            "1:25: groups.g.ingress: found an empty mapping: write a list of rules, - { protocol: tcp, ports: 22 }",
        ),
        (
            "groups: { g: { description: 5 } }",
            "1:29: groups.g.description: found 5: write text; numbers, true and false are text in quotes",
        ),
        (
            "groups:\n  web: {}\n  ops: {}\n  web: {}",
            "4:3: groups.web: key \"web\" is there twice, first at 2:3: write each key once",
        ),
        (
            "groups:\n  web: {}\n  \"web\": {}",
            "3:3: groups.web: key \"web\" is there twice, first at 2:3: write each key once",
        ),
        (
            "prefix_lists: { l: 10.0.0.0/8 }",
            "1:20: prefix_lists.l: found \"10.0.0.0/8\": write a list of addresses and CIDRs, [203.0.113.0/24]",
        ),
        (
            "prefix_lists: { l: [10.0.0.0/8, office] }",
            "1:33: prefix_lists.l[1]: found \"office\": write an address or CIDR, such as 203.0.113.0/24 or \"2001:db8::/32\"",
        ),
        (
            "prefix_lists: { l: [{ group: g }] }",
            "1:21: prefix_lists.l[0]: found a mapping: write an address or CIDR, such as 203.0.113.0/24 or \"2001:db8::/32\"",
        ),
        (
            "prefix_lists: { l: [], l: [] }",
            "1:24: prefix_lists.l: key \"l\" is there twice, first at 1:17: write each key once",
        ),
        (
            "prefix_lists: { \"\": [] }",
            "1:17: prefix_lists.\"\": found an empty name: a prefix list needs a name of one character or more",
        ),
        (
            "port_lists: { l: 80 }",
            "1:18: port_lists.l: found 80: write a list of ports and ranges, [80, 8080-8090]",
        ),
        (
            "port_lists: { l: [80, 9-8] }",
            "1:23: port_lists.l[1]: found \"9-8\": a range goes from low to high, write 8-9",
        ),
        (
            "port_lists: { l: [80, { port_list: l }] }",
            "1:23: port_lists.l[1]: found a mapping: write a port or a range, such as 22 or 8000-8100",
        ),
        (
            "port_lists: { l: [70000] }",
            "1:19: port_lists.l[0]: found 70000: a port is a number from 0 to 65535",
        ),
        ("members: []", "1:10: members: found an empty list: write a mapping, GROUP: [ADDRESS]"),
        (
            "groups: { web: }\nmembers: { wbe: [] }",
            "2:12: members.wbe: no group is named \"wbe\" (did you mean \"web\"?): the document has \"web\"",
        ),
        (
            "groups: { g: }\nmembers: { g: 10.0.0.1 }",
            "2:15: members.g: found \"10.0.0.1\": write a list of addresses, [10.0.0.5]",
        ),
        (
            "groups: { g: }\nmembers: { g: [10.0.0.1, 10.0.0.0/8] }",
            "2:26: members.g[1]: found \"10.0.0.0/8\": write one address, such as 10.0.0.5 or \"2001:db8::5\"",
        ),
        (
            "groups: { g: }\nmembers: { g: [\"::ffff:10.0.0.1\"] }",
            "2:16: members.g[0]: found \"::ffff:10.0.0.1\", an IPv4-mapped IPv6 address, which no packet carries: write 10.0.0.1",
        ),
        (
            "groups: { a: , b: , c: , d: , e: , f: , g: }\nmembers: { nobody: [] }",
            "2:12: members.nobody: no group is named \"nobody\": the document has \"a\", \"b\", \"c\", \"d\", \"e\" and 2 more",
        ),
    ]);
}

#[test]
fn nics() {
    check(&[
        (
            "nics: {}",
            "1:7: nics: found an empty mapping: write a list of NICs, - { device: eth0, groups: [NAME] }",
        ),
        ("nics: [eth0]", "1:8: nics[0]: found \"eth0\": write a mapping, key: value"),
        (
            "nics: [{ groups: [g] }]",
            "1:8: nics[0]: device is missing: write the name of a network device, such as eth0",
        ),
        (
            "nics: [{ device: eth0 }]",
            "1:8: nics[0]: groups is missing: write a list of 1 to 10 groups, the first has the highest priority",
        ),
        (
            "nics: [{ device: eth0, groups: [] }]",
            "1:32: nics[0].groups: a NIC holds 1 to 10 groups, this one 0",
        ),
        ("nics: [{ device: eth0, groups: }]", "1:30: nics[0].groups: a NIC holds 1 to 10 groups, this one 0"),
        (
            "nics: [{ device: eth0, groups: g }]",
            "1:32: nics[0].groups: found \"g\": write a list of 1 to 10 groups, the first has the highest priority",
        ),
        (
            "nics: [{ device: eth0, groups: [g, h] }]",
            "1:33: nics[0].groups[0]: no group is named \"g\": the document has none",
        ),
        (
            "nics: [{ device: eth0, groups: [g, g] }]\ngroups: { g: }",
            "1:36: nics[0].groups[1]: group \"g\" stands twice on this NIC",
        ),
        (
            "nics: [{ device: eth0, groups: [b, e] }]\ngroups: { b: , e: { type: enterprise } }",
            "1:36: nics[0].groups[1]: group \"e\" is of another type than \"b\": one NIC holds groups of one type, basic or enterprise",
        ),
        (
            "nics: [{ device: eth0, groups: [a,b,c,d,e,f,g,h,i,j,k] }]\ngroups: { a: ,b: ,c: ,d: ,e: ,f: ,g: ,h: ,i: ,j: ,k: }",
            "1:32: nics[0].groups: a NIC holds 1 to 10 groups, this one 11",
        ),
        (
            "nics:\n- { device: eth0, groups: [g] }\n- { device: eth0, groups: [g] }\ngroups: { g: }",
            "3:13: nics[1].device: device \"eth0\" is there twice: names are unique",
        ),
        (
            "nics: [{ device: \"\", groups: [g] }]",
            "1:18: nics[0].device: found \"\": a device name is 1 to 15 bytes without '/', ':' or blanks, and not . or ..",
        ),
        (
            "nics: [{ device: a-name-that-is-x, groups: [g] }]",
            "1:18: nics[0].device: found \"a-name-that-is-x\": a device name is 1 to 15 bytes without '/', ':' or blanks, and not . or ..",
        ),
        (
            "nics: [{ device: a/b, groups: [g] }]",
            "1:18: nics[0].device: found \"a/b\": a device name is 1 to 15 bytes without '/', ':' or blanks, and not . or ..",
        ),
        (
            "nics: [{ device: a b, groups: [g] }]",
            "1:18: nics[0].device: found \"a b\": a device name is 1 to 15 bytes without '/', ':' or blanks, and not . or ..",
        ),
        (
            "nics: [{ device: .., groups: [g] }]",
            "1:18: nics[0].device: found \"..\": a device name is 1 to 15 bytes without '/', ':' or blanks, and not . or ..",
        ),
        (
            "nics: [{ device: 0, groups: [g] }]",
            "1:18: nics[0].device: found 0: write text; numbers, true and false are text in quotes",
        ),
        (
            "nics: [{ device: eth0, role: router, groups: [g] }]",
            "1:30: nics[0].role: found \"router\": write host or guest",
        ),
        (
            "nics: [{ device: eth0, addresses: , groups: [g] }]",
            "1:33: nics[0].addresses: found nothing: write a list of addresses; leave the key out for those of the device, write [] for none",
        ),
        (
            "nics: [{ device: eth0, addresses: 10.0.0.1, groups: [g] }]",
            "1:35: nics[0].addresses: found \"10.0.0.1\": write a list of addresses; leave the key out for those of the device, write [] for none",
        ),
        (
            "nics: [{ device: eth0, addresses: [10.0.0.1/24], groups: [g] }]",
            "1:36: nics[0].addresses[0]: found \"10.0.0.1/24\": write one address, such as 10.0.0.5 or \"2001:db8::5\"",
        ),
        (
            "nics: [{ device: eth0, anti_spoofing: on, groups: [g] }]",
            "1:39: nics[0].anti_spoofing: found \"on\": write true or false, without quotes",
        ),
        (
            "nics: [{ device: eth0, adresses: [], groups: [g] }]",
            "1:24: nics[0].adresses: unknown key \"adresses\" (did you mean \"addresses\"?): allowed are device, role, addresses, anti_spoofing, groups",
        ),
    ]);
}

#[test]
fn texts() {
    check(&[
        ("", " the document is empty: a policy that protects nothing is written {}"),
        (" \n# a comment\n", " the document is empty: a policy that protects nothing is written {}"),
        ("---\n", " the document is empty: a policy that protects nothing is written {}"),
        ("~", " the document is empty: a policy that protects nothing is written {}"),
        ("hello", "1:1: found \"hello\": write a mapping, key: value"),
        ("- a", "1:1: found a list: write a mapping, key: value"),
        ("42", "1:1: found 42: write a mapping, key: value"),
        (
            "{}\n---\n{}",
            "3:1: a second document begins: one file holds one policy, put the other in a file of its own",
        ),
        ("groups: {", "1:9: groups: cannot be read as YAML: unclosed bracket '{'"),
        ("groups: {}}", "1:11: groups: cannot be read as YAML: misplaced bracket"),
        ("groups: [a, b", "1:9: groups: cannot be read as YAML: unclosed bracket '['"),
        (
            "groups:\n  web:\n   ingress: []\n  \tegress: []",
            "4:4: groups.web.ingress: cannot be read as YAML: tabs disallowed within this context (block indentation)",
        ),
        ("groups: \"web", "1:9: groups: cannot be read as YAML: unclosed quote"),
        ("groups: *web", "1:9: groups: cannot be read as YAML: reference to unknown value"),
        (
            "groups: &g { a: *g }",
            "1:17: groups.a: cannot be read as YAML: Recursive reference not allowed here",
        ),
        ("groups: !include other.yaml", "1:18: groups: cannot be read as YAML: unsupported tag `!include`"),
        ("groups: %web", "1:9: groups: cannot be read as YAML: unexpected character: `%'"),
        (
            "<<: 1",
            "1:5: \"<<\": cannot be read as YAML: YAML merge value must be mapping or sequence of mappings",
        ),
        (
            "groups:\n  g:\n    ingress:\n      - protocol: tcp\n        ports: 22\n         remote: any",
            "6:16: groups.g.ingress[0].ports: cannot be read as YAML: mapping values are not allowed in this context",
        ),
    ]);
}

#[test]
fn bytes_that_are_no_text() {
    let cases: &[(&[u8], &str)] = &[
        (b"groups:\n  \xff: {}", "policy.yaml:2:3: byte 10 is not UTF-8: save the document as UTF-8"),
        (b"\xff\xfe{\0}\0", "policy.yaml:1:1: byte 0 is not UTF-8: save the document as UTF-8"),
        (b"groups: {}\nnics: \0", "policy.yaml:2:7: byte 17 is NUL: a document is text"),
    ];
    for (bytes, message) in cases {
        assert_eq!(refused(bytes), *message);
    }
}

/// A list of ten ones, a list of ten of those, and so on, `levels` times.
fn laughs(levels: u8) -> String {
    let mut text = "l0: &l0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
    for level in 1..levels {
        let below = format!("*l{},", level - 1).repeat(10);
        text.push_str(&format!("l{level}: &l{level} [{below}]\n"));
    }
    text
}

/// What is refused for its cost: the text, and the end of the message.
#[test]
fn bombs_are_refused_quickly() {
    let merges = (1..10).fold("m0: &m0 { k: 1 }\n".to_owned(), |text, level| {
        let below = format!("*m{},", level - 1).repeat(10);
        text + &format!("m{level}: &m{level} {{ k{level}: 1, <<: [{below}] }}\n")
    });
    let deep = "lists and mappings are nested deeper than 16";
    let repeated = "its anchors, aliases and merge keys repeat more than 100000 values; write them out";
    let cases = [
        (laughs(10), repeated),
        (merges, repeated),
        ("[".repeat(1_000_000), deep),
        ("{a: ".repeat(1_000_000), deep),
        ("- ".repeat(1_000_000), deep),
        ("? ".repeat(1_000_000), deep),
    ];
    for (text, end) in cases {
        let start = Instant::now();
        let message = refused(text.as_bytes());
        assert!(message.ends_with(&format!("too much for a policy: {end}")), "{message}");
        // Generous: this is a debug build, perhaps on a busy machine.
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}: {message}", start.elapsed());
    }
}

#[test]
fn a_message_is_one_short_line_whatever_the_document_says() {
    let long = "x".repeat(100_000);
    for text in [
        format!("{{ \"{long}\": 1 }}"),
        format!("precedence: {long}"),
        format!("? |\n  {long}\n  two lines\n: 1"),
        "groups: { \"a\\nb\\e[31m\": { typo: 1 } }".to_owned(),
        "groups: { g: !\u{1b}[31m x }".to_owned(),
    ] {
        let message = refused(text.as_bytes());
        assert!(message.chars().count() < 400 && !message.contains(char::is_control), "{message:?}");
    }
}
