//! Searches, and tests of the policy: run, stored, asked of changes, skipped.

use axum::{Router, http::Method};
use serde_json::{Value, json};
use sg_service::{Apply, Service, policy};

use super::{
    ask, code,
    diff::{DOCUMENT, over, parsed, without_store},
    recorded::Recorded,
    service,
};

/// A store where the document is applied, in force.
async fn stored() -> (Service, Router) {
    let service = service();
    let apply: Apply = serde_json::from_value(json!({ "text": DOCUMENT })).unwrap();
    service.submit(apply).await.unwrap();
    let in_force = policy(&service.snapshot()).unwrap();
    let face = over(Some(service.clone()), Some(in_force), &std::sync::Arc::default());
    (service, face)
}

async fn search(face: &Router, query: &str, body: Value) -> (u16, Value) {
    ask(face, Method::POST, &format!("/v1/search{query}"), body).await
}

#[tokio::test]
async fn what_is_in_force_is_searched() {
    let (_, in_store) = stored().await;
    for face in [without_store(), in_store] {
        let outside = json!({"ports": "22", "not_remote": ["10.0.0.0/8"], "direction": "ingress"});
        let (status, found) = search(&face, "", outside).await;
        assert_eq!((status, &found["lines"], &found["undecided"]), (200, &json!([]), &json!([])), "{found}");
        let inside = json!({"group": "web", "ports": "22", "direction": "ingress", "family": 4});
        let (status, found) = search(&face, "?limit=1", inside.clone()).await;
        assert_eq!(status, 200, "{found}");
        let line = &found["lines"][0];
        assert_eq!(line["ports"], json!(["22"]), "{found}");
        assert_eq!((&line["verdict"], &line["protocols"]), (&json!("accept"), &json!(["6"])));
        let words = "to port 22 from 10.0.0.0/8 but 10.0.0.5: accept by rule ssh of group web";
        assert!(line["text"].as_str().unwrap().ends_with(words), "{line}");
        assert_eq!(line["sample"]["dport"], 22);
        assert_eq!(search(&face, "?limit=0", inside).await.1["left_out"], 1);
        let by_rule = json!({"rule": "http", "verdict": ["accept"]});
        let (_, found) = search(&face, "?all=true", by_rule).await;
        assert_eq!(found["lines"].as_array().unwrap().len(), 2, "one for each family: {found}");
    }
    // The fixed form, with what only this response has.
    let policy = parsed(DOCUMENT);
    let packets = sg_model::Packets::default();
    let accept = [sg_records::Action::Accept.into()];
    let offline = sg_diff::search(&policy, &packets, &accept, None, std::time::Duration::from_secs(3));
    let (_, found) = search(&without_store(), "?all=true", json!({})).await;
    assert_eq!(offline.lines.len(), found["lines"].as_array().unwrap().len());
    for (line, found) in offline.lines.iter().zip(found["lines"].as_array().unwrap()) {
        let mut found = found.as_object().unwrap().clone();
        assert!(found.remove("text").is_some());
        let written = line.written_found(policy.nic(line.nic));
        assert_eq!(Value::Object(found), serde_json::to_value(written).unwrap());
    }
}

#[tokio::test]
async fn a_search_that_is_not_understood_is_refused_by_name() {
    let (_, in_store) = stored().await;
    for face in [without_store(), in_store] {
        for (query, body, expected) in [
            ("?time=4", json!({}), "time: 4"),
            ("?limit=100001", json!({}), "limit: 100001"),
            ("", json!({"port": "22"}), "port"),
            ("", json!({"family": 5}), "family"),
            ("", json!({"nic": "a", "group": "b"}), "not both"),
            ("", json!({"protocol": "gre", "ports": "22"}), "ports belong to"),
            ("", json!({"icmp_code": 0}), "icmp_type"),
        ] {
            let (status, response) = search(&face, query, body).await;
            let message = response["error"]["message"].as_str().unwrap_or_default();
            assert!(status == 400 && message.contains(expected), "{query}: {status} {response}");
        }
        for body in [
            json!({"nic": "eth9"}),
            json!({"group": "none"}),
            json!({"remote": [{"prefix_list": "none"}]}),
            json!({"ports": {"port_list": "none"}}),
        ] {
            let (status, response) = search(&face, "", body).await;
            assert_eq!((status, code(&response)), (404, "not_found"), "{response}");
        }
    }
}

