//! Migration of older schemas to the one of this program, step by step.
//!
//! A step gets the whole state as JSON, so it can move data between records, and uses no type of this program: types change with
//! every schema, a step never does. Called when a store is opened and when an export is read; both take over the whole result or
//! nothing.

use serde_json::Value;

use super::{Record, text};

/// Rewrites the records of one schema, each `{"kind": …, "record": {…}}`, as those of the next.
pub(super) type Step = fn(Vec<Value>) -> Result<Vec<Value>, String>;

/// The schemas that can be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ladder {
    /// The oldest of them.
    pub(super) oldest: u32,
    /// The first step leads from the oldest to the next, and so on.
    pub(super) steps: &'static [Step],
}

/// The schemas of this program.
pub(super) const LADDER: Ladder = Ladder { oldest: 1, steps: &[] };

impl Ladder {
    /// The schema that is written.
    pub(super) const fn newest(&self) -> u32 {
        self.oldest + self.steps.len() as u32
    }

    /// Migrates records of schema `found`, which must not be newer, to the newest.
    pub(super) fn climb(&self, found: u32, mut records: Vec<Value>) -> Result<Vec<Record>, String> {
        let Some(first) = found.checked_sub(self.oldest) else {
            return Err(format!("the oldest that this program can read is {}", self.oldest));
        };
        for (from, step) in (found..).zip(self.steps.iter().skip(first as usize)) {
            records = step(records).map_err(|reason| format!("from {from} to {}: {reason}", from + 1))?;
        }
        let record = |value: Value| text::decode(value.to_string().as_bytes());
        records.into_iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::ladder::OLD, *};

    #[test]
    fn steps_follow_each_other() {
        const FAILS: Ladder = Ladder { oldest: 3, steps: &[Ok, Ok, |_| Err("a wall".to_owned())] };
        assert_eq!(FAILS.newest(), 6);
        assert_eq!(FAILS.climb(3, Vec::new()), Err("from 5 to 6: a wall".to_owned()));
        assert_eq!(FAILS.climb(6, Vec::new()), Ok(Vec::new()));
        assert_eq!(FAILS.climb(2, Vec::new()), Err("the oldest that this program can read is 3".to_owned()));
    }

    #[test]
    fn a_record_that_the_last_step_leaves_wrong_is_refused() {
        let wrong = vec![json!({"kind": "settings", "record": {"serial": "many"}})];
        assert!(OLD.climb(OLD.newest(), wrong).unwrap_err().contains("invalid type: string \"many\""));
    }
}
