//! What is recorded of requests: each change has one entry in the audit trail, whatever came of it; queries and dry runs have none.

use axum::{Router, body::Body, http::Method};
use serde_json::{Value, json};
use sg_audit::{Api, Entry, HistoryQuery, Object, Outcome, ROTATION, TrailThread, Who, read};
use sg_inspect::{InspectError, last_hits::LastHits};
use sg_kernel::KernelError;
use sg_records::KeyRole;
use sg_service::{CreateAccessKey, Service};
use tempfile::TempDir;

use super::{
    super::{changes::touched, error::Failed},
    Caller, Instance, Native, Recording, ask, code, document, request, router, send, service, table,
};
use crate::recording::PendingChange;

pub(super) struct Recorded {
    folder: TempDir,
    _thread: TrailThread,
    service: Service,
    face: Router,
}

impl Recorded {
    pub(super) fn new(caller: Caller) -> Self {
        let folder = TempDir::new().unwrap();
        let thread = TrailThread::spawn(folder.path().join(sg_audit::FILE), ROTATION).unwrap();
        let recording = Recording { trail: thread.trail(), ..Recording::default() };
        let (service, instance) = (service(), Instance::new("native-test").unwrap());
        let native = Native {
            service: Some(service.clone()),
            hits: LastHits::of_nothing(&instance),
            instance,
            region: "local".into(),
            observed: std::sync::Arc::default(),
            places: std::sync::Arc::default(),
            caller,
            attempts: std::sync::Arc::default(),
            control: None,
            documents: None,
            recording,
        };
        Self { folder, _thread: thread, service, face: router(native) }
    }

    pub(super) const fn face(&self) -> &Router {
        &self.face
    }

    /// The entries, the oldest first.
    pub(super) fn entries(&self) -> Vec<Value> {
        let path = self.folder.path().join(sg_audit::FILE);
        let query = HistoryQuery { limit: Some(1_000), ..HistoryQuery::default() };
        let page = read(&path, &query).unwrap();
        page.items.iter().rev().map(|entry| serde_json::to_value(entry).unwrap()).collect()
    }
}

/// Changes in the kernel, which have no dry run.
const IN_KERNEL: [&str; 7] = [
    "post_flows_delete",
    "post_pending_confirm",
    "post_pending_cancel",
    "post_pending_extend",
    "post_candidate",
    "post_candidate_promote",
    "post_candidate_drop",
];

#[tokio::test]
async fn every_change_has_one_entry_and_no_query_has_any() {
    let recorded = Recorded::new(Caller::Socket);
    let document = serde_json::to_value(document()).unwrap();
    let changes = table().changes();
    let mut before = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let target = path.split('/').map(|part| if part.starts_with('{') { "nothing" } else { part });
        let target = target.collect::<Vec<_>>().join("/");
        for (method, described) in methods.as_object().unwrap() {
            let operation = described["operationId"].as_str().unwrap();
            let is_change = changes.contains(&operation.to_owned());
            let has_trial = described.to_string().contains("\"dry_run\"");
            assert_eq!(is_change, has_trial || IN_KERNEL.contains(&operation), "{operation}");
            for query in ["", "?dry_run=true"] {
                let method: Method = method.to_uppercase().parse().unwrap();
                let (status, response) =
                    ask(&recorded.face, method, &format!("{target}{query}"), json!({})).await;
                let entries = recorded.entries();
                let new = &entries[before..];
                before = entries.len();
                let wanted = usize::from(is_change && query.is_empty());
                assert_eq!(new.len(), wanted, "{operation}{query}: {status} {response} {new:?}");
                let Some(entry) = new.first() else { continue };
                assert_eq!(entry["operation"], operation);
                assert_eq!((&entry["who"]["uid"], &entry["from"]), (&json!(0), &json!("socket")));
                let is_done = entry["outcome"] == "done";
                assert_eq!(is_done, status == 200, "{operation}: {status} {response} {entry}");
                if !is_done {
                    assert_eq!(entry["code"], response["error"]["code"], "{operation}");
                    assert_eq!(entry["message"], response["error"]["message"], "{operation}");
                }
            }
        }
    }
    assert!(before > 20, "{before}");
}

