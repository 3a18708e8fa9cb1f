//! What documents, and tests by themselves, demand of every later change.

use serde_json::json;
use sg_records::{Direction, DocumentName, GroupType, PolicyTest};

use super::{World, tcp};
use crate::{
    Apply, Authorize, ChangeMembers, CreateGroup, DeleteGroups, DeleteVpc, Guarded, Insists, NewLabel,
    Refusal, ReplaceTests, Revoke, demanded_tests,
};

const DOCUMENT: &str = "
groups: { web: { ingress: [ { id: https, protocol: tcp, ports: 443 }, { id: ssh, protocol: tcp, ports: 22, remote: 192.0.2.0/24 } ] } }
nics: [ { device: eth0, addresses: [10.0.0.5], groups: [web] } ]
";
const TESTS: &str = "
tests:
  - { nic: eth0, direction: ingress, protocol: tcp, ports: 443, expect: accept, rule: https }
  - { group: web, direction: ingress, from: 198.51.100.0/24, protocol: tcp, ports: 1-442, expect: drop }
";
const KEEP: &str =
    "keep: [ { nic: eth0, direction: ingress, protocol: tcp, src: 192.0.2.7, dst: 10.0.0.5, dport: 22 } ]";

fn document(text: &str) -> Apply {
    Apply {
        text: text.into(),
        name: "site".to_owned(),
        region: String::new(),
        file: "p.yaml".to_owned(),
        allow_unfiltered: false,
        force: false,
    }
}

fn with(demands: &str) -> World {
    let mut world = World::new();
    world.run(&document(&format!("{DOCUMENT}{demands}"))).unwrap();
    world
}

/// The id of a rule of the document.
fn rule(world: &World, name: &str) -> String {
    let rule = world.tx.rules().values().find(|rule| rule.spec.name == name).unwrap();
    rule.id.to_string()
}

fn revoke(rule: String) -> Revoke {
    Revoke { group: "web".to_owned(), direction: None, rules: vec![rule] }
}

fn open(port: u16, remote: &str) -> Authorize {
    Authorize::of("web", Direction::Ingress, vec![tcp(port, remote)])
}

const SKIPPING: Insists = Insists { force: false, skip_tests: true };
const FORCING: Insists = Insists { force: true, skip_tests: false };

#[test]
fn a_document_whose_test_fails_changes_nothing() {
    let mut world = World::new();
    let wrong = format!("{DOCUMENT}{TESTS}").replace("expect: drop", "expect: reject");
    let refused = world.run(&document(&wrong)).unwrap_err();
    let Refusal::Document { reason } = &refused else { panic!("{refused:?}") };
    let said = "p.yaml:7:5: tests[1]: this test fails: expected reject, but {\"nic\":\"eth0\",\"direction\":\"ingress\"";
    assert!(reason.starts_with(said) && reason.contains("gets drop by default"), "{reason}");
    assert!(world.tx.groups().is_empty() && world.tx.demands().is_empty());
    let skipping = Guarded::new(document(&wrong), Vec::new()).insisting(SKIPPING);
    world.run(&skipping).unwrap();
    assert_eq!(demanded_tests(&world.tx).len(), 2);
    // Its own document is asked all of it, again and again.
    assert!(matches!(world.run(&document(&wrong)), Err(Refusal::Document { .. })));
}

#[test]
fn a_later_change_after_which_a_test_fails_is_refused() {
    let mut world = with(TESTS);
    let listed = demanded_tests(&world.tx);
    assert_eq!(
        (listed[0].document.as_deref(), listed[0].place.as_str()),
        (Some("site"), "p.yaml:6:5: tests[0]")
    );
    // Whatever the API: this has no guard around it, as under ECS.
    let refused = world.run(&revoke(rule(&world, "https"))).unwrap_err();
    let Refusal::FailingTest { test, why } = &refused else { panic!("{refused:?}") };
    assert_eq!(
        (test.as_str(), refused.code().as_str()),
        ("document site: p.yaml:6:5: tests[0]", "failing_test")
    );
    assert!(
        why.starts_with("expected accept by rule https, but {") && why.ends_with("gets drop by default"),
        "{why}"
    );
    let refused = world.run(&open(80, "198.51.100.7/32")).unwrap_err();
    // A rule without a name is called by its id, a group by its name.
    assert!(refused.to_string().contains("of group web; nothing was changed"), "{refused}");
    // What no test is about passes.
    world.run(&open(80, "203.0.113.0/24")).unwrap();
    world.run(&revoke(rule(&world, "ssh"))).unwrap();
    // A member reaches the NIC by inner access, not by the rule.
    let member = |add: &str| ChangeMembers {
        group: "web".to_owned(),
        add: vec![add.parse().unwrap()],
        remove: Vec::new(),
    };
    let refused = world.run(&member("203.0.113.9")).unwrap_err();
    assert!(refused.to_string().contains("gets accept by inner access of group web"), "{refused}");
}

#[test]
fn what_was_skipped_once_does_not_forbid_what_follows() {
    let mut world = with(TESTS);
    let forced = Guarded::new(revoke(rule(&world, "https")), Vec::new()).insisting(FORCING);
    assert_eq!(world.run(&forced).unwrap_err().code(), "failing_test", "force is about access");
    world.run(&Guarded::new(revoke(rule(&world, "https")), Vec::new()).insisting(SKIPPING)).unwrap();
    // It fails before and after. The other test is asked.
    world.run(&open(80, "203.0.113.0/24")).unwrap();
    assert_eq!(world.run(&open(80, "198.51.100.7/32")).unwrap_err().code(), "failing_test");
}

