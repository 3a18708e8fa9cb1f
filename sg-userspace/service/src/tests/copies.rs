//! Groups cloned and restored, rules from files, checks and lint.

use std::collections::BTreeSet;

use sg_model::{DeviceFacts, HeaderNumbers};
use sg_records::{Action, Direction, Ports, PrefixEntry, Protocol, Remote, RuleSpec};

use super::{IPV4, World, new_group, new_list, tcp, with};
use crate::{
    Apply, CheckPacket, CloneGroup, CreateVpc, Filter, FindingKind, GroupQuery, ImportRules, Imported,
    ModifyQuotas, NewLabel, PageRequest, Refusal, RestoreRules, RuleFile, Scope, check_common, check_packet,
    export_rules, find_groups, lint, policy,
};

fn named(name: &str) -> NewLabel {
    NewLabel { name: name.to_owned(), ..NewLabel::default() }
}

fn clone(
    world: &mut World,
    region: Option<&str>,
    vpc: Option<&str>,
    classic: bool,
) -> Result<(usize, usize), Refusal> {
    let (region, vpc) = (region.map(str::to_owned), vpc.map(str::to_owned));
    let clone = CloneGroup {
        group: "web".to_owned(),
        label: named("copy"),
        region,
        vpc,
        classic,
        ..CloneGroup::default()
    };
    world.run(&clone).map(|cloned| (cloned.rules, cloned.left_out.len()))
}

/// `web`: a port for everyone, one for `ops`, one for a list.
fn web() -> World {
    let mut world = World::new();
    world.group("web");
    world.group("ops");
    let list = world.run(&new_list::<PrefixEntry>("office", IPV4, 5, Vec::new())).unwrap();
    let from_list = with(tcp(25, "any"), |matches| matches.remote = Remote::PrefixList(list.id));
    for spec in [tcp(80, "any"), tcp(22, "ops"), from_list] {
        world.rule("web", Direction::Ingress, spec).unwrap();
    }
    world
}

#[test]
fn a_clone_takes_what_can_be_where_it_goes() {
    let mut world = web();
    let vpc = CreateVpc { label: named("far"), region: "elsewhere".to_owned(), ..CreateVpc::default() };
    world.run(&vpc).unwrap();
    let near = CreateVpc { label: named("near"), ..CreateVpc::default() };
    world.run(&near).unwrap();
    assert_eq!(clone(&mut world, None, None, false).unwrap(), (3, 0));
    assert_eq!(clone(&mut world, None, Some("near"), false).unwrap(), (2, 1));
    assert_eq!(clone(&mut world, None, Some("far"), false).unwrap(), (1, 2));
    assert_eq!(clone(&mut world, None, None, true).unwrap(), (1, 2));
    let nowhere = clone(&mut world, Some("elsewhere"), None, false);
    assert!(matches!(nowhere, Err(Refusal::Missing { .. })), "{nowhere:?}");
    let both = clone(&mut world, None, Some("near"), true);
    assert!(matches!(both, Err(Refusal::OtherNetwork { .. })), "{both:?}");
}

#[test]
fn a_group_is_restored_from_its_copy() {
    let mut world = web();
    clone(&mut world, None, None, false).unwrap();
    world.rule("web", Direction::Ingress, tcp(443, "any")).unwrap();
    world.rule("copy", Direction::Egress, tcp(53, "any")).unwrap();
    let restore = |complete| RestoreRules { group: "web".to_owned(), from: "copy".to_owned(), complete };
    let part = world.run(&restore(false)).unwrap();
    assert_eq!((part.added.len(), part.removed.len(), part.kept), (1, 0, 3));
    let whole = world.run(&restore(true)).unwrap();
    assert_eq!((whole.added.len(), whole.removed.len(), whole.kept), (0, 1, 4));
}

#[test]
fn a_group_that_names_itself_does_so_again() {
    let mut world = World::new();
    let text = "groups: { web: { ingress: [{ protocol: tcp, remote: { group: web } }] } }".to_owned();
    world
        .run(&Apply {
            text: text.into(),
            name: "site".to_owned(),
            region: String::new(),
            file: String::new(),
            allow_unfiltered: false,
            force: false,
        })
        .unwrap();
    assert_eq!(clone(&mut world, None, Some("net"), false).unwrap(), (1, 0));
    assert_eq!(clone_named(&mut world), (1, 0));
    let restore = RestoreRules { group: "web".to_owned(), from: "backup".to_owned(), complete: true };
    let restored = world.run(&restore).unwrap();
    assert_eq!((restored.added.len(), restored.removed.len(), restored.kept), (0, 0, 1));
}

