//! Groups of v3.

use axum::http::Method;
use serde_json::{Value, json};

use super::{face, get, project, send};

const GROUPS: &str = "/v3/{project_id}/vpc/security-groups";

#[tokio::test]
async fn a_group_is_created_and_listed() {
    let face = face();
    let group = json!({ "security_group": { "name": "web", "description": "of the web", "tags": [{ "key": "k", "value": "v" }] } });
    let reply = send(&face, Method::POST, GROUPS, &group).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let created = reply.json();
    assert_eq!(created["request_id"], reply.headers["x-request-id"].to_str().unwrap());
    let group = &created["security_group"];
    assert_eq!(group["name"], "web");
    assert_eq!(group["project_id"], project());
    let rules = group["security_group_rules"].as_array().unwrap();
    let mut begins: Vec<_> = rules
        .iter()
        .map(|rule| {
            assert_eq!((&rule["priority"], &rule["action"]), (&json!(100), &json!("allow")));
            assert_eq!((&rule["protocol"], &rule["remote_ip_prefix"]), (&Value::Null, &Value::Null));
            let of_itself = rule["remote_group_id"] == group["id"];
            (rule["direction"].as_str().unwrap(), rule["ethertype"].as_str().unwrap(), of_itself)
        })
        .collect();
    begins.sort_unstable();
    let wanted = [
        ("egress", "IPv4", false),
        ("egress", "IPv6", false),
        ("ingress", "IPv4", true),
        ("ingress", "IPv6", true),
    ];
    assert_eq!(begins, wanted);
    let list = get(&face, &format!("{GROUPS}?name=web&name=other&limit=10")).await.json();
    let mut listed = group.clone();
    listed.as_object_mut().unwrap().remove("security_group_rules");
    assert_eq!(list["security_groups"], json!([listed]));
    assert_eq!(list["page_info"]["current_count"], 1);
    assert_eq!(list["page_info"].get("next_marker"), None);
    let none = get(&face, &format!("{GROUPS}?description=b")).await.json();
    assert_eq!(none["security_groups"], json!([]));
    assert_eq!(none["page_info"], json!({ "current_count": 0 }));
}

#[tokio::test]
async fn what_is_not_understood_is_refused_by_name() {
    let face = face();
    for (target, body, named) in [
        ("?colour=red", Value::Null, "colour"),
        ("?limit=a", Value::Null, "limit"),
        ("?limit=2001", Value::Null, "limit"),
        ("?limit=1&limit=2", Value::Null, "limit"),
        ("?marker=..%2F", Value::Null, "marker"),
        ("", json!({ "security_group": { "name": "a1", "colour": "red" } }), "security_group.colour"),
        ("", json!({ "security_group": { "name": 7 } }), "security_group.name"),
        ("", json!({ "security_group": {} }), "security_group.name"),
        ("", json!({ "dry_run": true }), "security_group"),
        ("", json!([1]), "the body"),
        (
            "",
            json!({ "security_group": { "name": "a1", "tags": [{ "key": "a" }, { "value": "b" }] } }),
            "security_group.tags[1].key",
        ),
        (
            "",
            json!({ "security_group": { "name": "a1", "enterprise_project_id": "x" } }),
            "security_group.enterprise_project_id",
        ),
    ] {
        let method = if body.is_null() { Method::GET } else { Method::POST };
        let reply = send(&face, method, &format!("{GROUPS}{target}"), &body).await;
        assert_eq!(reply.refusal(), (400, "VPC.9901".to_owned()), "{reply:?}");
        let message = reply.json()["error_msg"].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{message} does not name {named}");
    }
    assert_eq!(get(&face, GROUPS).await.json()["security_groups"], json!([]));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let face = face();
    let group = json!({ "dry_run": true, "security_group": { "name": "web" } });
    assert_eq!(send(&face, Method::POST, GROUPS, &group).await.status, 202);
    let group = json!({ "dry_run": true, "security_group": { "name": "in://valid" } });
    assert_eq!(send(&face, Method::POST, GROUPS, &group).await.refusal().0, 400);
    assert_eq!(get(&face, GROUPS).await.json()["security_groups"], json!([]));
}
