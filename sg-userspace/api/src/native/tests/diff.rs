//! `POST /v1/diff`: what is in force and a document, without an agent: no flows can be read here.

use std::sync::Arc;

use axum::{Router, http::Method};
use serde_json::{Value, json};
use sg_agent::{Catalog, InForce, Instance, Origin};
use sg_inspect::last_hits::LastHits;
use sg_kernel::{Attachment, Limits};
use sg_records::KeyRole;
use sg_service::{Apply, Service, policy};
use tokio::sync::watch;

use super::{Caller, Native, ask, code, router, service};
use crate::native::Places;

/// A device that no host has.
pub(super) const DOCUMENT: &str = "
groups:
  web:
    ingress:
      - { id: ssh, protocol: tcp, ports: 22, remote: 10.0.0.0/8 }
      - { id: http, protocol: tcp, ports: 80 }
nics:
  - { device: no-such-dev0, groups: [web], addresses: [10.0.0.5] }
";

pub(super) fn over(
    service: Option<Service>,
    policy: Option<sg_model::Policy>,
    places: &Arc<Places>,
) -> Router {
    let instance = Instance::new("diff-test").unwrap();
    let limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };
    let in_force = InForce {
        policy: policy.map(Arc::new),
        ..InForce::new(Catalog::new(limits, Attachment::Auto), Origin::Store)
    };
    let hits = LastHits::in_memory(&instance, watch::Sender::new(Arc::new(in_force)).subscribe());
    router(Native {
        service,
        instance,
        region: "local".into(),
        hits,
        observed: Arc::default(),
        places: Arc::clone(places),
        caller: Caller::Socket,
        attempts: Arc::default(),
        control: None,
        documents: None,
        recording: crate::recording::Recording::default(),
    })
}

pub(super) fn parsed(text: &str) -> sg_model::Policy {
    sg_document::parse("policy.yaml", text.as_bytes()).unwrap().policy
}

pub(super) fn without_store() -> Router {
    over(None, Some(parsed(DOCUMENT)), &Arc::default())
}

async fn diff(face: &Router, query: &str, text: &str) -> (u16, Value) {
    ask(face, Method::POST, &format!("/v1/diff{query}"), json!({ "text": text })).await
}

#[tokio::test]
async fn a_document_is_compared_with_what_is_in_force() {
    let face = without_store();
    let (status, same) = diff(&face, "", DOCUMENT).await;
    assert_eq!((status, &same["lines"], &same["undecided"]), (200, &json!([]), &json!([])), "{same}");
    let new = DOCUMENT.replace("ports: 22", "ports: 23").replace("id: http", "id: web");
    let (status, found) = diff(&face, "", &new).await;
    assert_eq!(status, 200, "{found}");
    assert_eq!(found["counts"], json!({"opens": 1, "closes": 1, "refuses": 0, "attributes": 0}));
    // Nothing runs here whose flows could be read, and that is said.
    assert!(found["flows"].is_null() && found["warnings"].to_string().contains("live flows"), "{found}");
    // The fixed form, with what only this response has.
    let before = parsed(DOCUMENT);
    let after = parsed(&new);
    let offline = sg_diff::compare(&before, &after, sg_diff::Options::default());
    for (line, found) in offline.lines.iter().zip(found["lines"].as_array().unwrap()) {
        let mut found = found.as_object().unwrap().clone();
        assert!(found.remove("flows").is_some_and(|flows| flows.is_null()));
        let text = found.remove("text").unwrap();
        assert_eq!(Value::Object(found), serde_json::to_value(line.written(after.nic(line.nic))).unwrap());
        assert_eq!(text, line.words(sg_diff::AS_WRITTEN));
    }
    let (_, found) = diff(&face, "?attribution=true&limit=1", &new).await;
    assert_eq!(found["lines"].as_array().unwrap().len(), 1);
    assert!(
        found["left_out"].as_u64() >= Some(2) && found["counts"]["attributes"].as_u64() > Some(0),
        "{found}"
    );
    let (_, all) = diff(&face, "?attribution=true&limit=1&all=true", &new).await;
    assert_eq!(all["left_out"], 0);
    let (status, one) = diff(&face, "?nic=no-such-dev0&time=1", &new).await;
    assert_eq!((status, one["lines"].as_array().unwrap().len()), (200, 2));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_name() {
    let face = without_store();
    for (query, text, expected) in [
        ("?time=4", DOCUMENT, "time: 4 is not 1 to 3 seconds"),
        ("?time=0", DOCUMENT, "time: 0"),
        ("?limit=100001", DOCUMENT, "limit: 100001"),
        ("?limit=many", DOCUMENT, "limit"),
        ("?colour=red", DOCUMENT, "\"colour\""),
        ("", "groups: [\n", "document:"),
        ("", "groups: { web: { inress: [] } }", "inress"),
    ] {
        let (status, response) = diff(&face, query, text).await;
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(expected), "{query}: {status} {response}");
    }
    let (status, response) = ask(&face, Method::POST, "/v1/diff", json!({"txt": ""})).await;
    assert_eq!((status, code(&response)), (400, "malformed"), "{response}");
    let (status, response) = diff(&face, "?nic=eth9", DOCUMENT).await;
    assert_eq!((status, code(&response)), (404, "not_found"), "{response}");
    let (status, response) = diff(&over(None, None, &Arc::default()), "", DOCUMENT).await;
    assert_eq!((status, code(&response)), (503, "nothing_in_force"), "{response}");
}

