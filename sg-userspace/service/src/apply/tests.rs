use sg_api_types::Happens;
use sg_records::Direction;

use super::{Apply, Difference};
use crate::{
    ModifyQuotas, Quota, Refusal, policy,
    tests::{World, tcp},
};

const DOCUMENT: &str = "
precedence: merged
prefix_lists: { office: [203.0.113.0/24] }
port_lists: { web: [80, 443] }
members: { ops: [10.1.0.7] }
groups:
  web:
    ingress:
      - { protocol: tcp, ports: { port_list: web }, remote: { prefix_list: office } }
      - { id: ssh, protocol: tcp, ports: 22, remote: { group: ops } }
      - { id: own, protocol: icmp, icmp_type: 8, remote: { group: web } }
  ops: {}
nics:
  - { device: eth0, groups: [web, ops] }
";

fn apply(world: &mut World, text: &str) -> Result<Difference, Refusal> {
    world.run(&Apply {
        text: text.to_owned().into(),
        name: "site".to_owned(),
        region: String::new(),
        file: String::new(),
        allow_unfiltered: false,
        force: false,
    })
}

fn lines(difference: &Difference) -> Vec<(Happens, &str, &str)> {
    difference
        .changes
        .iter()
        .map(|change| (change.action, change.kind.as_str(), change.name.as_str()))
        .collect()
}

#[test]
fn applied_twice_nothing_is_different() {
    let mut world = World::new();
    let first = apply(&mut world, DOCUMENT).unwrap();
    assert_eq!(first.changes.len(), 10, "{:#?}", first.changes);
    assert_eq!(apply(&mut world, DOCUMENT).unwrap().changes, []);
    let policy = policy(&world.tx).unwrap();
    assert_eq!(policy.nics()[0].precedence, sg_model::Precedence::Merged);
    assert_eq!((policy.groups().len(), policy.groups()[0].ingress.len()), (2, 3));
}

#[test]
fn ranges_stay_as_the_document_writes_them() {
    let mut world = World::new();
    let entries = |text: &str| DOCUMENT.replace("[203.0.113.0/24]", text);
    apply(&mut world, &entries("[10.0.0.1-10.0.0.9, \"2001:db8::-2001:db8::ffff\", 10.0.0.1 - 10.0.0.9]"))
        .unwrap();
    let list = world.tx.prefix_lists().values().next().unwrap();
    let shown: Vec<String> = list.entries.iter().map(|entry| entry.addresses.to_string()).collect();
    assert_eq!(shown, ["10.0.0.1-10.0.0.9", "2001:db8::-2001:db8::ffff"]);
    let policy = policy(&world.tx).unwrap();
    let prefixes: Vec<String> =
        policy.prefixes(sg_model::PrefixListIndex(0)).iter().map(ToString::to_string).collect();
    let expanded = ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/30", "10.0.0.8/31", "2001:db8::/112"];
    assert_eq!(prefixes, expanded);
    assert_eq!(
        apply(&mut world, &entries("[10.0.0.1-10.0.0.9, \"2001:db8::-2001:db8::ffff\"]")).unwrap().changes,
        []
    );
    let difference = apply(&mut world, &entries("[10.0.0.1-10.0.0.9, \"2001:db8::/112\"]")).unwrap();
    let [change] = &difference.changes[..] else { panic!("{difference:?}") };
    assert_eq!(change.detail, ["- 2001:db8::-2001:db8::ffff", "+ 2001:db8::/112"]);
}

#[test]
fn a_rule_stays_the_rule_it_is() {
    let mut world = World::new();
    apply(&mut world, DOCUMENT).unwrap();
    let id = |world: &World, name: &str| {
        world.tx.rules().values().find(|rule| rule.spec.name == name).map(|rule| rule.id.clone())
    };
    let (web, ssh) = (id(&world, "web/ingress/0"), id(&world, "ssh"));
    // One more rule in front, and another port for SSH.
    let text = DOCUMENT
        .replace("    ingress:\n", "    ingress:\n      - { protocol: udp, ports: 53 }\n")
        .replace("ports: 22", "ports: 2222");
    let difference = apply(&mut world, &text).unwrap();
    assert_eq!(
        lines(&difference),
        [
            (Happens::Change, "rule", "web/ingress/1"),
            (Happens::Change, "rule", "ssh"),
            (Happens::Add, "rule", "web/ingress/0"),
        ]
    );
    assert_eq!((id(&world, "web/ingress/1"), id(&world, "ssh")), (web, ssh));
}

