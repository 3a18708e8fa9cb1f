//! The target of a request: `/v1`, path segments, and a query. An argument is always one segment, whatever characters it has.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters that need no encoding in a segment (RFC 3986, unreserved).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path and query of a request.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    path: String,
    query: Vec<(&'static str, String)>,
}

impl Address {
    /// The address with these segments.
    pub(crate) fn of(parts: &[&str]) -> Self {
        let mut path = "/v1".to_owned();
        for part in parts {
            path.push('/');
            path.extend(utf8_percent_encode(part, RESERVED));
        }
        Self { path, query: Vec::new() }
    }

    /// Adds a value to the query.
    pub(crate) fn with(mut self, key: &'static str, value: impl Display) -> Self {
        self.query.push((key, value.to_string()));
        self
    }

    /// Adds a value to the query, if there is one.
    pub(crate) fn with_some(self, key: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds a list to the query, unless it is empty.
    pub(crate) fn with_list(self, key: &'static str, values: &[String]) -> Self {
        if values.is_empty() { self } else { self.with(key, values.join(",")) }
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        let Address { mut path, query } = address;
        if !query.is_empty() {
            path.push('?');
            let query = form_urlencoded::Serializer::new(Self::new()).extend_pairs(query).finish();
            path.push_str(&query);
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_stays_one_part() {
        let address = Address::of(&["groups", "a/b?c#d%ü ..", "rules"]).with("direction", "ingress");
        let address =
            address.with_some("name", Some("a&b=c")).with_some("vpc", None::<&str>).with_list("id", &[]);
        assert_eq!(
            String::from(address),
            "/v1/groups/a%2Fb%3Fc%23d%25%C3%BC%20../rules?direction=ingress&name=a%26b%3Dc"
        );
    }
}
