//! The history of changes: who, why, and what was opened and closed; going back; and the documents of `sgd run`.

use std::sync::Arc;

use axum::{Router, http::Method};
use serde_json::{Value, json};
use sg_agent::{Catalog, DocumentHistory, InForce, Instance, Origin};
use sg_audit::{Api, Changes, Entry, ROTATION, TrailThread, Who};
use sg_inspect::last_hits::LastHits;
use sg_kernel::{Attachment, Limits};
use sg_model::Policy;
use sg_service::{Service, policy};
use tokio::sync::watch;

use super::{Caller, Native, ask, code, request, router, send, service};
use crate::{listen::Peer, native::Documents, recording::Recording};

/// An API over this, where this is in force.
fn over(
    service: Option<Service>,
    policy: Option<Policy>,
    documents: Option<Documents>,
    recording: Recording,
) -> Router {
    let instance = Instance::new("changes-test").unwrap();
    let limits = Limits { nics: 4, flows: 64, counters: 512, denied: 64 };
    let path = "/etc/sgd/policy.yaml".into();
    let origin = if service.is_some() { Origin::Store } else { Origin::Document { path, owner: Some(0) } };
    let in_force = InForce {
        policy: policy.map(Arc::new),
        ..InForce::new(Catalog::new(limits, Attachment::Auto), origin)
    };
    let hits = LastHits::in_memory(&instance, watch::Sender::new(Arc::new(in_force)).subscribe());
    router(Native {
        service,
        instance,
        region: "local".into(),
        hits,
        observed: Arc::default(),
        places: Arc::default(),
        caller: Caller::Socket,
        attempts: Arc::default(),
        control: None,
        documents,
        recording,
    })
}

async fn done(face: &Router, method: Method, path: &str, body: Value) -> Value {
    let (status, response) = ask(face, method.clone(), path, body).await;
    assert_eq!(status, 200, "{method} {path}: {response}");
    response
}

fn rule(port: &str) -> Value {
    json!({"direction": "ingress", "rules": [{"protocol": "tcp", "ports": port, "remote": "10.0.0.0/8"}]})
}

/// A VPC, a group and a NIC on a device that no host has: changes 1 to 3.
async fn begun(face: &Router) {
    done(face, Method::POST, "/v1/vpcs", json!({"name": "net"})).await;
    done(face, Method::POST, "/v1/groups", json!({"name": "web", "vpc": "net"})).await;
    let nic = json!({"vpc": "net", "device": "no-such-dev0", "addresses": ["10.0.0.5"], "groups": ["web"]});
    done(face, Method::POST, "/v1/nics", nic).await;
}

