//! Address groups and quotas of v3.

use axum::http::Method;
use serde_json::{Value, json};

use super::{face, get, send};

const LISTS: &str = "/v3/{project_id}/vpc/address-groups";
const GROUPS: &str = "/v3/{project_id}/vpc/security-groups";
const RULES: &str = "/v3/{project_id}/vpc/security-group-rules";

#[tokio::test]
async fn an_address_group_lives_until_it_is_deleted_by_force() {
    let face = face();
    let body = json!({ "address_group": { "name": "office", "ip_version": 4, "ip_set": ["10.0.0.1", "10.1.0.0/16", "10.2.0.1-10.2.0.9"] } });
    let reply = send(&face, Method::POST, LISTS, &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let list = reply.json()["address_group"].take();
    assert_eq!(list["ip_set"], json!(["10.0.0.1", "10.1.0.0/16", "10.2.0.1-10.2.0.9"]));
    assert_eq!(
        (&list["max_capacity"], &list["status"], &list["ip_version"]),
        (&json!(20), &json!("NORMAL"), &json!(4))
    );
    let id = list["id"].as_str().unwrap();
    let change = json!({ "address_group": { "ip_extra_set": [{ "ip": "10.3.0.0/16", "remarks": "the lab" }], "max_capacity": 2 } });
    let reply = send(&face, Method::PUT, &format!("{LISTS}/{id}"), &change).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        reply.json()["address_group"]["ip_extra_set"],
        json!([{ "ip": "10.3.0.0/16", "remarks": "the lab" }])
    );
    for (change, code) in [
        (json!({ "ip_set": ["10.0.0.1", "10.0.0.2", "10.0.0.3"] }), (409, "VPC.9905")),
        (json!({ "ip_set": ["10.0.0.1", "10.0.0.1"] }), (400, "VPC.9901")),
        (json!({ "ip_set": ["10.0.0"] }), (400, "VPC.9901")),
        (json!({ "ip_set": ["2001:db8::1"] }), (400, "VPC.9901")),
        (json!({ "ip_set": [], "ip_extra_set": [] }), (400, "VPC.9901")),
        (json!({ "max_capacity": -1 }), (400, "VPC.9901")),
    ] {
        let reply =
            send(&face, Method::PUT, &format!("{LISTS}/{id}"), &json!({ "address_group": change })).await;
        assert_eq!(reply.refusal(), (code.0, code.1.to_owned()), "{change}: {reply:?}");
    }
    let group =
        send(&face, Method::POST, GROUPS, &json!({ "security_group": { "name": "web" } })).await.json();
    let group = group["security_group"]["id"].as_str().unwrap().to_owned();
    let rule = json!({ "security_group_rule": { "security_group_id": group, "direction": "ingress", "remote_address_group_id": id } });
    let reply = send(&face, Method::POST, RULES, &rule).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let rule = reply.json()["security_group_rule"]["id"].as_str().unwrap().to_owned();
    let depending =
        get(&face, &format!("/v3/{{project_id}}/vpc/list-address-groups-dependency?id={id}")).await.json();
    let dependency = json!([{ "type": "security_group", "instance_id": group, "instance_name": "web" }]);
    assert_eq!(depending["address_groups"][0]["dependency"], dependency);
    let reply = send(&face, Method::DELETE, &format!("{LISTS}/{id}"), &Value::Null).await;
    assert_eq!(reply.refusal(), (409, "VPC.9907".to_owned()));
    assert_eq!(send(&face, Method::DELETE, &format!("{LISTS}/{id}/force"), &Value::Null).await.status, 204);
    assert_eq!(get(&face, &format!("{RULES}/{rule}")).await.status, 404, "the rule goes, too");
    assert_eq!(get(&face, &format!("{LISTS}/{id}")).await.refusal(), (404, "VPC.9904".to_owned()));
}

#[tokio::test]
async fn quotas_are_those_of_the_domain() {
    let quota = get(&face(), "/v3/{project_id}/vpc/quotas").await.json()["quota"].take();
    assert_eq!((&quota["eni_contain_secgroup"], &quota["security_group"]), (&json!(100), &json!(100)));
}
