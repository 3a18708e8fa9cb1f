//! Judges packets by rules, and checks verdict, reason and rule.

use std::{collections::BTreeMap, net::IpAddr};

use sg_common::verdict::{Reason, Verdict};
use sg_model::{
    Action, Direction, Group, GroupIndex, GroupType, HeaderNumbers, Match, Nic, Policy, PolicyParts,
    PortListIndex, PortRange, Ports, Precedence, PrefixListIndex, Priority, Protocol, Remote, Role, Rule,
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

fn icmp(kind: u8, code: Option<u8>) -> Rule {
    rule(Match { numbers: HeaderNumbers::icmp(kind, code), ..number(1) })
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
    let prefix_list = ["203.0.113.0/24", "2001:db8:1::/48"].map(|prefix| prefix.parse().unwrap());
    let port_list = [PortRange::new(443, 443).unwrap(), PortRange::new(8000, 8010).unwrap()];
    PolicyParts {
        prefix_lists: vec![("office".to_owned(), prefix_list.to_vec())],
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
    let answer = judge(&parts(vec![group("web", vec![rule], vec![])]), probe);
    assert!(answer == accepted() || answer == by_default(Verdict::Drop), "{answer:?}");
    answer == accepted()
}

#[test]
fn ports_include_both_ends() {
    for (port, inside) in [(7999, false), (8000, true), (8010, true), (8011, false)] {
        let probe = to_port(port, packet(6, OTHER, OWN));
        assert_eq!(matches(tcp(ports(8000, 8010)), &probe), inside, "{port}");
        assert_eq!(matches(tcp(Ports::List(PortListIndex(0))), &probe), inside, "{port}");
        let from_port = Match { source_ports: ports(8000, 8010), ..number(6) };
        assert_eq!(matches(rule(from_port), &ports_of(port, 22, packet(6, OTHER, OWN))), inside, "{port}");
    }
    assert!(!matches(tcp(Ports::Any), &to_port(22, packet(17, OTHER, OWN))), "udp is not tcp");
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
fn icmp_types_and_codes() {
    for (kind, code, any_code, code_four) in
        [(3, 0, true, false), (3, 4, true, true), (3, 5, true, false), (4, 4, false, false)]
    {
        let probe = message(kind, code, packet(1, OTHER, OWN));
        assert_eq!(matches(icmp(3, None), &probe), any_code);
        assert_eq!(matches(icmp(3, Some(4)), &probe), code_four);
    }
}

#[test]
fn a_bare_number_matches_in_both_families() {
    for (source, destination) in [(OTHER, OWN), (OTHER6, OWN6)] {
        assert!(matches(rule(number(50)), &bare(packet(50, source, destination))));
        assert!(!matches(rule(number(50)), &bare(packet(51, source, destination))));
    }
}

#[test]
fn a_prefix_has_one_family() {
    let gre = |source, destination| bare(packet(47, source, destination));
    for (remote, v4, v6) in [
        ("0.0.0.0/0", true, false),
        ("::/0", false, true),
        ("192.0.2.1/32", true, false),
        ("192.0.2.0/32", false, false),
        ("192.0.2.2/31", false, false),
    ] {
        assert_eq!(matches(from(remote, rule(ALL)), &gre(OTHER, OWN)), v4, "{remote}");
        assert_eq!(matches(from(remote, rule(ALL)), &gre(OTHER6, OWN6)), v6, "{remote}");
    }
    assert!(matches(rule(ALL), &gre(OTHER, OWN)) && matches(rule(ALL), &gre(OTHER6, OWN6)));
}

#[test]
fn named_remotes() {
    let office = rule(Match { remote: Remote::PrefixList(PrefixListIndex(0)), ..ALL });
    for (source, destination, inside) in [
        ("203.0.113.255", OWN, true),
        ("203.0.114.0", OWN, false),
        ("2001:db8:1:ffff::", OWN6, true),
        ("2001:db8:2::", OWN6, false),
    ] {
        assert_eq!(matches(office.clone(), &bare(packet(47, source, destination))), inside, "{source}");
    }
    let own_group = rule(Match { remote: Remote::Group(GroupIndex(0)), ..ALL });
    for (source, inside) in [("10.1.0.7", true), ("10.1.0.8", false)] {
        assert_eq!(matches(own_group.clone(), &bare(packet(47, source, OWN))), inside, "{source}");
    }
    let mut parts = parts(vec![group("web", vec![own_group], vec![])]);
    parts.nics.push(Nic {
        device: "eth1".to_owned(),
        addresses: ["10.0.0.9", "fe80::9", "169.254.0.9"].map(|address| address.parse().unwrap()).to_vec(),
        ..nic(1)
    });
    assert_eq!(
        judge(&parts, &bare(packet(47, "10.0.0.9", OWN))),
        accepted(),
        "NICs that hold it are members"
    );
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
fn the_local_end() {
    let local = rule(Match { local: Some("10.0.0.5/32".parse().unwrap()), ..ALL });
    assert!(matches(local.clone(), &bare(packet(47, OTHER, OWN))));
    assert!(!matches(local.clone(), &bare(packet(47, OTHER, "10.0.0.4"))));
    assert!(!matches(local, &bare(packet(47, OTHER6, OWN6))));
}

#[test]
fn drop_stands_before_accept_on_a_tie() {
    let ssh = to_port(22, packet(6, OTHER, OWN));
    let rules = vec![at(5, tcp(Ports::Any)), at(5, drops(tcp(ports(22, 22)))), at(4, tcp(ports(23, 23)))];
    let parts = parts(vec![group("web", rules, vec![])]);
    assert_eq!(judge(&parts, &ssh), by_rule(Verdict::Drop, 0, Direction::Ingress, 1));
    let telnet = to_port(23, packet(6, OTHER, OWN));
    assert_eq!(judge(&parts, &telnet), by_rule(Verdict::Accept, 0, Direction::Ingress, 2));
}

#[test]
fn groups_in_sequence_or_merged() {
    let ssh = to_port(22, packet(6, OTHER, OWN));
    let first = group("first", vec![at(100, tcp(Ports::Any))], vec![]);
    let second = group("second", vec![at(1, drops(tcp(Ports::Any)))], vec![]);
    let sequence = parts(vec![first, second]);
    let mut merged = sequence.clone();
    merged.nics[0].precedence = Precedence::Merged;
    assert_eq!(judge(&sequence, &ssh), by_rule(Verdict::Accept, 0, Direction::Ingress, 0));
    assert_eq!(judge(&merged, &ssh), by_rule(Verdict::Drop, 1, Direction::Ingress, 0));
}

#[test]
fn a_disabled_rule_is_not_there() {
    let off = Rule { enabled: false, ..rule(ALL) };
    assert!(!matches(off, &bare(packet(47, OTHER, OWN))));
}

#[test]
fn members_of_an_open_group_come_in_before_any_rule() {
    let open = Group { inner_access: true, ..group("web", vec![drops(rule(ALL))], vec![]) };
    let parts = parts(vec![open]);
    let inside = CheckResult {
        verdict: Verdict::Accept,
        reason: Reason::IntraGroup,
        group: Some(GroupIndex(0)),
        rule: None,
    };
    assert_eq!(judge(&parts, &bare(packet(47, "10.1.0.7", OWN))), inside);
    let dropped = by_rule(Verdict::Drop, 0, Direction::Ingress, 0);
    assert_eq!(judge(&parts, &bare(packet(47, OTHER, OWN))), dropped);
    assert_eq!(judge(&parts, &bare(packet(47, OWN, "10.1.0.7"))), by_default(Verdict::Accept));
}

#[test]
fn the_default_depends_on_the_type() {
    let basic = parts(vec![group("web", vec![], vec![])]);
    let mut enterprise = basic.clone();
    enterprise.groups[0].kind = GroupType::Enterprise;
    let (inbound, outbound) = (bare(packet(47, OTHER, OWN)), bare(packet(47, OWN, OTHER)));
    assert_eq!(judge(&basic, &inbound), by_default(Verdict::Drop));
    assert_eq!(judge(&basic, &outbound), by_default(Verdict::Accept));
    assert_eq!(judge(&enterprise, &inbound), by_default(Verdict::Drop));
    assert_eq!(judge(&enterprise, &outbound), by_default(Verdict::Drop));
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
    assert_eq!(explanation.answer, by_rule(Verdict::Accept, 0, Direction::Ingress, 2));
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
