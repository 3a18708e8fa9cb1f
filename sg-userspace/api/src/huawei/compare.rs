//! Compares what a request says with what its operation declares, before the operation runs: a parameter that is not declared is
//! refused by its name, and so is one that is not supported here. So nothing is ignored. It must never know what a parameter means.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    Declaration, Fault, Kind, Parameter, Place, Support,
    parameters::{Query, number, truth, whole},
};

/// Compares a request with what its operation declares.
///
/// # Errors
/// The first parameter that is unknown, refused, of another kind, or missing.
pub(super) fn check(operation: Declaration, query: &Query, body: &Value) -> Result<(), Fault> {
    let declared: Vec<&Parameter> = operation.declared().collect();
    let checked = Checked { operation, declared };
    checked.query(query)?;
    match body {
        Value::Null => checked.fields(&Map::new(), "", ""),
        Value::Object(fields) => checked.fields(fields, "", ""),
        _ => Err(Fault::malformed(operation, "the body", "a JSON object is expected")),
    }
}

/// The maximum number of values of a parameter of the query. Each is compared with every object of a list.
pub(super) const MAX_VALUES: usize = 100;
/// What is said of more.
pub(super) const TOO_MANY: &str = "100 values at most are expected";

struct Checked {
    operation: Declaration,
    declared: Vec<&'static Parameter>,
}

impl Checked {
    fn find(&self, place: Place, name: &str) -> Option<&'static Parameter> {
        self.declared.iter().copied().find(|parameter| parameter.place == place && parameter.name == name)
    }

    fn query(&self, query: &Query) -> Result<(), Fault> {
        let mut seen = BTreeMap::<&str, usize>::new();
        for (name, value) in &query.0 {
            let Some(parameter) = self.find(Place::Query, name) else {
                return Err(Fault::unknown(self.operation, name));
            };
            self.is_supported(parameter, name)?;
            let count = seen.entry(name).or_default();
            *count += 1;
            if *count > MAX_VALUES {
                return Err(Fault::malformed(self.operation, name, TOO_MANY));
            }
            let good = match parameter.kind {
                Kind::Integers => whole(value).is_some(),
                Kind::Texts => true,
                _ if *count > 1 => {
                    return Err(Fault::malformed(self.operation, name, "it occurs more than once"));
                }
                Kind::Integer => whole(value).is_some(),
                Kind::Boolean => truth(value).is_some(),
                Kind::Text | Kind::Object | Kind::Objects | Kind::Any => true,
            };
            if !good {
                return Err(Fault::malformed(self.operation, name, wanted(parameter.kind)));
            }
        }
        self.are_there(Place::Query, "", "", |name| seen.contains_key(name))
    }

    /// Checks the fields of an object; `pattern` and `place` are its name with a dot, as declared and as sent.
    fn fields(&self, fields: &Map<String, Value>, pattern: &str, place: &str) -> Result<(), Fault> {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            let (pattern, place) = (format!("{pattern}{name}"), format!("{place}{name}"));
            let Some(parameter) = self.find(Place::Body, &pattern) else {
                return Err(Fault::unknown(self.operation, &place));
            };
            self.is_supported(parameter, &place)?;
            let other = || Fault::malformed(self.operation, &place, wanted(parameter.kind));
            match parameter.kind {
                Kind::Text if value.is_string() => {}
                Kind::Integer if number(value).is_some() => {}
                Kind::Boolean if value.is_boolean() => {}
                Kind::Any => {}
                Kind::Texts => {
                    let all = value.as_array().ok_or_else(other)?;
                    if !all.iter().all(Value::is_string) {
                        return Err(other());
                    }
                }
                Kind::Object => {
                    let fields = value.as_object().ok_or_else(other)?;
                    self.fields(fields, &format!("{pattern}."), &format!("{place}."))?;
                }
                Kind::Objects => {
                    for (number, value) in value.as_array().ok_or_else(other)?.iter().enumerate() {
                        let fields = value.as_object().ok_or_else(other)?;
                        self.fields(fields, &format!("{pattern}[]."), &format!("{place}[{number}]."))?;
                    }
                }
                Kind::Text | Kind::Integer | Kind::Boolean | Kind::Integers => return Err(other()),
            }
        }
        let given = |name: &str| fields.get(name).is_some_and(|value| !value.is_null());
        self.are_there(Place::Body, pattern, place, given)
    }

    fn is_supported(&self, parameter: &Parameter, place: &str) -> Result<(), Fault> {
        match parameter.support {
            Support::Read => Ok(()),
            Support::Refused => Err(Fault::unsupported(self.operation, place, parameter.about)),
        }
    }

    /// Checks that what is required directly under `pattern` is there.
    fn are_there(
        &self,
        place: Place,
        pattern: &str,
        under: &str,
        given: impl Fn(&str) -> bool,
    ) -> Result<(), Fault> {
        for parameter in
            self.declared.iter().filter(|parameter| parameter.required && parameter.place == place)
        {
            if let Some(name) = parameter.name.strip_prefix(pattern)
                && !name.contains('.')
                && !given(name)
            {
                return Err(Fault::missing(self.operation, &format!("{under}{name}")));
            }
        }
        Ok(())
    }
}

const fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "a text is expected",
        Kind::Integer | Kind::Integers => "a whole number is expected",
        Kind::Boolean => "true or false is expected",
        Kind::Texts => "an array of texts is expected",
        Kind::Object => "an object is expected",
        Kind::Objects => "an array of objects is expected",
        Kind::Any => "a value is expected",
    }
}
