//! Changes that are refused because of what they would take away, and how callers insist.

use std::sync::Arc;

use sg_agent::Filtered;
use sg_records::{Direction, NicId};

use super::{World, tcp};
use crate::{Apply, Authorize, Guarded, OwnConnection, Refusal, RegisterNic, RemoveNics, Revoke};

const DOCUMENT: &str = "
groups: { web: { ingress: [ { id: ssh, protocol: tcp, ports: 22, remote: 192.0.2.0/24 } ] } }
nics: [ { device: eth0, addresses: [10.0.0.5], groups: [web] } ]
";

/// A document, of which nothing is forced.
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

/// A world where the document is in force, on a host where these devices are filtered.
fn world(filtered: &[&str]) -> World {
    let World { tx, vpc } = World::new();
    let filtered = filtered.iter().map(|&device| device.to_owned()).collect();
    let mut world = World { tx: tx.on(Filtered::These(Arc::new(filtered))), vpc };
    world.run(&document(DOCUMENT)).unwrap();
    world
}

#[test]
fn a_document_does_not_leave_out_what_is_filtered() {
    let mut world = world(&["eth0"]);
    for text in ["{}", &DOCUMENT.replace("eth0", "eht0")] {
        let refused = world.run(&document(text)).unwrap_err();
        assert_eq!(refused, Refusal::Unfiltered { devices: vec!["eth0".to_owned()] });
        assert_eq!(refused.code(), "unfiltered_device");
        assert!(refused.to_string().contains("`allow_unfiltered: [eth0]`"), "{refused}");
        assert_eq!(world.tx.nics().len(), 1, "nothing was changed");
    }
    world.run(&document("allow_unfiltered: [eth0]")).unwrap();
    world.run(&document(DOCUMENT)).unwrap();
    world.run(&Apply { allow_unfiltered: true, ..document("{}") }).unwrap();
    assert!(world.tx.nics().is_empty());
}

#[test]
fn a_device_that_is_gone_may_leave_and_a_nic_that_is_named_may_be_removed() {
    let mut gone = world(&["eth1"]);
    gone.run(&document("{}")).unwrap();
    let mut there = world(&["eth0"]);
    there.run(&RemoveNics { nics: vec!["eth0".to_owned()] }).unwrap();
    there.run(&document("{}")).unwrap();
}

#[test]
fn what_a_document_keeps_is_accepted_or_forced() {
    let mut world = world(&[]);
    let keep = |dport| {
        format!(
            "{DOCUMENT}keep: [ {{ nic: eth0, direction: ingress, protocol: tcp, src: 192.0.2.7, dst: 10.0.0.5, dport: {dport} }} ]"
        )
    };
    world.run(&document(&keep(22))).unwrap();
    let refused = world.run(&document(&keep(80))).unwrap_err();
    assert_eq!(refused.code(), "lost_access");
    let said = refused.to_string();
    assert!(said.starts_with("p.yaml:4:9: keep[0]: NIC eth0 would not accept it, drop by default"), "{said}");
    world.run(&Apply { force: true, ..document(&keep(80)) }).unwrap();
}

/// A NIC of this host that accepts port 22 from a network, and the rule that does.
fn with_rule(world: &mut World) -> (NicId, String) {
    world.group("ops");
    let nic = world.run(&RegisterNic {
        vpc: Some("net".to_owned()),
        device: Some("eth1".to_owned()),
        addresses: vec!["10.0.0.6".parse().unwrap()],
        groups: vec!["ops".to_owned()],
        ..RegisterNic::default()
    });
    let rule = world.rule("ops", Direction::Ingress, tcp(22, "192.0.2.0/24")).unwrap();
    (nic.unwrap().id, rule.id.to_string())
}

fn own(text: &str) -> Vec<OwnConnection> {
    vec![("your SSH connection", text.parse().unwrap())]
}

#[test]
fn a_caller_does_not_take_away_the_own_connection() {
    let mut world = world(&[]);
    let (_, rule) = with_rule(&mut world);
    let revoke = || Revoke { group: "ops".to_owned(), direction: None, rules: vec![rule.clone()] };
    let from_here = || own("192.0.2.7 50000 10.0.0.6 22");
    let refused = world.run(&Guarded::new(revoke(), from_here())).unwrap_err();
    let Refusal::LostAccess { what, device, by } = &refused else { panic!("{refused:?}") };
    assert_eq!(what, "your SSH connection from 192.0.2.7 port 50000 to 10.0.0.6 port 22");
    assert_eq!((device.as_str(), by.as_str()), ("eth1", "drop by default"));
    world.run(&Guarded::new(revoke(), own("192.0.2.7 50000 203.0.113.5 22"))).expect("it is to another host");
    let (group, rules) = ("ops".to_owned(), vec![tcp(22, "192.0.2.0/24")]);
    let authorize = Authorize::of(group, Direction::Ingress, rules);
    world
        .run(&Guarded::new(authorize, own("198.51.100.7 50000 10.0.0.6 22")))
        .expect("it was not accepted before");
}

#[test]
fn who_insists_is_not_guarded() {
    let mut world = world(&[]);
    let (_, rule) = with_rule(&mut world);
    world
        .run(&Guarded::new(
            Revoke { group: "ops".to_owned(), direction: None, rules: vec![rule] },
            Vec::new(),
        ))
        .unwrap();
}

#[test]
fn a_nic_that_is_new_may_take_away_what_passed_before() {
    let mut world = world(&[]);
    world.group("ops");
    let register = RegisterNic {
        vpc: Some("net".to_owned()),
        device: Some("eth1".to_owned()),
        addresses: vec!["10.0.0.6".parse().unwrap()],
        groups: vec!["ops".to_owned()],
        ..RegisterNic::default()
    };
    let guarded = Guarded::new(register, own("192.0.2.7 50000 10.0.0.6 22"));
    assert!(matches!(world.run(&guarded), Err(Refusal::LostAccess { .. })));
}
