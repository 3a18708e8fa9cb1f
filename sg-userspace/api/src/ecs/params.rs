//! Parameters read by type. Arrays are 1-based and part of the names (`Permissions.2.IpProtocol`, `SecurityGroupId.3`), or one
//! parameter that is a JSON array. A value that does not fit is a [`Fault`] with the documented code; which names a
//! request may have is asked elsewhere (`understood`).
//!
//! A blank value is kept for the signature, and read as missing: clients send blanks for what is unset.

use std::{borrow::Cow, collections::BTreeMap, str::FromStr};

use super::Fault;

/// How a parameter is written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// `Name.1`, `Name.2`, …, or one JSON array of strings.
    List,
}

/// The decoded parameters of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Parameters(BTreeMap<String, String>);

impl From<BTreeMap<String, String>> for Parameters {
    fn from(all: BTreeMap<String, String>) -> Self {
        Self(all)
    }
}

impl Parameters {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// All of them, for reading.
    #[must_use]
    pub fn fields(&self) -> Fields<'_> {
        Fields { all: &self.0, prefix: String::new() }
    }
}

/// The parameters of a request, or of one element of an array.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    all: &'a BTreeMap<String, String>,
    /// Blank, or the element with its dot: `Permissions.2.`.
    prefix: String,
}

impl<'a> Fields<'a> {
    /// The full name of a field, for messages: `Permissions.2.Priority`.
    #[must_use]
    pub fn place(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A value as given, blank or not.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&'a str> {
        self.read(name, Kind::Text)
    }

    /// Whether there is such a value. Unlike all others, this does not count as reading it: it tells forms of a request apart.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some_and(|text| !text.is_empty())
    }

    fn find(&self, name: &str) -> Option<&'a str> {
        let place = if self.prefix.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(self.place(name)) };
        self.all.get(place.as_ref()).map(String::as_str)
    }

    /// Every value that an action uses is read here. Tests compare that with what the action declares.
    #[cfg_attr(not(test), allow(unused_variables, reason = "only tests compare kinds"))]
    fn read(&self, name: &str, kind: Kind) -> Option<&'a str> {
        #[cfg(test)]
        super::tests::declared::note_read(&self.place(name), kind);
        self.find(name)
    }

    /// A text; none if it is missing or blank.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.filled(name, Kind::Text)
    }

    fn filled(&self, name: &str, kind: Kind) -> Option<&'a str> {
        self.read(name, kind).filter(|text| !text.is_empty())
    }

    /// A required text.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn required(&self, name: &str) -> Result<&'a str, Fault> {
        self.text(name).ok_or_else(|| Fault::missing(&self.place(name)))
    }

    /// A whole number.
    ///
    /// # Errors
    /// The code for a malformed value, also if it does not fit into `N`.
    pub fn integer<N: FromStr>(&self, name: &str) -> Result<Option<N>, Fault> {
        let Some(text) = self.filled(name, Kind::Integer) else { return Ok(None) };
        match text.parse() {
            // Rust parses "+5" as a number; the API does not.
            Ok(number) if !text.starts_with('+') => Ok(Some(number)),
            _ => {
                Err(Fault::malformed(&self.place(name), "a whole number is expected, or it is out of range"))
            }
        }
    }

    /// `true` or `false`, in any case.
    ///
    /// # Errors
    /// The code for a malformed value.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.filled(name, Kind::Boolean) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Fault::malformed(&self.place(name), "true or false is expected")),
        }
    }

    /// The texts `name.1`, `name.2`, …, or those of `name` if that is a JSON array; blank ones are left out. The numbers may have
    /// gaps, and determine the order.
    ///
    /// # Errors
    /// The code for a malformed value: an invalid number, an invalid JSON array, or both forms at once.
    pub fn list(&self, name: &str) -> Result<Vec<Cow<'a, str>>, Fault> {
        let elements = self.elements(name)?;
        let Some(json) = self.filled(name, Kind::List) else {
            let texts = elements.into_iter().filter(|(_, rest, _)| rest.is_none());
            return Ok(texts.filter(|(.., text)| !text.is_empty()).map(|(.., text)| text.into()).collect());
        };
        let wanted = "a JSON array of strings is expected, or numbered parameters";
        if !elements.is_empty() {
            return Err(Fault::malformed(&self.place(name), wanted));
        }
        let texts: Vec<String> =
            serde_json::from_str(json).map_err(|_| Fault::malformed(&self.place(name), wanted))?;
        Ok(texts.into_iter().filter(|text| !text.is_empty()).map(Cow::Owned).collect())
    }

    /// The elements `name.1.…`, `name.2.…`, … of an array of objects, in the order of their numbers, which may have gaps.
    ///
    /// # Errors
    /// The code for a malformed value, if a number is invalid.
    pub fn objects(&self, name: &str) -> Result<Vec<Self>, Fault> {
        let mut numbers: Vec<u32> = self
            .elements(name)?
            .into_iter()
            .filter(|(_, rest, _)| rest.is_some())
            .map(|(number, ..)| number)
            .collect();
        numbers.dedup();
        let prefix = |number| format!("{}{name}.{number}.", self.prefix);
        Ok(numbers.into_iter().map(|number| Self { all: self.all, prefix: prefix(number) }).collect())
    }

    /// All parameters named `name.NUMBER` or `name.NUMBER.REST`, in the order of numbers.
    fn elements(&self, name: &str) -> Result<Vec<Element<'a>>, Fault> {
        let start = format!("{}{name}.", self.prefix);
        let mut elements = Vec::new();
        let range =
            self.all.range::<str, _>((std::ops::Bound::Included(start.as_str()), std::ops::Bound::Unbounded));
        for (place, text) in range {
            let Some(rest) = place.strip_prefix(&start) else { break };
            let (number, rest) = match rest.split_once('.') {
                Some((number, rest)) => (number, Some(rest)),
                None => (rest, None),
            };
            // A parameter of the client's own.
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            // `0`, `01` or a number beyond the maximum: the client meant an element, which must not be dropped silently.
            let parsed =
                number.parse().ok().filter(|parsed: &u32| *parsed > 0 && parsed.to_string() == number);
            let number = parsed.ok_or_else(|| {
                let wanted = "elements are numbered from 1, without leading zeros";
                Fault::malformed(&format!("{start}{number}"), wanted)
            })?;
            elements.push((number, rest, text.as_str()));
        }
        elements.sort_by_key(|(number, ..)| *number);
        Ok(elements)
    }
}

/// Number, the rest of the name, value.
type Element<'a> = (u32, Option<&'a str>, &'a str);