/// Nobody knows which members of a group of the region it means, and it need not be known.
#[test]
fn a_test_of_a_nic_that_is_gone_forbids_nothing() {
    let mut world = with("");
    let label = |name: &str| NewLabel { name: name.to_owned(), ..NewLabel::default() };
    let app = CreateGroup { label: label("app"), kind: GroupType::Closed, ..CreateGroup::default() };
    world.run(&app).unwrap();
    let of_app = json!({"nic": "eth0", "direction": "ingress", "from": [{"group": "app"}], "protocol": "udp", "expect": "drop"});
    world.run(&ReplaceTests { tests: vec![test(of_app)] }).unwrap();
    world.run(&crate::RemoveNics { nics: vec!["eth0".to_owned()] }).unwrap();
    world.run(&open(80, "203.0.113.0/24")).unwrap();
    // What it names stays, for when the NIC comes again.
    let refused = world.run(&DeleteGroups { groups: vec!["app".to_owned()] }).unwrap_err();
    assert!(refused.to_string().contains("does not exist"), "{refused}");
}

#[test]
fn what_a_document_keeps_is_asked_of_later_changes() {
    let mut world = with(KEEP);
    let ssh = rule(&world, "ssh");
    let refused = world.run(&revoke(ssh.clone())).unwrap_err();
    let Refusal::LostAccess { what, device, by } = &refused else { panic!("{refused:?}") };
    assert_eq!([what.as_str(), device, by], ["p.yaml:4:9: keep[0]", "eth0", "drop by default"]);
    world.run(&revoke(rule(&world, "https"))).unwrap();
    world.run(&Guarded::new(revoke(ssh), Vec::new()).insisting(FORCING)).unwrap();
    world.run(&open(80, "203.0.113.0/24")).unwrap();
    // Without the NIC, nothing is filtered.
    let mut world = with(KEEP);
    world.run(&crate::RemoveNics { nics: vec!["eth0".to_owned()] }).unwrap();
    world.run(&revoke(rule(&world, "ssh"))).unwrap();
}

#[test]
fn a_document_that_demands_nothing_takes_its_demands_back() {
    let mut world = with(&format!("{TESTS}{KEEP}"));
    let difference = world.run(&document(&format!("{DOCUMENT}{TESTS}"))).unwrap();
    let [change] = &difference.changes[..] else { panic!("{difference:?}") };
    assert_eq!(
        (change.kind.as_str(), &change.detail[0][..]),
        ("demands", "2 tests, 1 kept packets → 2 tests, 0 kept packets")
    );
    // Where a test is does not matter.
    let moved = world.run(&document(&format!("\n\n{DOCUMENT}{TESTS}"))).unwrap();
    assert_eq!(moved.changes, []);
    assert_eq!(demanded_tests(&world.tx)[0].place, "p.yaml:8:5: tests[0]");
    world.run(&document(DOCUMENT)).unwrap();
    assert!(world.tx.demands().is_empty());
    // So does the end of its VPC.
    let mut world = with(KEEP);
    world.run(&Apply { allow_unfiltered: true, force: true, ..document(KEEP_ONLY) }).unwrap_err();
    world.run(&document("{}")).unwrap();
    world.run(&DeleteVpc { vpc: "site".to_owned() }).unwrap();
    assert!(world.tx.demands_of(&DocumentName::from("site")).is_none());
}

/// A document that keeps a packet of a NIC that it does not have.
const KEEP_ONLY: &str =
    "keep: [ { nic: eth0, direction: ingress, protocol: tcp, src: 192.0.2.7, dst: 10.0.0.5, dport: 22 } ]";

fn test(value: serde_json::Value) -> PolicyTest {
    serde_json::from_value(value).unwrap()
}

#[test]
fn tests_may_be_set_by_themselves() {
    let mut world = with("");
    let https =
        json!({"nic": "eth0", "direction": "ingress", "protocol": "tcp", "ports": "443", "expect": "accept"});
    let ops = json!({"group": "web", "direction": "ingress", "from": [{"group": "ops"}], "protocol": "all", "expect": "drop"});
    for (wrong, said) in [
        (json!({"direction": "ingress", "protocol": "tcp", "expect": "drop"}), "nic or group"),
        (json!({"nic": "eth9", "direction": "ingress", "protocol": "tcp", "expect": "drop"}), "eth9"),
        (
            json!({"nic": "eth0", "direction": "ingress", "protocol": "gre", "ports": "1", "expect": "drop"}),
            "ports",
        ),
        (ops.clone(), "ops"),
    ] {
        let refused = world.run(&ReplaceTests { tests: vec![test(wrong)] }).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    world.group("ops");
    let listed = world.run(&ReplaceTests { tests: vec![test(https.clone()), test(ops)] }).unwrap();
    assert_eq!((listed.len(), &listed[1].document, listed[1].place.as_str()), (2, &None, "tests[1]"));
    assert!(listed[1].test.group.as_ref().unwrap().as_str().starts_with("sg-"));
    // One that fails is not stored.
    let reject = test(json!({"nic": "eth0", "direction": "ingress", "protocol": "udp", "expect": "reject"}));
    let refused = world.run(&ReplaceTests { tests: vec![reject] }).unwrap_err();
    assert!(refused.to_string().starts_with("tests[0]: this test fails: expected reject"), "{refused}");
    assert_eq!(demanded_tests(&world.tx).len(), 2);
    assert_eq!(world.run(&revoke(rule(&world, "https"))).unwrap_err().code(), "failing_test");
    // A group that a test names is needed.
    let delete = DeleteGroups { groups: vec!["ops".to_owned()] };
    let refused = world.run(&delete).unwrap_err();
    assert!(refused.to_string().contains("does not exist"), "{refused}");
    world.run(&ReplaceTests::default()).unwrap();
    world.run(&delete).unwrap();
    world.run(&revoke(rule(&world, "https"))).unwrap();
}