fn clone_named(world: &mut World) -> (usize, usize) {
    let clone = CloneGroup { group: "web".to_owned(), label: named("backup"), ..CloneGroup::default() };
    let cloned = world.run(&clone).unwrap();
    (cloned.rules, cloned.left_out.len())
}

#[test]
fn a_file_adds_what_is_not_there_and_names_the_rest() {
    let mut world = web();
    let file = export_rules(&world.tx, "web").unwrap();
    world.group("new");
    let import = ImportRules { group: "new".to_owned(), file: RuleFile::from_csv(&file.to_csv()).unwrap() };
    assert_eq!(world.run(&import).unwrap().added, 3);
    let again = world.run(&import).unwrap();
    assert_eq!((again.added, again.skipped), (0, 3));
    assert!(again.rows.iter().all(|row| row.outcome == Imported::Exists));
    let odd = "Direction,IpProtocol,PortRange,SourceCidrIp,Priority\n\
               ingress, TCP ,1/2,10.0.0.0/8,1\ningress,tcp,9/8,10.0.0.0/8,1\ningress,tcp,3/3,10.0.0.0/8,101\n\
               sideways,tcp,3/3,10.0.0.0/8,1\ningress,tcp,3/3,,1\ningress,udp,3/3,10.0.0.0/8,\n";
    let import = ImportRules { group: "new".to_owned(), file: RuleFile::from_csv(odd).unwrap() };
    let report = world.run(&import).unwrap();
    let refused =
        |row: usize| report.rows[row].outcome == Imported::Refused && !report.rows[row].reason.is_empty();
    assert_eq!((report.added, report.skipped), (2, 4), "{:#?}", report.rows);
    assert!((1..5).all(refused));
    // Not a rule about every address of the NIC.
    let own_end =
        "Direction,IpProtocol,PortRange,SourceCidrIp,DestGroupId\ningress,tcp,1/2,10.9.0.0/16,sg-1\n";
    let import = ImportRules { group: "new".to_owned(), file: RuleFile::from_csv(own_end).unwrap() };
    let report = world.run(&import).unwrap();
    assert_eq!(report.added, 0);
    assert!(report.rows[0].reason.contains("\"sg-1\" at the NIC's own end"), "{:?}", report.rows[0].reason);
}

#[test]
fn a_file_has_a_limit() {
    let mut world = web();
    let change = ModifyQuotas { rules_per_import: Some(2), ..ModifyQuotas::default() };
    world.run(&change).unwrap();
    world.group("new");
    let file = export_rules(&world.tx, "web").unwrap();
    let report = world.run(&ImportRules { group: "new".to_owned(), file }).unwrap();
    assert_eq!((report.added, report.skipped), (2, 1));
    assert!(report.rows[2].reason.contains("rules_per_import"));
}

#[test]
fn a_check_names_who_decides_and_whom_he_shadows() {
    let mut world = web();
    world.nic("10.0.0.5", &["web", "ops"]);
    let later = RuleSpec { priority: 9, action: Action::Drop, ..tcp(80, "10.9.0.0/16") };
    let later = world.rule("ops", Direction::Ingress, later).unwrap();
    let nic = world.tx.nics().values().next().unwrap().id.to_string();
    let packet = CheckPacket {
        nic: nic.clone(),
        direction: Direction::Ingress,
        protocol: Protocol::Number(6),
        remote: "10.9.0.1".parse().unwrap(),
        local: None,
        port: Some(80),
        source_port: None,
        numbers: HeaderNumbers::NONE,
    };
    let checked = check_packet(&world.tx, &packet, |_| DeviceFacts::default()).unwrap();
    assert_eq!((checked.verdict.as_str(), checked.reason.as_str()), ("accept", "rule"));
    assert_eq!(checked.group_name.as_deref(), Some("web"));
    assert_eq!(checked.shadowed.iter().map(|by| &by.rule.id).collect::<Vec<_>>(), [&later.id]);
    let common = check_common(&world.tx, &nic, packet.remote, |_| DeviceFacts::default()).unwrap();
    let open = common.iter().filter(|common| common.checked.verdict == "accept");
    assert_eq!(open.map(|common| common.name.as_str()).collect::<Vec<_>>(), ["80 HTTP"]);
    assert_eq!(common.len(), 6);
}