#[tokio::test]
async fn objects_are_there_before_and_after() {
    let recorded = Recorded::new(Caller::Socket);
    let face = &recorded.face;
    ask(face, Method::POST, "/v1/vpcs", json!({"name": "net"})).await;
    let (_, group) = ask(face, Method::POST, "/v1/groups", json!({"name": "web", "vpc": "net"})).await;
    let rules =
        json!({"direction": "ingress", "rules": [{"protocol": "tcp", "ports": "22", "remote": "any"}]});
    let (_, rules) = ask(face, Method::POST, "/v1/groups/web/rules", rules).await;
    let rule = format!("/v1/rules/{}", rules[0]["id"].as_str().unwrap());
    let (status, response) = ask(face, Method::PATCH, &rule, json!({"ports": "23"})).await;
    assert_eq!(status, 200, "{response}");
    ask(face, Method::DELETE, "/v1/groups/web", json!({})).await;
    ask(face, Method::PATCH, "/v1/quotas", json!({"tags": 7})).await;
    let entries = recorded.entries();
    let object = |entry: usize, place: usize| &entries[entry]["objects"][place];
    assert_eq!(object(1, 0)["change"], "created");
    assert_eq!((&object(1, 0)["id"], &object(1, 0)["name"]), (&group["id"], &json!("web")));
    assert_eq!(object(2, 0)["after"]["group"], group["id"]);
    assert_eq!(entries[2]["objects"].as_array().unwrap().len(), 1, "not the serial number: {}", entries[2]);
    let changed = object(3, 0);
    assert_eq!(changed["change"], "modified");
    let ports = |side: &str| changed[side]["spec"]["ports"].clone();
    assert_eq!((ports("before"), ports("after")), (json!("22"), json!("23")));
    assert_eq!(changed["before"].as_object().unwrap().len(), 3, "spec, group, direction: {changed}");
    let kinds: Vec<&Value> =
        entries[4]["objects"].as_array().unwrap().iter().map(|object| &object["kind"]).collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert_eq!(entries[4]["target"], "web");
    assert_eq!(object(4, 0)["change"], "deleted");
    assert_eq!(
        (&object(5, 0)["before"], &object(5, 0)["after"]),
        (&json!({"tags": 20}), &json!({"tags": 7}))
    );
}

#[tokio::test]
async fn who_is_refused_is_recorded_without_what_it_sent() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let recorded = Recorded::new(Caller::AccessKey);
    let viewer = CreateAccessKey { role: KeyRole::Viewer, ..CreateAccessKey::default() };
    let key = recorded.service.submit(viewer).await.unwrap();
    let with = |credentials: &str, path: &str| {
        let mut request = request(Method::POST, path, Body::from("{}"));
        let header = format!("Basic {}", STANDARD.encode(credentials)).parse().unwrap();
        request.headers_mut().insert("authorization", header);
        request
    };
    let right = format!("{}:{}", key.id, key.secret);
    let (status, response) = send(&recorded.face, with(&right, "/v1/vpcs")).await;
    assert_eq!((status, code(&response)), (403, "forbidden"));
    assert_eq!(send(&recorded.face, with(&format!("{}:guessed", key.id), "/v1/vpcs")).await.0, 401);
    assert_eq!(send(&recorded.face, with("my-secret:guessed", "/v1/vpcs")).await.0, 401);
    let mut strange = with("my-secret:guessed", "/v1/groups/my-secret");
    *strange.method_mut() = "MY-SECRET".parse().unwrap();
    assert_eq!(send(&recorded.face, strange).await.0, 401);
    let entries = recorded.entries();
    let text = Value::from(entries.clone()).to_string();
    assert!(!text.contains(&key.secret) && !text.contains("guessed"), "{text}");
    assert!(!text.to_lowercase().contains("my-secret") && !text.contains("my_secret"), "{text}");
    let [refused, claimed, unknown, strange] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((&refused["who"], &refused["code"]), (&json!({"access_key": key.id}), &json!("forbidden")));
    assert_eq!((&claimed["who"], &claimed["code"]), (&json!({"claimed": key.id}), &json!("unauthenticated")));
    assert_eq!((&unknown["who"], &unknown["operation"]), (&json!({}), &json!("post_vpcs")));
    assert_eq!(strange["operation"], "unknown");
}

