//! Changes that are to be confirmed: the parameter, the header of the response, and what others are told meanwhile.

use axum::{body::Body, http::Method};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use sg_records::KeyRole;
use sg_service::NewAccessKey;
use tower::ServiceExt as _;

use super::{
    Caller, Router, ask, code, document, over, request,
    roles::{key, signed},
    send, service,
};

/// The response, with the change that it says is to be confirmed.
async fn tried(face: &Router, method: Method, path: &str, body: Value) -> (u16, Value, Value) {
    let response = face.clone().oneshot(request(method, path, body.to_string())).await.unwrap();
    let status = response.status().as_u16();
    let header = response.headers().get("pending-change").cloned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let parsed = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(Value::Null);
    (status, parsed(&body), header.map_or(Value::Null, |header| parsed(header.as_bytes())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_names_itself_and_everybody_else_is_told_of_it() {
    let service = service();
    let face = over(&service, Caller::Socket);
    let by_key = over(&service, Caller::AccessKey);
    let (editor, viewer) = (key(&service, KeyRole::Editor).await, key(&service, KeyRole::Viewer).await);
    let (status, vpc, pending) =
        tried(&face, Method::POST, "/v1/vpcs?confirm=60", json!({"name": "net"})).await;
    assert_eq!((status, &pending["id"], &pending["owner"]), (200, &json!(1), &json!("uid 0")), "{vpc}");
    assert!(pending["deadline"].is_string(), "{pending}");
    let more = json!({"name": "more"});
    for path in ["/v1/vpcs", "/v1/vpcs?confirm=60", "/v1/access-keys"] {
        let body = if path.starts_with("/v1/vpcs") { more.clone() } else { json!({}) };
        let (status, refused, header) = tried(&face, Method::POST, path, body).await;
        assert_eq!((status, code(&refused), header), (409, "pending_confirmation", Value::Null), "{refused}");
        assert_eq!(refused["error"]["details"], pending);
    }
    assert_eq!(ask(&face, Method::GET, "/v1/vpcs", json!({})).await.1["total"], 1);
    assert_eq!(ask(&face, Method::POST, "/v1/vpcs?dry_run=true", more.clone()).await.0, 200);

    let settle = |how: &str, body: &str, key: &NewAccessKey| {
        let mut request = signed(key, "POST", &format!("/v1/pending/{how}"));
        *request.body_mut() = Body::from(body.to_owned());
        request
    };
    let (status, refused) = send(&by_key, settle("confirm", "{}", &viewer)).await;
    assert_eq!((status, code(&refused)), (403, "forbidden"));
    let (status, other) = send(&by_key, settle("confirm", r#"{"id":7}"#, &editor)).await;
    assert_eq!((status, code(&other)), (409, "other_pending"), "{other}");
    let (status, extended) = send(&by_key, settle("extend", r#"{"seconds":600}"#, &editor)).await;
    assert_eq!((status, &extended["state"]), (200, &json!("pending")), "{extended}");
    let (status, cancelled) = send(&by_key, settle("cancel", r#"{"id":1}"#, &editor)).await;
    assert_eq!((status, &cancelled["state"]), (200, &json!("reverted")), "{cancelled}");
    assert_eq!(ask(&face, Method::GET, "/v1/vpcs", json!({})).await.1["total"], 0);
    let (status, late) = ask(&face, Method::POST, "/v1/pending/confirm", json!({"id": 1})).await;
    assert_eq!((status, code(&late)), (409, "reverted"), "{late}");
    let (status, nothing) = ask(&face, Method::POST, "/v1/pending/confirm", json!({})).await;
    assert_eq!((status, code(&nothing)), (409, "nothing_pending"), "{nothing}");

    // What changes nothing is no change.
    let (_, _, pending) = tried(&face, Method::POST, "/v1/vpcs", json!({"name": "net"})).await;
    assert_eq!(pending, Value::Null);
    let text = json!({"text": "groups: {}\n"});
    assert_eq!(ask(&face, Method::POST, "/v1/apply", text.clone()).await.0, 200);
    let (status, _, pending) = tried(&face, Method::POST, "/v1/apply?confirm=60", text).await;
    assert_eq!((status, pending), (200, Value::Null));
}

#[tokio::test]
async fn what_a_change_cannot_be_is_refused_by_name() {
    let face = over(&service(), Caller::Socket);
    for (path, words) in [
        ("/v1/vpcs?confirm=4", "confirm: 4 is not 5 to 86400 seconds"),
        ("/v1/vpcs?confirm=86401", "confirm: 86401 is not"),
        ("/v1/vpcs?confirm=1m", "confirm"),
        ("/v1/vpcs?confirm=", "confirm"),
        ("/v1/vpcs?confirm=60&dry_run=true", "leave out one of confirm and dry_run"),
        ("/v1/flows/delete?confirm=60", "the query has \"confirm\""),
        ("/v1/pending/cancel?confirm=60", "the query has \"confirm\""),
    ] {
        let (status, refused) = ask(&face, Method::POST, path, json!({"name": "net"})).await;
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(words), "{path}: {status} {refused}");
    }
    assert_eq!(ask(&face, Method::GET, "/v1/vpcs", json!({})).await.1["total"], 0);
}

#[test]
fn every_operation_that_is_tried_says_so() {
    let document = serde_json::to_value(document()).unwrap();
    let (mut tried, mut others) = (0, 0);
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            let names = |name: &str| {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                parameters.filter(|parameter| parameter["name"] == name).count()
            };
            let headers = &operation["responses"]["200"]["headers"];
            assert_eq!(names("confirm"), names("dry_run"), "{operation}");
            assert_eq!(headers["Pending-Change"].is_object(), names("confirm") == 1, "{operation}");
            if names("confirm") == 1 { tried += 1 } else { others += 1 }
        }
    }
    assert!(tried > 30 && others > 20, "{tried} {others}");
}
