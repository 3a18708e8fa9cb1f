//! The router, called as clients call it.

mod access;
mod diff;
mod guard;
mod observing;
mod policy_changes;
mod policy_tests;
mod recorded;
mod roles;
mod tried;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use sg_agent::{Applied, Catalog, Cause, InForce as InForceNow, Instance, Origin, Refused};
use sg_inspect::last_hits::LastHits;
use sg_kernel::{Attachment, Limits};
use sg_service::{
    Service,
    in_memory::{InForce, Remembers},
};
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::{Caller, Native, document, router, table};
use crate::{
    attempts::Attempts,
    listen::{HeldBack, Peer},
    recording::Recording,
};

fn service() -> Service {
    Service::start(Box::<Remembers>::default(), InForce::default()).unwrap().0
}

fn over(service: &Service, caller: Caller) -> Router {
    let instance = Instance::new("native-test").unwrap();
    let hits = LastHits::of_nothing(&instance);
    let (service, recording) = (Some(service.clone()), Recording::default());
    router(Native {
        service,
        instance,
        region: "local".into(),
        hits,
        observed: Arc::default(),
        places: Arc::default(),
        caller,
        attempts: Arc::default(),
        control: None,
        documents: None,
        recording,
    })
}

fn face(caller: Caller) -> Router {
    over(&service(), caller)
}

