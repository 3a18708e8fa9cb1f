//! A change of the policy in short, as the history of changes keeps it beside what undoes it: its number, who made it, when and why.
//!
//! It must never know a policy, nor hold a secret. The service and the agent make these from entries of the trail; readers show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, Change, Changes, Entry, Who};

/// Objects that are named.
const OBJECTS: usize = 3;
/// Characters of a name.
const NAME: usize = 64;
/// The maximum number of characters of a reason.
pub const LONGEST_REASON: usize = 500;

/// A change of the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChange {
    /// Number of the change. It counts on over restarts, and is never used again.
    pub number: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Id of the request. Absent for documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How it was requested.
    pub api: Api,
    /// The operation, as in the audit trail.
    pub operation: String,
    /// The object in the path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Who requested it.
    pub who: Who,
    /// Why, in the words of whoever requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first objects that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ChangedObject>,
    /// Number of further objects that changed.
    #[serde(default)]
    pub more_objects: u64,
}

/// An object that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedObject {
    /// What happened to it.
    pub change: Change,
    /// Its kind: `group`, `rule`, `nic`, …
    pub kind: String,
    /// Its name, or its id if it has none.
    pub name: String,
}

impl PolicyChange {
    /// The change with this number, which `entry` requested at this time, and which changed these objects.
    #[must_use]
    pub fn of(number: u64, time: Timestamp, entry: &Entry, changes: &Changes) -> Self {
        let objects: Vec<ChangedObject> = changes
            .objects
            .iter()
            .take(OBJECTS)
            .map(|object| {
                let name = if object.name.is_empty() { &object.id } else { &object.name };
                let name = name.chars().take(NAME).collect();
                ChangedObject { change: object.change, kind: object.kind.clone(), name }
            })
            .collect();
        Self {
            number,
            time,
            request: entry.request.clone(),
            api: entry.api,
            operation: entry.operation.clone(),
            target: entry.target.clone(),
            who: entry.who.clone(),
            reason: entry.reason.clone(),
            more_objects: changes.objects.len().saturating_sub(objects.len()) as u64 + changes.more,
            objects,
        }
    }
}

/// Checks a reason, which is shown on terminals and in logs.
///
/// # Errors
/// What is wrong with it.
pub fn check_reason(reason: &str) -> Result<(), String> {
    let characters = reason.chars().count();
    if reason.trim().is_empty() {
        return Err("it is empty: leave it out, or say why".to_owned());
    }
    if characters > LONGEST_REASON {
        return Err(format!("it has {characters} characters, {LONGEST_REASON} are allowed"));
    }
    match reason.chars().find(|character| character.is_control()) {
        Some(control) => Err(format!("it has the control character {}", control.escape_default())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Object;

    #[test]
    fn a_reason_is_a_line_of_bounded_length() {
        check_reason("ticket 4711: the office moved – see the wiki").unwrap();
        check_reason(&"ü".repeat(LONGEST_REASON)).unwrap();
        for (wrong, why) in [
            ("", "empty"),
            ("  ", "empty"),
            ("two\nlines", r"\n"),
            ("\u{1b}[31mred", r"\u{1b}"),
            (&"x".repeat(501), "501 characters, 500 are allowed"),
        ] {
            assert!(check_reason(wrong).unwrap_err().contains(why), "{wrong:?}");
        }
    }

    #[test]
    fn it_names_the_first_objects_and_counts_the_others() {
        let object = |name: &str| {
            Object::new("rule", "sgr-1".to_owned(), name.to_owned(), [None, Some("x".into())], &[])
        };
        let changes = Changes { objects: ["a", "", "c", "d", "e"].map(object).into(), more: 7 };
        let mut entry = Entry::new(Api::Native, "post_join", Who::process(0, 0, Some(1)), "socket");
        entry.reason = Some("because".to_owned());
        let change = PolicyChange::of(4, Timestamp::UNIX_EPOCH, &entry, &changes);
        let names: Vec<&str> = change.objects.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(names, ["a", "sgr-1", "c"]);
        assert_eq!((change.more_objects, change.reason.as_deref()), (9, Some("because")));
        let text = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<PolicyChange>(&text).unwrap(), change);
    }
}
