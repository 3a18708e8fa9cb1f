//! The protocol from outside: requests in, responses out, without a socket where none is needed.

mod address_groups;
mod arbitrary;
mod declared;
mod groups;
mod lists;
mod page;
mod ports;
mod recorded;
mod roles;
mod rules;
mod sockets;
mod together;
mod tokens;
mod trail;

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::Value;
use sg_records::KeyRole;
use sg_service::{
    Service,
    in_memory::{InForce, Remembers},
};
use sha2::Sha256;
use tower::ServiceExt;

use super::{Huawei, Tokens, project::Project, router};
use crate::{
    clock::Clock,
    keys::{AccessKeys, KnownKey, Secret},
    recording::Recording,
    signature::{Authorization, sdk, to_hex},
};

const KEY: (&str, &str) = ("testid", "testsecret");
const NOW: &str = "2026-11-21T12:00:00Z";
const DATE: &str = "20261121T120000Z";
pub(crate) const REGION: &str = "cn-north-4";

thread_local! {
    /// The names that this thread has read.
    static READ: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// Called for every parameter that is read.
pub(super) fn note_read(place: &str) {
    READ.with_borrow_mut(|read| read.insert(place.to_owned()));
}

/// One key, which has this role.
struct OneKey(KeyRole);

impl AccessKeys for OneKey {
    fn find(&self, id: &str) -> Option<KnownKey> {
        (id == KEY.0).then(|| KnownKey { secret: Secret::new(KEY.1.as_bytes()), role: self.0 })
    }
}

/// An API whose clock stands still, with a key that may do everything.
pub(crate) fn huawei() -> Huawei {
    huawei_with(KeyRole::Admin)
}

fn huawei_with(role: KeyRole) -> Huawei {
    let now: Timestamp = NOW.parse().unwrap();
    let clock: Clock = Arc::new(move || now);
    let (service, _) = Service::start(Box::<Remembers>::default(), InForce::default()).unwrap();
    Huawei {
        service,
        keys: Arc::new(OneKey(role)),
        clock,
        attempts: Arc::default(),
        recording: Recording::default(),
        tokens: Tokens::default(),
        region: REGION.to_owned(),
    }
}

/// The router of an API at the time [`NOW`].
fn face() -> Router {
    router(huawei())
}

/// The id of the project of [`REGION`].
fn project() -> String {
    Project::of(REGION).id
}

/// A parsed response.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Status and code of a refusal of v3 or of the gateway.
    fn refusal(&self) -> (u16, String) {
        assert!(self.status.as_u16() >= 400, "{self:?}");
        let code = self.json()["error_code"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned();
        (self.status.as_u16(), code)
    }
}

async fn ask(face: &Router, request: Request<Body>) -> Reply {
    let response = face.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert!(headers.contains_key("x-request-id"), "{status}");
    assert_eq!(headers["x-request-id"], headers["x-openstack-request-id"]);
    assert_eq!(headers.get("content-type").is_some(), !bytes.is_empty());
    Reply { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

/// A request as the vendor's SDK sends it, before it is signed. `{project_id}` in the target becomes the id of the project.
pub(crate) fn unsigned(method: Method, target: &str, body: &str) -> Request<Body> {
    let project = project();
    Request::builder()
        .method(method)
        .uri(target.replace("{project_id}", &project))
        .header("host", "127.0.0.1:8751")
        .header("content-type", "application/json")
        .header("x-project-id", project)
        .header("x-sdk-date", DATE)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

/// Signs a request, all of whose headers are signed.
pub(crate) async fn sign(request: Request<Body>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let names: Vec<String> = parts.headers.keys().map(ToString::to_string).collect();
    let authorization =
        Authorization { key_id: KEY.0.to_owned(), signed_headers: names.clone(), signature: Vec::new() };
    let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
    let path = percent_encoding::percent_decode_str(parts.uri.path()).decode_utf8().unwrap();
    let query = query.into_owned().collect();
    let signed = sdk::signed(&authorization, &parts.method, &path, query, &parts.headers, &body).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(KEY.1.as_bytes()).unwrap();
    let signature = to_hex(&mac.chain_update(signed.text()).finalize().into_bytes());
    let header =
        format!("SDK-HMAC-SHA256 Access={}, SignedHeaders={}, Signature={signature}", KEY.0, names.join(";"));
    parts.headers.insert("authorization", header.parse().unwrap());
    Request::from_parts(parts, Body::from(body))
}

/// Sends a signed request.
async fn send(face: &Router, method: Method, target: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    ask(face, sign(unsigned(method, target, &body)).await).await
}

async fn get(face: &Router, target: &str) -> Reply {
    send(face, Method::GET, target, &Value::Null).await
}
