//! Which server a command connects to, where the command line and the environment name several; and commands that work on the filter
//! of this host, which no server reaches. The program itself runs, since the environment is the process's.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    process::Command,
    thread,
};

/// Nobody listens there.
const ELSEWHERE: &str = "http://127.0.0.1:1";

/// Runs `sgctl` with variables, and returns its exit code and what it said on standard error.
fn sgctl(variables: &[(&str, &str)], line: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sgctl"));
    for name in ["SGCTL_SERVER", "SGCTL_SOCKET", "SGCTL_ACCESS_KEY_FILE"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).args(line.split(' ')).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_filter_of_this_host_is_removed_through_no_server() {
    for line in ["detach", "detach --all --yes"] {
        let (code, said) = sgctl(&[], &format!("--server {ELSEWHERE} {line}"));
        assert!(code == Some(2) && said.contains("--server does not reach"), "{line}: {code:?} {said}");
    }
    // What is in force elsewhere is shown, and never what is in force here.
    for line in ["flows --delete --yes", "flows", "stats", "show", "status"] {
        let (code, said) = sgctl(&[], &format!("--server {ELSEWHERE} {line}"));
        assert!(code == Some(2) && said.contains("--server needs an access key"), "{line}: {code:?} {said}");
    }
    for line in ["flows", "stats", "status"] {
        let (code, said) = sgctl(&[("SGCTL_SERVER", ELSEWHERE)], &format!("{line} --instance not-there"));
        let text = "nothing of instance not-there is in force: start it with `sgd run` or `sgd serve`\n";
        assert!(code == Some(1) && said.ends_with(text), "{line}: {code:?} {said}");
    }
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let both = [("SGCTL_SERVER", ELSEWHERE), ("SGCTL_SOCKET", "/no/such/variable.sock")];
    for (line, meant) in [
        ("--socket /no/such/typed.sock group list", "/no/such/typed.sock"),
        ("--instance not-there group list", "/not-there/"),
        ("--server http://127.0.0.2:1 group list", "--access-key-file"),
    ] {
        let (code, said) = sgctl(&both, line);
        assert!(code != Some(0) && said.contains(meant), "{line}: {code:?} {said}");
        assert!(!said.contains("variable.sock") && !said.contains(ELSEWHERE), "{line}: {said}");
    }
    let line = "history --file /no/such/audit.jsonl";
    let (code, said) = sgctl(&both, line);
    assert!(code == Some(2) && said.contains("cannot read /no/such/audit.jsonl"), "{code:?} {said}");
    for (typed, flag) in [("--server http://127.0.0.2:1", "--server"), ("--socket /no/such", "--socket")] {
        let (code, said) = sgctl(&[], &format!("{line} {typed}"));
        assert!(code == Some(2) && said.contains(&format!("{flag} and --file are two")), "{code:?} {said}");
    }
    let (code, said) = sgctl(&both, "group list");
    assert!(code == Some(2) && said.contains("name two servers"), "{code:?} {said}");
}

#[test]
fn a_server_on_another_host_completes_nothing() {
    // As the shell's script asks: the words so far, and the index of the one to complete.
    let output = Command::new(env!("CARGO_BIN_EXE_sgctl"))
        .envs([("SGCTL_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", "3"), ("_CLAP_IFS", "\n")])
        .env("SGCTL_SERVER", "http://192.0.2.1:8751")
        .args(["--", "sgctl", "group", "show", ""])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

/// What the shell is offered for the last of `words`, by a server that responds one request; and that request.
fn completed(words: &[&str], response: &'static str) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        let length = response.len();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{response}").unwrap();
        request[0].clone()
    });
    let output = Command::new(env!("CARGO_BIN_EXE_sgctl"))
        .env_remove("SGCTL_SERVER")
        .envs([("SGCTL_COMPLETE", "bash"), ("_CLAP_IFS", "\n")])
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("SGCTL_SOCKET", &socket)
        .args(["--", "sgctl"])
        .args(words)
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), server.join().unwrap())
}

#[test]
fn names_are_those_of_the_server() {
    let page = r#"{"items":[{"id":"x-1","name":"web"},{"id":"x-2","name":"ops"},{"id":"x-3"}],"total":3,"next":null}"#;
    for (words, offered, asked) in [
        (&["rule", "add", "web", "--remote", "group:w"][..], "group:web", "groups"),
        (&["rule", "modify", "x", "--remote", "prefix-list:o"], "prefix-list:ops", "prefix-lists"),
        (&["rule", "add", "web", "--ports", "port-list:o"], "port-list:ops", "port-lists"),
        (&["rule", "revoke", "--group", "web", "x"], "x-3", "groups/web/rules"),
        (&["prefix-list", "show", "w"], "web", "prefix-lists"),
        (&["instance", "join", "w"], "web", "instances"),
        (&["group", "list", "--held-by", "o"], "ops", "nics"),
    ] {
        let (found, request) = completed(words, page);
        assert_eq!(found, offered, "{words:?}");
        assert_eq!(request, format!("GET /v1/{asked}?limit=200 HTTP/1.1"), "{words:?}");
    }
}
