//! `sgctl check --flow` against a server with scripted responses: with a store and without, before and after a change of the rules.

use serde_json::Value;

use super::{
    POLICY, file, run,
    server::{Response, Server},
};

const ROW: &str = "2026-11-30T13:29:28.123Z denied   drop   ingress eth0 192.0.2.7:51234 -> 10.0.0.5:443 tcp default(sg-1) 3 pkts \
                   180 B gen 7";
const CHECKED: &str = r#"{"verdict":"accept","reason":"default","group":null,"group_name":null,"rule":null,
    "evaluated":[{"rule":"sgr-1","group":"sg-1","because":"port"}],"shadowed":[]}"#;
const POLICY_CHANGES: &[&str] = &[
    "{\"event\":\"policy\",\"start\":\"2026-11-30T13:29:00Z\",\"end\":\"2026-11-30T13:29:00Z\",\"generation\":0}\n",
    "{\"event\":\"policy\",\"start\":\"2026-11-30T13:31:00Z\",\"end\":\"2026-11-30T13:31:00Z\",\"generation\":0}\n",
];
const NAMES: &str = r#"{"items":[{"id":"sg-1","name":"web"}],"total":1,"next":null}"#;

/// A status with a NIC of this generation, of which each came two minutes after the one before; `from` is the policy's.
fn status(device: &str, generation: u32, from: &str) -> &'static str {
    let minute = 13 + 2 * generation;
    format!(
        r#"{{"version":"1","instance":"sgd","local_nics":1,"attached":1,"waiting":[],"policy":{from},
        "in_force":[{{"device":"{device}","id":"eni-1","hook":"tc","generation":{generation},"groups":["sg-1"],
        "applied":"2026-11-30T13:{minute}:00Z"}}]}}"#
    )
    .leak()
}

fn ask(server: &Server, row: &str, more: &[&str]) -> (String, u8, String) {
    let socket = server.socket();
    run(&[&["--socket", socket.to_str().unwrap(), "check", "--flow", row], more].concat())
}

#[test]
fn rules_that_changed_are_said_to_have_and_still_explain_what_holds_now() {
    let responses = || {
        vec![
            Response::Say(200, status("eth0", 9, r#"{"from":"store"}"#)),
            Response::Stream(POLICY_CHANGES),
            Response::Say(200, CHECKED),
            Response::Say(200, NAMES),
            Response::Say(200, NAMES),
        ]
    };
    let server = Server::new(responses());
    let (out, code, error) = ask(&server, ROW, &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert_eq!(
        out,
        "eth0 ingress tcp 192.0.2.7:51234 -> 10.0.0.5:443\n\
         then: drop by the default, after no rule of web matched at 2026-11-30T13:29:28Z\n\
         the rules of eth0 have changed since then: the row is of generation 7, in force is 9, since 2026-11-30T13:31:00Z\n\
         the policy changed at 2026-11-30T13:31:00Z: `sgctl history` says who did it\n\
         now, for a packet that starts such a flow:\n\
         accept by default\n\
         evaluated before:\n  sgr-1 of web: port\n"
    );
    let received = server.received();
    assert_eq!(received[1].line, "GET /v1/observe?event=policy&since=2026-11-30T13%3A29%3A28.123Z");
    let body: Value = serde_json::from_str(&received[2].body).unwrap();
    let packet = serde_json::json!({"nic": "eni-1", "direction": "ingress", "protocol": "tcp", "remote": "192.0.2.7",
        "local": "10.0.0.5", "port": 443, "source_port": 51234});
    assert_eq!(body, packet);

    let server = Server::new(responses());
    let (json, code, _) = ask(&server, ROW, &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (code, &json["generation"]["changed"], &json["now"]["verdict"]),
        (0, &true.into(), &"accept".into())
    );
}

/// After a reboot, the first policy has the number of the first one before it.
#[test]
fn a_number_that_was_counted_anew_is_not_that_of_the_row() {
    let row = ROW.replace("13:29:28", "12:29:28");
    let server = Server::new(vec![
        Response::Say(200, status("eth0", 7, r#"{"from":"store"}"#)),
        Response::Stream(POLICY_CHANGES),
        Response::Say(200, CHECKED),
        Response::Say(200, NAMES),
        Response::Say(200, NAMES),
    ]);
    let (out, code, error) = ask(&server, &row, &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.contains("have changed since then") && out.contains("counted anew in between"), "{out}");
}

#[test]
fn a_reason_without_a_rule_is_a_sentence_and_the_next_step() {
    let row = "2026-11-30T13:29:28.123Z denied drop ingress eth0 any -> any - malformed 3 pkts 180 B gen 7";
    let server = Server::new(vec![Response::Say(200, status("eth0", 7, r#"{"from":"store"}"#))]);
    let (out, code, error) = ask(&server, row, &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    for expected in [
        "then: drop as malformed",
        "are those that decided: generation 7",
        "why: Its headers do not end",
        "next: Look at",
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let nowhere = row.replace("eth0", "-").replace("malformed", "no-nic");
    let server = Server::new(vec![Response::Say(200, status("eth0", 7, r#"{"from":"store"}"#))]);
    let (out, code, _) = ask(&server, &nowhere, &[]);
    assert!(code == 0 && out.starts_with("no NIC ingress") && out.contains("why: The device runs"), "{out}");
}

#[test]
fn without_a_store_the_document_explains() {
    let policy = file(POLICY);
    let from = format!(r#"{{"from":"document","path":"{}","owner_uid":0}}"#, policy.path().display());
    let no_store = r#"{"error":{"code":"no_store","message":"no store","details":{}}}"#;
    let row = ROW.replace("eth0", "no-such-dev0").replace("192.0.2.7", "198.51.100.7");
    let responses = || {
        vec![
            Response::Say(200, status("no-such-dev0", 7, &from)),
            Response::Say(404, no_store),
            Response::Say(404, no_store),
        ]
    };
    let (out, code, error) = ask(&Server::new(responses()), &row, &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("no rule of sg-1 matched") && out.contains("drop by rule no-scan of group web"),
        "{out}"
    );
    let (json, _, _) = ask(&Server::new(responses()), &row, &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["now"]["rule"], &json["generation"]["changed"]), (&"no-scan".into(), &false.into()));
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let server = Server::new(vec![]);
    for (row, error) in [
        ("eth0 tcp", "--flow: the row is not understood"),
        (&*ROW.replace(" tcp ", " - "), "--flow: the row has no protocol"),
    ] {
        let (_, code, found) = ask(&server, row, &[]);
        assert_eq!(code, 2, "{row}");
        assert!(found.contains(error), "{found}");
    }
    assert_eq!(server.received().len(), 0);
    let server = Server::new(vec![Response::Say(200, status("eth1", 7, r#"{"from":"store"}"#))]);
    let (_, code, found) = ask(&server, ROW, &[]);
    assert!(code == 3 && found.contains("not in force any more: there are eth1"), "{found}");
    let (_, code, found) = run(&["check", "--flow", ROW, "packet", "eth0"]);
    assert!(code == 2 && found.contains("cannot be used with"), "{found}");
}
