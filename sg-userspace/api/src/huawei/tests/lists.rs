//! Lists: what a query may say of them, and what they cost.

use std::cell::Cell;

use axum::http::Method;
use serde_json::{Value, json};
use sg_records::Uuid;

use super::{READ, face, get, send};
use crate::huawei::paging::Part;

/// Every value is compared with every object, so there are not many.
#[tokio::test]
async fn a_query_has_a_bounded_number_of_values() {
    let face = face();
    let targets = [
        ("/v3/{project_id}/vpc/security-groups", "name"),
        ("/v3/{project_id}/ports", "private_ips"),
        ("/v1/{project_id}/ports", "fixed_ips"),
        ("/v2.0/security-group-rules", "remote_ip_prefix"),
        ("/v2.0/ports", "fields"),
    ];
    for (target, name) in targets {
        let target = target.replace("{project_id}", &super::project());
        let ask = async |count: usize| {
            let query = vec![format!("{name}=10.0.0.1"); count].join("&");
            get(&face, &format!("{target}?{query}")).await
        };
        assert_eq!(ask(100).await.status, 200, "{target}");
        for (count, said) in [(101, name), (201, "200 parameters at most")] {
            let reply = ask(count).await;
            assert!(reply.status == 400 && reply.text.contains(said), "{target} {count}: {reply:?}");
        }
    }
    for name in ["tags", "not-tags", "server_id"] {
        let ask = async |count: usize| {
            let values: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            let target = "/v1/{project_id}/cloudservers/detail".replace("{project_id}", &super::project());
            get(&face, &format!("{target}?{name}={}", values.join(","))).await
        };
        assert_eq!(ask(100).await.status, 200, "{name}");
        let reply = ask(101).await;
        assert!(reply.status == 400 && reply.text.contains(name), "{reply:?}");
    }
}

/// A thread of the runtime has other requests to serve.
#[tokio::test]
async fn lists_are_made_on_another_thread() {
    let face = face();
    for target in ["/v3/{project_id}/vpc/security-groups", "/v1/{project_id}/ports", "/v2.0/security-groups"]
    {
        READ.take();
        assert_eq!(get(&face, &format!("{target}?limit=1")).await.status, 200);
        assert!(!READ.take().contains("limit"), "{target}");
    }
}

/// What is not in a part is not made.
#[test]
fn a_part_shows_what_it_has_and_one_more() {
    let all: Vec<(Uuid, u64)> = (0..1000).map(|number| (Uuid::from_u128(number.into()), number)).collect();
    let shown = Cell::new(0);
    let odd = |number: &u64| -> Option<Value> {
        shown.set(shown.get() + 1);
        (number % 2 == 1).then(|| json!(number))
    };
    let part = Part::of(&all, 3, odd);
    assert!(part.more);
    assert_eq!(part.values(), [1, 3, 5]);
    assert_eq!(shown.get(), 8);
}

/// No response has all that there is, whatever the version and the limit.
#[tokio::test]
async fn a_response_has_at_most_2000_objects() {
    let face = face();
    let groups = "/v3/{project_id}/vpc/security-groups";
    let made =
        send(&face, Method::POST, groups, &json!({ "security_group": { "name": "web" } })).await.json();
    let group = made["security_group"]["id"].as_str().unwrap();
    let rule = |port: &u16| json!({ "direction": "ingress", "protocol": "tcp", "multiport": port });
    let target = format!("{groups}/{group}/security-group-rules/batch-create");
    let ports: Vec<u16> = (1..=2001).collect();
    for ports in ports.chunks(100) {
        let rules: Vec<Value> = ports.iter().map(rule).collect();
        let reply = send(&face, Method::POST, &target, &json!({ "security_group_rules": rules })).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    for list in ["/v1/{project_id}/security-group-rules", "/v2.0/security-group-rules"] {
        for query in ["", "&limit=2147483647"] {
            let part = get(&face, &format!("{list}?security_group_id={group}{query}")).await.json();
            let rules = part["security_group_rules"].as_array().unwrap();
            assert_eq!(rules.len(), 2000, "{list}{query}");
            let next = if list.starts_with("/v1") {
                let last = rules[1999]["id"].as_str().unwrap();
                format!("{list}?security_group_id={group}&marker={last}")
            } else {
                let links = part["security_group_rules_links"].as_array().unwrap();
                let next = links.iter().find(|link| link["rel"] == "next").unwrap()["href"].as_str().unwrap();
                next.strip_prefix("http://127.0.0.1:8751").unwrap().to_owned()
            };
            let rest = get(&face, &next).await.json();
            // With those that every group begins with.
            assert_eq!(rest["security_group_rules"].as_array().unwrap().len(), 5, "{next}");
        }
    }
}