#[tokio::test]
async fn few_compare_at_a_time() {
    let places = Arc::<Places>::default();
    let face = over(None, Some(parsed(DOCUMENT)), &places);
    let taken: Vec<_> = (0..3).map(|_| places.comparing(KeyRole::Admin, "uid 0").unwrap()).collect();
    let (status, response) = diff(&face, "", DOCUMENT).await;
    assert_eq!(status, 429, "{response}");
    drop(taken);
    assert_eq!(diff(&face, "", DOCUMENT).await.0, 200);
}

/// What the store would be after the document was applied is compared, with the names of its ids.
#[tokio::test]
async fn a_store_is_compared_with_what_it_would_be() {
    let service = service();
    let apply: Apply = serde_json::from_value(json!({ "text": DOCUMENT })).unwrap();
    service.submit(apply).await.unwrap();
    // By hand: the document does not own it, and does not take it away.
    let rules =
        json!({"direction": "ingress", "rules": [{"protocol": "tcp", "ports": "443", "remote": "any"}]});
    let face = super::over(&service, Caller::Socket);
    let (status, made) = ask(&face, Method::POST, "/v1/groups/web/rules", rules).await;
    assert_eq!(status, 200, "{made}");
    let in_force = policy(&service.snapshot()).unwrap();
    let face = over(Some(service.clone()), Some(in_force), &Arc::default());
    let (status, same) = diff(&face, "", DOCUMENT).await;
    assert_eq!((status, &same["lines"]), (200, &json!([])), "{same}");
    let (status, found) = diff(&face, "", &DOCUMENT.replace("ports: 22", "ports: 23")).await;
    assert_eq!((status, &found["counts"]["opens"], &found["counts"]["closes"]), (200, &json!(1), &json!(1)));
    let line = &found["lines"][0];
    let (group, rule) = (line["after"]["group"].as_str().unwrap(), line["after"]["rule"].as_str().unwrap());
    assert!(group.starts_with("sg-") && rule.starts_with("sgr-"), "{line}");
    assert_eq!((&found["names"][group], &found["names"][rule]), (&json!("web"), &json!("ssh")));
    assert!(line["text"].as_str().unwrap().contains("accept by rule ssh of group web"), "{line}");
    // Nothing was changed.
    assert_eq!(diff(&face, "", DOCUMENT).await.1["lines"], json!([]));
}
