//! Migration of older schemas to [`SCHEMA`], step by step.
//!
//! A step gets the whole state as JSON, so it can move data between records, and uses no type of this program: types change with
//! every schema, a step never does. Called when a store is opened and when an export is read; both take over the whole result or
//! nothing.

use serde_json::Value;

use super::{Record, SCHEMA, text};

/// Rewrites the records of one schema, each `{"kind": …, "record": {…}}`, as those of the next.
type Step = fn(Vec<Value>) -> Result<Vec<Value>, String>;

/// Every step, with the schema that it leads from. No schema before the first was ever written: tests have made one up.
const STEPS: &[(u32, Step)] = &[
    #[cfg(test)]
    (0, super::tests::older::to_1),
    (1, keys_are_admins),
    (2, nothing_is_demanded),
    (3, nothing_was_updated),
];

/// Schema 1 had no roles: an access key could do everything. A program of that schema would take each key for such a one, so it
/// must not read what this one writes.
fn keys_are_admins(mut records: Vec<Value>) -> Result<Vec<Value>, String> {
    for key in records.iter_mut().filter(|record| record["kind"] == "access_key") {
        let key = key.get_mut("record").and_then(Value::as_object_mut).ok_or("an access key says nothing")?;
        key.insert("role".to_owned(), "admin".into());
    }
    Ok(records)
}

/// Schema 2 had no demands: a program that does not know them would make changes that they forbid.
#[expect(clippy::unnecessary_wraps, reason = "others may fail")]
const fn nothing_is_demanded(records: Vec<Value>) -> Result<Vec<Value>, String> {
    Ok(records)
}

/// Schema 3 had no times of change: what is there was last changed when it was created, as far as anybody knows. A kept response has
/// such objects, too.
#[expect(clippy::unnecessary_wraps, reason = "others may fail")]
fn nothing_was_updated(mut records: Vec<Value>) -> Result<Vec<Value>, String> {
    const DATED: [&str; 7] = ["vpc", "group", "rule", "prefix_list", "port_list", "instance", "nic"];
    for record in &mut records {
        let kind = record["kind"].as_str().unwrap_or_default();
        if DATED.contains(&kind) {
            date(&mut record["record"]);
        } else if kind == "token" {
            let fields = record["record"].as_object_mut().into_iter().flat_map(|fields| fields.values_mut());
            fields.for_each(dates_within);
        }
    }
    Ok(records)
}

/// Gives an object that has a time of creation one of change.
fn date(object: &mut Value) {
    if let Some(fields) = object.as_object_mut()
        && let Some(created) = fields.get("created").cloned()
    {
        fields.entry("updated").or_insert(created);
    }
}

/// Does so for each object in a value.
fn dates_within(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(dates_within);
            date(value);
        }
        Value::Array(values) => values.iter_mut().for_each(dates_within),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Migrates records of schema `found`, which must not be newer, to the one of this program.
pub(super) fn migrate(found: u32, mut records: Vec<Value>) -> Result<Vec<Record>, String> {
    for from in found..SCHEMA {
        let step = STEPS.iter().find(|(schema, _)| *schema == from);
        let (_, step) = step.ok_or_else(|| format!("this program cannot read schema {from}"))?;
        records = step(records).map_err(|reason| format!("from {from} to {}: {reason}", from + 1))?;
    }
    let record = |value: Value| text::decode(value.to_string().as_bytes());
    records.into_iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_of_the_first_schema_is_an_admin() {
        let key = json!({"kind": "access_key", "record": {
            "id": "ak-1", "secret": "x", "description": "", "created": "2026-01-01T00:00:00Z",
        }});
        let migrated = migrate(1, vec![key.clone()]).unwrap();
        let [Record::AccessKey(migrated)] = &migrated[..] else { panic!("{migrated:?}") };
        assert_eq!(migrated.role, sg_records::KeyRole::Admin);
        // In a record of this schema, a role that is missing is a mistake, and no admin.
        assert!(migrate(SCHEMA, vec![key]).unwrap_err().contains("column"));
    }

    #[test]
    fn what_schema_3_left_was_last_changed_when_it_was_created() {
        let vpc = json!({
            "id": "vpc-1", "region": "local", "name": "prod", "created": "2026-01-02T00:00:00Z",
        });
        let kept = sg_records::Token {
            token: "me/1".to_owned(),
            fingerprint: "f".to_owned(),
            response: json!({"groups": [vpc, 7]}),
            created: jiff::Timestamp::UNIX_EPOCH,
        };
        let records = vec![json!({"kind": "vpc", "record": vpc}), json!({"kind": "token", "record": kept})];
        let migrated = migrate(3, records.clone()).unwrap();
        let [Record::Vpc(migrated), Record::Token(token)] = &migrated[..] else { panic!("{migrated:?}") };
        assert_eq!(migrated.label.updated, migrated.label.created);
        assert_eq!(token.response["groups"][0]["updated"], "2026-01-02T00:00:00Z");
        assert_eq!(token.response.get("updated"), None);
        // In a record of this schema, a time that is missing is a mistake.
        assert!(migrate(SCHEMA, records).unwrap_err().contains("missing field `updated`"));
    }

    #[test]
    fn a_record_that_the_last_step_leaves_wrong_is_refused() {
        let wrong = vec![json!({"kind": "settings", "record": {"quotas": "many"}})];
        assert!(migrate(0, wrong).unwrap_err().contains("invalid type: string \"many\""));
    }
}
