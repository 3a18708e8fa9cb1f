//! The client and the nouns against a server with scripted responses.

use super::{
    run,
    server::{Response, Server},
};

const VPC: &str = r#"{"id":"vpc-1","region":"local","name":"prod","created":"2025-01-02T03:04:05.678Z","updated":"2025-01-02T03:04:05.678Z",
    "tags":{"team":"net","x":""},"order":"sequence","established":"keep","description":"a\u001b[31mb"}"#;

/// Runs a command against `server`.
fn ask(server: &Server, words: &[&str]) -> (String, u8, String) {
    let socket = server.socket();
    run(&[&["--socket", socket.to_str().unwrap()], words].concat())
}

fn lines(server: &Server) -> Vec<String> {
    server.received().into_iter().map(|received| received.line).collect()
}

#[test]
fn one_thing_in_every_format() {
    let formats = [
        ("table", "CREATED      2025-01-02T03:04:05Z\n"),
        ("wide", "DESCRIPTION  a\\u{1b}[31mb\n"),
        ("json", "\"order\": \"sequence\""),
        ("yaml", "order: sequence\n"),
        ("name", "vpc-1\n"),
    ];
    for (format, expected) in formats {
        let server = Server::new(vec![Response::Say(200, VPC)]);
        let (out, code, error) = ask(&server, &["vpc", "show", "my prod", "-o", format]);
        assert_eq!((code, error.as_str()), (0, ""), "{format}");
        assert!(out.contains(expected), "{format}: {out}");
        assert!(!out.contains('\u{1b}'), "{format}: {out}");
        assert_eq!(lines(&server), ["GET /v1/vpcs/my%20prod"]);
    }
}