#[test]
fn rules_that_never_decide_and_open_doors_are_found() {
    let mut world = World::new();
    world.group("web");
    let mut add = |priority, action, port, remote| {
        let spec = RuleSpec { action, priority, ..tcp(port, remote) };
        world.rule("web", Direction::Ingress, spec).unwrap().id
    };
    let wide = add(1, Action::Accept, 80, "10.0.0.0/8");
    let redundant = add(2, Action::Accept, 80, "10.1.0.0/16");
    let shadowed = add(3, Action::Drop, 80, "10.2.0.0/16");
    add(3, Action::Drop, 80, "11.0.0.0/8");
    let open = add(4, Action::Accept, 22, "0.0.0.0/0");
    let header = with(tcp(1, "12.0.0.0/8"), |matches| {
        matches.protocol = Protocol::Number(60);
        matches.ports = Ports::Any;
    });
    let header = world.rule("web", Direction::Ingress, header).unwrap().id;
    let findings = lint(&world.tx, &Scope::Group("web".to_owned())).unwrap();
    let found = |kind| findings.iter().filter(move |found| found.kind == kind);
    let by = |kind| found(kind).map(|found| (found.rule.clone(), found.by.clone())).collect::<Vec<_>>();
    assert_eq!(by(FindingKind::Redundant), [(redundant, vec![wide.clone()])]);
    assert_eq!(by(FindingKind::Shadowed), [(shadowed, vec![wide])]);
    assert_eq!(by(FindingKind::OverOpen), [(open, vec![])]);
    assert_eq!(by(FindingKind::ExtensionHeader), [(header, vec![])]);
}

#[test]
fn lint_looks_at_packets_not_at_rules() {
    let mut world = World::new();
    world.group("web");
    world.group("ops");
    let mut add = |group: &str, priority, action, port, remote| {
        let spec = RuleSpec { action, priority, ..tcp(port, remote) };
        world.rule(group, Direction::Ingress, spec).unwrap().id
    };
    let low = add("web", 1, Action::Accept, 22, "0.0.0.0/1");
    let high = add("web", 1, Action::Accept, 22, "128.0.0.0/1");
    let covered = add("web", 2, Action::Accept, 22, "64.0.0.0/2");
    let both = add("web", 2, Action::Drop, 22, "0.0.0.0/0");
    // Alone it might be for something; of a NIC, it says what the default does.
    let plain = add("ops", 9, Action::Drop, 99, "10.0.0.0/8");
    let found = |world: &World, scope| {
        let findings = lint(&world.tx, &scope).unwrap();
        findings.into_iter().map(|found| (found.kind, found.rule, found.by)).collect::<BTreeSet<_>>()
    };
    let alone = BTreeSet::from([
        (FindingKind::OverOpen, low.clone(), vec![]),
        (FindingKind::OverOpen, high.clone(), vec![]),
        (FindingKind::Shadowed, both, vec![low.clone(), high]),
        (FindingKind::Redundant, covered, vec![low]),
    ]);
    assert_eq!(found(&world, Scope::All), alone);
    let (web, ops) =
        (world.tx.find_group("web").unwrap().id.clone(), world.tx.find_group("ops").unwrap().id.clone());
    assert_eq!(found(&world, Scope::Group(web.to_string())), alone);
    assert!(found(&world, Scope::Group(ops.to_string())).is_empty());
    let nic = world.nic("10.0.0.5", &["web", "ops"]);
    let of_nic = found(&world, Scope::Nic(nic.id.to_string()));
    assert_eq!(of_nic.difference(&alone).collect::<Vec<_>>(), [&(FindingKind::Redundant, plain, vec![])]);
    assert!(alone.is_subset(&of_nic));
}

#[test]
fn pages_and_filters_of_groups() {
    let mut world = World::new();
    let vpc = world.vpc.clone();
    for number in 0..25 {
        world.run(&new_group(&format!("web-{number}"), &vpc)).unwrap();
    }
    world.group("db");
    let filter = Filter { name: Some("web-*".to_owned()), ..Filter::default() };
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = PageRequest { limit: Some(10), after };
        let page = find_groups(&world.tx, &filter, &GroupQuery::default(), &page).unwrap();
        (seen, after) = (seen + page.items.len(), page.next);
        assert_eq!(page.total, 25);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, 25);
    assert!(policy(&world.tx).is_ok());
}