#[test]
fn only_what_it_owns_goes() {
    let mut world = World::new();
    apply(&mut world, DOCUMENT).unwrap();
    world.group("mine");
    world.rule("web", Direction::Ingress, tcp(8080, "any")).unwrap();
    let difference =
        apply(&mut world, "groups: { web: {} }\nnics: [{ device: eth0, groups: [web] }]").unwrap();
    assert!(lines(&difference).contains(&(Happens::Remove, "group", "ops")), "{difference:?}");
    assert_eq!(world.tx.rules().values().map(|rule| rule.spec.name.as_str()).collect::<Vec<_>>(), [""]);
    assert!(world.tx.find_group("mine").is_ok());
    assert!(world.tx.prefix_lists().is_empty() && world.tx.port_lists().is_empty());
    assert_eq!(world.tx.members_of(&world.tx.find_group("web").unwrap().id).count(), 0);
    let emptied = apply(&mut world, "{}");
    assert!(emptied.is_ok(), "{emptied:?}");
    assert!(world.tx.nics().is_empty());
}

#[test]
fn what_others_use_or_have_is_refused() {
    let mut world = World::new();
    apply(&mut world, DOCUMENT).unwrap();
    let other = Apply {
        text: DOCUMENT.to_owned().into(),
        name: "other".to_owned(),
        region: String::new(),
        file: String::new(),
        allow_unfiltered: false,
        force: false,
    };
    assert!(matches!(world.run(&other), Err(Refusal::DeviceTaken { device, .. }) if device == "eth0"));
    let broken = apply(&mut world, "groups: { web: { ingress: [{ protocol: tcp, ports: 99999 }] } }");
    assert!(matches!(&broken, Err(Refusal::Document { reason }) if reason.contains("99999")), "{broken:?}");
}

#[test]
fn a_path_that_errors_would_repeat_has_a_length() {
    let mut world = World::new();
    let mut named = |length: usize| {
        let (text, name) = (DOCUMENT.to_owned().into(), "site".to_owned());
        world.run(&Apply {
            text,
            name,
            region: String::new(),
            file: "x".repeat(length),
            allow_unfiltered: false,
            force: false,
        })
    };
    assert!(named(4096).is_ok());
    let refused = named(4097).unwrap_err().to_string();
    assert!(refused.contains("at most 4096 bytes") && refused.len() < 200, "{refused}");
}

#[test]
fn a_document_with_a_test_that_fails_changes_nothing() {
    let mut world = World::new();
    let test = |expect: &str| {
        format!(
            "{DOCUMENT}tests:\n  - {{ group: web, direction: ingress, from: {{ prefix_list: office }}, protocol: tcp, ports: 80, \
             expect: {expect}, rule: web/ingress/0 }}\n"
        )
    };
    let Err(Refusal::Document { reason }) = apply(&mut world, &test("drop")) else {
        panic!("it was applied")
    };
    assert!(
        reason
            .starts_with("site:16:5: tests[0]: this test fails: expected drop by rule web/ingress/0, but {")
            && reason.ends_with("gets accept by rule web/ingress/0 of group web"),
        "{reason}"
    );
    assert!(world.tx.nics().is_empty() && world.tx.rules().is_empty());
    apply(&mut world, &test("accept")).unwrap();
    assert_eq!(world.tx.rules().len(), 3);
}

#[test]
fn the_closed_groups_of_a_document_count_in_their_region() {
    let shut = |ports: &str| {
        let rule = format!("{{ protocol: tcp, ports: [{ports}] }}");
        format!("groups: {{ shut: {{ type: closed, ingress: [{rule}, {{ protocol: udp, ports: 53 }}] }} }}")
    };
    let limit = |world: &mut World, groups, rules| {
        let quotas = ModifyQuotas {
            closed_groups_per_region: Some(groups),
            closed_rules_per_region: Some(rules),
            ..ModifyQuotas::default()
        };
        world.run(&quotas).unwrap();
    };
    let mut world = World::new();
    for (groups, rules, quota) in [(0, 9, Quota::ClosedGroupsPerRegion), (9, 1, Quota::ClosedRulesPerRegion)]
    {
        limit(&mut world, groups, rules);
        let refused = apply(&mut world, &shut("22")).unwrap_err();
        assert!(matches!(refused, Refusal::TooMany { quota: found, .. } if found == quota), "{refused}");
    }
    limit(&mut world, 1, 2);
    apply(&mut world, &shut("22")).unwrap();
    // What adds none is not refused, however many there are.
    limit(&mut world, 0, 0);
    apply(&mut world, &shut("2222")).unwrap();
}
