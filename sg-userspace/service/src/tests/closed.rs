//! Closed groups: what their rules may name, who may hold them, and what one without a VPC means on NICs in several.

use sg_model::{DeviceFacts, HeaderNumbers, OnlyFamily};
use sg_oracle::Oracle;
use sg_probe::{Probe, ProbeParts};
use sg_records::{Action, Direction, Group, GroupId, GroupType, Nic, NicType, Order, RuleSpec, VpcId};

use super::{World, new_group, tcp, with};
use crate::{
    ChangeMembers, CloneGroup, CreateGroup, CreateVpc, DeleteGroups, Field, Join, LabelChange, Leave,
    ModifyGroup, ModifyQuotas, ModifyRule, ModifyVpc, NewLabel, Quota, Refusal, RegisterNic, RestoreRules,
    Scope, check_stored, group_of, lint, order_of, policy, policy_for,
};

fn label(name: &str) -> NewLabel {
    NewLabel { name: name.to_owned(), ..NewLabel::default() }
}

/// A closed group without a VPC.
fn regional(name: &str) -> CreateGroup {
    CreateGroup { label: label(name), kind: GroupType::Closed, ..CreateGroup::default() }
}

/// A world with a second VPC, and with closed groups without one.
fn world(groups: &[&str]) -> World {
    let mut world = World::new();
    world.run(&CreateVpc { label: label("other"), ..CreateVpc::default() }).unwrap();
    for name in groups {
        world.run(&regional(name)).unwrap();
    }
    world
}

fn register(vpc: Option<&str>, address: &str, groups: &[&str]) -> RegisterNic {
    RegisterNic {
        vpc: vpc.map(str::to_owned),
        addresses: vec![address.parse().unwrap()],
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        ..RegisterNic::default()
    }
}

/// The verdict on a TCP packet between a NIC and `remote`, and the id of what decided it.
fn verdict(world: &World, nic: &Nic, direction: Direction, remote: &str, port: u16) -> (bool, String) {
    let nic = world.tx.nic(&nic.id).unwrap();
    let policy = policy_for(&world.tx, nic, |_| DeviceFacts::default()).unwrap();
    let (local, far) = (nic.addresses[0], remote.parse().unwrap());
    let (source, destination) = match direction {
        Direction::Ingress => (far, local),
        Direction::Egress => (local, far),
    };
    let probe = Probe::new(ProbeParts {
        nic: 0,
        direction: direction.into(),
        protocol: 6,
        source,
        destination,
        source_port: None,
        destination_port: Some(port),
        numbers: HeaderNumbers::NONE,
    });
    let result = Oracle::new(&policy).judge(&probe.unwrap()).written(&policy);
    (result.verdict == "accept", result.rule.or(result.group).unwrap_or(result.reason).to_owned())
}

