//! Which of the objects of a list a query selects: an object is selected if, for every filter that the query has, what is shown of
//! the object is one of the values. So an operation filters by exactly what it shows and declares. It must never know a kind of
//! object.

use serde_json::Value;

use super::{Call, Place};

/// Parameters of lists that select nothing.
const NO_FILTERS: [&str; 5] = ["limit", "marker", "page_reverse", "fields", "offset"];
/// The enterprise project that everything here is in, and the name for all of them.
const ENTERPRISE_PROJECTS: [&str; 2] = ["0", "all_granted_eps"];

/// Whether the query selects an object that is shown as `shown`. `special` decides filters that are more than the comparison with
/// a field: it gets the name and all values of one, and does not know the others.
pub(super) fn selects(call: &Call, shown: &Value, special: impl Fn(&str, &[&str]) -> Option<bool>) -> bool {
    let mut filters = call
        .operation
        .declared()
        .filter(|parameter| parameter.place == Place::Query && !NO_FILTERS.contains(&parameter.name));
    filters.all(|parameter| {
        let values: Vec<&str> = call.query.texts(parameter.name).collect();
        values.is_empty()
            || (parameter.name == "enterprise_project_id"
                && values.iter().any(|value| ENTERPRISE_PROJECTS.contains(value)))
            || special(parameter.name, &values)
                .unwrap_or_else(|| values.iter().any(|value| is_shown(shown.get(parameter.name), value)))
    })
}

/// Whether a field is what a filter says. A field that an object does not have is the same as a blank one; of an array, one item
/// is enough.
fn is_shown(field: Option<&Value>, wanted: &str) -> bool {
    match field {
        None | Some(Value::Null) => wanted.is_empty(),
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(truth)) => wanted.eq_ignore_ascii_case(if *truth { "true" } else { "false" }),
        Some(Value::Number(number)) => number.to_string() == wanted,
        Some(Value::Array(items)) => items.iter().any(|item| is_shown(Some(item), wanted)),
        Some(Value::Object(_)) => false,
    }
}