async fn send(face: &Router, request: Request<Body>) -> (u16, Value) {
    let response = face.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn request(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let mut request = request.body(body.into()).unwrap();
    request.extensions_mut().insert(Peer::Process { uid: 0, gid: 0, pid: None });
    request
}

async fn ask(face: &Router, method: Method, path: &str, body: Value) -> (u16, Value) {
    send(face, request(method, path, body.to_string())).await
}

fn code(response: &Value) -> &str {
    response["error"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn every_route_of_the_document_is_served() {
    let face = face(Caller::Socket);
    let document = serde_json::to_value(document()).unwrap();
    let mut routes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.split('/').map(|part| if part.starts_with('{') { "nothing" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let (status, response) = ask(&face, method.clone(), &path, json!({})).await;
            // Nothing is in the kernel of what some routes show.
            let is_without_kernel = ["nothing_in_force", "kernel"].contains(&code(&response));
            assert!(status < 500 || is_without_kernel, "{method} {path}: {response}");
            assert!(
                !["no_such_path", "no_such_method"].contains(&code(&response)),
                "{method} {path}: {response}"
            );
            routes += 1;
        }
    }
    assert!(routes > 50, "{routes}");
    let (status, served) = ask(&face, Method::GET, "/v1/openapi.json", json!({})).await;
    assert_eq!((status, served), (200, document));
}

#[tokio::test]
async fn without_a_store_what_is_in_force_is_shown_and_nothing_else() {
    let instance = Instance::new("native-test").unwrap();
    let (path, owner) = (PathBuf::from("/etc/sgd/policy.yaml"), Some(0));
    let limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };
    let mut in_force =
        InForceNow::new(Catalog::new(limits, Attachment::Auto), Origin::Document { path, owner });
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    in_force.applied = Some(Applied { at, cause: Cause::Signal });
    in_force.refused = Some(Refused { at, reason: "policy.yaml:3: no such group".to_owned() });
    let (_agent, reader) = watch::channel(Arc::new(in_force));
    let hits = LastHits::in_memory(&instance, reader);
    let native = Native {
        service: None,
        instance,
        region: "local".into(),
        hits,
        observed: Arc::default(),
        places: Arc::default(),
        caller: Caller::Socket,
        attempts: Arc::default(),
        control: None,
        documents: None,
        recording: Recording::default(),
    };
    let face = router(native);

    let (status, shown) = ask(&face, Method::GET, "/v1/status", json!({})).await;
    assert_eq!(status, 200, "{shown}");
    let document = json!({"from": "document", "path": "/etc/sgd/policy.yaml", "owner_uid": 0});
    let applied = json!({"at": "2026-01-01T00:00:00Z", "cause": "signal"});
    assert_eq!((&shown["policy"], &shown["applied"]), (&document, &applied));
    assert_eq!(shown["refused"]["reason"], "policy.yaml:3: no such group");
    assert!(shown["agent_pid"].as_u64() > Some(0) && shown.get("vpcs").is_none(), "{shown}");

    let document = serde_json::to_value(super::document()).unwrap();
    let mut refused = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let shows = [
            "status",
            "show",
            "stats",
            "flows",
            "lint",
            "history",
            "observe",
            "diff",
            "search",
            "changes",
            "candidate",
        ]
        .contains(&path.trim_start_matches("/v1/"))
            || ["/v1/changes/{change}", "/v1/changes/{change}/text"].contains(&path.as_str());
        let path = path.split('/').map(|part| if part.starts_with('{') { "nothing" } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let (status, response) = ask(&face, method.clone(), &path, json!({})).await;
            let code = code(&response);
            // Tests can be run, and are not stored.
            if shows || (path == "/v1/tests" && method == Method::POST) {
                assert!(!["no_store", "read_only"].contains(&code), "{method} {path}: {response}");
                continue;
            }
            let is_refused = matches!((status, code), (409, "no_store") | (403, "read_only"));
            assert!(is_refused, "{method} {path}: {status} {response}");
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
    let (_, response) = ask(&face, Method::GET, "/v1/groups", json!({})).await;
    let message = response["error"]["message"].as_str().unwrap();
    assert!(message.contains("/etc/sgd/policy.yaml") && message.contains("sgd serve"), "{message}");
}

#[tokio::test]
async fn what_selects_flows_is_refused_by_name() {
    let face = face(Caller::Socket);
    for (path, expected) in [
        ("/v1/flows?remote=here", "remote: \"here\""),
        ("/v1/flows?vlan=9999", "vlan: \"9999\""),
        ("/v1/flows?limit=0", "limit: 0"),
        ("/v1/flows?state=dead", "state"),
        ("/v1/flows?remot=::1", "\"remot\""),
        ("/v1/show?unused=30", "\"30\" is no length of time"),
        ("/v1/lint?unused=month", "\"month\" is no length of time"),
    ] {
        let (status, response) = ask(&face, Method::GET, path, json!({})).await;
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(expected), "{path}: {status} {response}");
    }
    let (status, response) = ask(&face, Method::POST, "/v1/flows/delete", json!({})).await;
    assert!(status == 400 && response.to_string().contains("every flow"), "{status} {response}");
    let (status, response) = ask(&face, Method::POST, "/v1/flows/delete", json!({"remot": "::1"})).await;
    assert!(status == 400 && response.to_string().contains("remote"), "{status} {response}");
    let (status, response) = ask(&face, Method::GET, "/v1/show?nic=eth9", json!({})).await;
    assert_eq!((status, code(&response)), (404, "not_found"));
}

#[tokio::test]
async fn a_group_from_its_making_to_its_end() {
    let face = face(Caller::Socket);
    assert_eq!(ask(&face, Method::POST, "/v1/vpcs", json!({"name": "net"})).await.0, 200);
    let group = json!({"name": "web", "vpc": "net"});
    let (status, tried) = ask(&face, Method::POST, "/v1/groups?dry_run=true", group.clone()).await;
    assert_eq!((status, tried["name"].as_str()), (200, Some("web")));
    assert_eq!(ask(&face, Method::GET, "/v1/groups/web", json!({})).await.0, 404);
    let (_, made) = ask(&face, Method::POST, "/v1/groups", group).await;
    let rules = json!({"direction": "ingress", "rules": [{"protocol": "tcp", "ports": "22", "remote": "10.0.0.0/8"}]});
    let (status, rules) = ask(&face, Method::POST, "/v1/groups/web/rules", rules).await;
    assert_eq!((status, &rules[0]["group"]), (200, &made["id"]));
    let (_, list) = ask(&face, Method::GET, "/v1/groups?name=w*&limit=1", json!({})).await;
    assert_eq!((&list["total"], &list["items"][0]["rules"]), (&json!(1), &json!(1)));
    let (_, csv) = ask(&face, Method::GET, "/v1/groups/web/rules/export?csv=true", json!({})).await;
    assert!(csv.as_str().unwrap().contains("22/22"));
    let import =
        request(Method::POST, "/v1/groups/web/rules/import?csv=true", csv.as_str().unwrap().to_owned());
    assert_eq!(send(&face, import).await.1["skipped"], 1);
    assert_eq!(ask(&face, Method::DELETE, "/v1/groups/web", json!({})).await.0, 200);
    let (status, response) = ask(&face, Method::DELETE, "/v1/groups/web", json!({})).await;
    assert_eq!((status, code(&response)), (404, "not_found"));
}

#[tokio::test]
async fn a_request_with_a_key_is_done_once() {
    let face = face(Caller::Socket);
    let once = |body: Value| {
        let mut request = request(Method::POST, "/v1/vpcs", body.to_string());
        request.headers_mut().insert("idempotency-key", "a".parse().unwrap());
        request
    };
    let first = send(&face, once(json!({"name": "net"}))).await;
    assert_eq!(send(&face, once(json!({"name": "net"}))).await, first);
    let (status, other) = send(&face, once(json!({"name": "other"}))).await;
    assert_eq!((status, code(&other)), (409, "token_reused"));
    let mut two = once(json!({"name": "net"}));
    two.headers_mut().append("idempotency-key", "b".parse().unwrap());
    assert_eq!(send(&face, two).await.0, 400);
}

#[tokio::test]
async fn what_is_misspelt_is_refused_by_name() {
    let face = face(Caller::Socket);
    let (status, response) = ask(&face, Method::POST, "/v1/groups", json!({"nmae": "web"})).await;
    assert_eq!(status, 400);
    assert!(response["error"]["message"].as_str().unwrap().contains("did you mean \"name\"?"), "{response}");
    assert_eq!(ask(&face, Method::GET, "/v1/groups?nmae=web", json!({})).await.0, 400);
    assert_eq!(ask(&face, Method::GET, "/v2/groups", json!({})).await.0, 404);
    assert_eq!(ask(&face, Method::PUT, "/v1/groups", json!({})).await.0, 405);
}

#[tokio::test]
async fn over_tcp_only_a_key_gets_in() {
    let (service, _) = Service::start(Box::<Remembers>::default(), InForce::default()).unwrap();
    let key = service.submit(sg_service::CreateAccessKey::default()).await.unwrap();
    let instance = Instance::new("native-test").unwrap();
    let attempts = Arc::<Attempts>::default();
    let face = router(Native {
        service: Some(service),
        hits: LastHits::of_nothing(&instance),
        instance,
        region: "local".into(),
        observed: Arc::default(),
        places: Arc::default(),
        caller: Caller::AccessKey,
        attempts: Arc::clone(&attempts),
        control: None,
        documents: None,
        recording: Recording::default(),
    });
    let with = |credentials: &str| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(credentials);
        let header = format!("Basic {text}");
        Request::builder().uri("/v1/status").header("authorization", header).body(Body::empty()).unwrap()
    };
    assert_eq!(send(&face, with(&format!("{}:{}", key.id, key.secret))).await.0, 200);
    for wrong in
        [format!("{}:{}x", key.id, key.secret), format!("{}:", key.id), "x:y".to_owned(), String::new()]
    {
        assert_eq!(send(&face, with(&wrong)).await.0, 401, "{wrong}");
    }
    let (status, response) = send(&face, request(Method::GET, "/v1/openapi.json", Body::empty())).await;
    assert_eq!((status, code(&response)), (401, "unauthenticated"));
    // A request without a key counts as no attempt.
    assert_eq!(attempts.count(), 3);

    // After several wrong secrets the response is delayed; that to a right one never is.
    let mut waits = Vec::new();
    for _ in 0..6 {
        let wrong = face.clone().oneshot(with(&format!("{}:x", key.id))).await.unwrap();
        waits.push(wrong.extensions().get::<HeldBack>().copied().unwrap().0);
    }
    assert!(waits.last() > Some(&Duration::from_millis(500)), "{waits:?}");
    let right = face.clone().oneshot(with(&format!("{}:{}", key.id, key.secret))).await.unwrap();
    assert!(right.status().is_success() && right.extensions().get::<HeldBack>().is_none());
    assert_eq!(send(&face, with(&format!("{}:{}", key.id, key.secret))).await.1["wrong_secrets"], 9);

    // It is ambiguous which of the two is meant.
    for second in [format!("{}:{}", key.id, key.secret), "x:y".to_owned()] {
        let mut two = with(&format!("{}:{}", key.id, key.secret));
        let second = with(&second).headers()["authorization"].clone();
        two.headers_mut().append("authorization", second);
        let (status, response) = send(&face, two).await;
        assert_eq!((status, code(&response)), (400, "malformed"));
    }
}

#[tokio::test]
async fn a_body_is_what_it_says() {
    let face = face(Caller::Socket);
    let made = |kind: &[(&'static str, &'static str)], path: &str, body: &str| {
        let mut request = request(Method::POST, path, body.to_owned());
        request.headers_mut().clear();
        for (name, value) in kind {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        request
    };
    let json = r#"{"name":"net"}"#;
    for kind in [
        &[("content-type", "text/plain")][..],
        &[("content-type", "application/x-www-form-urlencoded; charset=utf-16")],
        &[("content-type", "application/json; charset=utf-16")],
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
        &[("content-type", "application/json"), ("content-type", "application/json")],
    ] {
        let (status, response) = send(&face, made(kind, "/v1/vpcs", json)).await;
        assert_eq!((status, code(&response)), (415, "unsupported_media_type"), "{kind:?}: {response}");
        let message = response["error"]["message"].as_str().unwrap();
        let named = kind.last().unwrap().1.split(';').next_back().unwrap().split('=').next_back().unwrap();
        assert!(message.to_lowercase().contains(named) || message.contains("more than once"), "{message}");
    }
    assert_eq!(ask(&face, Method::GET, "/v1/vpcs", json!({})).await.1["total"], 0);
    let good = [("content-type", "application/json; charset=utf-8"), ("content-encoding", "identity")];
    assert_eq!(send(&face, made(&good, "/v1/vpcs", json)).await.0, 200);
    // As `curl --unix-socket … -d` and a script of a few lines send it.
    for (kind, name) in
        [(&[("content-type", "application/x-www-form-urlencoded")][..], "curl"), (&[], "script")]
    {
        let json = json!({ "name": name }).to_string();
        assert_eq!(send(&face, made(kind, "/v1/vpcs", &json)).await.0, 200, "{name}");
    }
    // An empty body has no format to check; a file may have several types, and is not compressed either.
    assert_eq!(send(&face, made(&[("content-type", "text/plain")], "/v1/access-keys", "")).await.0, 200);
    let zipped = [("content-type", "text/plain"), ("content-encoding", "gzip")];
    assert_eq!(send(&face, made(&zipped, "/v1/import", "x")).await.0, 415);
    assert_eq!(send(&face, made(&[("content-type", "image/png")], "/v1/import", "x")).await.0, 415);
    assert_eq!(send(&face, made(&[("content-type", "text/plain")], "/v1/import", "x")).await.0, 400);
}

/// Otherwise it would look like a dry run and change something.
#[tokio::test]
async fn a_body_that_nobody_reads_is_refused() {
    let face = face(Caller::Socket);
    assert_eq!(ask(&face, Method::POST, "/v1/vpcs", json!({"name": "net"})).await.0, 200);
    let body = json!({"dry_run": true});
    for (method, path) in
        [(Method::DELETE, "/v1/vpcs/net"), (Method::GET, "/v1/vpcs"), (Method::GET, "/v1/export")]
    {
        let (status, response) = ask(&face, method.clone(), path, body.clone()).await;
        assert_eq!((status, code(&response)), (400, "malformed"), "{method} {path}: {response}");
    }
    assert_eq!(ask(&face, Method::GET, "/v1/vpcs", json!({})).await.1["total"], 1);
    assert_eq!(send(&face, request(Method::DELETE, "/v1/vpcs/net", "")).await.0, 200);
}

fn of_user(uid: u32, method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = request(method, path, body);
    request.extensions_mut().insert(Peer::Process { uid, gid: 0, pid: None });
    request
}

async fn text_of(face: &Router, request: Request<Body>) -> String {
    let response = face.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), length);
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn secrets_go_out_and_come_in_for_root_only() {
    let face = face(Caller::Socket);
    let (_, key) = ask(&face, Method::POST, "/v1/access-keys", json!({})).await;
    let secret = key["secret"].as_str().unwrap();
    let file = text_of(&face, request(Method::GET, "/v1/export?secrets=true", Body::empty())).await;
    assert!(file.contains(secret));
    let chosen: String = "x".repeat(40);
    let chosen = file.replace(secret, &chosen);
    let without = text_of(&face, of_user(1000, Method::GET, "/v1/export", Body::empty())).await;
    assert!(!without.contains(secret));
    for (method, path, body) in [
        (Method::GET, "/v1/export?secrets=true", String::new()),
        (Method::POST, "/v1/import", chosen.clone()),
        (Method::POST, "/v1/import?dry_run=true", chosen.clone()),
    ] {
        let (status, response) = send(&face, of_user(1000, method, path, body)).await;
        assert_eq!((status, code(&response)), (403, "forbidden"), "{path}: {response}");
    }
    let again = text_of(&face, request(Method::GET, "/v1/export?secrets=true", Body::empty())).await;
    assert!(again.contains(secret), "nothing was changed");
    // A key over TCP is not root, whatever else it may do.
    let (status, response) = send(&face, of_user(1000, Method::POST, "/v1/import", without)).await;
    assert_eq!((status, response["put"].as_u64()), (200, Some(0)), "{response}");
    assert_eq!(send(&face, request(Method::POST, "/v1/import", chosen)).await.0, 200);
}

#[tokio::test]
async fn a_wrong_export_is_refused_by_its_line() {
    let face = face(Caller::Socket);
    ask(&face, Method::POST, "/v1/vpcs", json!({"name": "net"})).await;
    let file = text_of(&face, request(Method::GET, "/v1/export", Body::empty())).await;
    let line = 1 + file.lines().position(|line| line.contains("\"net\"")).unwrap();
    let wrong = file.replace("\"net\"", "\"n\u{202e}et\"");
    let (status, response) = send(&face, request(Method::POST, "/v1/import", wrong)).await;
    assert_eq!((status, code(&response)), (400, "invalid_record"), "{response}");
    assert_eq!(response["error"]["details"]["line"], line, "{response}");
    let truncated = file.lines().take(1).collect::<String>();
    let (status, response) = send(&face, request(Method::POST, "/v1/import", truncated)).await;
    assert_eq!((status, code(&response)), (400, "invalid_export"), "{response}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_makes_it_fail(body in any::<Vec<u8>>(), text in "[{}\\[\\]\":,a-z0-9]{0,60}", route in 0_usize..9) {
        const ROUTES: [&str; 9] = [
            "/v1/groups", "/v1/groups/x/rules", "/v1/nics", "/v1/join", "/v1/apply", "/v1/check", "/v1/import",
            "/v1/prefix-lists", "/v1/diff",
        ];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let face = face(Caller::Socket);
            for body in [Body::from(body), Body::from(text)] {
                let (status, response) = send(&face, request(Method::POST, ROUTES[route], body)).await;
                prop_assert!(status < 500, "{}: {response}", ROUTES[route]);
            }
            Ok(())
        })?;
    }
}
