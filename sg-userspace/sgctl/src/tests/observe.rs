//! `sgctl observe` against a server with scripted responses: streams that end, break off, or say nothing.

use super::{
    run,
    server::{Response, Server},
};

const DENIED: &str = r#"{"event":"denied","start":"2026-11-30T13:29:28Z","end":"2026-11-30T13:29:28Z","nic":"eth0","device":"eth0","direction":"ingress","protocol":6,"src":"192.0.2.7","sport":5,"dst":"10.0.0.5","dport":443,"verdict":"drop","stage":"default","rule":"default","groups":["web"],"reason":"default","generation":7,"packets":[3,0],"bytes":[180,0]}"#;
const TEXT: &str = "2026-11-30T13:29:28.000Z denied   drop   ingress eth0 192.0.2.7:5 -> 10.0.0.5:443 tcp default(web) 3 pkts 180 B gen 7\n";

fn ask(server: &Server, words: &[&str]) -> (String, u8, String) {
    let socket = server.socket();
    run(&[&["--socket", socket.to_str().unwrap(), "observe"], words].concat())
}

/// `DENIED` in two pieces, which end within lines.
fn pieces() -> &'static [&'static str] {
    let (first, second) = DENIED.split_at(40);
    vec![first, &*format!("{second}\n{DENIED}\n").leak()].leak()
}

#[test]
fn the_past_is_lines_and_then_over() {
    let server = Server::new(vec![Response::Stream(pieces()), Response::Stream(pieces())]);
    assert_eq!(ask(&server, &["--since", "5m"]), (TEXT.repeat(2), 0, String::new()));
    let (json, code, _) = ask(&server, &["--verdict", "drop", "--json"]);
    assert_eq!((json, code), (format!("{DENIED}\n").repeat(2), 0));
    let lines: Vec<_> = server.received().into_iter().map(|received| received.line).collect();
    assert_eq!(lines, ["GET /v1/observe?since=5m", "GET /v1/observe?verdict=drop"]);
}

#[test]
fn an_end_of_what_goes_on_is_a_failure() {
    let server = Server::new(vec![Response::Stream(pieces())]);
    let (out, code, error) = ask(&server, &["-f"]);
    assert_eq!((out, code), (TEXT.repeat(2), 1));
    assert!(error.contains("has ended the records: sgd was stopped or restarted"), "{error}");
}

#[test]
fn the_timeout_is_for_silence_and_not_for_what_goes_on() {
    let server = Server::new(vec![Response::Endless(pieces())]);
    let (out, code, error) = ask(&server, &["--timeout", "1"]);
    assert_eq!((out, code), (TEXT.repeat(2), 1));
    assert!(error.contains("sent nothing for 1 second"), "{error}");
    let server = Server::new(vec![Response::Sleep]);
    let (_, code, error) = ask(&server, &["-f", "--timeout", "1"]);
    assert_eq!(code, 1);
    assert!(error.contains("within 1 second"), "{error}");
}

#[test]
fn a_file_is_replaced_only_by_records() {
    let refused = r#"{"error":{"code":"forbidden","message":"an admin may","details":{}}}"#;
    let server = Server::new(vec![Response::Say(403, refused), Response::Stream(&[])]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.pcapng");
    std::fs::write(&path, "old").unwrap();
    let file = path.to_str().unwrap();
    for more in [&["--json"][..], &["-o", "yaml"], &["-o", "name"]] {
        let (_, code, error) = ask(&server, &[&["-w", file], more].concat());
        assert!(code == 2 && error.contains("--write is for pcapng and nothing else"), "{error}");
    }
    assert_eq!(server.received().len(), 0);
    assert_eq!(ask(&server, &["-w", file]).1, 2, "the agent refuses");
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(ask(&server, &["-w", file]).1, 1, "the agent ends the records");
    assert_ne!(std::fs::read(&path).unwrap(), b"old");
}

#[test]
fn what_the_agent_refuses_is_shown() {
    let refused = r#"{"error":{"code":"malformed","message":"\"dropped\" is no verdict: allowed are accept, drop, reject","details":{}}}"#;
    let server = Server::new(vec![Response::Say(400, refused)]);
    let (out, code, error) = ask(&server, &["--verdict", "dropped"]);
    assert_eq!((out.as_str(), code), ("", 2));
    assert_eq!(error, r#""dropped" is no verdict: allowed are accept, drop, reject"#);
}
