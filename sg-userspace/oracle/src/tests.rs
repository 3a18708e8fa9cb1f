//! What no scenario of `tests/tests` asks: they put the fields, the order and the defaults of rules to the oracle, too.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use sg_common::verdict::{Reason, Verdict};
use sg_model::{
    Action, Bounded, Direction, Family, Group, GroupIndex, GroupType, HeaderNumbers, Match, Nic, Policy,
    PolicyParts, PortListIndex, PortRange, Ports, PrefixListIndex, Priority, Protocol, Remote, Role, Rule,
    RuleIndex,
};
use sg_probe::{CheckResult, Probe, ProbeParts};

use super::{Mismatch, Oracle, Step};

const OWN: &str = "10.0.0.5";
const OWN6: &str = "2001:db8::5";
const OTHER: &str = "192.0.2.1";
const OTHER6: &str = "2001:db8:f::1";

const ALL: Match = Match::of(Protocol::All);

const fn number(protocol: u8) -> Match {
    Match::of(Protocol::Number(protocol))
}

fn rule(matches: Match) -> Rule {
    Rule {
        id: String::new(),
        enabled: true,
        action: Action::Accept,
        priority: Priority::FIRST,
        matches,
        description: None,
    }
}

fn ports(first: u16, last: u16) -> Ports {
    Ports::Ranges(vec![PortRange::new(first, last).unwrap()])
}

fn tcp(destination: Ports) -> Rule {
    rule(Match { ports: destination, ..number(6) })
}

fn drops(rule: Rule) -> Rule {
    Rule { action: Action::Drop, ..rule }
}

fn at(priority: u8, rule: Rule) -> Rule {
    Rule { priority: Priority::new(priority).unwrap(), ..rule }
}

fn from(remote: &str, rule: Rule) -> Rule {
    let remote = Remote::Net(remote.parse().unwrap());
    Rule { matches: Match { remote, ..rule.matches }, ..rule }
}

fn numbered(rules: Vec<Rule>) -> Vec<Rule> {
    let number = |(position, rule)| Rule { id: format!("{position}"), ..rule };
    rules.into_iter().enumerate().map(number).collect()
}

fn group(name: &str, ingress: Vec<Rule>, egress: Vec<Rule>) -> Group {
    Group {
        name: name.to_owned(),
        kind: GroupType::Basic,
        inner_access: false,
        description: None,
        ingress: numbered(ingress),
        egress: numbered(egress),
    }
}

fn nic(groups: usize) -> Nic {
    Nic {
        addresses: vec![OWN.parse().unwrap(), OWN6.parse().unwrap()],
        ..Nic::new("eth0", (0..groups).map(GroupIndex))
    }
}

/// A policy of one NIC that holds all the groups, in order.
fn parts(groups: Vec<Group>) -> PolicyParts {
    let prefix_list = ["203.0.113.0/24", "2001:db8:1::/48"].map(|prefix| prefix.parse::<IpNet>().unwrap());
    let port_list = [PortRange::new(443, 443).unwrap(), PortRange::new(8000, 8010).unwrap()];
    PolicyParts {
        prefix_lists: vec![("office".to_owned(), prefix_list.into_iter().collect())],
        port_lists: vec![("web".to_owned(), port_list.to_vec())],
        members: BTreeMap::from([(GroupIndex(0), vec!["10.1.0.7".parse().unwrap()])]),
        nics: vec![nic(groups.len())],
        groups,
    }
}

/// The parts of a packet from `source` to `destination`, outbound if the source is the NIC's.
fn packet(protocol: u8, source: &str, destination: &str) -> ProbeParts {
    let direction = if [OWN, OWN6].contains(&source) { Direction::Egress } else { Direction::Ingress };
    let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
    ProbeParts {
        nic: 0,
        direction,
        protocol,
        source,
        destination,
        source_port: None,
        destination_port: None,
        numbers: HeaderNumbers::NONE,
    }
}

fn to_port(port: u16, packet: ProbeParts) -> Probe {
    Probe::new(ProbeParts { destination_port: Some(port), ..packet }).unwrap()
}

fn ports_of(from: u16, to: u16, packet: ProbeParts) -> Probe {
    to_port(to, ProbeParts { source_port: Some(from), ..packet })
}

