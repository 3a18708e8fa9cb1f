//! The protocol from outside: requests in, responses out, without a socket where none is needed.

mod arbitrary;
pub(super) mod declared;
mod demands;
mod devices;
mod families;
mod faults;
mod filters;
mod page;
mod params;
mod recorded;
mod replies;
mod resources;
mod roles;
mod sdk;
mod sockets;
mod trail;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::Value;
use sg_records::KeyRole;
use sg_service::{
    Service,
    in_memory::{InForce, Remembers},
};
use sha1::Sha1;
use sha2::Sha256;
use tower::ServiceExt;

use super::{Ecs, Nonces, Region, router};
use crate::clock::Clock;
use crate::keys::{AccessKeys, KnownKey, Secret};
use crate::recording::Recording;
use crate::signature::{Authorization, acs3, sha256_hex, to_hex, v1};

const KEY: (&str, &str) = ("testid", "testsecret");
pub(crate) const NOW: &str = "2026-11-21T12:00:00Z";

/// One key, which has this role.
struct OneKey(KeyRole);

impl AccessKeys for OneKey {
    fn find(&self, id: &str) -> Option<KnownKey> {
        (id == KEY.0).then(|| KnownKey { secret: Secret::new(KEY.1.as_bytes()), role: self.0 })
    }
}

/// An API whose clock stands still, with a key that may do everything.
pub(crate) fn ecs(now: &str) -> Ecs {
    ecs_with(now, KeyRole::Admin)
}

/// An API over what is in force there.
fn ecs_on(in_force: InForce) -> Ecs {
    let (service, _) = Service::start(Box::<Remembers>::default(), in_force).unwrap();
    Ecs { service, ..ecs(NOW) }
}

fn ecs_with(now: &str, role: KeyRole) -> Ecs {
    let now: Timestamp = now.parse().unwrap();
    let clock: Clock = Arc::new(move || now);
    let region =
        Region { id: "cn-hangzhou".into(), name: "<here & now>".into(), endpoint: "127.0.0.1:8080".into() };
    let (service, _) = Service::start(Box::<Remembers>::default(), InForce::default()).unwrap();
    Ecs {
        service,
        keys: Arc::new(OneKey(role)),
        clock,
        attempts: Arc::default(),
        recording: Recording::default(),
        nonces: Mutex::new(Nonces::default()),
        reports: Mutex::default(),
        regions: vec![region],
    }
}

/// The router of an API at the time [`NOW`].
fn face() -> Router {
    router(ecs(NOW))
}

/// A parsed response.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    kind: String,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of a refusal, in either format.
    fn refusal(&self) -> (u16, String) {
        assert!(self.status.as_u16() >= 400, "{self:?}");
        let code = if self.kind.starts_with("text/xml") {
            assert!(self.text.contains("<Error>"), "{self:?}");
            self.text.split("<Code>").nth(1).unwrap().split("</Code>").next().unwrap().to_owned()
        } else {
            self.json()["Code"].as_str().unwrap().to_owned()
        };
        (self.status.as_u16(), code)
    }
}

async fn ask(face: &Router, request: Request<Body>) -> Reply {
    read(face.clone().oneshot(request).await.unwrap()).await
}

async fn read(response: Response<Body>) -> Reply {
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Reply { status, kind, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

pub(crate) type Pairs = BTreeMap<String, String>;

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The parameters that every request of version 1 has.
pub(crate) fn common(action: &str, nonce: &str) -> Pairs {
    pairs(&[
        ("AccessKeyId", KEY.0),
        ("Action", action),
        ("Format", "JSON"),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureNonce", nonce),
        ("SignatureVersion", "1.0"),
        ("Timestamp", NOW),
        ("Version", "2014-05-26"),
    ])
}

/// Signs parameters by version 1.
fn sign(method: &Method, mut parameters: Pairs) -> Pairs {
    parameters.insert(v1::SIGNATURE.to_owned(), String::new());
    let signed = v1::signed(method, &parameters).unwrap();
    let mac = Hmac::<Sha1>::new_from_slice(format!("{}&", KEY.1).as_bytes()).unwrap();
    let signature = STANDARD.encode(mac.chain_update(signed.text()).finalize().into_bytes());
    parameters.insert(v1::SIGNATURE.to_owned(), signature);
    parameters
}

fn encoded(parameters: &Pairs) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// A GET signed by version 1.
pub(crate) fn get(parameters: Pairs) -> Request<Body> {
    let target = format!("/?{}", encoded(&sign(&Method::GET, parameters)));
    Request::builder().uri(target).header("host", "127.0.0.1:8080").body(Body::empty()).unwrap()
}

/// A POST signed by ACS3.
fn acs3_post(
    action: &str,
    nonce: &str,
    query: &Pairs,
    change: impl FnOnce(&mut Request<Body>),
) -> Request<Body> {
    acs3_post_of(action, nonce, query, "", change)
}

/// The same with a body; `change` may edit the headers before they are signed.
fn acs3_post_of(
    action: &str,
    nonce: &str,
    query: &Pairs,
    body: &'static str,
    change: impl FnOnce(&mut Request<Body>),
) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("/?{}", encoded(query)))
        .header("host", "127.0.0.1:8080")
        .header("x-acs-action", action)
        .header("x-acs-version", "2014-05-26")
        .header("x-acs-date", NOW)
        .header("x-acs-signature-nonce", nonce)
        .header("x-acs-content-sha256", sha256_hex(b""))
        .body(Body::from(body))
        .unwrap();
    change(&mut request);
    let names: Vec<String> = request.headers().keys().map(ToString::to_string).collect();
    let authorization =
        Authorization { key_id: KEY.0.to_owned(), signed_headers: names.clone(), signature: Vec::new() };
    // If it is refused, the server is to return the error.
    if let Ok(signed) = acs3::signed(&authorization, &Method::POST, query, request.headers(), body.as_bytes())
    {
        let mac = Hmac::<Sha256>::new_from_slice(KEY.1.as_bytes()).unwrap();
        let signature = mac.chain_update(signed.text()).finalize().into_bytes();
        let signature = to_hex(&signature);
        let header = format!(
            "ACS3-HMAC-SHA256 Credential={},SignedHeaders={},Signature={signature}",
            KEY.0,
            names.join(";")
        );
        request.headers_mut().insert("authorization", header.parse().unwrap());
    } else {
        request.headers_mut().insert(
            "authorization",
            format!("ACS3-HMAC-SHA256 Credential={},SignedHeaders={},Signature=00", KEY.0, names.join(";"))
                .parse()
                .unwrap(),
        );
    }
    request
}