#[test]
fn rules_of_closed_groups_name_groups_and_their_own() {
    let mut world = World::new();
    let vpc = world.vpc.clone();
    let closed = |name| CreateGroup { kind: GroupType::Closed, ..new_group(name, &vpc) };
    let shut = world.run(&closed("shut")).unwrap();
    assert!(!shut.inner_access);
    world.run(&closed("other")).unwrap();
    world.group("web");
    for named in ["shut", "other", "web"] {
        world.rule("shut", Direction::Ingress, tcp(22, named)).unwrap();
    }
    let enterprise = CreateGroup { kind: GroupType::Enterprise, ..new_group("big", &vpc) };
    world.run(&enterprise).unwrap();
    let refused = world.rule("shut", Direction::Ingress, tcp(23, "big"));
    assert!(matches!(refused, Err(Refusal::EnterpriseReference { .. })), "{refused:?}");
    let refused = world.rule("web", Direction::Ingress, tcp(23, "web"));
    assert!(matches!(refused, Err(Refusal::OwnGroup { .. })), "{refused:?}");
    let open = ModifyGroup { group: "shut".to_owned(), inner_access: Some(true), ..ModifyGroup::default() };
    let refused = world.run(&open).unwrap_err();
    let said =
        format!("group {} is a closed group, which has no inner access: add a rule that names it", shut.id);
    assert_eq!((refused.code().as_str(), refused.to_string()), ("enterprise_inner_access", said));

    let nic = world.nic("10.0.0.1", &["shut"]);
    let beside = world.nic("10.0.0.2", &["shut"]);
    assert_eq!(verdict(&world, &nic, Direction::Ingress, "10.0.0.2", 80), (false, "default".to_owned()));
    assert_eq!(verdict(&world, &beside, Direction::Egress, "10.0.0.1", 22), (false, "default".to_owned()));
    assert!(verdict(&world, &nic, Direction::Ingress, "10.0.0.2", 22).0);
    let join = Join { groups: vec!["web".to_owned()], targets: vec![nic.id.to_string()], place: None };
    assert!(matches!(world.run(&join), Err(Refusal::MixedTypes { .. })));

    // A copy names itself where the original does.
    let clone = CloneGroup { group: "shut".to_owned(), label: label("copy"), ..CloneGroup::default() };
    let copy = world.run(&clone).unwrap();
    assert_eq!((copy.rules, copy.left_out.len(), copy.group.kind), (3, 0, GroupType::Closed));
    let restore = RestoreRules { group: "other".to_owned(), from: "copy".to_owned(), complete: true };
    // The rule for `other` and the one for the copy itself are the same there.
    assert_eq!(world.run(&restore).unwrap().added.len(), 2);
    let own = |group: &Group| {
        let rules = world.tx.rules_of(&group.id);
        rules.filter(|rule| rule.spec.matches.remote == sg_records::Remote::Group(group.id.clone())).count()
    };
    assert_eq!([own(&copy.group), own(&shut)], [1, 1]);
    assert_eq!(check_stored(&world.tx), Ok(()));
}

#[test]
fn members_in_different_vpcs_do_not_reach_each_other_by_a_group_of_the_region() {
    let mut world = world(&["app", "base"]);
    let rule = world.rule("app", Direction::Ingress, tcp(22, "app")).unwrap();
    let by_base = world.rule("app", Direction::Ingress, tcp(80, "base")).unwrap();
    let mut nic = |vpc, address, groups: &[&str]| world.run(&register(vpc, address, groups)).unwrap();
    let here = nic(Some("net"), "10.0.0.1", &["app"]);
    nic(Some("net"), "10.0.0.2", &["app", "base"]);
    let there = nic(Some("other"), "10.0.0.3", &["app"]);
    nic(Some("other"), "10.0.0.4", &["base"]);
    let without = nic(None, "10.0.0.5", &["app"]);
    nic(None, "10.0.0.6", &["app"]);

    let reaches = |nic: &Nic, remote: &str, port| verdict(&world, nic, Direction::Ingress, remote, port);
    let (id, base) = (rule.id.to_string(), by_base.id.to_string());
    let no = (false, "default".to_owned());
    for (nic, own) in [(&here, "10.0.0.2"), (&there, "none"), (&without, "10.0.0.6")] {
        for remote in ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.6", "10.9.9.9"] {
            if nic.addresses[0].to_string() == remote {
                continue;
            }
            let expected = if remote == own { (true, id.clone()) } else { no.clone() };
            assert_eq!(reaches(nic, remote, 22), expected, "{:?} from {remote}", nic.addresses);
        }
    }
    assert_eq!(reaches(&here, "10.0.0.2", 80), (true, base.clone()));
    assert_eq!((reaches(&here, "10.0.0.4", 80), reaches(&there, "10.0.0.4", 80)), (no, (true, base)));

    // On one host, each VPC has its own, of which all are the one group.
    for (device, vpc) in [("eth0", Some("net")), ("eth1", Some("other")), ("eth2", None)] {
        let nic = RegisterNic { device: Some(device.to_owned()), ..register(vpc, "10.1.0.1", &["app"]) };
        world.run(&nic).unwrap();
    }
    let policy = policy(&world.tx).unwrap();
    let app = world.tx.find_group("app").unwrap().id.clone();
    let parts =
        policy.groups().iter().filter(|group| group_of(&group.name) == app && !group.ingress.is_empty());
    assert_eq!(parts.count(), 3);
    assert_eq!(check_stored(&world.tx), Ok(()));
}

