//! Ctrl-C while a request waits for its response. The program itself runs, since signals are the process's.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        net::{UnixListener, UnixStream},
        process::ExitStatusExt as _,
    },
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const STATUS: &str = r#"{"version":"1","instance":"sgd","local_nics":1,"attached":1,"waiting":[],
    "in_force":[{"device":"eth0","hook":"tc","generation":9,"groups":["web"]}]}"#;
const ROW: &str = "2026-11-30T13:29:28.123Z denied drop ingress eth0 192.0.2.7:5 -> 10.0.0.5:443 tcp default(web) 3 pkts 180 B gen 7";

/// Runs the program against a server with these responses, and interrupts it once it waits for one more.
fn interrupted(words: &[&str], responses: &'static [&'static str]) -> ExitStatus {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (waits, waiting) = channel();
    let server = thread::spawn(move || {
        let mut responses = responses.iter();
        let (mut stream, _): (UnixStream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        while lines.by_ref().any(|line| line.is_empty()) {
            match responses.next() {
                Some(body) => {
                    write!(stream, "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
                }
                None => waits.send(()).unwrap(),
            }
        }
    });
    // What runs tests in the background may ignore the signal, and its children with it.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT", env!("CARGO_BIN_EXE_sgctl")])
        .args(words)
        .arg("--socket")
        .arg(&socket);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    waiting.recv_timeout(Duration::from_secs(20)).unwrap();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    server.join().unwrap();
    status
}

#[test]
fn what_is_shown_again_and_again_ends_well() {
    for command in ["stats", "flows"] {
        assert_eq!(interrupted(&[command, "-w"], &[]).code(), Some(0), "{command}");
    }
}

#[test]
fn an_explanation_ends_as_any_command() {
    let status = interrupted(&["check", "--flow", ROW], &[STATUS, ""]);
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32));
}
