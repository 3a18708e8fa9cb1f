//! Requests of clients, with the secret that signed each, and whether the signature is valid.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, Uri},
};
use serde::Deserialize;

use super::super::{Signed, acs3, sdk, sha256_hex, v1};

/// A request as it was on the wire.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) key_id: String,
    pub(crate) secret: String,
    pub(crate) valid: bool,
}

pub(crate) fn recorded() -> Vec<Recorded> {
    include_str!("recorded.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Recorded {
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it is of the protocol of [`crate::ecs`].
    pub(crate) fn is_rpc(&self) -> bool {
        self.client != "huawei"
    }

    /// The decoded query and form.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let form = self.header("content-type") == Some("application/x-www-form-urlencoded");
        let form = if form { self.body.as_bytes() } else { b"" };
        self.query().into_iter().chain(form_urlencoded::parse(form).into_owned()).collect()
    }

    pub(crate) fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body.clone())).unwrap()
    }

    fn query(&self) -> Vec<(String, String)> {
        let uri: Uri = self.target.parse().unwrap();
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
    }

    fn header_map(&self) -> HeaderMap {
        let pair = |(name, value): &(String, String)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        self.headers.iter().map(pair).collect()
    }

    fn signed(&self) -> Signed {
        let method = self.method.parse().unwrap();
        let (headers, body) = (self.header_map(), self.body.as_bytes());
        let uri: Uri = self.target.parse().unwrap();
        match self.header("authorization") {
            None => v1::signed(&method, &self.parameters()).unwrap(),
            Some(header) if header.starts_with(acs3::SCHEME) => {
                let authorization = acs3::authorization(header).unwrap();
                assert_eq!(authorization.key_id, self.key_id);
                let query = self.query().into_iter().collect();
                acs3::signed(&authorization, &method, &query, &headers, body).unwrap()
            }
            Some(header) => {
                let authorization = sdk::authorization(header).unwrap();
                assert_eq!(authorization.key_id, self.key_id);
                sdk::signed(&authorization, &method, uri.path(), self.query(), &headers, body).unwrap()
            }
        }
    }
}

#[test]
fn every_recorded_signature_is_judged_as_it_should_be() {
    let all = recorded();
    assert_eq!(all.len(), 120);
    for (line, request) in all.iter().enumerate() {
        let signed = request.signed();
        assert_eq!(signed.verify(request.secret.as_bytes()), request.valid, "line {}: {request:?}", line + 1);
        assert!(!signed.verify(b"another secret"), "line {}", line + 1);
        assert!(!signed.verify(b""), "line {}", line + 1);
    }
}

/// A signature must not be valid for another method, target, header or body than the signed one.
#[test]
fn no_recorded_signature_survives_a_change() {
    for request in recorded().into_iter().filter(|request| request.valid) {
        for other in changes(&request) {
            assert!(!other.signed().verify(other.secret.as_bytes()), "{other:?}");
        }
    }
}

fn changes(request: &Recorded) -> Vec<Recorded> {
    let separator = if request.target.contains('?') { '&' } else { '?' };
    let mut changed = vec![
        Recorded { method: "PATCH".to_owned(), ..request.clone() },
        Recorded { target: format!("{}{separator}More=", request.target), ..request.clone() },
    ];
    if request.target.contains("cn-hangzhou") {
        changed.push(Recorded {
            target: request.target.replace("cn-hangzhou", "cn-beijing"),
            ..request.clone()
        });
    }
    if !request.body.is_empty() {
        changed.push(Recorded { body: format!("{}&More=", request.body), ..request.clone() });
    }
    if let Some((_, rest)) =
        request.header("authorization").and_then(|header| header.split_once("SignedHeaders="))
    {
        let (listed, _) = rest.split_once(',').unwrap();
        // A wrong announced hash is refused before the signature is checked.
        for signed in listed.split(';').filter(|signed| *signed != acs3::CONTENT_HASH) {
            let mut other = request.clone();
            other.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(signed)).unwrap().1.push('x');
            changed.push(other);
        }
    }
    changed
}

#[test]
fn a_body_that_is_not_the_announced_one_is_refused() {
    let mut request =
        recorded().into_iter().find(|request| request.header(acs3::CONTENT_HASH).is_some()).unwrap();
    request.body = "SecurityGroupId=sg-2".to_owned();
    let refused = acs3::signed(
        &acs3::authorization(request.header("authorization").unwrap()).unwrap(),
        &request.method.parse().unwrap(),
        &request.query().into_iter().collect(),
        &request.header_map(),
        request.body.as_bytes(),
    );
    assert!(refused.is_err());
    assert_ne!(sha256_hex(request.body.as_bytes()), request.header(acs3::CONTENT_HASH).unwrap());
}