#[test]
fn what_a_group_of_the_region_may_be_with() {
    let mut world = world(&["app"]);
    let app = world.tx.find_group("app").unwrap().id.clone();
    world.group("web");
    let vpc = world.vpc.clone();
    world.run(&CreateGroup { kind: GroupType::Closed, ..new_group("shut", &vpc) }).unwrap();
    world.run(&CreateGroup { label: label("old"), ..CreateGroup::default() }).unwrap();
    for (group, named) in
        [("app", "web"), ("web", "app"), ("app", "shut"), ("shut", "app"), ("app", "old"), ("old", "app")]
    {
        let refused = world.rule(group, Direction::Ingress, tcp(22, named));
        assert!(
            matches!(&refused, Err(Refusal::RegionalReference { group, .. }) if *group == app),
            "{refused:?}"
        );
    }
    let refused = world.rule("app", Direction::Ingress, tcp(22, "web")).unwrap_err().to_string();
    assert!(
        refused.contains("group web is in VPC net") && refused.contains("use a prefix list"),
        "{refused}"
    );

    let elsewhere = ChangeMembers {
        group: "app".to_owned(),
        add: vec!["10.0.0.9".parse().unwrap()],
        ..ChangeMembers::default()
    };
    let refused = world.run(&elsewhere);
    assert!(matches!(refused, Err(Refusal::RegionalMember { .. })), "{refused:?}");

    let far = RegisterNic { region: "far".to_owned(), ..register(None, "10.0.0.1", &["app"]) };
    assert!(matches!(world.run(&far), Err(Refusal::OtherNetwork { networks: "regions", .. })));
    let facing = RegisterNic { nic_type: NicType::Internet, ..register(None, "10.0.0.1", &["app"]) };
    assert!(matches!(world.run(&facing), Err(Refusal::Invalid { field: Field::NicType, .. })));
    let internet = RuleSpec { nic_type: NicType::Internet, ..tcp(22, "any") };
    let refused = world.rule("app", Direction::Ingress, internet);
    assert!(matches!(refused, Err(Refusal::Invalid { field: Field::NicType, .. })), "{refused:?}");
    // With closed groups of its VPC, in one order.
    let refused = world.run(&register(Some("net"), "10.0.0.1", &["shut", "app"])).unwrap_err();
    assert!(matches!(refused, Refusal::Invalid { field: Field::Vpc, .. }), "{refused:?}");
    world.run(&ordered(&vpc.id, Order::Sequence)).unwrap();
    let nic = world.run(&register(Some("net"), "10.0.0.1", &["shut", "app"])).unwrap();
    assert_eq!(order_of(&world.tx, &nic), Order::Sequence);
    let only = world.run(&register(Some("net"), "10.0.0.2", &["shut"])).unwrap();
    assert_eq!(order_of(&world.tx, &only), Order::Sequence, "as the VPC says");
    let refused = world.run(&ordered(&vpc.id, Order::Merged)).unwrap_err();
    assert!(refused.to_string().contains(nic.id.as_str()), "{refused}");
    let leave = Leave { groups: vec!["app".to_owned()], targets: vec![nic.id.to_string()] };
    world.run(&leave).unwrap();
    world.run(&ordered(&vpc.id, Order::Merged)).unwrap();
    assert_eq!(order_of(&world.tx, &only), Order::Merged, "as the VPC says");
}

fn ordered(vpc: &VpcId, order: Order) -> ModifyVpc {
    ModifyVpc { vpc: vpc.to_string(), order: Some(order), ..ModifyVpc::default() }
}

