//! Rules of v3.

use axum::{Router, http::Method};
use serde_json::{Value, json};

use super::{face, get, send};

const GROUPS: &str = "/v3/{project_id}/vpc/security-groups";
const RULES: &str = "/v3/{project_id}/vpc/security-group-rules";

async fn group(face: &Router, name: &str) -> String {
    let body = json!({ "security_group": { "name": name } });
    let reply = send(face, Method::POST, GROUPS, &body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["security_group"]["id"].as_str().unwrap().to_owned()
}

/// A rule of the group `group`, with `fields` in place of its own.
fn rule(group: &str, fields: &Value) -> Value {
    let mut rule = json!({ "security_group_id": group, "direction": "ingress" });
    for (name, value) in fields.as_object().unwrap() {
        rule[name] = value.clone();
    }
    json!({ "security_group_rule": rule })
}

#[tokio::test]
async fn a_rule_has_every_field() {
    let face = face();
    let group = group(&face, "web").await;
    let fields = json!({ "protocol": "tcp", "multiport": "22,80-90", "remote_ip_prefix": "10.0.0.0/8", "action": "deny", "enabled": false });
    let reply = send(&face, Method::POST, RULES, &rule(&group, &fields)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let made = reply.json()["security_group_rule"].take();
    let wanted = json!({
        "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
        "multiport": "22,80-90", "remote_ip_prefix": "10.0.0.0/8", "remote_group_id": null,
        "remote_address_group_id": null, "action": "deny", "priority": 100, "enabled": false, "description": "",
    });
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(made[name], *value, "{name}");
    }
    let id = made["id"].as_str().unwrap();
    assert_eq!(get(&face, &format!("{RULES}/{id}")).await.json()["security_group_rule"], made);
    assert_eq!(send(&face, Method::DELETE, &format!("{RULES}/{id}"), &Value::Null).await.status, 204);
    assert_eq!(get(&face, &format!("{RULES}/{id}")).await.refusal(), (404, "VPC.9904".to_owned()));
}

#[tokio::test]
async fn each_refusal_has_its_code() {
    let face = face();
    let group = group(&face, "web").await;
    let nobody = "11111111-1111-4111-8111-111111111111";
    let first = json!({ "protocol": "tcp", "multiport": "22" });
    assert_eq!(send(&face, Method::POST, RULES, &rule(&group, &first)).await.status, 201);
    for (fields, status, code, said) in [
        (json!({ "ethertype": "ARP" }), 400, "VPC.9902", "Allowed values are [IPv4, IPv6]"),
        (json!({ "direction": "in" }), 400, "VPC.9902", "security_group_rule.direction"),
        (json!({ "protocol": "tcpp" }), 400, "VPC.9902", "security_group_rule.protocol"),
        (json!({ "protocol": "tcp", "multiport": "0" }), 400, "VPC.9902", "security_group_rule.multiport"),
        (
            json!({ "protocol": "tcp", "multiport": "90-80" }),
            400,
            "VPC.9902",
            "security_group_rule.multiport",
        ),
        (json!({ "protocol": "tcp", "multiport": true }), 400, "VPC.9902", "security_group_rule.multiport"),
        (json!({ "multiport": "22" }), 400, "VPC.9902", "port"),
        (json!({ "priority": 0 }), 400, "VPC.9902", "security_group_rule.priority"),
        (json!({ "priority": "101" }), 400, "VPC.9902", "security_group_rule.priority"),
        (json!({ "action": "accept" }), 400, "VPC.9902", "security_group_rule.action"),
        (json!({ "description": "<" }), 400, "VPC.9902", "security_group_rule.description"),
        (json!({ "remote_ip_prefix": "10" }), 400, "VPC.9902", "security_group_rule.remote_ip_prefix"),
        (json!({ "remote_ip_prefix": "2001:db8::/32" }), 400, "VPC.9902", "famil"),
        (json!({ "remote_ip_prefix": "10.0.0.1", "remote_group_id": group }), 400, "VPC.9902", "one remote"),
        (json!({ "remote_group_id": nobody }), 404, "VPC.9904", nobody),
        (json!({ "remote_address_group_id": nobody }), 404, "VPC.9904", nobody),
        (json!({ "security_group_id": nobody }), 404, "VPC.9904", nobody),
        (first.clone(), 409, "VPC.9902", "Security group rule already exists. Rule id is "),
        (
            json!({ "protocol": "6", "multiport": 22, "action": "deny", "priority": 3 }),
            409,
            "VPC.9902",
            "already exists",
        ),
    ] {
        for dry_run in [true, false] {
            let mut body = rule(&group, &fields);
            body["dry_run"] = dry_run.into();
            let reply = send(&face, Method::POST, RULES, &body).await;
            assert_eq!(reply.refusal(), (status, code.to_owned()), "{fields}: {reply:?}");
            assert!(reply.text.contains(said), "{fields}: {reply:?}");
            assert!(!reply.text.contains("sgr-") && !reply.text.contains("sg-"), "{reply:?}");
        }
    }
    let other = json!({ "protocol": "tcp", "multiport": "22", "ethertype": "IPv6" });
    let mut tried = rule(&group, &other);
    tried["dry_run"] = true.into();
    assert_eq!(send(&face, Method::POST, RULES, &tried).await.status, 202);
    assert_eq!(send(&face, Method::POST, RULES, &rule(&group, &other)).await.status, 201);
}

#[tokio::test]
async fn a_batch_is_all_or_nothing() {
    let face = face();
    let group = group(&face, "web").await;
    let target = format!("{GROUPS}/{group}/security-group-rules/batch-create");
    let batch = |rules: Value| json!({ "security_group_rules": rules });
    let count = async || {
        get(&face, &format!("{RULES}?security_group_id={group}")).await.json()["page_info"]["current_count"]
            .take()
    };
    let before = count().await.as_u64().unwrap();
    let http = json!({ "direction": "ingress", "protocol": "tcp", "multiport": "80" });
    let out = json!({ "direction": "egress", "protocol": "udp", "multiport": "53" });
    let reply = send(
        &face,
        Method::POST,
        &target,
        &batch(json!([http, out, { "direction": "ingress", "protocol": "x" }])),
    )
    .await;
    assert_eq!(reply.refusal(), (400, "VPC.9902".to_owned()));
    assert!(reply.text.contains("security_group_rules[2].protocol"), "{reply:?}");
    assert_eq!(count().await, before);
    let made = send(&face, Method::POST, &target, &batch(json!([http, out]))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let rules = made.json()["security_group_rules"].take();
    assert_eq!((&rules[0]["priority"], &rules[0]["direction"]), (&json!(1), &json!("ingress")));
    assert_eq!((&rules[1]["priority"], &rules[1]["direction"]), (&json!(1), &json!("egress")));
    let ssh = json!({ "direction": "ingress", "protocol": "tcp", "multiport": "22" });
    let mut again = batch(json!([http, ssh, ssh]));
    assert_eq!(send(&face, Method::POST, &target, &again).await.refusal(), (409, "VPC.9902".to_owned()));
    again["ignore_duplicate"] = true.into();
    let made = send(&face, Method::POST, &target, &again).await;
    assert_eq!(made.status, 201, "{made:?}");
    let rules = made.json()["security_group_rules"].take();
    assert_eq!(rules.as_array().unwrap().len(), 1, "what is there is left out: {rules}");
    assert_eq!(rules[0]["multiport"], "22");
    assert_eq!(count().await, before + 3);
    // What does something else is not left out: the template lets everything out.
    let mut shut =
        batch(json!([{ "direction": "egress", "ethertype": "IPv4", "action": "deny", "priority": 1 }]));
    let mut twice = batch(json!([
        { "direction": "ingress", "protocol": "tcp", "multiport": "99" },
        { "direction": "ingress", "protocol": "tcp", "multiport": "99", "action": "deny" },
    ]));
    for body in [&mut shut, &mut twice] {
        body["ignore_duplicate"] = true.into();
        let refused = send(&face, Method::POST, &target, body).await;
        assert_eq!(refused.status, 409, "{refused:?}");
    }
    assert_eq!(count().await, before + 3);
}

#[tokio::test]
async fn filters_of_several_values_and_pages() {
    let face = face();
    let group = group(&face, "web").await;
    for (port, priority) in [(1, 2), (2, 9), (3, 10), (4, 100)] {
        let fields = json!({ "protocol": "tcp", "multiport": port, "priority": priority, "remote_ip_prefix": "10.1.0.0/16" });
        assert_eq!(send(&face, Method::POST, RULES, &rule(&group, &fields)).await.status, 201);
    }
    let ports = async |query: &str| -> Vec<String> {
        let list = get(&face, &format!("{RULES}?protocol=tcp&{query}")).await.json();
        let rules = list["security_group_rules"].as_array().unwrap();
        let mut ports: Vec<String> =
            rules.iter().map(|rule| rule["multiport"].as_str().unwrap().to_owned()).collect();
        ports.sort_unstable();
        ports
    };
    assert_eq!(ports("priority=2&priority=10").await, ["1", "3"]);
    assert_eq!(ports("priority=2&priority=10&priority=100&action=allow&enabled=true").await, ["1", "3", "4"]);
    assert!(ports("priority=2&action=deny").await.is_empty());
    assert_eq!(ports("remote_ip_prefix=10.1.0.0%2F16&ethertype=ipv4&direction=ingress").await.len(), 4);
    assert!(ports("direction=egress").await.is_empty());
    let mut seen = Vec::new();
    let mut marker = String::new();
    for _ in 0..2 {
        let list = get(&face, &format!("{RULES}?protocol=tcp&limit=2&marker={marker}")).await.json();
        let ids = list["security_group_rules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|rule| rule["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        let info = &list["page_info"];
        assert_eq!(info["current_count"], 2);
        assert_eq!(info["previous_marker"], seen[seen.len() - 2]);
        if seen.len() == 2 {
            assert_eq!(info["next_marker"], seen[1]);
            marker.clone_from(&seen[1]);
        } else {
            assert_eq!(info.get("next_marker"), None);
        }
    }
    assert!(seen.is_sorted() && seen.len() == 4);
}

/// What a client reads as accepting does accept.
#[tokio::test]
async fn versions_without_actions_show_only_what_accepts() {
    let face = face();
    let group = group(&face, "web").await;
    let mut made = Vec::new();
    for fields in
        [json!({}), json!({ "action": "deny" }), json!({ "action": "reject" }), json!({ "enabled": false })]
    {
        let mut fields = fields;
        fields["protocol"] = "tcp".into();
        fields["multiport"] = (made.len() + 1).into();
        let reply = send(&face, Method::POST, RULES, &rule(&group, &fields)).await;
        made.push(reply.json()["security_group_rule"]["id"].as_str().unwrap().to_owned());
    }
    for version in ["/v1/{project_id}", "/v2.0"] {
        let list = get(&face, &format!("{version}/security-group-rules?security_group_id={group}")).await;
        let whole = get(&face, &format!("{version}/security-groups/{group}")).await;
        for (number, id) in made.iter().enumerate() {
            let one = get(&face, &format!("{version}/security-group-rules/{id}")).await;
            assert_eq!(one.status, if number == 0 { 200 } else { 404 }, "{one:?}");
            assert_eq!(list.text.contains(id), number == 0, "{list:?}");
            assert_eq!(whole.text.contains(id), number == 0, "{whole:?}");
        }
    }
    let target = format!("/v2.0/security-group-rules/{}", made[1]);
    assert_eq!(send(&face, Method::DELETE, &target, &Value::Null).await.status, 204);
}

#[tokio::test]
async fn filters_compare_what_is_meant_and_not_how_it_is_written() {
    let face = face();
    let group = group(&face, "web").await;
    let reply = send(&face, Method::POST, RULES, &rule(&group, &json!({ "priority": 7 }))).await;
    let id = reply.json()["security_group_rule"]["id"].as_str().unwrap().to_uppercase();
    for query in [format!("id={id}"), format!("security_group_id={}&priority=007", group.to_uppercase())] {
        let list = get(&face, &format!("{RULES}?{query}")).await.json();
        assert_eq!(list["page_info"]["current_count"], 1, "{query}");
    }
    let list = get(&face, &format!("/v2.0/security-groups?id={}", group.to_uppercase())).await.json();
    assert_eq!(list["security_groups"].as_array().map(Vec::len), Some(1), "{list}");
}
