//! Lines of the access log: which operation a request was, whatever became of it.

use std::{convert::Infallible, fs, time::Duration};

use axum::{body::Body, http::Method};
use bytes::Bytes;
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use sg_audit::{AccessThread, ROTATION};
use sg_inspect::last_hits::LastHits;
use tempfile::TempDir;
use tokio::{task::spawn_blocking, time::timeout};
use tower::ServiceExt as _;

use super::{Caller, Instance, Native, Recording, ask, request, router, send, service};

#[tokio::test]
async fn an_operation_is_that_of_a_route_or_unknown() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("access.jsonl");
    let thread = AccessThread::spawn(path.clone(), ROTATION).unwrap();
    let instance = Instance::new("native-test").unwrap();
    let face = router(Native {
        service: Some(service()),
        hits: LastHits::of_nothing(&instance),
        instance,
        region: "local".into(),
        observed: std::sync::Arc::default(),
        places: std::sync::Arc::default(),
        caller: Caller::Socket,
        attempts: std::sync::Arc::default(),
        control: None,
        documents: None,
        recording: Recording { access: thread.log(), ..Recording::default() },
    });
    ask(&face, Method::GET, "/v1/groups", json!({})).await;
    send(&face, request(Method::HEAD, "/v1/groups", Body::empty())).await;
    ask(&face, Method::PUT, "/v1/groups", json!({})).await;
    ask(&face, "SHOW".parse().unwrap(), "/v1/groups", json!({})).await;
    ask(&face, Method::GET, "/v1/nothing", json!({})).await;
    ask(&face, Method::GET, "/v1/openapi.json", json!({})).await;
    // The client goes away in the middle of its body.
    let (_sender, body) = Channel::<Bytes, Infallible>::new(1);
    let gone = face.clone().oneshot(request(Method::POST, "/v1/vpcs", Body::new(body)));
    assert!(timeout(Duration::from_millis(50), gone).await.is_err());
    spawn_blocking(move || thread.end()).await.unwrap();

    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line["operation"].as_str().unwrap(), line["status"].as_u64().unwrap(), line["uid"] == 0))
        .collect();
    let wanted = [
        ("get_groups", 200, true),
        ("get_groups", 200, true),
        ("unknown", 405, true),
        ("unknown", 405, true),
        ("unknown", 404, true),
        ("get_openapi.json", 200, true),
        ("post_vpcs", 499, true),
    ];
    assert_eq!(seen, wanted);
}