/// Joining a group that has no rule opens nothing.
#[test]
fn a_group_of_the_region_does_not_reorder_the_groups_of_a_vpc() {
    let mut world = world(&["app"]);
    let vpc = world.vpc.clone();
    for (name, action, priority) in [("first", Action::Accept, 50), ("then", Action::Drop, 1)] {
        world.run(&CreateGroup { kind: GroupType::Closed, ..new_group(name, &vpc) }).unwrap();
        let rule = RuleSpec { action, priority, ..tcp(22, "any") };
        world.rule(name, Direction::Ingress, rule).unwrap();
    }
    let nic = world.nic("10.0.0.1", &["first", "then"]);
    assert!(!verdict(&world, &nic, Direction::Ingress, "10.9.9.9", 22).0);
    let join = Join { groups: vec!["app".to_owned()], targets: vec![nic.id.to_string()], place: None };
    let refused = world.run(&join).unwrap_err().to_string();
    let said = format!("set the order of VPC {} to sequence first", vpc.id);
    assert!(refused.starts_with("VPC \"net\": NIC ") && refused.contains(&said), "{refused}");
    assert!(!verdict(&world, &nic, Direction::Ingress, "10.9.9.9", 22).0);
    world.run(&ordered(&vpc.id, Order::Sequence)).unwrap();
    world.run(&join).unwrap();
}

#[test]
fn a_group_of_the_region_is_matched_in_order() {
    let mut world = world(&["first", "then"]);
    world.rule("first", Direction::Ingress, RuleSpec { priority: 100, ..tcp(22, "any") }).unwrap();
    let drop = RuleSpec { action: Action::Drop, ..tcp(22, "any") };
    world.rule("then", Direction::Ingress, drop).unwrap();
    let nic = world.run(&register(Some("net"), "10.0.0.1", &["first", "then"])).unwrap();
    assert!(verdict(&world, &nic, Direction::Ingress, "10.9.9.9", 22).0, "the VPC's order is merged");
}

#[test]
fn groups_of_the_region_and_of_the_classic_network_may_share_a_name() {
    let mut world = world(&["app", "web"]);
    let classic = ["app", "web"]
        .map(|name| world.run(&CreateGroup { label: label(name), ..CreateGroup::default() }).unwrap().id);
    let regional: Vec<GroupId> = world
        .tx
        .groups()
        .values()
        .filter(|group| group.is_regional())
        .map(|group| group.id.clone())
        .collect();
    for of in [&classic[..], &regional] {
        let [one, other] = of else { panic!("{of:?}") };
        let name = &world.tx.group(other).unwrap().label.name.clone();
        let rule = world.rule(one.as_str(), Direction::Ingress, tcp(22, name)).unwrap();
        assert_eq!(rule.spec.matches.remote, sg_records::Remote::Group(other.clone()));
    }
}

