//! Parameters: what an operation declares, and what a request says. [`super::compare`] has compared the two before [`Fields`] and
//! [`Query`] read anything.
//!
//! In a body, `null` is the same as nothing. In a query, a blank value is a value, except that a blank `marker` is the first page:
//! clients send that. It must never know what a parameter means.

use serde_json::{Map, Value};

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

pub(super) fn whole(text: &str) -> Option<i64> {
    // Rust parses "+5" as a number; the API does not.
    text.parse().ok().filter(|_| !text.starts_with('+'))
}

pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str().and_then(whole))
}
