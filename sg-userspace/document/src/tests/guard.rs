//! What documents say about changes to them.

use sg_probe::Reader;

use super::super::{Guard, KeptProbe, parse};

const POLICY: &str = "groups: { g: }\nnics: [ { device: eth0, groups: [g] } ]\n";

fn guard(more: &str) -> Guard {
    parse("p.yaml", format!("{POLICY}{more}").as_bytes()).unwrap().guard
}

#[test]
fn a_document_that_says_nothing_keeps_ssh() {
    assert_eq!(guard(""), Guard { allow_unfiltered: Vec::new(), keep: Vec::new(), ssh_ports: vec![22] });
}

#[test]
fn ports_of_ssh_servers_are_named_or_none() {
    for (said, ports) in [("false", &[][..]), ("true", &[22]), ("[22, 2222]", &[22, 2222]), ("[]", &[])] {
        assert_eq!(guard(&format!("keep_ssh: {said}")).ssh_ports, ports, "{said}");
    }
}

#[test]
fn devices_need_not_be_those_of_nics() {
    assert_eq!(guard("allow_unfiltered: [eth1, tap0]").allow_unfiltered, ["eth1", "tap0"]);
}

#[test]
fn a_probe_is_kept_with_its_place_and_as_the_reader_of_probes_reads_it() {
    let more = "keep:\n  - { nic: eth0, direction: egress, protocol: 1, src: 10.0.0.5, dst: 192.0.2.7, icmp_type: 8, sport: }\n";
    let [KeptProbe { place, line }] = &guard(more).keep[..] else { panic!() };
    assert_eq!(place, "p.yaml:4:5: keep[0]");
    let policy = parse("p.yaml", POLICY.as_bytes()).unwrap().policy;
    let written = r#"{"nic":"eth0","direction":"egress","protocol":"icmp","src":"10.0.0.5","dst":"192.0.2.7","icmp_type":8}"#;
    let reader = Reader::new(&policy);
    assert_eq!(reader.probe(line.as_bytes()), reader.probe(written.as_bytes()));
}

/// Every field that the reader of probes has may be kept.
#[test]
fn the_fields_are_those_of_probes() {
    let policy = parse("p.yaml", POLICY.as_bytes()).unwrap().policy;
    let said = Reader::new(&policy).probe(br#"{"x":1}"#).unwrap_err().to_string();
    let fields: Vec<&str> = said.split('`').skip(3).step_by(2).collect();
    assert!(fields.len() >= 10, "{said}");
    assert_eq!(super::super::guard::PROBE_KEYS.allowed, fields, "{said}");
}