#[test]
fn the_default_group_of_a_region_stays_as_it_is() {
    let mut world = world(&[]);
    let unnamed =
        |vpc| RegisterNic { default_type: Some(GroupType::Closed), ..register(vpc, "10.0.0.1", &[]) };
    let nic = world.run(&unnamed(Some("net"))).unwrap();
    let other = world.run(&unnamed(None)).unwrap();
    assert_eq!(nic.groups, other.groups);
    let group = Group::clone(world.tx.group(&nic.groups[0]).unwrap());
    assert!(group.is_regional() && group.default && group.label.name == "default");
    assert!(verdict(&world, &nic, Direction::Egress, "10.9.9.9", 443).0);
    assert!(!verdict(&world, &nic, Direction::Ingress, "10.9.9.9", 443).0);

    let delete = DeleteGroups { groups: vec![group.id.to_string()] };
    assert!(matches!(world.run(&delete), Err(Refusal::DefaultGroup { .. })));
    let named = LabelChange { name: Some("mine".to_owned()), ..LabelChange::default() };
    let rename = ModifyGroup { group: group.id.to_string(), label: named, ..ModifyGroup::default() };
    let refused = world.run(&rename).unwrap_err().to_string();
    assert!(refused.contains("is not renamed"), "{refused}");
    let described = LabelChange { description: Some("of all".to_owned()), ..LabelChange::default() };
    world.run(&ModifyGroup { label: described, ..rename }).unwrap();

    // Beside a basic default group, in the classic network.
    let basic = world.run(&register(None, "10.0.0.2", &[])).unwrap();
    assert_ne!(basic.groups, nic.groups);
    let enterprise =
        RegisterNic { default_type: Some(GroupType::Enterprise), ..register(None, "10.0.0.3", &[]) };
    assert!(matches!(world.run(&enterprise), Err(Refusal::Invalid { field: Field::DefaultType, .. })));
    let both = RegisterNic { groups: vec![group.id.to_string()], ..unnamed(None) };
    assert!(matches!(world.run(&both), Err(Refusal::Invalid { field: Field::DefaultType, .. })));
    assert_eq!(check_stored(&world.tx), Ok(()));
}

