//! Tests of a document: what is read of them, and how the document is refused if one does not hold.

use sg_common::flow::Direction;
use sg_model::{
    Action, End, GroupIndex, Match, Over, Packets, PortListIndex, Ports, PrefixListIndex, Protocol, Remote,
};

use super::accepted;

const DOCUMENT: &str = "
prefix_lists: { office: [203.0.113.0/24] }
port_lists: { admin: [22, 3389] }
groups: { web: , ops: }
nics: [ { device: eth0, groups: [web] } ]
tests:
  - nic: eth0
    direction: ingress
    from: [{ prefix_list: office }, 10.0.0.0/8]
    to: 10.0.0.5
    protocol: tcp
    ports: { port_list: admin }
    expect: accept
    rule: ssh
  - { group: web, direction: egress, from: any, to: { group: ops }, protocol: all, expect: reject }
";

#[test]
fn ends_are_remote_and_local_by_direction() {
    let loaded = accepted(DOCUMENT);
    let net = |text: &str| Remote::Net(text.parse().unwrap());
    let end = |of: &[Remote]| End { of: of.to_vec(), not_of: Vec::new() };
    let [ssh, out] = loaded.tests.as_slice() else { panic!("{:?}", loaded.tests) };
    assert_eq!((ssh.action, ssh.rule.as_deref()), (Action::Accept, Some("ssh")));
    let mut service = Match::of(Protocol::Number(6));
    service.ports = Ports::List(PortListIndex(0));
    let packets = Packets {
        over: Over::Device("eth0".to_owned()),
        direction: Some(Direction::Ingress),
        family: None,
        remote: end(&[Remote::PrefixList(PrefixListIndex(0)), net("10.0.0.0/8")]),
        local: end(&[net("10.0.0.5/32")]),
        services: vec![service],
    };
    assert_eq!(ssh.packets, packets);
    assert_eq!((out.action, out.rule.as_deref()), (Action::Reject, None));
    assert_eq!(out.packets.over, Over::Group(GroupIndex(0)));
    assert_eq!(out.packets.remote, end(&[Remote::Group(GroupIndex(1))]));
    assert_eq!(out.packets.local, End::default());
}

#[test]
fn a_test_that_fails_refuses_the_document_at_its_place() {
    let error = accepted(DOCUMENT).tested([(1, "so".to_owned())], []).unwrap_err();
    assert_eq!(error.to_string(), "policy.yaml:15:5: tests[1]: this test fails: so");
    assert!(error.faults[0].line.as_ref().is_some_and(|line| line.text.contains("group: web")));
    let many = (0..2).cycle().take(50).map(|place| (place, "so".to_owned()));
    let error = accepted(DOCUMENT).tested(many, []).unwrap_err();
    assert!(error.more && error.faults.len() == 20);
    let loaded = accepted(DOCUMENT).tested([], [0]).unwrap();
    let warning = loaded.warnings.last().unwrap().to_string();
    assert!(warning.starts_with("policy.yaml:7:5: tests[0]: this test says nothing"), "{warning}");
}