fn message(kind: u8, code: u8, packet: ProbeParts) -> Probe {
    Probe::new(ProbeParts { numbers: HeaderNumbers::icmp(kind, code), ..packet }).unwrap()
}

fn bare(packet: ProbeParts) -> Probe {
    Probe::new(packet).unwrap()
}

fn judge(parts: &PolicyParts, probe: &Probe) -> CheckResult {
    Oracle::new(&Policy::new(parts.clone()).unwrap()).judge(probe)
}

fn by_rule(verdict: Verdict, group: usize, direction: Direction, position: usize) -> CheckResult {
    let group = GroupIndex(group);
    let rule = RuleIndex { group, direction, position };
    CheckResult { verdict, reason: Reason::Rule, group: Some(group), rule: Some(rule) }
}

fn accepted() -> CheckResult {
    by_rule(Verdict::Accept, 0, Direction::Ingress, 0)
}

fn by_default(verdict: Verdict) -> CheckResult {
    CheckResult::without_policy(verdict, Reason::Default)
}

/// Whether the inbound `probe` matches `rule`.
fn matches(rule: Rule, probe: &Probe) -> bool {
    let result = judge(&parts(vec![group("web", vec![rule], vec![])]), probe);
    assert!(result == accepted() || result == by_default(Verdict::Drop), "{result:?}");
    result == accepted()
}

#[test]
fn icmp_has_one_family() {
    let echo = message(8, 0, packet(1, OTHER, OWN));
    let echo6 = message(8, 0, packet(58, OTHER6, OWN6));
    for (protocol, v4, v6) in [(1, true, false), (58, false, true)] {
        assert_eq!(matches(rule(number(protocol)), &echo), v4);
        assert_eq!(matches(rule(number(protocol)), &echo6), v6);
        for stranger in [bare(packet(58, OTHER, OWN)), bare(packet(1, OTHER6, OWN6))] {
            assert!(!matches(rule(number(protocol)), &stranger), "{stranger}");
        }
    }
    assert!(matches(rule(ALL), &bare(packet(58, OTHER, OWN))), "`all` is every number");
}

#[test]
fn a_mismatch_names_the_first_field_that_differs() {
    let tcp22 = ports_of(1_024, 22, packet(6, OTHER, OWN));
    let ping = message(8, 0, packet(1, OTHER, OWN));
    let at_home = Match { local: Some("10.0.0.4/32".parse().unwrap()), ..ALL };
    let office = Match { remote: Remote::PrefixList(PrefixListIndex(0)), ..ALL };
    let expedited = HeaderNumbers { dscp: Bounded::new(46), ..HeaderNumbers::NONE };
    let found: IpAddr = OTHER.parse().unwrap();
    for (matches, probe, mismatch) in [
        (number(17), &tcp22, Mismatch::Protocol { found: 6 }),
        (number(58), &bare(packet(58, OTHER, OWN)), Mismatch::Family { found: Family::V4 }),
        (
            Match { ports: Ports::List(PortListIndex(0)), ..number(6) },
            &tcp22,
            Mismatch::DestinationPort { found: 22 },
        ),
        (Match { source_ports: ports(1, 1_023), ..number(6) }, &tcp22, Mismatch::SourcePort { found: 1_024 }),
        (
            Match { numbers: HeaderNumbers::icmp(3, None), ..number(1) },
            &ping,
            Mismatch::IcmpMessage { kind: 8, code: 0 },
        ),
        (
            Match { numbers: HeaderNumbers::icmp(8, 1), ..number(1) },
            &ping,
            Mismatch::IcmpMessage { kind: 8, code: 0 },
        ),
        (Match { numbers: expedited, ..ALL }, &tcp22, Mismatch::Dscp { found: 0 }),
        (office, &tcp22, Mismatch::Remote { found }),
        (at_home, &tcp22, Mismatch::Local { found: OWN.parse().unwrap() }),
    ] {
        let policy = Policy::new(parts(vec![group("web", vec![rule(matches)], vec![])])).unwrap();
        let index = RuleIndex { group: GroupIndex(0), direction: Direction::Ingress, position: 0 };
        assert_eq!(
            Oracle::new(&policy).explain(probe).evaluated,
            [Step::NoMatch(index, mismatch)],
            "{probe}"
        );
    }
}

