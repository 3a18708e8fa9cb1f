//! What each operation does, and why it refuses.

use std::collections::BTreeSet;

use sg_model::HeaderNumbers;
use sg_records::{
    Action, Direction, EntryList, Family, Group, GroupId, GroupType, Hook, Nic, NicType, OnlyFamily,
    PortEntry, Ports, PrefixEntry, PrefixFamily, Protocol, Remote, Role, RuleSpec,
};

use super::{IPV4, World, new_group, new_list, tcp, with};
use crate::check_stored;
use crate::{
    ChangeMembers, CreateGroup, CreateList, DeleteGroups, DeleteLists, DeleteVpc, Field, GroupTemplate, Join,
    LabelChange, Leave, ModifyGroup, ModifyList, ModifyNic, ModifyQuotas, ModifyRule, Move, MoveGroup,
    NewLabel, Quota, Refusal, RegisterInstance, RegisterNic, RemoveNics, Revoke, RevokeMatching, SetGroups,
    list_associations, policy,
};

fn names(groups: &[GroupId], world: &World) -> Vec<String> {
    groups.iter().map(|group| world.tx.group(group).unwrap().label.name.clone()).collect()
}

fn texts(all: &[&str]) -> Vec<String> {
    all.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn a_group_with_members_or_references_is_not_deleted() {
    let mut world = World::new();
    let (web, db) = (world.group("web"), world.group("db"));
    world.nic("10.0.0.1", &["web"]);
    world.rule("db", Direction::Ingress, tcp(5432, "web")).unwrap();
    let delete = |groups: &[&str]| DeleteGroups { groups: texts(groups) };
    let refused = world.run(&delete(&["web"]));
    assert!(
        matches!(&refused, Err(Refusal::HasMembers { members, .. }) if members.len() == 1),
        "{refused:?}"
    );
    world.run(&RemoveNics { nics: vec![world.tx.nics().values().next().unwrap().id.to_string()] }).unwrap();
    let refused = world.run(&delete(&["web"]));
    assert!(
        matches!(&refused, Err(Refusal::Referenced { by, .. }) if *by == [db.id.to_string()]),
        "{refused:?}"
    );
    // Deleted together, nothing that refers to it is left.
    assert_eq!(world.run(&delete(&["web", "db"])).unwrap().len(), 2);
    assert!(world.tx.rules().is_empty() && world.tx.group(&web.id).is_none());
}

#[test]
fn names_are_found_and_nearly_right_ones_are_offered() {
    let mut world = World::new();
    world.group("frontend");
    let refused = world.run(&DeleteGroups { groups: texts(&["frontent"]) });
    assert!(matches!(refused, Err(Refusal::NotFound { hint: Some(hint), .. }) if hint == "frontend"));
    world.group("frontend");
    let refused = world.run(&DeleteGroups { groups: texts(&["frontend"]) });
    assert!(matches!(refused, Err(Refusal::Ambiguous { ids, .. }) if ids.len() == 2));
}

#[test]
fn names_descriptions_and_tags_have_their_forms() {
    let mut world = World::new();
    let vpc = world.vpc.clone();
    let long = "x".repeat(129);
    for name in ["x", "1web", "http://web", "we b", &long] {
        let refused = world.run(&new_group(name, &vpc));
        assert!(matches!(refused, Err(Refusal::Invalid { field: Field::Name, .. })), "{name}");
    }
    for name in ["", "web", "安全组-1", "a.b:c_d-e"] {
        world.run(&new_group(name, &vpc)).unwrap();
    }
    let tagged = |key: &str| CreateGroup {
        label: NewLabel { tags: [(key.to_owned(), String::new())].into(), ..NewLabel::default() },
        ..new_group("web", &vpc)
    };
    assert!(matches!(world.run(&tagged("acs:x")), Err(Refusal::Invalid { field: Field::TagKey, .. })));
    world.run(&tagged("stage")).unwrap();
}

#[test]
fn enterprise_groups_keep_to_themselves() {
    let mut world = World::new();
    let vpc = world.vpc.clone();
    let enterprise = |name| CreateGroup { kind: GroupType::Enterprise, ..new_group(name, &vpc) };
    let big = world.run(&enterprise("big")).unwrap();
    assert!(!big.inner_access);
    let open = ModifyGroup { group: "big".to_owned(), inner_access: Some(true), ..ModifyGroup::default() };
    assert!(matches!(world.run(&open), Err(Refusal::EnterpriseInnerAccess { .. })));
    world.group("web");
    for (group, named) in [("big", "web"), ("web", "big")] {
        let refused = world.rule(group, Direction::Ingress, tcp(22, named));
        assert!(matches!(refused, Err(Refusal::EnterpriseReference { group }) if group == big.id));
    }
    let nic = world.nic("10.0.0.1", &["web"]);
    let join = Join { groups: texts(&["big"]), targets: vec![nic.id.to_string()], place: None };
    assert!(matches!(world.run(&join), Err(Refusal::MixedTypes { .. })));
    // The whole list may change to the other type.
    let set = SetGroups { target: nic.id.to_string(), groups: texts(&["big"]) };
    assert_eq!(world.run(&set).unwrap().groups, [big.id]);
}

#[test]
fn the_order_of_a_nics_groups() {
    let mut world = World::new();
    for name in ["aa", "bb", "cc", "dd"] {
        world.group(name);
    }
    let nic = world.nic("10.0.0.1", &["aa", "bb"]).id.to_string();
    let join = Join { groups: texts(&["cc", "dd"]), targets: vec![nic.clone()], place: Some(1) };
    let groups = world.run(&join).unwrap().remove(0).groups;
    assert_eq!(names(&groups, &world), ["aa", "cc", "dd", "bb"]);
    let mut moved = |group: &str, to| {
        let groups = world.run(&MoveGroup { target: nic.clone(), group: group.to_owned(), to })?.nic.groups;
        Ok::<_, Refusal>(names(&groups, &world))
    };
    assert_eq!(moved("bb", Move::Up).unwrap(), ["aa", "cc", "bb", "dd"]);
    assert_eq!(moved("aa", Move::Up).unwrap(), ["aa", "cc", "bb", "dd"]);
    assert_eq!(moved("dd", Move::To(0)).unwrap(), ["dd", "aa", "cc", "bb"]);
    assert_eq!(moved("aa", Move::Down).unwrap(), ["dd", "cc", "aa", "bb"]);
    assert!(matches!(moved("aa", Move::To(4)), Err(Refusal::Invalid { field: Field::Place, .. })));
    let leave = |groups: &[&str]| Leave { groups: texts(groups), targets: vec![nic.clone()] };
    assert!(matches!(world.run(&leave(&["aa", "bb", "cc", "dd"])), Err(Refusal::LastGroup { .. })));
    world.run(&leave(&["aa", "bb", "cc"])).unwrap();
    assert!(matches!(world.run(&leave(&["aa"])), Err(Refusal::NotMember { .. })));
    assert!(matches!(world.run(&leave(&["dd"])), Err(Refusal::LastGroup { .. })));
}

#[test]
fn limits_hold_and_can_be_changed() {
    let mut world = World::new();
    let all = ["aa", "bb", "cc", "dd", "ee", "ff"];
    for name in all {
        world.group(name);
    }
    let nic = world.nic("10.0.0.1", &all[..5]).id.to_string();
    let join = Join { groups: texts(&["ff"]), targets: vec![nic], place: None };
    let refused = world.run(&join);
    assert!(matches!(
        refused,
        Err(Refusal::TooMany { quota: Quota::GroupsPerNic, needed: 6, allowed: 5, .. })
    ));
    world
        .run(&ModifyQuotas { groups_per_nic: Some(6), rules_per_nic: Some(2), ..ModifyQuotas::default() })
        .unwrap();
    world.run(&join).unwrap();
    assert!(world.run(&ModifyQuotas { groups_per_nic: Some(11), ..ModifyQuotas::default() }).is_err());

    world.rule("aa", Direction::Ingress, tcp(1, "any")).unwrap();
    world.rule("bb", Direction::Egress, tcp(1, "any")).unwrap();
    let refused = world.rule("cc", Direction::Ingress, tcp(1, "any"));
    assert!(matches!(
        refused,
        Err(Refusal::TooMany { quota: Quota::RulesPerNic, needed: 3, allowed: 2, .. })
    ));
    assert_eq!(world.tx.rules().len(), 2, "nothing of a refused operation happens");

    let modest = ModifyQuotas { members_per_basic_group: Some(2), ..ModifyQuotas::default() };
    world.run(&modest).unwrap();
    let members = |addresses: &[&str]| ChangeMembers {
        group: "aa".to_owned(),
        add: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        remove: Vec::new(),
    };
    assert_eq!(world.run(&members(&["10.0.0.2"])).unwrap(), 1);
    let refused = world.run(&members(&["10.0.0.3"]));
    assert!(matches!(refused, Err(Refusal::TooMany { quota: Quota::MembersPerGroup, .. })));
}

#[test]
fn a_list_counts_with_all_it_may_hold() {
    let mut world = World::new();
    world.group("web");
    world.nic("10.0.0.1", &["web"]);
    world.run(&ModifyQuotas { rules_per_nic: Some(100), ..ModifyQuotas::default() }).unwrap();
    let entry = |cidr: &str| PrefixEntry { addresses: cidr.parse().unwrap(), description: String::new() };
    let list = new_list("office", IPV4, 60, vec![entry("10.0.0.0/8")]);
    world.run(&list).unwrap();
    let by_list =
        |port| with(tcp(port, "any"), |matches| matches.remote = Remote::PrefixList("office".into()));
    world.rule("web", Direction::Ingress, by_list(80)).unwrap();
    let refused = world.rule("web", Direction::Ingress, by_list(81));
    assert!(matches!(refused, Err(Refusal::TooMany { needed: 120, .. })));
    let grown = |max_entries| ModifyList::<PrefixEntry> {
        list: "office".to_owned(),
        max_entries: Some(max_entries),
        ..ModifyList::default()
    };
    assert!(matches!(world.run(&grown(101)), Err(Refusal::TooMany { quota: Quota::RulesPerNic, .. })));
    world.run(&grown(100)).unwrap();
    let refused = world.run(&DeleteLists::<PrefixEntry>::new(texts(&["office"])));
    assert!(matches!(&refused, Err(Refusal::InUse { .. })));
    assert!(refused.unwrap_err().to_string().ends_with("change those first, or delete them with it"));
    let twice = CreateList { entries: vec![entry("10.0.0.0/8"), entry("10.0.0.0/8")], ..list.clone() };
    assert!(matches!(world.run(&twice), Err(Refusal::Invalid { field: Field::CidrTwice, .. })));
    let both = CreateList { extra: PrefixFamily::default(), ..list.clone() };
    assert!(matches!(world.run(&both), Err(Refusal::Missing { field: Field::Family, .. })));
    let other = CreateList { entries: vec![entry("2001:db8::/32")], ..list };
    assert!(matches!(world.run(&other), Err(Refusal::Invalid { field: Field::Family, .. })));
}

#[test]
fn a_list_goes_with_the_rules_that_name_it() {
    let mut world = World::new();
    let (web, ops) = (world.group("web").id, world.group("ops").id);
    let list = world.run(&new_list::<PrefixEntry>("office", IPV4, 5, Vec::new())).unwrap();
    world.run(&new_list::<PrefixEntry>("other", IPV4, 5, Vec::new())).unwrap();
    let by_list =
        |port, list: &str| with(tcp(port, "any"), |matches| matches.remote = Remote::PrefixList(list.into()));
    for (group, direction) in [("web", Direction::Ingress), ("ops", Direction::Egress)] {
        world.rule(group, direction, by_list(80, "office")).unwrap();
        world.rule(group, direction, by_list(80, "other")).unwrap();
    }
    let named = list_associations::<PrefixEntry>(&world.tx, list.id.as_str()).unwrap();
    let groups: BTreeSet<_> =
        named.iter().map(|by| (by.group.clone(), by.name.as_str(), by.rules.len())).collect();
    assert_eq!(groups, [(web, "web", 1), (ops, "ops", 1)].into());

    // Either all or none.
    let both = DeleteLists::<PrefixEntry>::new(texts(&["office", "nothing"])).with_rules(true);
    assert!(matches!(world.run(&both), Err(Refusal::NotFound { .. })));
    assert_eq!(world.tx.rules().len(), 4);
    let one = DeleteLists::<PrefixEntry>::new(texts(&["office"])).with_rules(true);
    assert_eq!(world.run(&one).unwrap(), [list.id.to_string()]);
    assert_eq!(world.tx.rules().len(), 2);
    assert!(world.tx.prefix_list(&list.id).is_none());
    policy(&world.tx).unwrap();
}

#[test]
fn a_list_has_ranges_as_they_are_written() {
    let mut world = World::new();
    let entry = |text: &str| PrefixEntry { addresses: text.parse().unwrap(), description: text.to_owned() };
    let entries = ["10.0.0.0-10.0.0.255", "10.0.0.0/24", "10.0.0.1-10.0.0.1"].map(entry);
    let made = world.run(&new_list("office", IPV4, 9, entries.to_vec())).unwrap();
    assert_eq!(made.entries, entries);
    let change = |add: &[&str], remove: &[&str]| ModifyList::<PrefixEntry> {
        list: "office".to_owned(),
        add: add.iter().copied().map(entry).collect(),
        remove: remove.iter().map(|text| text.parse().unwrap()).collect(),
        ..ModifyList::default()
    };
    let changed = world.run(&change(&["10.0.0.7-10.0.0.9"], &["10.0.0.0/24"])).unwrap();
    assert_eq!(changed.entries, ["10.0.0.0-10.0.0.255", "10.0.0.1-10.0.0.1", "10.0.0.7-10.0.0.9"].map(entry));
    let all = |entries: &[&str]| {
        let entries = Some(entries.iter().copied().map(entry).collect());
        ModifyList::<PrefixEntry> { list: "office".to_owned(), entries, ..ModifyList::default() }
    };
    let replaced = world.run(&all(&["10.0.0.9/32", "10.0.0.1-10.0.0.1"])).unwrap();
    assert_eq!(replaced.entries, ["10.0.0.9/32", "10.0.0.1-10.0.0.1"].map(entry));
    assert!(world.run(&all(&[])).unwrap().entries.is_empty());
    let mixed = ModifyList { remove: vec!["10.0.0.9/32".parse().unwrap()], ..all(&[]) };
    assert!(matches!(world.run(&mixed), Err(Refusal::Invalid { field: Field::Cidr, .. })));
    world.run(&all(&["10.0.0.1-10.0.0.1"])).unwrap();
    // The same addresses, but not an entry.
    let refused = world.run(&change(&[], &["10.0.0.1/32"]));
    assert!(matches!(refused, Err(Refusal::Invalid { field: Field::Cidr, .. })));
    let refused = world.run(&change(&["10.0.1.0-10.0.1.9", "10.0.1.0-10.0.1.9"], &[]));
    assert!(matches!(refused, Err(Refusal::Invalid { field: Field::CidrTwice, .. })));
    let refused = world.run(&change(&["2001:db8::1-2001:db8::9"], &[]));
    assert!(matches!(refused, Err(Refusal::Invalid { field: Field::Family, .. })));
}

#[test]
fn a_port_list_reaches_the_rules_that_name_it() {
    let mut world = World::new();
    world.group("web");
    world
        .run(&RegisterNic {
            vpc: Some("net".to_owned()),
            device: Some("eth0".to_owned()),
            groups: texts(&["web"]),
            ..RegisterNic::default()
        })
        .unwrap();
    let ports: CreateList<PortEntry> = serde_json::from_value(serde_json::json!({
        "name": "web-ports", "max_entries": 3, "entries": [{"ports": "80"}]
    }))
    .unwrap();
    world.run(&ports).unwrap();
    let spec = with(tcp(1, "any"), |matches| matches.ports = Ports::List("web-ports".into()));
    world.rule("web", Direction::Ingress, spec.clone()).unwrap();
    let icmp = with(spec, |matches| matches.protocol = Protocol::Number(1));
    assert!(matches!(
        world.rule("web", Direction::Ingress, icmp),
        Err(Refusal::Invalid { field: Field::Ports, .. })
    ));
    let add: ModifyList<PortEntry> =
        serde_json::from_value(serde_json::json!({"list": "web-ports", "add": [{"ports": "443-444"}]}))
            .unwrap();
    world.run(&add).unwrap();
    let policy = policy(&world.tx).unwrap();
    let rule = &policy.groups()[0].ingress[0];
    assert!(format!("{rule:?}").contains("List"), "{rule:?}");
    assert_eq!(format!("{:?}", policy.port_list(sg_model::PortListIndex(0)).len()), "2");
}

#[test]
fn rules_are_added_once_and_told_apart_by_what_they_say() {
    let mut world = World::new();
    world.group("web");
    let first = world.rule("web", Direction::Ingress, tcp(80, "10.0.0.9/8")).unwrap();
    let again = RuleSpec { description: "another".to_owned(), ..tcp(80, "10.0.0.0/8") };
    assert_eq!(world.rule("web", Direction::Ingress, again).unwrap(), first);
    let later = RuleSpec { priority: 2, ..tcp(80, "10.0.0.0/8") };
    let second = world.rule("web", Direction::Ingress, later).unwrap();
    let egress = world.rule("web", Direction::Egress, tcp(80, "10.0.0.0/8")).unwrap();
    assert_eq!(world.tx.rules().len(), 3);

    let modify = |rule: &sg_records::Rule| ModifyRule { rule: rule.id.to_string(), ..ModifyRule::default() };
    let same = ModifyRule { priority: Some(1), ..modify(&second) };
    assert!(matches!(world.run(&same), Err(Refusal::DuplicateRule { rule }) if rule == first.id));
    let kind = ModifyRule { remote: Some(Remote::Any), ..modify(&second) };
    assert!(matches!(world.run(&kind), Err(Refusal::ChangesKind { field: Field::Remote })));
    let wrong_way = ModifyRule { direction: Some(Direction::Ingress), ..modify(&egress) };
    assert!(matches!(world.run(&wrong_way), Err(Refusal::OtherRule { .. })));
    let udp = ModifyRule { protocol: Some(Protocol::Number(17)), ports: Some(Ports::Any), ..modify(&second) };
    assert_eq!(world.run(&udp).unwrap().spec.matches.ports, Ports::Any);

    let matching = |spec: RuleSpec, with_priority| RevokeMatching {
        group: "web".to_owned(),
        direction: Direction::Ingress,
        rules: vec![(spec, with_priority)],
    };
    assert!(world.run(&matching(tcp(81, "10.0.0.0/8"), false)).unwrap().is_empty());
    assert_eq!(world.run(&matching(tcp(80, "10.0.0.0/8"), true)).unwrap(), std::slice::from_ref(&first.id));
    let revoke = |rules: Vec<String>| Revoke { group: "web".to_owned(), direction: None, rules };
    assert!(matches!(world.run(&revoke(vec![first.id.to_string()])), Err(Refusal::NotFound { .. })));
    assert_eq!(world.run(&revoke(vec![second.id.to_string(), egress.id.to_string()])).unwrap().len(), 2);
}

/// Every address of a family is one remote, however a dialect writes it.
#[test]
fn a_family_tells_rules_apart_where_it_says_something() {
    let mut world = World::new();
    world.group("web");
    world.group("ops");
    let only = |family, spec| with(spec, |matches| matches.family = Some(family));
    let (v4, v6) = (OnlyFamily::Ipv4, OnlyFamily::Ipv6);
    let mut add = |spec| world.rule("web", Direction::Ingress, spec).unwrap();
    let every = add(only(v4, tcp(80, "any")));
    assert_eq!(add(tcp(80, "0.0.0.0/0")), every);
    assert_eq!(every.spec.matches.remote, Remote::Any, "as it was written");
    let different = [tcp(80, "any"), only(v6, tcp(80, "any")), tcp(80, "ops"), only(v4, tcp(80, "ops"))];
    for spec in different {
        let rule = add(spec.clone());
        assert_eq!(add(spec), rule);
    }
    let private = add(tcp(80, "10.0.0.0/8"));
    assert_eq!(add(only(v4, tcp(80, "10.0.0.0/8"))), private);
    assert_eq!(world.tx.rules().len(), 6);

    let change = |change: ModifyRule| ModifyRule { rule: every.id.to_string(), ..change };
    let to = |remote: &str| ModifyRule { remote: Some(remote.parse().unwrap()), ..ModifyRule::default() };
    for other in ["any", "2001:db8::/32"] {
        let refused = world.run(&change(to(other)));
        let other_family = ModifyRule { family: Some(v6), ..to(other) };
        match other {
            // That of the rule stays.
            "any" => assert_eq!(refused.unwrap(), every),
            _ => assert!(matches!(refused, Err(Refusal::ChangesKind { field: Field::Remote }))),
        }
        assert!(world.run(&change(other_family)).is_err());
    }
    let narrowed = world.run(&change(to("192.0.2.0/24"))).unwrap();
    assert_eq!(
        (narrowed.spec.matches.family, narrowed.spec.matches.remote.to_string()),
        (Some(v4), "192.0.2.0/24".into())
    );
    let gone = RevokeMatching {
        group: "web".to_owned(),
        direction: Direction::Ingress,
        rules: vec![(tcp(80, "192.0.2.0/24"), true), (tcp(80, "::/0"), true)],
    };
    assert_eq!(world.run(&gone).unwrap().len(), 2);
    // Who cannot say a family means both.
    let of_group = |spec| RevokeMatching { rules: vec![(spec, true)], ..gone.clone() };
    assert_eq!(world.run(&of_group(only(v6, tcp(80, "ops")))).unwrap(), []);
    world.rule("web", Direction::Ingress, only(v6, tcp(80, "ops"))).unwrap();
    assert_eq!(world.run(&of_group(only(v6, tcp(80, "ops")))).unwrap().len(), 1);
    assert_eq!(world.run(&of_group(tcp(80, "ops"))).unwrap().len(), 2);
}

#[test]
fn a_rule_that_cannot_be_is_refused_with_the_part_that_is_wrong() {
    let mut world = World::new();
    let web = world.group("web");
    let of = |change: &dyn Fn(&mut RuleSpec)| {
        let mut spec = tcp(80, "10.0.0.0/8");
        change(&mut spec);
        spec
    };
    let cases: [(RuleSpec, &str); 8] = [
        (of(&|spec| spec.priority = 0), "priority \"0\": 1 (first) to 100 (last)"),
        (of(&|spec| spec.priority = 101), "priority \"101\""),
        (
            of(&|spec| spec.matches.numbers = HeaderNumbers::icmp(8, None)),
            "ICMP message \"8\": only ICMP and ICMPv6 have message types; the protocol is tcp",
        ),
        (
            of(&|spec| spec.matches.protocol = Protocol::All),
            "only TCP, UDP, SCTP, DCCP and UDP-Lite have ports",
        ),
        (
            of(&|spec| spec.matches.local = Some("2001:db8::1/128".parse().unwrap())),
            "different address families",
        ),
        (of(&|spec| spec.matches.local = Some("10.0.0.0/8".parse().unwrap())), "another one than the remote"),
        (of(&|spec| spec.nic_type = NicType::Internet), "in a VPC every rule is for intranet"),
        (of(&|spec| spec.matches.remote = Remote::Group(web.id.clone())), "cannot name its own group"),
    ];
    for (spec, says) in cases {
        let refused = world.rule("web", Direction::Ingress, spec).unwrap_err().to_string();
        assert!(refused.contains(says), "{refused}");
    }
    let icmpv6 = RuleSpec::accept(Protocol::Number(58));
    let icmpv6 = with(icmpv6, |matches| matches.remote = "10.0.0.0/8".parse().unwrap());
    let refused = world.rule("web", Direction::Ingress, icmpv6);
    assert!(matches!(refused, Err(Refusal::MixedFamilies { first: "the protocol", second: "the remote" })));
    let list = world.run(&new_list::<PrefixEntry>("office", IPV4, 1, Vec::new())).unwrap();
    for (change, wanted) in [
        (tcp(80, "10.0.0.0/8"), "the family and the remote"),
        (
            with(tcp(80, "any"), |matches| matches.remote = Remote::PrefixList(list.id.clone())),
            "the family and the remote",
        ),
        (
            with(tcp(80, "any"), |matches| matches.local = Some("10.0.0.5/32".parse().unwrap())),
            "the family and the local address",
        ),
        (RuleSpec::accept(Protocol::Number(1)), "the protocol and the family"),
    ] {
        let spec = with(change, |matches| matches.family = Some(OnlyFamily::Ipv6));
        let refused = world.rule("web", Direction::Ingress, spec).unwrap_err().to_string();
        assert_eq!(refused, format!("{wanted} are of different address families: write two rules"));
    }
}

#[test]
fn a_nic_without_a_group_gets_the_default_one() {
    let mut world = World::new();
    let first = world.nic("10.0.0.1", &[]);
    let second = world.nic("10.0.0.2", &[]);
    assert_eq!(first.groups, second.groups);
    let group = world.tx.group(&first.groups[0]).unwrap().clone();
    assert!(group.default && group.label.name == "default" && group.vpc == Some(world.vpc.id.clone()));
    assert_eq!(world.tx.rules_of(&group.id).count(), 3);
}

#[test]
fn classic_rules_are_for_the_network_that_a_nic_faces() {
    let mut world = World::new();
    world
        .run(&CreateGroup {
            label: NewLabel { name: "old".to_owned(), ..NewLabel::default() },
            ..CreateGroup::default()
        })
        .unwrap();
    for (device, nic_type) in [("eth0", NicType::Intranet), ("eth1", NicType::Internet)] {
        let groups = texts(&["old"]);
        let nic = RegisterNic { device: Some(device.to_owned()), nic_type, groups, ..RegisterNic::default() };
        world.run(&nic).unwrap();
    }
    let internet = RuleSpec { nic_type: NicType::Internet, ..tcp(443, "any") };
    world.rule("old", Direction::Ingress, internet).unwrap();
    world.rule("old", Direction::Ingress, tcp(22, "any")).unwrap();
    let policy = policy(&world.tx).unwrap();
    let ports = |device: &str| {
        let nic = policy.nic(device).unwrap();
        let group = policy.group(nic.groups[0]);
        (group.inner_access, format!("{:?}", group.ingress[0].matches).contains("443"), group.ingress.len())
    };
    assert_eq!(ports("eth0"), (true, false, 1));
    assert_eq!(ports("eth1"), (false, true, 1));
    let refused = world.run(&RegisterNic {
        device: Some("eth2".to_owned()),
        vpc: Some("net".to_owned()),
        groups: texts(&["old"]),
        ..RegisterNic::default()
    });
    assert!(matches!(refused, Err(Refusal::OtherNetwork { .. })));
}

#[test]
fn xdp_is_for_nics_of_the_host() {
    let mut world = World::new();
    world.group("web");
    let nic = |device: &str, role, hook| RegisterNic {
        device: Some(device.to_owned()),
        vpc: Some("net".to_owned()),
        groups: texts(&["web"]),
        role,
        hook,
        ..RegisterNic::default()
    };
    let is_refused = |refused: Result<Nic, Refusal>| {
        assert!(matches!(refused, Err(Refusal::Invalid { field: Field::Hook, .. })), "{refused:?}");
    };
    is_refused(world.run(&nic("tap0", Role::Guest, Hook::Xdp)));
    world.run(&nic("eth0", Role::Host, Hook::Xdp)).unwrap();
    assert_eq!(policy(&world.tx).unwrap().nic("eth0").unwrap().hook, Hook::Xdp);
    let modify = ModifyNic { nic: "eth0".to_owned(), role: Some(Role::Guest), ..ModifyNic::default() };
    is_refused(world.run(&modify));
    world.run(&ModifyNic { hook: Some(Hook::Tc), ..modify }).unwrap();
    assert_eq!(policy(&world.tx).unwrap().nic("eth0").unwrap().hook, Hook::Tc);
}

#[test]
fn what_ipsec_delivers_passes_hosts_and_is_judged_at_tc() {
    let mut world = World::new();
    world.group("web");
    let nic = |device: &str, role, hook, ipsec| RegisterNic {
        device: Some(device.to_owned()),
        vpc: Some("net".to_owned()),
        groups: texts(&["web"]),
        role,
        hook,
        ipsec,
        ..RegisterNic::default()
    };
    let (pass, judge) = (Some(sg_model::Ipsec::Pass), Some(sg_model::Ipsec::Judge));
    for wrong in [nic("tap0", Role::Guest, Hook::Tc, pass), nic("eth0", Role::Host, Hook::Xdp, judge)] {
        let refused = world.run(&wrong);
        assert!(matches!(refused, Err(Refusal::Invalid { field: Field::Ipsec, .. })), "{refused:?}");
    }
    world.run(&nic("tap0", Role::Guest, Hook::Tc, judge)).unwrap();
    world.run(&nic("eth0", Role::Host, Hook::Tc, None)).unwrap();
    let said = |world: &World| policy(&world.tx).unwrap().nic("eth0").unwrap().ipsec();
    assert_eq!(said(&world), sg_model::Ipsec::Pass);
    let modify = ModifyNic { nic: "eth0".to_owned(), ipsec: judge, ..ModifyNic::default() };
    world.run(&modify).unwrap();
    assert_eq!(said(&world), sg_model::Ipsec::Judge);
}

#[test]
fn frames_that_pass_are_named_by_each_nic() {
    let mut world = World::new();
    world.group("web");
    let kinds =
        |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<sg_model::Ethertype>>();
    let nic = |ethertypes: Vec<sg_model::Ethertype>| RegisterNic {
        device: Some("eth0".to_owned()),
        vpc: Some("net".to_owned()),
        groups: texts(&["web"]),
        ethertypes,
        ..RegisterNic::default()
    };
    let is_refused = |result: Result<_, Refusal>| {
        assert!(matches!(result, Err(Refusal::Invalid { field: Field::Ethertypes, .. })), "{result:?}");
    };
    is_refused(world.run(&nic(kinds(&["lldp", "0x88cc"]))));
    let many: Vec<String> = (0x9000..0x9009).map(|number| format!("{number:#x}")).collect();
    let many = kinds(&many.iter().map(String::as_str).collect::<Vec<_>>());
    is_refused(world.run(&nic(many.clone())));
    world.run(&nic(kinds(&["lldp", "stp"]))).unwrap();
    let said = |world: &World| policy(&world.tx).unwrap().nic("eth0").unwrap().ethertypes.clone();
    assert_eq!(said(&world), kinds(&["lldp", "stp"]));
    let modify = |new| ModifyNic { nic: "eth0".to_owned(), ethertypes: new, ..ModifyNic::default() };
    is_refused(world.run(&modify(Some(many))));
    world.run(&modify(None)).unwrap();
    assert_eq!(said(&world), kinds(&["lldp", "stp"]), "what is left out stays");
    world.run(&modify(Some(kinds(&["0x8915"])))).unwrap();
    assert_eq!(said(&world), kinds(&["0x8915"]));
    world.run(&modify(Some(Vec::new()))).unwrap();
    assert_eq!(said(&world), []);
}

#[test]
fn an_instance_is_its_primary_nic() {
    let mut world = World::new();
    let (web, db) = (world.group("web"), world.group("db"));
    let nic = |address: &str| RegisterNic {
        addresses: vec![address.parse().unwrap()],
        groups: texts(&["web"]),
        ..RegisterNic::default()
    };
    let instance = RegisterInstance {
        id: Some("i-web1".to_owned()),
        vpc: Some("net".to_owned()),
        nics: vec![nic("10.0.0.1"), nic("10.0.1.1")],
        ..RegisterInstance::default()
    };
    let view = world.run(&instance).unwrap();
    assert!(view.nics[0].nic.primary && !view.nics[1].nic.primary);
    assert!(matches!(world.run(&instance), Err(Refusal::Exists { .. })));
    let join = Join { groups: texts(&["db"]), targets: texts(&["i-web1"]), place: None };
    let joined = world.run(&join).unwrap();
    assert_eq!((&joined[0].id, &joined[0].groups[..]), (&view.nics[0].nic.id, &[web.id, db.id][..]));
    // The next one becomes primary.
    world.run(&RemoveNics { nics: vec![view.nics[0].nic.id.to_string()] }).unwrap();
    assert!(world.tx.nic(&view.nics[1].nic.id).unwrap().primary);
    let refused = world.run(&DeleteVpc { vpc: "net".to_owned() });
    assert!(
        matches!(refused, Err(Refusal::InUse { by, .. }) if by.len() == 4),
        "a NIC, an instance, two groups"
    );
}

#[test]
fn a_label_changes_and_the_rest_stays() {
    let mut world = World::new();
    world.group("web");
    let change = ModifyGroup {
        group: "web".to_owned(),
        label: LabelChange { description: Some("public".to_owned()), ..LabelChange::default() },
        inner_access: Some(false),
    };
    let group = world.run(&change).unwrap();
    assert_eq!((group.label.name.as_str(), group.label.description.as_str()), ("web", "public"));
    assert!(!group.inner_access);
    let nothing = ModifyGroup { group: "web".to_owned(), ..ModifyGroup::default() };
    assert!(matches!(world.run(&nothing), Err(Refusal::NothingToChange)));
}

#[test]
fn a_group_begins_with_the_rules_of_its_template() {
    let mut world = World::new();
    let vpc = world.vpc.clone();
    let standard =
        |kind, name| CreateGroup { kind, template: GroupTemplate::Standard, ..new_group(name, &vpc) };
    let said = |world: &World, group: &Group| -> Vec<String> {
        let rules = world.tx.rules_of(&group.id).inspect(|rule| {
            assert_eq!((rule.spec.priority, rule.spec.action), (100, Action::Accept));
        });
        let mut rules: Vec<_> = rules.collect();
        rules.sort_by_key(|rule| rule.serial);
        rules.iter().map(|rule| format!("{} {}", rule.direction, rule.spec.matches)).collect()
    };
    let closed = world.run(&standard(GroupType::Closed, "shut")).unwrap();
    let own = [
        format!("ingress all family ipv4 remote {}", closed.id),
        format!("ingress all family ipv6 remote {}", closed.id),
        "egress all family ipv4 remote any".to_owned(),
        "egress all family ipv6 remote any".to_owned(),
    ];
    assert_eq!(said(&world, &closed), own);
    let regional = CreateGroup { vpc: None, ..standard(GroupType::Closed, "regional") };
    let regional = world.run(&regional).unwrap();
    assert_eq!(
        said(&world, &regional),
        own.map(|rule| rule.replace(closed.id.as_str(), regional.id.as_str()))
    );

    let basic = world.run(&standard(GroupType::Basic, "web")).unwrap();
    let open = ["tcp ports 80", "tcp ports 443", "tcp ports 22", "tcp ports 3389", "icmp"]
        .map(|what| format!("ingress {what} remote 0.0.0.0/0"));
    assert_eq!(said(&world, &basic), open);
    let enterprise = world.run(&standard(GroupType::Enterprise, "big")).unwrap();
    assert_eq!(said(&world, &enterprise), [&open[..], &["egress all remote any".to_owned()]].concat());

    // All or nothing.
    let classic = CreateGroup { vpc: None, ..standard(GroupType::Basic, "old") };
    let refused = world.run(&classic).unwrap_err();
    assert!(matches!(&refused, Refusal::Invalid { field: Field::Template, .. }), "{refused}");
    assert!(world.tx.find_group("old").is_err());
    assert_eq!(check_stored(&world.tx), Ok(()));
}

#[test]
fn entries_that_no_packet_has_are_refused_where_they_are_new() {
    let mut world = World::new();
    let entry = |text: &str| PrefixEntry { addresses: text.parse().unwrap(), description: String::new() };
    let ipv6 = PrefixFamily { family: Some(Family::V6) };
    let list = world.run(&new_list("far", ipv6, 9, vec![entry("2001:db8::/32"), entry("::/0")])).unwrap();
    let add = |text| ModifyList::<PrefixEntry> {
        list: "far".to_owned(),
        add: vec![entry(text)],
        ..ModifyList::default()
    };
    for mapped in ["::ffff:203.0.113.1-::ffff:203.0.113.9", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1/128"] {
        let refused = world.run(&add(mapped)).unwrap_err();
        assert!(matches!(refused, Refusal::Invalid { field: Field::Cidr, .. }), "{mapped}: {refused}");
        let new = new_list("other", ipv6, 9, vec![entry(mapped)]);
        assert!(matches!(world.run(&new), Err(Refusal::Invalid { field: Field::Cidr, .. })));
    }
    // One of an earlier version stays, and does not hinder others.
    let mut stored = EntryList::clone(&world.tx.prefix_lists()[&list.id]);
    stored.entries.push(entry("::ffff:10.0.0.1/128"));
    world.tx.put(stored);
    assert_eq!(check_stored(&world.tx), Ok(()));
    assert_eq!(world.run(&add("2001:db9::/32")).unwrap().entries.len(), 4);
}

#[test]
fn a_list_is_not_deleted_with_rules_of_documents() {
    let mut world = World::new();
    let list = world.run(&new_list::<PrefixEntry>("office", IPV4, 5, Vec::new())).unwrap();
    let mut spec = tcp(22, "any");
    spec.matches.remote = Remote::PrefixList(list.id);
    let web = world.group("web");
    world.rule("web", Direction::Ingress, spec.clone()).unwrap();
    let mut owned = Group::clone(&world.group("owned"));
    owned.label.owner = Some("owned".to_owned());
    world.rule("owned", Direction::Ingress, spec).unwrap();
    world.tx.put(owned.clone());
    let delete = DeleteLists::<PrefixEntry>::new(texts(&["office"])).with_rules(true);
    let refused = world.run(&delete).unwrap_err();
    let Refusal::InUse { by, .. } = &refused else { panic!("{refused}") };
    assert_eq!(*by, [format!("rules of group {} of document owned", owned.id)]);
    assert_eq!((world.tx.rules().len(), world.tx.rules_of(&web.id).count()), (2, 1));
}
