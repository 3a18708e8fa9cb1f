//! How `sgctl observe -f` ends: by Ctrl-C, and when nobody reads it any more though nothing is written. The program itself runs,
//! since signals and streams are the process's.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    process::{Child, Command, Stdio},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const RECORD: &str = "{\"event\":\"policy\",\"start\":\"2026-11-30T13:00:00Z\",\"end\":\"2026-11-30T13:00:00Z\",\"nic\":\"\",\
                      \"device\":\"\",\"generation\":0,\"message\":\"applied\"}\n";

/// `sgctl observe -f` of a server that sends one record and then nothing, for ever.
struct Observing {
    child: Child,
    _server: thread::JoinHandle<UnixStream>,
    _dir: TempDir,
}

impl Observing {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            assert!(head.by_ref().any(|line| line.is_empty()));
            let length = RECORD.len();
            write!(stream, "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{RECORD}\r\n")
                .unwrap();
            stream
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_sgctl"));
        command.args(["observe", "-f", "--socket"]).arg(&socket);
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, _server: server, _dir: dir }
    }

    /// Waits for the record; the stream stays open as long as what is returned.
    fn read(&mut self) -> impl Sized + use<> {
        let mut out = BufReader::new(self.child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "2026-11-30T13:00:00.000Z policy   applied\n");
        out
    }

    /// The exit code, and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

#[test]
fn a_signal_ends_it_well() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut observing = Observing::start();
        let _out = observing.read();
        kill(Pid::from_raw(observing.child.id().cast_signed()), signal).unwrap();
        assert_eq!(observing.end(), (Some(0), String::new()), "{signal}");
    }
}

#[test]
fn it_ends_when_nobody_reads_it_though_nothing_comes() {
    let mut observing = Observing::start();
    drop(observing.read());
    assert_eq!(observing.end(), (Some(1), String::new()));
}
