//! What is recorded of requests: each change in the audit trail, whatever came of it, and no query; nothing that a stranger sent.

use axum::{
    body::Body,
    http::{Method, Request},
};
use serde_json::{Value, json};
use sg_audit::{HistoryQuery, ROTATION, TrailThread, read};
use sg_records::KeyRole;
use tempfile::TempDir;

use super::{KEY, ask, get, huawei_with, router, send, sign, unsigned};
use crate::recording::Recording;

const GROUPS: &str = "/v3/{project_id}/vpc/security-groups";

#[tokio::test]
async fn changes_are_recorded_and_queries_are_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(sg_audit::FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    let mut huawei = huawei_with(KeyRole::Editor);
    huawei.recording = Recording { trail: thread.trail(), ..Recording::default() };
    let face = router(huawei);
    let group = json!({ "security_group": { "name": "web" } });
    let made = send(&face, Method::POST, GROUPS, &group).await;
    get(&face, GROUPS).await;
    get(&face, &format!("{GROUPS}?colour=red")).await;
    let tried = json!({ "security_group": { "name": "web" }, "dry_run": true });
    send(&face, Method::POST, GROUPS, &tried).await;
    let nobody = "11111111-1111-4111-8111-111111111111";
    send(&face, Method::DELETE, &format!("{GROUPS}/{nobody}"), &Value::Null).await;
    send(&face, Method::POST, GROUPS, &json!({ "security_group": { "name": "in://valid" } })).await;
    // A wrong signature, an unknown key, and a wrong password.
    let mut wrong = sign(unsigned(Method::POST, GROUPS, "{\"hush\":1}")).await;
    *wrong.body_mut() = Body::from("{\"hush\":2}");
    ask(&face, wrong).await;
    let mut stranger = sign(unsigned(Method::POST, GROUPS, "{\"hush\":1}")).await;
    let header = stranger.headers()["authorization"].to_str().unwrap().replace(KEY.0, "hush");
    stranger.headers_mut().insert("authorization", header.parse().unwrap());
    ask(&face, stranger).await;
    let user = json!({ "name": KEY.0, "password": "hush" });
    let auth = json!({ "auth": { "identity": { "methods": ["password"], "password": { "user": user } } } });
    let request = Request::post("/v3/auth/tokens").header("content-type", "application/json");
    ask(&face, request.body(Body::from(auth.to_string())).unwrap()).await;

    let page = read(&path, &HistoryQuery::default()).unwrap();
    let entries: Vec<Value> =
        page.items.iter().rev().map(|entry| serde_json::to_value(entry).unwrap()).collect();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| {
            (entry["operation"].as_str().unwrap(), entry["outcome"].as_str().unwrap(), entry["code"].clone())
        })
        .collect();
    let refused = |operation, code: &str| (operation, "refused", Value::from(code));
    assert_eq!(
        seen,
        [
            ("CreateSecurityGroup", "done", Value::Null),
            refused("DeleteSecurityGroup", "VPC.9904"),
            refused("CreateSecurityGroup", "VPC.9901"),
            refused("CreateSecurityGroup", "APIGW.0301"),
            refused("CreateSecurityGroup", "APIGW.0301"),
            refused("KeystoneCreateUserTokenByPassword", "Unauthorized"),
        ]
    );
    assert_eq!((&entries[0]["who"], &entries[0]["api"]), (&json!({"access_key": KEY.0}), &json!("huawei")));
    assert_eq!(entries[0]["request"], made.headers["x-request-id"].to_str().unwrap());
    let claimed = json!({"claimed": KEY.0});
    assert_eq!(
        (&entries[3]["who"], &entries[4]["who"], &entries[5]["who"]),
        (&claimed, &json!({}), &claimed)
    );
    let text = Value::from(entries).to_string();
    assert!(!text.to_lowercase().contains("hush") && !text.contains(KEY.1), "{text}");
}

/// A change that the router refuses before its handler is a change, too. An object in the path is its target, in every version.
#[tokio::test]
async fn changes_that_never_reach_their_handlers_are_recorded() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(sg_audit::FILE);
    let thread = TrailThread::spawn(path.clone(), ROTATION).unwrap();
    for role in [KeyRole::Editor, KeyRole::Viewer] {
        let mut huawei = huawei_with(role);
        huawei.recording = Recording { trail: thread.trail(), ..Recording::default() };
        let face = router(huawei);
        let group = sg_records::GroupId::from("sg-23456789abcdefghi");
        let shown = sg_records::uuid_of(&group);
        let elsewhere = GROUPS.replace("{project_id}", "0123456789abcdef0123456789abcdef");
        let wanted = json!({ "security_group": { "name": "web" } });
        send(&face, Method::POST, &elsewhere, &wanted).await;
        // A query of the same kind is not recorded.
        assert_eq!(get(&face, &elsewhere).await.status, 400);
        ask(&face, sign(unsigned(Method::POST, GROUPS, "{\"a\":1,\"a\":2}")).await).await;
        let mut text = unsigned(Method::POST, GROUPS, "{}");
        text.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        ask(&face, sign(text).await).await;
        for target in [
            format!("/v1/{{project_id}}/security-groups/{shown}"),
            format!("/v2.0/security-groups/{shown}"),
            "/v2.0/security-groups/hush".to_owned(),
        ] {
            send(&face, Method::DELETE, &target, &Value::Null).await;
        }
        let page = read(&path, &HistoryQuery::default()).unwrap();
        let mut seen: Vec<(Option<String>, Option<String>)> =
            page.items.iter().take(6).map(|entry| (entry.code.clone(), entry.target.clone())).collect();
        seen.reverse();
        let code = |of_editor: &str, of_viewer: &str| {
            Some(if role == KeyRole::Editor { of_editor } else { of_viewer }.to_owned())
        };
        let target = Some(group.to_string());
        assert_eq!(
            seen,
            [
                (code("VPC.0007", "VPC.2201"), None),
                (code("APIGW.0201", "VPC.2201"), None),
                (code("APIGW.0201", "VPC.2201"), None),
                (code("VPC.0603", "VPC.2201"), target.clone()),
                (code("SecurityGroupNotFound", "PolicyNotAuthorized"), target),
                (code("SecurityGroupNotFound", "PolicyNotAuthorized"), None),
            ],
            "{role}"
        );
    }
}