fn tests(expect: &str) -> Value {
    json!([
        {"nic": "no-such-dev0", "direction": "ingress", "protocol": "tcp", "ports": "80", "expect": "accept", "rule": "http"},
        {"group": "web", "direction": "ingress", "from": ["192.0.2.0/24"], "protocol": "tcp", "ports": "22", "expect": expect},
    ])
}

#[tokio::test]
async fn tests_are_run_against_what_is_in_force() {
    let (_, in_store) = stored().await;
    for face in [without_store(), in_store] {
        let run = async |tests: Value| ask(&face, Method::POST, "/v1/tests", json!({ "tests": tests })).await;
        let (status, held) = run(tests("drop")).await;
        assert_eq!((status, &held), (200, &json!({"asked": 2, "failed": [], "idle": []})), "{held}");
        let (_, failed) = run(tests("accept")).await;
        assert_eq!(
            (&failed["failed"][0]["number"], &failed["failed"][0]["place"]),
            (&json!(1), &json!("tests[1]"))
        );
        let why = failed["failed"][0]["why"].as_str().unwrap();
        assert!(why.starts_with("expected accept, but {") && why.ends_with("gets drop by default"), "{why}");
        let neither = json!([{"direction": "ingress", "protocol": "tcp", "expect": "drop"}]);
        assert_eq!(run(neither).await.0, 400);
    }
    // Nothing is stored here that could be run instead.
    let (status, response) = ask(&without_store(), Method::POST, "/v1/tests", json!({})).await;
    assert_eq!((status, code(&response)), (400, "malformed"), "{response}");
}

#[tokio::test]
async fn tests_are_stored_and_asked_of_every_change_and_who_skips_them_is_recorded() {
    let recorded = Recorded::new(super::Caller::Socket);
    let face = recorded.face();
    let (status, said) = ask(face, Method::POST, "/v1/apply", json!({ "text": DOCUMENT })).await;
    assert_eq!(status, 200, "{said}");
    let (status, said) = ask(face, Method::PUT, "/v1/tests", json!({ "tests": tests("accept") })).await;
    assert_eq!((status, code(&said)), (409, "failing_test"), "{said}");
    let (status, said) = ask(face, Method::PUT, "/v1/tests", json!({ "tests": tests("drop") })).await;
    assert_eq!(status, 200, "{said}");
    let (_, listed) = ask(face, Method::GET, "/v1/tests", json!({})).await;
    assert_eq!((&listed[1]["document"], &listed[1]["place"]), (&json!(null), &json!("tests[1]")), "{listed}");
    assert_eq!(ask(face, Method::POST, "/v1/tests", json!({})).await.1["asked"], 2);
    let rules =
        json!({"direction": "ingress", "rules": [{"protocol": "tcp", "ports": "22", "remote": "192.0.2.9"}]});
    for query in ["?dry_run=true", "", "?force=true"] {
        let (status, said) =
            ask(face, Method::POST, &format!("/v1/groups/web/rules{query}"), rules.clone()).await;
        assert_eq!((status, code(&said)), (409, "failing_test"), "{query}: {said}");
        assert!(
            said["error"]["details"]["why"].as_str().unwrap().contains("\"src\":\"192.0.2.9\""),
            "{said}"
        );
    }
    let (status, said) = ask(face, Method::POST, "/v1/groups/web/rules?skip_tests=true", rules).await;
    assert_eq!(status, 200, "{said}");
    let entries = recorded.entries();
    let insisted: Vec<_> = entries.iter().map(|entry| [&entry["force"], &entry["skip_tests"]]).collect();
    let (no, yes) = (&Value::Null, &json!(true));
    assert_eq!(insisted, [[no, no], [no, no], [no, no], [no, no], [yes, no], [no, yes]], "{entries:?}");
    // What is demanded is an object like others.
    assert_eq!(entries[2]["objects"][0]["kind"], "demands", "{}", entries[2]);
}