#[test]
fn nics_that_hold_a_group_are_its_members() {
    let own_group = rule(Match { remote: Remote::Group(GroupIndex(0)), ..ALL });
    let mut parts = parts(vec![group("web", vec![own_group], vec![])]);
    let addresses = ["10.0.0.9", "fe80::9", "169.254.0.9"].map(|address| address.parse().unwrap()).to_vec();
    parts.nics.push(Nic { device: "eth1".to_owned(), addresses, ..nic(1) });
    assert_eq!(judge(&parts, &bare(packet(47, "10.0.0.9", OWN))), accepted());
}

#[test]
fn link_local_addresses_make_no_members() {
    let open = Group { inner_access: true, ..group("web", vec![], vec![]) };
    let mut parts = parts(vec![open]);
    let links = ["fe80::9", "169.254.0.9"].map(|address| address.parse::<IpAddr>().unwrap());
    parts.members.get_mut(&GroupIndex(0)).unwrap().extend(links);
    parts.nics.push(Nic { device: "eth1".to_owned(), addresses: links.to_vec(), ..nic(1) });
    for (source, destination) in [("fe80::9", OWN6), ("169.254.0.9", OWN)] {
        assert_eq!(
            judge(&parts, &bare(packet(47, source, destination))),
            by_default(Verdict::Drop),
            "{source}"
        );
    }
    // A rule that names the address itself matches it, link-local or not.
    parts.groups[0].ingress = numbered(vec![from("fe80::9/128", rule(ALL))]);
    assert_eq!(judge(&parts, &bare(packet(47, "fe80::9", OWN6))), accepted());
}

#[test]
fn nobody_else_sends_from_an_address_of_the_nic() {
    let spoofed = CheckResult::without_policy(Verdict::Drop, Reason::OwnSource);
    let mut parts = parts(vec![group("web", vec![rule(ALL)], vec![rule(ALL)])]);
    parts.nics[0].senders.allowed_address_pairs = vec!["10.0.0.77".parse().unwrap()];
    let inbound = |source, to| bare(ProbeParts { direction: Direction::Ingress, ..packet(47, source, to) });
    for role in [Role::Host, Role::Guest] {
        parts.nics[0].role = role;
        parts.nics[0].accept_own_source = false;
        assert_eq!(judge(&parts, &inbound(OWN, OWN)), spoofed);
        assert_eq!(judge(&parts, &inbound(OWN6, "ff02::1")), spoofed);
        assert_eq!(judge(&parts, &inbound("10.0.0.77", OWN)), accepted(), "a pair is not its own");
        let outbound = by_rule(Verdict::Accept, 0, Direction::Egress, 0);
        assert_eq!(judge(&parts, &bare(packet(47, OWN, OWN))), outbound);
        parts.nics[0].accept_own_source = true;
        assert_eq!(judge(&parts, &inbound(OWN, OWN)), accepted());
    }
    // The addresses of a guest's device are the host's.
    parts.nics[0].accept_own_source = false;
    parts.nics[0].addresses_from_device = true;
    assert_eq!(judge(&parts, &inbound(OWN, OWN)), accepted());
}

#[test]
fn a_guest_speaks_for_itself_only() {
    let mut guest = parts(vec![group("web", vec![], vec![])]);
    guest.nics[0].role = Role::Guest;
    let foreign = ProbeParts { direction: Direction::Egress, ..packet(47, "10.0.0.6", OTHER) };
    let spoofed = CheckResult::without_policy(Verdict::Drop, Reason::AntiSpoofing);
    assert_eq!(judge(&guest, &bare(foreign)), spoofed);
    assert_eq!(judge(&guest, &bare(packet(47, OWN, OTHER))), by_default(Verdict::Accept));
    guest.nics[0].anti_spoofing_written = Some(false);
    assert_eq!(judge(&guest, &bare(foreign)), by_default(Verdict::Accept));
    guest.nics[0].anti_spoofing_written = Some(true);
    guest.nics[0].addresses.clear();
    assert_eq!(judge(&guest, &bare(foreign)), spoofed);
}