#[test]
fn a_nic_holds_a_hundred_closed_groups() {
    let names: Vec<String> = (0..101).map(|number| format!("group-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = world(&names[..100]);
    let refused = world.run(&regional(names[100])).unwrap_err();
    assert!(matches!(&refused, Refusal::TooMany { quota: Quota::ClosedGroupsPerRegion, .. }), "{refused}");
    assert!(refused.to_string().ends_with("101 closed groups, 100 are allowed (closed_groups_per_region)"));
    let more = ModifyQuotas { closed_groups_per_region: Some(101), ..ModifyQuotas::default() };
    world.run(&more).unwrap();
    world.run(&regional(names[100])).unwrap();
    for (port, name) in (1..).zip(&names) {
        world.rule(name, Direction::Ingress, tcp(port, "any")).unwrap();
    }
    let nic = world.run(&register(Some("net"), "10.0.0.1", &names[..100])).unwrap();
    assert_eq!(
        [1, 50, 100, 101].map(|port| verdict(&world, &nic, Direction::Ingress, "10.9.9.9", port).0),
        [true, true, true, false]
    );
    let join = Join { groups: vec![names[100].to_owned()], targets: vec![nic.id.to_string()], place: None };
    let refused = world.run(&join).unwrap_err();
    let Refusal::TooMany { quota: Quota::ClosedGroupsPerNic, field: None, .. } = refused else {
        panic!("{refused}")
    };
    for (quota, allowed) in [(0, false), (100, true), (101, false)] {
        let change = ModifyQuotas { closed_groups_per_nic: Some(quota), ..ModifyQuotas::default() };
        assert_eq!(world.run(&change).is_ok(), allowed, "{quota}");
    }
}

#[test]
fn rules_that_stand_for_many_are_refused_and_not_ignored() {
    let mut world = world(&["app", "base"]);
    let quotas = ModifyQuotas {
        composite_rules_per_nic: Some(2),
        closed_rules_per_region: Some(6),
        ..ModifyQuotas::default()
    };
    world.run(&quotas).unwrap();
    world.run(&register(Some("net"), "10.0.0.1", &["app"])).unwrap();
    let of = |family: Option<OnlyFamily>, spec| with(spec, |matches| matches.family = family);
    let several = |ports: &str| with(tcp(1, "any"), |matches| matches.ports = ports.parse().unwrap());
    let (v4, v6) = (Some(OnlyFamily::Ipv4), Some(OnlyFamily::Ipv6));
    let mut add = |direction, spec| world.rule("app", direction, spec);
    add(Direction::Ingress, of(v4, tcp(22, "base"))).unwrap();
    add(Direction::Ingress, of(v4, several("80,443"))).unwrap();
    let refused = add(Direction::Ingress, of(v4, several("1-2,4-5"))).unwrap_err();
    let Refusal::TooMany { quota, needed: 3, allowed: 2, field, .. } = &refused else { panic!("{refused}") };
    assert_eq!((*quota, *field), (Quota::CompositeRulesPerNic, Some(Quota::CompositeRulesPerNic)));
    assert!(
        refused.to_string().contains(", ingress ipv4, would have 3 rules with a group, a list"),
        "{refused}"
    );
    // A rule of both families counts in both; the other family, the other direction, and one range have room.
    add(Direction::Ingress, several("1-2,4-5")).unwrap_err();
    add(Direction::Ingress, of(v6, several("1-2,4-5"))).unwrap();
    add(Direction::Egress, several("1-2,4-5")).unwrap();
    add(Direction::Ingress, tcp(8080, "any")).unwrap();
    add(Direction::Ingress, RuleSpec { enabled: false, ..of(v4, several("7,9")) }).unwrap();
    let refused = add(Direction::Ingress, tcp(8081, "any")).unwrap_err();
    assert!(
        matches!(refused, Refusal::TooMany { quota: Quota::ClosedRulesPerRegion, needed: 7, .. }),
        "{refused}"
    );
    // Who adds none changes and restores them, however many there are.
    world.run(&ModifyQuotas { closed_rules_per_region: Some(5), ..ModifyQuotas::default() }).unwrap();
    // One that stands for none but itself.
    let is_single = |spec: &RuleSpec| spec.enabled && spec.matches.ports.to_string() == "8080";
    let rule = world.tx.rules().values().find(|rule| is_single(&rule.spec)).unwrap().id.to_string();
    world.run(&ModifyRule { rule, enabled: Some(false), ..ModifyRule::default() }).unwrap();
    let restore = RestoreRules { group: "base".to_owned(), from: "app".to_owned(), complete: true };
    let refused = world.run(&restore).unwrap_err();
    assert!(
        matches!(refused, Refusal::TooMany { quota: Quota::ClosedRulesPerRegion, .. }),
        "it adds rules: {refused}"
    );
    let fewer = RestoreRules { group: "app".to_owned(), from: "base".to_owned(), complete: true };
    let mark = world.tx.mark();
    world.run(&ModifyQuotas { closed_rules_per_region: Some(0), ..ModifyQuotas::default() }).unwrap();
    assert_eq!(world.run(&fewer).unwrap().removed.len(), 6);
    world.tx.go_back(mark);
    // The default group of a region has rules.
    let default = RegisterNic { default_type: Some(GroupType::Closed), ..register(None, "10.0.0.3", &[]) };
    let refused = world.run(&default).map(drop).unwrap_err();
    assert!(matches!(refused, Refusal::TooMany { quota: Quota::ClosedRulesPerRegion, .. }), "{refused}");
    // Whoever gets the rules by joining is refused, too.
    world.run(&ModifyQuotas { composite_rules_per_nic: Some(1), ..ModifyQuotas::default() }).unwrap();
    let refused = world.run(&register(Some("net"), "10.0.0.2", &["app"])).unwrap_err();
    assert!(matches!(refused, Refusal::TooMany { quota: Quota::CompositeRulesPerNic, .. }), "{refused}");
}

#[test]
fn lint_finds_a_rule_of_a_group_of_the_region_once() {
    let mut world = world(&["app"]);
    for spec in [tcp(22, "any"), tcp(22, "10.0.0.0/8")] {
        world.rule("app", Direction::Ingress, spec).unwrap();
    }
    for vpc in [Some("net"), Some("other"), None] {
        world.run(&register(vpc, "10.0.0.1", &["app"])).unwrap();
    }
    let found = lint(&world.tx, &Scope::All).unwrap();
    let mut rules: Vec<_> = found.iter().map(|found| (found.kind, &found.rule)).collect();
    let all = rules.len();
    rules.dedup();
    assert_eq!((rules.len(), rules.is_empty()), (all, false), "{found:?}");
}
