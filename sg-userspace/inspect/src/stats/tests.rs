//! Rows for a catalog as an agent writes it; the value of each counter is its own number.

use super::*;

const CATALOG: &str = r#"{
    "abi_version": 1, "image_version": 1, "pid": 1, "attachment": "auto",
    "limits": {"nics": 2, "flows": 8, "counters": 512},
    "nics": [
        {"device": "eth0", "slot": 1, "ifindex": 2, "generation": 1, "groups": ["ops"],
         "ingress_default": "drop", "egress_default": "accept"},
        {"device": "tap0", "slot": 0, "ifindex": null, "generation": 1, "groups": ["web"],
         "ingress_default": "drop", "egress_default": "drop"}
    ],
    "numbers": {
        "groups": [
            {"name": "web", "intra_group": null, "egress": [],
             "ingress": [{"id": "b", "action": "accept", "number": 200}, {"id": "a", "action": "drop", "number": 192}]},
            {"name": "ops", "intra_group": 201, "ingress": [], "egress": []}
        ],
        "vacant": [], "used": 10
    }
}"#;

fn stats(nic: Option<&str>) -> Stats {
    let catalog: Catalog = serde_json::from_str(CATALOG).unwrap();
    let count = |&number: &u32| Counter { packets: u64::from(number), bytes: u64::from(number) * 100 };
    collect(&catalog, nic, |numbers| Ok(numbers.iter().map(count).collect())).unwrap()
}

#[test]
fn every_row_has_the_count_of_its_number() {
    let stats = stats(None);
    let rules: Vec<(&str, u64)> = stats.rules.iter().map(|row| (&*row.rule, row.count.packets)).collect();
    assert_eq!(rules, [("b", 200), ("a", 192)], "as written");
    assert_eq!((&*stats.intra_group[0].group, stats.intra_group[0].count.packets), ("ops", 201));
    let defaults: Vec<(&str, Direction, Action, u64)> =
        stats.defaults.iter().map(|row| (&*row.nic, row.direction, row.verdict, row.count.packets)).collect();
    assert_eq!(
        defaults,
        [
            ("eth0", Direction::Ingress, Action::Drop, 128 + 3),
            ("eth0", Direction::Egress, Action::Accept, 128 + 32 + 3),
            ("tap0", Direction::Ingress, Action::Drop, 64 + 3),
            ("tap0", Direction::Egress, Action::Drop, 64 + 32 + 3),
        ]
    );
    let arp = |nic: &str| {
        let row = stats.reasons.iter().find(|row| row.nic.as_deref() == Some(nic) && row.reason == "arp");
        row.unwrap().count.packets
    };
    assert_eq!((arp("eth0"), arp("tap0")), (128 + 5, 64 + 5));
}

#[test]
fn one_nic_shows_its_groups_only() {
    let stats = stats(Some("tap0"));
    assert!(stats.rules.iter().all(|row| row.group == "web") && stats.intra_group.is_empty());
    assert!(stats.defaults.iter().all(|row| row.nic == "tap0"));
    assert!(stats.reasons.iter().all(|row| row.nic.as_deref() == Some("tap0")));
    assert_eq!(stats.flows, None);
}

#[test]
fn flows_are_those_of_the_last_ageing_pass() {
    let flows = stats(None).flows.unwrap();
    assert_eq!((flows.established, flows.half_open, flows.evicted), (60, 61, 59));
}

#[test]
fn what_belongs_to_no_nic_has_reasons_of_its_own() {
    let reasons = stats(None).reasons;
    let of_nobody =
        reasons.iter().filter(|row| row.nic.is_none()).map(|row| (&*row.reason, row.count.packets));
    let expected = [("no-nic", 13), ("no-image", 14), ("image-version", 15), ("image-fault", 16)];
    assert_eq!(of_nobody.collect::<Vec<_>>(), expected);
}

#[test]
fn json_has_the_fields_that_tools_read() {
    let json = serde_json::to_value(stats(None)).unwrap();
    let rule = serde_json::json!({
        "group": "web", "rule": "b", "direction": "ingress", "action": "accept", "packets": 200, "bytes": 20000
    });
    assert_eq!(json["rules"][0], rule);
    let default = serde_json::json!({
        "nic": "eth0", "direction": "ingress", "verdict": "drop", "packets": 131, "bytes": 13100
    });
    assert_eq!(json["defaults"][0], default);
    assert_eq!(json["intra_group"][0], serde_json::json!({"group": "ops", "packets": 201, "bytes": 20100}));
    assert!(json["reasons"].as_array().unwrap().iter().any(|row| row["nic"].is_null()));
}