#[test]
fn pages_are_followed_until_there_is_enough() {
    let page = |next: &str| format!(r#"{{"items":[{VPC}],"total":3,"next":{next}}}"#);
    let (more, last) = (page("\"vpc-1\"").leak(), page("null").leak());
    let server = Server::new(vec![Response::Say(200, more), Response::Say(200, last)]);
    let (out, code, _) = ask(&server, &["vpc", "list", "--region", "a b", "-o", "wide"]);
    assert_eq!(code, 0);
    assert_eq!(out.lines().count(), 3, "{out}");
    assert!(out.starts_with("NAME  ID     REGION"), "{out}");
    assert_eq!(
        lines(&server),
        ["GET /v1/vpcs?region=a+b&limit=1000", "GET /v1/vpcs?region=a+b&limit=999&after=vpc-1"]
    );

    let server = Server::new(vec![Response::Say(200, more)]);
    let (out, _, _) = ask(&server, &["vpc", "list", "--limit", "1", "-o", "name"]);
    assert_eq!((out.as_str(), lines(&server)), ("vpc-1\n", vec!["GET /v1/vpcs?limit=1".to_owned()]));
}

#[test]
fn an_empty_list_is_an_empty_output() {
    let empty = r#"{"items":[],"total":0,"next":null}"#;
    for (format, expected) in [("table", ""), ("json", "[]\n"), ("yaml", "[]\n"), ("name", "")] {
        let server = Server::new(vec![Response::Say(200, empty)]);
        assert_eq!(ask(&server, &["vpc", "list", "-o", format]).0, expected, "{format}");
    }
}

#[test]
fn who_insists_says_so_with_every_change_and_no_query() {
    let server =
        Server::new(vec![Response::Say(200, VPC), Response::Say(200, VPC), Response::Say(200, "{}")]);
    ask(&server, &["vpc", "modify", "prod", "--order", "sequence", "--force"]);
    ask(&server, &["vpc", "show", "prod", "--force"]);
    // It has a body, and changes nothing.
    ask(&server, &["check", "packet", "eth0", "--protocol", "gre", "--remote", "192.0.2.1", "--force"]);
    assert_eq!(lines(&server), ["PATCH /v1/vpcs/prod?force=true", "GET /v1/vpcs/prod", "POST /v1/check"]);
}

/// The server guards against none of these, and would refuse a parameter that it does not know.
#[test]
fn who_settles_a_change_does_not_insist() {
    for verb in ["confirm", "cancel", "extend"] {
        let settled = r#"{"id":7,"state":"confirmed","deadline":null}"#;
        let server = Server::new(vec![Response::Say(200, settled)]);
        let (_, code, error) = ask(&server, &[verb, "7", "--force"]);
        assert_eq!(lines(&server), [format!("POST /v1/pending/{verb}")], "{error}");
        // What was confirmed cannot be taken back or extended any more, and scripts are told.
        assert_eq!(code, u8::from(verb != "confirm"), "{verb}: {error}");
    }
}

#[test]
fn a_change_that_is_tried_says_so_and_its_dry_run_does_not() {
    let server = Server::new(vec![Response::Say(200, VPC), Response::Say(200, VPC)]);
    ask(&server, &["vpc", "modify", "prod", "--order", "sequence", "--confirm", "2m"]);
    let (_, code, _) = ask(&server, &["vpc", "delete", "prod", "--yes", "--confirm", "60s"]);
    assert_eq!(
        lines(&server),
        ["PATCH /v1/vpcs/prod?confirm=120", "DELETE /v1/vpcs/prod?confirm=60"],
        "{code}"
    );

    let replaced = r#"{"removed":1,"put":2}"#;
    let server = Server::new(vec![Response::Say(200, replaced), Response::Say(200, replaced)]);
    let state = super::file("");
    ask(&server, &["import", state.path().to_str().unwrap(), "--yes", "--confirm", "60s"]);
    // What takes itself back is not guarded.
    assert_eq!(lines(&server), ["POST /v1/import?dry_run=true&force=true", "POST /v1/import?confirm=60"]);
}

#[test]
fn what_cannot_be_tried_is_refused_by_name() {
    let server = Server::new(Vec::new());
    for words in [
        &["vpc", "list", "--confirm", "60s"][..],
        &["flows", "--delete", "--confirm", "60s"],
        &["confirm", "--confirm", "60s"],
        &["detach", "--confirm", "60s"],
        &["status", "--wait"],
        &["vpc", "modify", "prod", "--wait"],
        &["vpc", "modify", "prod", "--confirm", "1s"],
        &["vpc", "delete", "one", "two", "--yes", "--confirm", "60s"],
        &["apply", "-f", "none", "--dry-run", "--confirm", "60s"],
    ] {
        let (_, code, error) = ask(&server, words);
        let word = if words.contains(&"--confirm") { "--confirm" } else { "--wait" };
        assert!(code == 2 && error.contains(word), "{words:?}: {code} {error}");
    }
    assert_eq!(lines(&server), Vec::<String>::new());
}

#[test]
fn a_reason_is_said_with_the_change() {
    let server = Server::new(vec![Response::Say(200, VPC), Response::Say(200, VPC)]);
    ask(&server, &["vpc", "modify", "prod", "--order", "sequence", "--reason", "a & b: ü"]);
    ask(&server, &["vpc", "modify", "prod", "--order", "sequence", "--force", "--reason", "x"]);
    assert_eq!(
        lines(&server),
        ["PATCH /v1/vpcs/prod?reason=a+%26+b%3A+%C3%BC", "PATCH /v1/vpcs/prod?force=true&reason=x"]
    );
    let server = Server::new(vec![]);
    let (_, exit, error) =
        ask(&server, &["vpc", "modify", "prod", "--order", "sequence", "--reason", "a\nb"]);
    assert!(exit == 2 && error.contains("control character"), "{error}");
    assert_eq!(ask(&server, &["vpc", "show", "prod", "--reason", "x"]).1, 2, "it is no change");
}

#[test]
fn what_is_guarded_against_has_an_exit_code_of_its_own() {
    for code in ["lost_access", "unfiltered_device"] {
        let refused =
            format!(r#"{{"error":{{"code":"{code}","message":"you would be locked out","details":{{}}}}}}"#);
        let server = Server::new(vec![Response::Say(409, refused.leak())]);
        let (_, exit, error) = ask(&server, &["vpc", "modify", "prod", "--order", "sequence"]);
        assert_eq!(exit, 3, "{error}");
        assert!(error.contains("locked out"), "{error}");
    }
}

#[test]
fn a_change_holds_what_changes_and_a_token() {
    let server = Server::new(vec![Response::Say(200, VPC)]);
    let (out, code, _) = ask(&server, &["vpc", "modify", "prod", "--order", "sequence", "--no-tags"]);
    assert_eq!((out.as_str(), code), ("changed VPC vpc-1 (prod)\n", 0));
    let received = &server.received()[0];
    assert_eq!(received.line, "PATCH /v1/vpcs/prod");
    assert!(received.token.as_ref().is_some_and(|token| token.len() == 32));
    let body: serde_json::Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(body, serde_json::json!({"tags": {}, "order": "sequence"}));
}

#[test]
fn a_broken_connection_is_tried_again_with_the_same_token() {
    let server = Server::new(vec![Response::HangUp, Response::HangUp, Response::Say(200, VPC)]);
    let (_, code, _) = ask(&server, &["vpc", "create", "prod"]);
    assert_eq!(code, 0);
    let tokens: Vec<_> = server.received().into_iter().map(|received| received.token.unwrap()).collect();
    assert!(tokens.len() == 3 && tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");

    let server = Server::new(vec![]);
    let (_, code, error) = ask(&server, &["vpc", "list"]);
    assert_eq!((code, server.received().len()), (1, 4));
    assert!(error.contains("broke"), "{error}");
}

#[test]
fn a_secret_is_made_once_and_its_response_is_not_stored() {
    let server = Server::new(vec![Response::HangUp]);
    let (_, code, error) = ask(&server, &["access-key", "create"]);
    assert_eq!((code, server.received().len()), (1, 1));
    assert!(error.contains("whether it was done is not known"), "{error}");
    assert_eq!(server.received()[0].token, None);
}

#[test]
fn not_found_is_3_a_refusal_is_2_and_anything_else_is_1() {
    let missing =
        r#"{"error":{"code":"not_found","message":"there is no VPC \"x\"","details":{"kind":"vpc"}}}"#;
    let server = Server::new(vec![Response::Say(404, missing)]);
    let (_, code, error) = ask(&server, &["vpc", "show", "x"]);
    assert_eq!((code, error.as_str()), (3, "there is no VPC \"x\""));
    let body = r#"{"error":{"code":"any","message":"there is no VPC \"x\"","details":{"kind":"vpc"}}}"#;
    for (status, expected) in [(404, 2), (400, 2), (409, 2), (403, 2), (401, 1), (429, 1), (500, 1), (503, 1)]
    {
        let server = Server::new(vec![Response::Say(status, body)]);
        let (_, code, error) = ask(&server, &["vpc", "show", "x"]);
        assert_eq!((code, error.as_str()), (expected, "there is no VPC \"x\""), "{status}");
    }
    for (status, body) in [(404, "<html>"), (200, "<html>"), (200, "{}")] {
        let server = Server::new(vec![Response::Say(status, body)]);
        let (_, code, error) = ask(&server, &["vpc", "show", "x"]);
        assert_eq!(code, 1);
        assert!(error.contains("is not sgd, or another version"), "{error}");
    }
}

#[test]
fn an_exceeded_quota_says_how_to_raise_it() {
    let said = |details: &str| {
        let body =
            format!(r#"{{"error":{{"code":"too_many","message":"5 are allowed","details":{details}}}}}"#);
        let server = Server::new(vec![Response::Say(403, body.leak())]);
        ask(&server, &["nic", "join", "eth0", "--group", "web"]).2
    };
    assert_eq!(
        said(r#"{"field":"groups_per_nic","needed":6,"allowed":5}"#),
        "5 are allowed; `sgctl quota set groups-per-nic=6` raises it"
    );
    assert_eq!(said(r#"{"field":null,"needed":11,"allowed":5}"#), "5 are allowed");
}

#[test]
fn a_missing_response_is_not_awaited_forever() {
    let server = Server::new(vec![Response::Sleep]);
    let (_, code, error) = ask(&server, &["--timeout", "1", "vpc", "create", "x"]);
    assert_eq!(code, 1);
    assert!(error.contains("within 1 second") && error.contains("not known"), "{error}");
}

#[test]
fn nobody_there_says_what_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("no.sock");
    let (_, code, error) = run(&["--socket", socket.to_str().unwrap(), "vpc", "list"]);
    assert_eq!(code, 1);
    assert!(error.contains("sgd serve --state DIR"), "{error}");
}

#[test]
fn destruction_wants_a_yes() {
    let server = Server::new(vec![]);
    for words in [&["vpc", "delete", "prod"][..], &["rule", "revoke", "a", "--group", "web"]] {
        let (_, code, error) = ask(&server, words);
        assert_eq!(code, 2, "{words:?}");
        assert!(error.contains("--yes"), "{words:?}: {error}");
    }
    assert_eq!(server.received().len(), 0);

    let refused = r#"{"error":{"code":"in_use","message":"VPC vpc-2 is in use","details":{}}}"#;
    let server = Server::new(vec![Response::Say(200, "\"vpc-1\""), Response::Say(409, refused)]);
    let (out, code, error) = ask(&server, &["vpc", "delete", "a", "b", "c", "--yes"]);
    assert_eq!((out.as_str(), code, error.as_str()), ("deleted VPC vpc-1\n", 2, "VPC vpc-2 is in use"));
    assert_eq!(lines(&server), ["DELETE /v1/vpcs/a", "DELETE /v1/vpcs/b"]);
}

#[test]
fn a_rule_for_each_remote() {
    let server = Server::new(vec![Response::Say(200, "[]")]);
    let words = ["rule", "add", "web", "--direction", "ingress", "--protocol", "TCP", "--ports", "80,443"];
    let rest = ["--remote", "10.1.2.3/8", "--remote", "group:ops", "--action", "drop", "--priority", "5"];
    assert_eq!(ask(&server, &[&words[..], &rest].concat()).1, 0);
    let received = &server.received()[0];
    assert_eq!(received.line, "POST /v1/groups/web/rules");
    let body: serde_json::Value = serde_json::from_str(&received.body).unwrap();
    let rule = |remote: serde_json::Value| {
        serde_json::json!({
            "action": "drop", "priority": 5, "protocol": "tcp", "ports": "80,443", "remote": remote,
            "nic_type": "intranet"
        })
    };
    assert_eq!(body["rules"][0], rule("10.0.0.0/8".into()));
    assert_eq!(body["rules"][1], rule(serde_json::json!({"group": "ops"})));
    assert_eq!(body["direction"], "ingress");
}