#[tokio::test]
async fn changes_are_listed_compared_and_gone_back_to() {
    let folder = tempfile::TempDir::new().unwrap();
    let trail = TrailThread::spawn(folder.path().join(sg_audit::FILE), ROTATION).unwrap();
    let recording = Recording { trail: trail.trail(), ..Recording::default() };
    let service = service();
    let face = over(Some(service.clone()), None, None, recording);
    begun(&face).await;
    done(&face, Method::POST, "/v1/groups/web/rules?reason=ticket%204711", rule("22")).await;
    done(&face, Method::POST, "/v1/groups/web/rules", rule("80")).await;
    done(&face, Method::PATCH, "/v1/quotas", json!({"tags": 7})).await;

    let page = done(&face, Method::GET, "/v1/changes", json!({})).await;
    let numbers: Vec<u64> =
        page["items"].as_array().unwrap().iter().map(|item| item["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [5, 4, 3, 2, 1], "that of the quotas is no change of the policy");
    let ssh = &page["items"][1];
    assert_eq!((&ssh["reason"], &ssh["who"]["uid"]), (&json!("ticket 4711"), &json!(0)));
    assert_eq!((&ssh["operation"], &ssh["target"]), (&json!("post_groups_group_rules"), &json!("web")));
    assert_eq!((&ssh["objects"][0]["kind"], &ssh["kept"]), (&json!("rule"), &json!(true)));
    assert_eq!((&ssh["summary"]["counts"]["opens"], &ssh["summary"]["exact"]), (&json!(1), &json!(true)));
    assert!(page["document"].is_null());

    // The trail has the number and the reason.
    let trail = done(&face, Method::GET, "/v1/history", json!({})).await;
    let entries = trail["items"].as_array().unwrap();
    let seen: Vec<_> =
        entries.iter().map(|entry| (entry["change"].as_u64(), entry["reason"].as_str())).collect();
    assert_eq!(seen[..3], [(None, None), (Some(5), None), (Some(4), Some("ticket 4711"))]);

    let detail = done(&face, Method::GET, "/v1/changes/4", json!({})).await;
    assert_eq!((&detail["number"], &detail["comparison"]["counts"]["opens"]), (&json!(4), &json!(1)));
    let line = &detail["comparison"]["lines"][0];
    assert!(line["text"].as_str().unwrap().contains("of group web"), "{line}");
    assert!(detail["comparison"]["flows"].is_null());

    // What going back would do, before it is done.
    let in_force = policy(&service.snapshot()).unwrap();
    let face = over(Some(service.clone()), Some(in_force), None, Recording::default());
    let back = done(&face, Method::POST, "/v1/diff", json!({"change": 3})).await;
    assert_eq!((&back["counts"]["closes"], &back["counts"]["opens"]), (&json!(2), &json!(0)));
    let between = done(&face, Method::POST, "/v1/diff", json!({"old": {"change": 3}, "change": 4})).await;
    assert_eq!((&between["counts"]["opens"], &between["flows"]), (&json!(1), &Value::Null));
    let path = "/v1/changes/3/rollback";
    let tried = done(&face, Method::POST, &format!("{path}?dry_run=true"), json!({})).await;
    assert_eq!(service.snapshot().rules().len(), 2);
    let rolled = done(&face, Method::POST, &format!("{path}?reason=wrong"), json!({})).await;
    assert_eq!(rolled, tried);
    assert_eq!(rolled, json!({"number": 6, "change": 3, "undone": 2, "removed": 2, "put": 0}));
    assert_eq!((service.snapshot().rules().len(), service.snapshot().settings().quotas.tags), (0, 7));
    let newest = done(&face, Method::GET, "/v1/changes?limit=1", json!({})).await;
    assert_eq!((&newest["items"][0]["number"], &newest["items"][0]["reason"]), (&json!(6), &json!("wrong")));
    // And forward again.
    let rolled = done(&face, Method::POST, "/v1/changes/5/rollback", json!({})).await;
    assert_eq!((&rolled["put"], service.snapshot().rules().len()), (&json!(2), 2));
}

#[tokio::test]
async fn an_export_is_compared() {
    let service = service();
    let face = over(Some(service.clone()), None, None, Recording::default());
    begun(&face).await;
    done(&face, Method::POST, "/v1/groups/web/rules", rule("22")).await;
    let body = request(Method::GET, "/v1/export", "");
    let file = {
        use http_body_util::BodyExt as _;
        use tower::ServiceExt as _;
        let response = face.clone().oneshot(body).await.unwrap();
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    done(&face, Method::POST, "/v1/groups/web/rules", rule("80")).await;
    let in_force = policy(&service.snapshot()).unwrap();
    let face = over(Some(service.clone()), Some(in_force), None, Recording::default());
    let found = done(&face, Method::POST, "/v1/diff", json!({"text": file, "file": "state.jsonl"})).await;
    assert_eq!((&found["counts"]["closes"], &found["counts"]["opens"]), (&json!(1), &json!(0)));
    let same = done(&face, Method::POST, "/v1/diff", json!({"old": {"text": file}, "change": 4})).await;
    assert_eq!(same["lines"], json!([]));
    let (status, response) =
        ask(&face, Method::POST, "/v1/diff", json!({"text": &file[..200], "file": "half.jsonl"})).await;
    assert_eq!((status, code(&response)), (400, "invalid_export"));
    assert!(response["error"]["message"].as_str().unwrap().starts_with("half.jsonl: line"), "{response}");
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_name() {
    let service = service();
    let face = over(Some(service.clone()), None, None, Recording::default());
    begun(&face).await;
    let in_force = policy(&service.snapshot()).unwrap();
    let face = over(Some(service.clone()), Some(in_force), None, Recording::default());
    let long = format!("/v1/vpcs?reason={}", "x".repeat(501));
    for (method, path, body, expected) in [
        (Method::POST, long.as_str(), json!({"name": "b"}), "reason: it has 501 characters, 500 are allowed"),
        (
            Method::POST,
            "/v1/vpcs?reason=a%0Ab",
            json!({"name": "b"}),
            "reason: it has the control character \\n",
        ),
        (Method::POST, "/v1/vpcs?reason=%1b%5b31m", json!({"name": "b"}), "\\u{1b}"),
        (Method::POST, "/v1/vpcs?reason=", json!({"name": "b"}), "reason: it is empty"),
        (Method::GET, "/v1/vpcs?reason=x", json!({}), "\"reason\""),
        (Method::GET, "/v1/changes?limit=201", json!({}), "limit: 201 is not 1 to 200"),
        (Method::GET, "/v1/changes?time=4", json!({}), "time: 4 is not 0 to 3"),
        (Method::GET, "/v1/changes/first", json!({}), "change \"first\""),
        (Method::GET, "/v1/changes/9", json!({}), "after change 9 is not kept: that after changes 0 to 3 is"),
        (Method::GET, "/v1/changes/3/text", json!({}), "a store has no documents"),
        (Method::POST, "/v1/changes/9/rollback", json!({}), "after change 9 is not kept"),
        (Method::POST, "/v1/changes/2/rollback", json!({"force": true}), "unknown field \"force\""),
        (Method::POST, "/v1/diff", json!({"text": "{}", "change": 1}), "text and change are two policies"),
        (Method::POST, "/v1/diff", json!({"old": {"chnge": 1}}), "chnge"),
        (Method::POST, "/v1/diff", json!({"old": {"change": 99}, "change": 1}), "99"),
    ] {
        let (status, response) = ask(&face, method.clone(), path, body).await;
        let message = response["error"]["message"].as_str().unwrap_or_default();
        assert!(status >= 400 && message.contains(expected), "{method} {path}: {status} {response}");
    }
    assert_eq!(service.committed().history.newest(), 3, "nothing of it was done");
}

const DOCUMENT: &str = "
groups:
  web: { ingress: [ { id: ssh, protocol: tcp, ports: 22, remote: 10.0.0.0/8 } ] }
nics:
  - { device: no-such-dev0, groups: [web], addresses: [10.0.0.5] }
";

#[tokio::test]
async fn documents_that_were_in_force_are_listed_and_compared() {
    let state = tempfile::TempDir::new().unwrap();
    let (history, _) = DocumentHistory::start(state.path()).unwrap();
    let entry = |who| Entry::new(Api::Document, "load_document", who, "file");
    let who = Who::file("/etc/sgd/policy.yaml", Some(0));
    let second = DOCUMENT.replace("ports: 22", "ports: 23");
    for text in [DOCUMENT, &second] {
        history.add(text.as_bytes(), &entry(who.clone()), &Changes::default()).unwrap();
    }
    let policy = sg_document::parse("policy.yaml", second.as_bytes()).unwrap().policy;
    let face = over(None, Some(policy), Some(Documents::of(history)), Recording::default());
    let page = done(&face, Method::GET, "/v1/changes", json!({})).await;
    assert_eq!(page["document"], "/etc/sgd/policy.yaml");
    assert_eq!((&page["items"][0]["number"], &page["items"][0]["api"]), (&json!(2), &json!("document")));
    assert_eq!(page["items"][0]["summary"]["counts"]["opens"], 1);
    assert!(page["items"][1]["summary"].is_null(), "what was before the first is not known");
    let detail = done(&face, Method::GET, "/v1/changes/2", json!({})).await;
    assert_eq!(detail["comparison"]["counts"]["closes"], 1);
    assert!(done(&face, Method::GET, "/v1/changes/1", json!({})).await["comparison"].is_null());
    let back = done(&face, Method::POST, "/v1/diff", json!({"change": 1})).await;
    assert_eq!(back["counts"]["opens"], 1);
    let text = done(&face, Method::GET, "/v1/changes/1/text", json!({})).await;
    assert_eq!(text, json!({"number": 1, "path": "/etc/sgd/policy.yaml", "text": DOCUMENT}));
    let mut other = request(Method::GET, "/v1/changes/1/text", "");
    other.extensions_mut().insert(Peer::Process { uid: 1000, gid: 1000, pid: None });
    assert_eq!(send(&face, other).await.0, 403, "who may look need not be who may read it");
    let (status, response) = ask(&face, Method::POST, "/v1/changes/1/rollback", json!({})).await;
    assert_eq!((status, code(&response)), (409, "no_store"));
    let (status, response) = ask(&face, Method::GET, "/v1/changes/7", json!({})).await;
    assert!(status == 404 && response.to_string().contains("after changes 1 to 2 is"), "{response}");
    let export = "{\"format\":\"sgd state\",\"schema\":2,\"secrets\":false,\"records\":0}\n";
    let (status, response) = ask(&face, Method::POST, "/v1/diff", json!({"text": export})).await;
    assert!(status == 400 && response.to_string().contains("`sgd run` has none"), "{response}");
}
