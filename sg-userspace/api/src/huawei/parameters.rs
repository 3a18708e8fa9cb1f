//! Parameters: what an operation declares, and what a request says. [`check`] compares the two before an operation runs, so a
//! parameter that is not declared is refused by its name, and so is one that is not supported here: nothing is ignored. What
//! [`Fields`] and [`Query`] read has been checked.
//!
//! In a body, `null` is the same as nothing. In a query, a blank value is a value, except that a blank `marker` is the first page:
//! clients send that. It must never know what a parameter means.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Fault, Operation};

/// Where a parameter is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In the query.
    Query,
    /// In the body.
    Body,
    /// A header.
    Header,
}

/// How a parameter is written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A text.
    Text,
    /// A whole number; in a body, it may be a text.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// In a query, a text for each occurrence; in a body, an array of texts.
    Texts,
    /// In a query, a whole number for each occurrence.
    Integers,
    /// An object with the parameters `NAME.…`.
    Object,
    /// An array of objects, each with the parameters `NAME[].…`.
    Objects,
    /// Any JSON.
    Any,
}

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Support {
    /// The operation reads it.
    Read,
    /// A request with it is refused.
    Refused,
}

/// A parameter of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// `limit`; in a body, `security_group_rules[].action`.
    pub name: &'static str,
    /// Where it is.
    pub place: Place,
    /// How it is written.
    pub kind: Kind,
    /// Without it, the request is refused; inside an array or object, the request with such an element.
    pub required: bool,
    /// What becomes of it.
    pub support: Support,
    /// What it means, and which values it may have; or why it is refused. Blank: its name says it.
    pub about: &'static str,
}

impl Parameter {
    const fn new(name: &'static str, place: Place, kind: Kind, about: &'static str) -> Self {
        Self { name, place, kind, required: false, support: Support::Read, about }
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, which this server does not have: a request with it is refused, and `about` says why.
    pub(super) const fn refused(self) -> Self {
        Self { support: Support::Refused, ..self }
    }
}

/// A parameter of the query.
pub(super) const fn query(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter::new(name, Place::Query, kind, about)
}

/// A field of the body.
pub(super) const fn body(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter::new(name, Place::Body, kind, about)
}

/// A header.
pub(super) const fn header(name: &'static str, about: &'static str) -> Parameter {
    Parameter::new(name, Place::Header, Kind::Text, about)
}

/// The decoded query: names and values, in the order of the request.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(pub(super) Vec<(String, String)>);

impl Query {
    /// Whether the query has a parameter.
    pub(super) fn has(&self, name: &str) -> bool {
        self.texts(name).next().is_some()
    }

    /// The values of a parameter.
    pub(super) fn texts<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        on_read(name);
        self.0.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A text.
    pub(super) fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.texts(name).next()
    }

    /// A whole number.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(whole)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(truth)
    }
}

/// The fields of an object of the body.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    object: Option<&'a Map<String, Value>>,
    /// Blank, or the object with its dot: `security_group_rules[2].`.
    place: String,
}

impl<'a> Fields<'a> {
    pub(super) fn of(body: &'a Value) -> Self {
        Self { object: body.as_object(), place: String::new() }
    }

    /// The full name of a field, for messages: `security_group_rules[2].action`.
    #[must_use]
    pub fn place(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    /// A value, unless it is `null`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        on_read(&self.place(name));
        self.object?.get(name).filter(|value| !value.is_null())
    }

    /// Whether the request has this field and says something other than `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name)?.as_str()
    }

    /// A whole number, also one that is written as a text.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        number(self.value(name)?)
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    /// The texts of an array; none if there is no such array.
    #[must_use]
    pub fn texts(&self, name: &str) -> Option<Vec<&'a str>> {
        Some(self.value(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// The fields of an object; those of an empty one if there is none.
    #[must_use]
    pub fn object(&self, name: &str) -> Self {
        let object = self.value(name).and_then(Value::as_object);
        Self { object, place: format!("{}.", self.place(name)) }
    }

    /// The objects of an array; none if there is no such array.
    #[must_use]
    pub fn objects(&self, name: &str) -> Option<Vec<Self>> {
        let all = self.value(name)?.as_array()?;
        let one = |(number, value): (usize, &'a Value)| Self {
            object: value.as_object(),
            place: format!("{}[{number}].", self.place(name)),
        };
        Some(all.iter().enumerate().map(one).collect())
    }
}

/// Tests compare what an operation reads with what it declares.
#[cfg_attr(not(test), allow(unused_variables, clippy::missing_const_for_fn, reason = "only tests note it"))]
fn on_read(place: &str) {
    #[cfg(test)]
    super::tests::note_read(place);
}

fn whole(text: &str) -> Option<i64> {
    // Rust parses "+5" as a number; the API does not.
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(whole))
}

/// Compares a request with what its operation declares.
///
/// # Errors
/// The first parameter that is unknown, refused, of another kind, or missing.
pub(super) fn check(operation: &Operation, query: &Query, body: &Value) -> Result<(), Fault> {
    let declared: Vec<&Parameter> = operation.declared().collect();
    let checked = Checked { operation, declared };
    checked.query(query)?;
    match body {
        Value::Null => checked.fields(&Map::new(), "", ""),
        Value::Object(fields) => checked.fields(fields, "", ""),
        _ => Err(Fault::malformed(operation, "the body", "a JSON object is expected")),
    }
}

struct Checked<'a> {
    operation: &'a Operation,
    declared: Vec<&'static Parameter>,
}

impl Checked<'_> {
    fn find(&self, place: Place, name: &str) -> Option<&'static Parameter> {
        self.declared.iter().copied().find(|parameter| parameter.place == place && parameter.name == name)
    }

    fn query(&self, query: &Query) -> Result<(), Fault> {
        let mut seen = BTreeSet::new();
        for (name, value) in &query.0 {
            let Some(parameter) = self.find(Place::Query, name) else {
                return Err(Fault::unknown(self.operation, name));
            };
            self.is_supported(parameter, name)?;
            let repeated = !seen.insert(name);
            let good = match parameter.kind {
                Kind::Integers => whole(value).is_some(),
                Kind::Texts => true,
                _ if repeated => {
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
        self.are_there(Place::Query, "", "", |name| seen.contains(&name.to_owned()))
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
