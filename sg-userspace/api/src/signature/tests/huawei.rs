//! Requests of Huawei Cloud's clients as they were on the wire, altered ones, and some made by hand, with the secret that signed
//! each, and whether the signature is valid.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, Uri},
};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::super::sdk;

/// A request, and what is to be said about it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) valid: bool,
    /// Why it is not valid.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// What is special about it.
    #[serde(default)]
    pub(crate) note: Option<String>,
}

pub(crate) fn vectors() -> Vec<Vector> {
    include_str!("huawei.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Vector {
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body.clone())).unwrap()
    }

    /// Whether the signature is valid for `secret`.
    fn verifies(&self, secret: &str) -> bool {
        let Some(authorization) = self.header("authorization").and_then(|text| sdk::authorization(text).ok())
        else {
            return false;
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        }
        let uri: Uri = self.target.parse().unwrap();
        let path = percent_decode_str(uri.path()).decode_utf8().unwrap();
        let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let query = query.into_owned().collect();
        let method = self.method.parse().unwrap();
        authorization.key_id == self.key_id
            && sdk::signed(&authorization, &method, &path, query, &headers, self.body.as_bytes())
                .is_ok_and(|signed| signed.verify(secret.as_bytes()))
    }
}

#[test]
fn every_vector_is_judged_as_it_should_be() {
    let all = vectors();
    assert_eq!(all.len(), 143);
    for (line, vector) in all.iter().enumerate() {
        assert_eq!(vector.verifies(&vector.secret), vector.valid, "line {}: {vector:?}", line + 1);
        assert!(!vector.verifies("another secret"), "line {}", line + 1);
    }
}

/// A signature must not be valid for another method, target or body than the signed one.
#[test]
fn no_vector_survives_a_change() {
    for vector in vectors().into_iter().filter(|vector| vector.valid) {
        let separator = if vector.target.contains('?') { '&' } else { '?' };
        let mut changed = vec![
            Vector { method: "PATCH".to_owned(), ..vector.clone() },
            Vector { target: format!("{}{separator}more=", vector.target), ..vector.clone() },
            Vector { target: format!("/more{}", vector.target), ..vector.clone() },
        ];
        let is_unsigned = vector.header("x-sdk-content-sha256") == Some("UNSIGNED-PAYLOAD");
        if !is_unsigned {
            changed.push(Vector { body: format!("{} ", vector.body), ..vector.clone() });
        }
        for (place, (name, _)) in vector.headers.iter().enumerate() {
            for sent in ["host", "x-sdk-date", "x-project-id"] {
                if name.eq_ignore_ascii_case(sent) {
                    let mut other = vector.clone();
                    other.headers[place].1.push('0');
                    changed.push(other);
                }
            }
        }
        for other in changed {
            assert!(!other.verifies(&other.secret), "{other:?}");
        }
    }
}

#[test]
fn the_order_of_repeated_values_is_that_of_either_client() {
    let vector = vectors()
        .into_iter()
        .find(|vector| vector.valid && vector.target.contains("priority=2&priority=9&priority=10"))
        .unwrap();
    // As texts, 10 is before 2: the order on the wire is what was signed.
    assert!(vector.verifies(&vector.secret));
    let swapped = vector.target.replace("priority=2&priority=9", "priority=9&priority=2");
    assert!(!Vector { target: swapped, ..vector.clone() }.verifies(&vector.secret));
}
