//! What a reader of records asks for: `GET /v1/observe` and `sgctl observe`.
//!
//! The conditions of a filter, and how much of the past, whether to go on, and what to sum by. It must never know HTTP or command
//! lines. The API and `sgctl` call it, so that both understand the same words.

use jiff::Timestamp;
use thiserror::Error;

use crate::{
    aggregate::{Fields, UnknownField},
    filter::{Filter, FilterError},
};

/// A query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Which records.
    pub filter: Filter,
    /// `last`: the newest that many of the past. `None`: all of it, since `filter.since`.
    pub last: Option<usize>,
    /// `follow`: whether records that come are sent, too, until the client ends.
    pub follow: bool,
    /// `aggregate_by`: what to sum the past by. Sums end, so it excludes `follow`.
    pub aggregate_by: Option<Fields>,
}

/// A query that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QueryError {
    /// A parameter that is not there, or a condition that cannot be understood.
    #[error("{0}")]
    Filter(FilterError),
    /// No parameter has this name.
    #[error("{0:?} is no parameter: allowed are {allowed}", allowed = Query::KEYS.join(", "))]
    UnknownKey(String),
    /// The value of a parameter does not fit it.
    #[error("{key}={found:?}: write {wanted}")]
    Value {
        /// The parameter.
        key: &'static str,
        /// The value as given.
        found: String,
        /// What it may be.
        wanted: &'static str,
    },
    /// A field to sum by that is not there.
    #[error("aggregate_by: {0}")]
    Field(#[from] UnknownField),
    /// A parameter that can be given once only was given again.
    #[error("{0}: given twice, and allowed once")]
    Twice(&'static str),
    /// Two parameters exclude each other.
    #[error("follow and aggregate_by exclude each other: leave one out")]
    FollowedSums,
}

impl Query {
    /// The names of the parameters.
    pub const KEYS: [&str; Filter::KEYS.len() + 3] = {
        let mut keys =
            ["follow", "last", "aggregate_by", "", "", "", "", "", "", "", "", "", "", "", "", "", ""];
        let mut index = 0;
        while index < Filter::KEYS.len() {
            keys[index + 3] = Filter::KEYS[index];
            index += 1;
        }
        keys
    };

    /// A query of `pairs` of keys and values. Durations count back from `now`.
    ///
    /// # Errors
    /// A key or value is not understood, or two of them exclude each other.
    pub fn of_pairs<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Result<Self, QueryError> {
        let mut query = Self::default();
        let mut follow = None;
        for (key, value) in pairs {
            match key {
                "follow" => once("follow", &mut follow, boolean(value)?)?,
                "last" => once("last", &mut query.last, number(value)?)?,
                "aggregate_by" => once("aggregate_by", &mut query.aggregate_by, value.parse()?)?,
                _ => query.filter.add(key, value, now).map_err(|error| match error {
                    FilterError::UnknownKey(key) => QueryError::UnknownKey(key),
                    error => QueryError::Filter(error),
                })?,
            }
        }
        query.follow = follow.unwrap_or(false);
        if query.follow && query.aggregate_by.is_some() { Err(QueryError::FollowedSums) } else { Ok(query) }
    }

    /// The keys and values, as a query string has them.
    #[must_use]
    pub fn pairs(&self) -> Vec<(&'static str, String)> {
        let Self { filter, last, follow, aggregate_by } = self;
        let mut pairs = filter.pairs();
        pairs.extend(last.map(|last| ("last", last.to_string())));
        pairs.extend(follow.then(|| ("follow", "true".to_owned())));
        pairs.extend(aggregate_by.as_ref().map(|fields| ("aggregate_by", fields.to_string())));
        pairs
    }
}

fn once<T>(key: &'static str, place: &mut Option<T>, value: T) -> Result<(), QueryError> {
    if place.replace(value).is_some() { Err(QueryError::Twice(key)) } else { Ok(()) }
}

fn boolean(value: &str) -> Result<bool, QueryError> {
    let wanted = "true or false";
    value.parse().map_err(|_| QueryError::Value { key: "follow", found: value.to_owned(), wanted })
}

fn number(value: &str) -> Result<usize, QueryError> {
    let number = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
    let wanted = "a number of records";
    number.ok_or_else(|| QueryError::Value { key: "last", found: value.to_owned(), wanted })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, QueryError> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Query::of_pairs(pairs, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_query_is_written_as_it_is_read() {
        for text in [
            "verdict=drop&verdict=reject&port=443&last=10&follow=true",
            "since=1969-12-31T23:55:00Z&aggregate_by=remote/24,port",
            "",
        ] {
            let pairs = query(text).unwrap().pairs();
            let written: Vec<_> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            assert_eq!(written.join("&"), text);
        }
        assert!(!Query::KEYS.contains(&""));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (text, error) in [
            ("colour=red", r#""colour" is no parameter: allowed are follow, last, aggregate_by, event,"#),
            ("last=-1", r#"last="-1": write a number of records"#),
            ("follow=yes", r#"follow="yes": write true or false"#),
            ("last=1&last=2", "last: given twice, and allowed once"),
            ("aggregate_by=colour", r#"aggregate_by: "colour" is no field to aggregate by"#),
            ("follow=true&aggregate_by=port", "follow and aggregate_by exclude each other: leave one out"),
            ("verdict=red", r#""red" is no verdict: allowed are accept, drop, reject"#),
        ] {
            let refused = query(text).unwrap_err().to_string();
            assert!(refused.starts_with(error), "{refused}");
        }
    }
}
