//! A schema before the first: a step that needs more than one record, so that migration is tested before there is a real one.

use serde_json::{Value, json};
use sg_records::{Direction, Rule, RuleSpec, Settings};

use super::super::Record;

/// Schema 0 called the remote of a rule `address` and had no serials: the settings had none, and a rule's was its age.
pub(in super::super) fn to_1(mut records: Vec<Value>) -> Result<Vec<Value>, String> {
    let of_kind = |record: &&mut Value, kind: &str| record["kind"] == kind;
    let mut serial = 0_u64;
    for rule in records.iter_mut().filter(|record| of_kind(record, "rule")) {
        let rule = &mut rule["record"];
        rule["serial"] = serial.into();
        serial += 1;
        let spec = rule["spec"].as_object_mut().ok_or("a rule says nothing")?;
        if let Some(remote) = spec.remove("address") {
            spec.insert("remote".to_owned(), remote);
        }
    }
    for settings in records.iter_mut().filter(|record| of_kind(record, "settings")) {
        settings["record"]["serial"] = serial.into();
    }
    Ok(records)
}

/// Records of schema 0 with their keys, and the expected result.
pub(super) fn old() -> (Vec<(String, Value)>, Vec<Record>) {
    let rule = |number: u64, remote: &str| {
        let id = format!("sgr-{number}");
        let mut rule = Rule {
            id: id.as_str().into(),
            group: "sg-1".into(),
            direction: Direction::Ingress,
            serial: number,
            created: jiff::Timestamp::UNIX_EPOCH,
            updated: jiff::Timestamp::UNIX_EPOCH,
            spec: RuleSpec::accept("tcp".parse().unwrap()),
        };
        rule.spec.matches.remote = remote.parse().unwrap();
        let old = json!({"kind": "rule", "record": {
            "id": id, "group": "sg-1", "direction": "ingress", "created": "1970-01-01T00:00:00Z",
            "spec": {"protocol": "tcp", "address": remote},
        }});
        ((format!("rule {id}"), old), Record::from(rule))
    };
    let settings = (
        ("settings".to_owned(), json!({"kind": "settings", "record": {"quotas": {"tags": 7}}})),
        Record::from({
            let mut settings = Settings { serial: 2, ..Settings::default() };
            settings.quotas.tags = 7;
            settings
        }),
    );
    [rule(0, "10.0.0.0/8"), rule(1, "any"), settings].into_iter().unzip()
}