#[test]
fn a_client_of_dhcp_asks_its_link_and_its_servers() {
    let mut guest = parts(vec![Group {
        kind: GroupType::Enterprise,
        ..group("web", vec![drops(rule(ALL))], vec![drops(rule(ALL))])
    }]);
    guest.nics[0].role = Role::Guest;
    guest.nics[0].device_facts.connected =
        vec!["10.0.0.0/24".parse().unwrap(), "2001:db8:5::/64".parse().unwrap()];
    guest.nics[0].dhcp_servers = vec!["198.51.100.7".parse().unwrap(), "2001:db8:6::1".parse().unwrap()];
    let dhcp = CheckResult::without_policy(Verdict::Accept, Reason::Dhcp);
    let link = "fe80::1";
    for (direction, from, to, source, destination, passes) in [
        (Direction::Egress, 68, 67, "0.0.0.0", "255.255.255.255", true),
        (Direction::Egress, 68, 67, OWN, "255.255.255.255", true),
        (Direction::Egress, 68, 67, "0.0.0.0", "10.0.0.1", false),
        (Direction::Egress, 68, 67, OWN, "10.0.0.1", true),
        (Direction::Egress, 68, 67, OWN, "169.254.169.254", true),
        (Direction::Egress, 68, 67, OWN, "198.51.100.7", true),
        (Direction::Egress, 68, 67, OWN, "198.51.100.8", false),
        (Direction::Egress, 68, 67, "10.0.0.6", "10.0.0.1", false),
        (Direction::Egress, 67, 68, OWN, "10.0.0.1", false),
        (Direction::Egress, 68, 68, OWN, "10.0.0.1", false),
        // Inbound messages that no request precedes.
        (Direction::Ingress, 67, 68, "10.0.0.1", "10.0.0.9", false),
        (Direction::Ingress, 67, 68, "10.0.0.1", "255.255.255.255", false),
        (Direction::Ingress, 68, 67, "10.0.0.1", OWN, false),
        (Direction::Egress, 546, 547, link, "ff02::1:2", true),
        (Direction::Egress, 546, 547, link, "fe80::2", true),
        (Direction::Egress, 546, 547, link, "ff02::1:3", false),
        (Direction::Egress, 546, 547, OWN6, "ff02::1:2", false),
        (Direction::Egress, 546, 547, OWN6, "2001:db8:5::1", true),
        (Direction::Egress, 546, 547, OWN6, "2001:db8:6::1", true),
        (Direction::Egress, 546, 547, OWN6, "2001:db8:7::1", false),
        (Direction::Ingress, 547, 546, link, "fe80::2", false),
    ] {
        let probe = ports_of(from, to, ProbeParts { direction, ..packet(17, source, destination) });
        assert_eq!(judge(&guest, &probe) == dhcp, passes, "{probe}");
        let tcp = ports_of(from, to, ProbeParts { direction, ..packet(6, source, destination) });
        assert_ne!(judge(&guest, &tcp), dhcp, "{tcp}");
    }
}

#[test]
fn an_explanation_names_what_was_evaluated_and_what_is_shadowed() {
    let rules = vec![
        tcp(ports(80, 80)),
        from("198.51.100.0/24", drops(rule(ALL))),
        at(2, tcp(ports(22, 22))),
        at(3, drops(rule(ALL))),
        at(4, tcp(ports(23, 23))),
    ];
    let policy =
        Policy::new(parts(vec![Group { inner_access: true, ..group("web", rules, vec![]) }])).unwrap();
    let index = |position| RuleIndex { group: GroupIndex(0), direction: Direction::Ingress, position };
    let explanation = Oracle::new(&policy).explain(&to_port(22, packet(6, OTHER, OWN)));
    assert_eq!(explanation.result, by_rule(Verdict::Accept, 0, Direction::Ingress, 2));
    assert_eq!(
        explanation.evaluated,
        [
            Step::NoMember(GroupIndex(0)),
            Step::NoMatch(index(1), Mismatch::Remote { found: OTHER.parse().unwrap() }),
            Step::NoMatch(index(0), Mismatch::DestinationPort { found: 22 }),
        ]
    );
    assert_eq!(explanation.shadowed, [index(3)]);

    let member = Oracle::new(&policy).explain(&to_port(22, packet(6, "10.1.0.7", OWN)));
    assert_eq!((member.evaluated.len(), member.shadowed), (0, vec![index(2), index(3)]));
}
