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
    fn a_record_that_the_last_step_leaves_wrong_is_refused() {
        let wrong = vec![json!({"kind": "settings", "record": {"quotas": "many"}})];
        assert!(migrate(0, wrong).unwrap_err().contains("invalid type: string \"many\""));
    }
}
