//! Compares `Content-Type`, `Content-Encoding` and `Transfer-Encoding` of a request with what the route reads. A body in another
//! format would have parameters that nobody reads: a rule without its `Policy=drop` accepts. So an unsupported format is refused,
//! by name.
//!
//! Pure functions; they must never look into the body. The APIs call [`check`] and respond 415 in their own form.

use axum::http::{HeaderMap, HeaderName, header};
use mime::Mime;

/// The maximum length of a header in a refusal.
const SHOWN: usize = 64;

/// Why a body is not read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsupported {
    /// It has no media type.
    #[error("the request has a body and no Content-Type: send it with `Content-Type: {expected}`")]
    NoType {
        /// The expected type.
        expected: &'static str,
    },
    /// It has another media type.
    #[error("Content-Type {found:?} is not read here: send the body as {expected}")]
    Type {
        /// Its type.
        found: String,
        /// The expected type.
        expected: &'static str,
    },
    /// It is text in another character set.
    #[error("charset {found:?} is not read here: send the body in UTF-8")]
    Charset {
        /// Its character set.
        found: String,
    },
    /// It is compressed, or encoded in another way.
    #[error("{header} {found:?} is not read here: send the body as it is")]
    Encoding {
        /// The header that says so.
        header: HeaderName,
        /// The header's value.
        found: String,
    },
    /// The header occurs more than once.
    #[error("the header {header} occurs more than once: which of them is meant?")]
    Repeated {
        /// The header.
        header: HeaderName,
    },
}

/// Checks that a body is one of the types `expected`, of which a refusal names the first, in UTF-8 and not encoded.
///
/// # Errors
/// If it is something else, or has no type.
pub fn check(headers: &HeaderMap, expected: &[&'static str]) -> Result<(), Unsupported> {
    for (name, plain) in [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")] {
        if let Some(found) = only(headers, &name)?
            && !found.eq_ignore_ascii_case(plain)
        {
            return Err(Unsupported::Encoding { header: name, found: shown(&found) });
        }
    }
    let first = expected.first().copied().unwrap_or_default();
    let Some(found) = only(headers, &header::CONTENT_TYPE)? else {
        return Err(Unsupported::NoType { expected: first });
    };
    let other = || Unsupported::Type { found: shown(&found), expected: first };
    let kind: Mime = found.parse().map_err(|_| other())?;
    if !expected.iter().any(|expected| kind.essence_str().eq_ignore_ascii_case(expected)) {
        return Err(other());
    }
    match kind.get_param(mime::CHARSET) {
        Some(charset) if charset != "utf-8" && charset != "us-ascii" => {
            Err(Unsupported::Charset { found: shown(charset.as_str()) })
        }
        _ => Ok(()),
    }
}

/// The only value of a header, if it is present.
fn only(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Unsupported> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Unsupported::Repeated { header: name.clone() });
    }
    Ok(Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned()))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(headers: &[(&'static str, &'static str)]) -> Result<(), Unsupported> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), header::HeaderValue::from_static(value));
        }
        check(&map, &["application/json", "text/csv"])
    }

    #[test]
    fn one_of_the_types_in_any_case_in_utf_8() {
        for kind in [
            "application/json",
            "Application/JSON",
            " application/json ",
            "application/json; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; a=b",
            "text/csv; charset=us-ascii",
        ] {
            assert_eq!(checked(&[("content-type", kind)]), Ok(()), "{kind}");
        }
        let plain = [("content-encoding", "Identity"), ("transfer-encoding", "chunked")];
        assert_eq!(checked(&[&plain[..], &[("content-type", "application/json")]].concat()), Ok(()));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (kind, named) in [
            ("text/plain", "\"text/plain\""),
            ("application/jsonp", "\"application/jsonp\""),
            ("application/json, text/csv", "\"application/json, text/csv\""),
            ("json", "\"json\""),
            ("", "\"\""),
            ("application/json; charset=latin1", "charset \"latin1\""),
        ] {
            let refused = checked(&[("content-type", kind)]).unwrap_err().to_string();
            assert!(refused.contains(named), "{kind}: {refused}");
        }
        assert!(checked(&[]).unwrap_err().to_string().contains("`Content-Type: application/json`"));
        let json = ("content-type", "application/json");
        for (header, value) in [
            ("content-encoding", "gzip"),
            ("content-encoding", "identity, gzip"),
            ("transfer-encoding", "gzip, chunked"),
        ] {
            let refused = checked(&[json, (header, value)]).unwrap_err().to_string();
            assert!(refused.contains(&format!("{header} {value:?}")), "{refused}");
        }
        for twice in ["content-type", "content-encoding"] {
            let refused = checked(&[json, (twice, "identity"), (twice, "identity")]).unwrap_err();
            assert!(matches!(refused, Unsupported::Repeated { .. }), "{refused}");
        }
    }
}