#[tokio::test]
async fn a_key_that_may_not_pushes_nothing_out() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let recorded = Recorded::new(Caller::AccessKey);
    let viewer = CreateAccessKey { role: KeyRole::Viewer, ..CreateAccessKey::default() };
    let key = recorded.service.submit(viewer).await.unwrap();
    let header = format!("Basic {}", STANDARD.encode(format!("{}:{}", key.id, key.secret)));
    for number in 0..70 {
        // Neither does a path that is no text.
        let (method, path) =
            if number % 2 == 0 { (Method::POST, "/v1/vpcs") } else { (Method::DELETE, "/v1/groups/%ff") };
        let mut request = request(method, path, Body::from("{}"));
        request.headers_mut().insert("authorization", header.parse().unwrap());
        assert_eq!(send(&recorded.face, request).await.0, 403);
    }
    let entries = recorded.entries();
    assert_eq!(entries.len(), 60);
    assert!(entries.iter().all(|entry| entry["code"] == "forbidden"), "{entries:?}");
    assert!(entries[0]["message"].as_str().unwrap().contains("the role editor"), "{}", entries[0]);
}

/// Flows that are gone are gone, whatever happens to the others.
#[test]
fn a_change_that_fails_on_the_way_is_recorded_as_done_in_part() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(sg_audit::FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let change = || {
        let entry = Entry::new(Api::Native, "post_flows_delete", Who::process(0, 0, None), "socket");
        PendingChange::new(&thread.trail(), entry)
    };
    let (question, source) = (json!({"nic": "eth0"}), || KernelError::NoPrograms);
    let whole: Failed = InspectError::Flows { pins: "/p".into(), source: source() }.into();
    touched(&change(), &question, Err(&whole));
    let part = InspectError::Partly { deleted: 7, pins: "/p".into(), source: source() };
    touched(&change(), &question, Err(&part.into()));
    let done = Object::new("flows", "9".to_owned(), String::new(), [Some(question.clone()), None], &[]);
    touched(&change(), &question, Ok(done));
    thread.end();
    let page = read(&path, &HistoryQuery::default()).unwrap();
    let [done, part] = &page.items[..] else { panic!("the first has changed nothing: {page:?}") };
    assert_eq!((done.outcome, done.objects[0].id.as_str()), (Outcome::Done, "9"));
    assert_eq!((part.outcome, part.objects[0].id.as_str()), (Outcome::Partly, "7"));
    assert_eq!((part.code.as_deref(), &part.objects[0].before), (Some("kernel"), &Some(question)));
    assert!(part.message.as_ref().unwrap().starts_with("7 flows were deleted"), "{part:?}");
}

#[tokio::test]
async fn no_secret_gets_into_it() {
    let recorded = Recorded::new(Caller::Socket);
    let (_, key) = ask(&recorded.face, Method::POST, "/v1/access-keys", json!({"role": "editor"})).await;
    let mut once = request(Method::POST, "/v1/access-keys", Body::from("{}"));
    once.headers_mut().insert("idempotency-key", "token-of-mine".parse().unwrap());
    let (_, second) = send(&recorded.face, once).await;
    let text = Value::from(recorded.entries()).to_string();
    for key in [&key, &second] {
        assert!(!text.contains(key["secret"].as_str().unwrap()), "{text}");
        assert!(text.contains(key["id"].as_str().unwrap()), "{text}");
    }
    assert!(!text.contains("token-of-mine") && text.contains("\"editor\""), "{text}");
}

#[tokio::test]
async fn the_history_is_read_by_admins() {
    let recorded = Recorded::new(Caller::Socket);
    for name in ["net", "net2", "net"] {
        ask(&recorded.face, Method::POST, "/v1/vpcs", json!({"name": name})).await;
    }
    let get = |query: &str| {
        let path = format!("/v1/history{query}");
        let face = recorded.face.clone();
        async move { ask(&face, Method::GET, &path, json!({})).await }
    };
    let (status, page) = get("?object=net2&limit=1").await;
    assert_eq!((status, &page["items"][0]["sequence"]), (200, &json!(2)), "{page}");
    let (_, page) = get("?limit=2").await;
    assert_eq!((&page["items"][0]["sequence"], &page["next"]), (&json!(3), &json!(2)));
    for (wrong, named) in
        [("?limit=0", "1 to 1000"), ("?outcome=maybe", "maybe"), ("?since=today", "since"), ("?x=1", "\"x\"")]
    {
        let (status, response) = get(wrong).await;
        assert_eq!((status, code(&response)), (400, "malformed"), "{wrong}");
        let _ = named;
    }
    let (_, status) = ask(&recorded.face, Method::GET, "/v1/status", json!({})).await;
    assert_eq!(status["audit"]["lost"], 0, "{status}");
}
