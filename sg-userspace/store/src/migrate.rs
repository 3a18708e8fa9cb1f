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
];

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
    fn a_record_that_the_last_step_leaves_wrong_is_refused() {
        let wrong = vec![json!({"kind": "settings", "record": {"quotas": "many"}})];
        assert!(migrate(0, wrong).unwrap_err().contains("invalid type: string \"many\""));
    }
}
