//! Which of the objects of a list a query selects: an object is selected if, for every filter that the query has, what is shown of
//! the object is one of the values. So an operation filters by exactly what it shows and declares. It must never know a kind of
//! object.
//!
//! The values of a query are read once, not again for every object.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::Value;

use super::{
    Call, Kind, Parameter, Place, ids,
    parameters::{truth, whole},
};

/// Parameters of lists that select nothing.
const NO_FILTERS: [&str; 5] = ["limit", "marker", "page_reverse", "fields", "offset"];
/// The enterprise project that everything here is in, and the name for all of them.
const ENTERPRISE_PROJECTS: [&str; 2] = ["0", "all_granted_eps"];

/// The one form of a value that can be written in several ways, by the name of its field; none if it is what it is.
pub(super) type Form = fn(&str, &str) -> Option<String>;

/// The filters of a query.
pub(super) struct Selection {
    filters: Vec<(&'static str, BTreeSet<String>)>,
    form: Form,
}

impl Selection {
    /// The filters of a query, each of which is the comparison with a field.
    pub(super) fn of(call: &Call) -> Self {
        Self::with(call, &[], |_, _| None)
    }

    /// The same without the filters `apart`, which are more than the comparison with a field. `form` is the form of values and of
    /// fields.
    pub(super) fn with(call: &Call, apart: &[&str], form: Form) -> Self {
        let is_filter = |parameter: &&Parameter| {
            parameter.place == Place::Query
                && !NO_FILTERS.contains(&parameter.name)
                && !apart.contains(&parameter.name)
        };
        let mut filters = Vec::new();
        for parameter in call.operation.declared().filter(is_filter) {
            let values: Vec<&str> = call.query.texts(parameter.name).collect();
            let selects_all = parameter.name == "enterprise_project_id"
                && values.iter().any(|value| ENTERPRISE_PROJECTS.contains(value));
            if !values.is_empty() && !selects_all {
                let values = values.iter().map(|value| wanted(parameter, value, form).into_owned());
                filters.push((parameter.name, values.collect()));
            }
        }
        Self { filters, form }
    }

    /// The object as it is shown, if the query selects it.
    pub(super) fn admit(&self, shown: Value) -> Option<Value> {
        let admits =
            |(name, values): &(&'static str, BTreeSet<String>)| self.is_shown(shown.get(name), name, values);
        self.filters.iter().all(admits).then_some(shown)
    }

    /// Whether a field is what a filter says. A field that an object does not have is the same as a blank one; of an array, one
    /// item is enough.
    fn is_shown(&self, field: Option<&Value>, name: &str, wanted: &BTreeSet<String>) -> bool {
        match field {
            None | Some(Value::Null) => wanted.contains(""),
            Some(Value::String(text)) => {
                (self.form)(name, text).map_or_else(|| wanted.contains(text), |text| wanted.contains(&text))
            }
            Some(Value::Bool(truth)) => wanted.contains(if *truth { "true" } else { "false" }),
            Some(Value::Number(number)) => wanted.contains(&number.to_string()),
            Some(Value::Array(items)) => items.iter().any(|item| self.is_shown(Some(item), name, wanted)),
            Some(Value::Object(_)) => false,
        }
    }
}

/// Whether a field has ids, which a query may write in capitals.
fn is_id(name: &str) -> bool {
    name == "id" || name == "security_groups" || name.ends_with("_id")
}

/// A value of the query as fields are shown.
fn wanted<'a>(parameter: &Parameter, value: &'a str, form: Form) -> Cow<'a, str> {
    if let Some(text) = form(parameter.name, value) {
        return text.into();
    }
    let written = match parameter.kind {
        Kind::Boolean => truth(value).map(|truth| truth.to_string()),
        Kind::Integer | Kind::Integers => whole(value).map(|number| number.to_string()),
        Kind::Text | Kind::Texts if is_id(parameter.name) => ids::uuid(value).map(|id| id.to_string()),
        _ => None,
    };
    written.map_or(Cow::Borrowed(value), Cow::Owned)
}
