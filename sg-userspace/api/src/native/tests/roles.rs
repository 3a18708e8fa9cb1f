//! Roles of access keys: every route declares the one that it needs, and every key is refused what its role does not allow.

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use sg_records::KeyRole;
use sg_service::{CreateAccessKey, NewAccessKey, Service};

use super::{Caller, code, document, over, send, service, table};

/// The routes that only admins may use.
const ADMIN: [&str; 7] = [
    "delete_access_keys_key",
    "get_changes_change_text",
    "get_history",
    "post_flows_delete",
    "patch_quotas",
    "post_access_keys",
    "post_import",
];
/// Queries of those who may go back: they show who changed what.
const EDITOR: [&str; 2] = ["get_changes", "get_changes_change"];
/// Queries that carry their question in a body.
const QUESTIONS: [&str; 4] = ["post_check", "post_diff", "post_search", "post_tests"];

pub(super) async fn key(service: &Service, role: KeyRole) -> NewAccessKey {
    service.submit(CreateAccessKey { role, ..CreateAccessKey::default() }).await.unwrap()
}

pub(super) fn signed(key: &NewAccessKey, method: &str, path: &str) -> Request<Body> {
    let credentials = STANDARD.encode(format!("{}:{}", key.id, key.secret));
    let request = Request::builder().method(method.parse::<Method>().unwrap()).uri(path);
    let request = request.header("content-type", "application/json");
    request.header("authorization", format!("Basic {credentials}")).body(Body::from("{}")).unwrap()
}

async fn ask(face: &Router, key: &NewAccessKey, method: &str, path: &str) -> (u16, Value) {
    send(face, signed(key, method, path)).await
}

#[test]
fn every_route_declares_the_role_that_it_needs() {
    let declared = table().declared();
    assert!(declared.len() > 50, "{}", declared.len());
    for (operation, needs) in declared {
        let is_query = operation.starts_with("get_") || QUESTIONS.contains(&operation.as_str());
        let expected = match () {
            () if ADMIN.contains(&operation.as_str()) => KeyRole::Admin,
            () if EDITOR.contains(&operation.as_str()) => KeyRole::Editor,
            () if is_query => KeyRole::Viewer,
            () => KeyRole::Editor,
        };
        let needs = needs.unwrap_or_else(|| panic!("the route of {operation} declares no role"));
        assert_eq!(needs, expected, "{operation}: change the lists of this test if that is meant");
    }
}

/// Whatever the request: a role is checked before anything of it is read.
#[tokio::test]
async fn a_key_is_refused_what_its_role_does_not_allow() {
    let service = service();
    let face = over(&service, Caller::AccessKey);
    let mut keys = Vec::new();
    for role in KeyRole::ALL {
        keys.push((role, key(&service, role).await));
    }
    let document = serde_json::to_value(document()).unwrap();
    let needs: std::collections::BTreeMap<_, _> = table().declared().into_iter().collect();
    let mut refused = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let target = path.split('/').map(|part| if part.starts_with('{') { "nothing" } else { part });
        let target = target.collect::<Vec<_>>().join("/");
        for (method, described) in methods.as_object().unwrap() {
            let needed = needs[described["operationId"].as_str().unwrap()].unwrap();
            assert_eq!(described["description"], format!("Needs the role `{needed}` of an access key."));
            for (role, key) in &keys {
                let (status, response) = ask(&face, key, &method.to_uppercase(), &target).await;
                let is_refused = status == 403 && code(&response) == "forbidden";
                assert_eq!(is_refused, *role < needed, "{role}: {method} {path}: {status} {response}");
                if is_refused {
                    let message = response["error"]["message"].as_str().unwrap();
                    assert!(message.contains(&format!("the role {needed}")), "{message}");
                    assert_eq!(response["error"]["details"]["needed"], needed.name(), "{response}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 30, "{refused}");
}

#[tokio::test]
async fn a_key_is_an_admin_unless_another_role_is_said() {
    let service = service();
    let face = over(&service, Caller::AccessKey);
    let made = service.submit(CreateAccessKey::default()).await.unwrap();
    assert_eq!(made.role, KeyRole::Admin);
    let viewer = key(&service, KeyRole::Viewer).await;
    let (status, list) = ask(&face, &viewer, "GET", "/v1/access-keys").await;
    let roles: Vec<&Value> = list.as_array().unwrap().iter().map(|key| &key["role"]).collect();
    assert!(status == 200 && roles.contains(&&"viewer".into()) && roles.contains(&&"admin".into()), "{list}");
    // A dry run says what the change would do, and that is not for everybody either.
    assert_eq!(ask(&face, &viewer, "POST", "/v1/vpcs?dry_run=true").await.0, 403);
}
