//! `sgctl top` on a terminal of its own: the program itself runs, a terminal reads what it draws, and keys and signals come from
//! there. Whatever ends it, the terminal is as it was.

#![expect(clippy::unwrap_used, reason = "a helper of tests")]

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    num::NonZero,
    os::unix::net::{UnixListener, UnixStream},
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};
use pty_process::{Size, blocking};
use tempfile::TempDir;

const STATUS: &str = r#"{"version":"1","instance":"web-host","local_nics":1,"attached":1,"waiting":[],
    "in_force":[{"device":"eth0","hook":"tc","generation":7,"groups":["web"]},
    {"device":"eth1","hook":"tc","generation":8,"groups":["web"]}]}"#;
const STATS: &str = r#"{"rules":[{"group":"web","rule":"https","direction":"ingress","action":"accept","packets":3,"bytes":180}],
    "intra_group":[],"defaults":[],"reasons":[],
    "flows":{"established":1,"max_established":8,"half_open":0,"max_half_open":4,"evicted":0}}"#;
/// What decides the packets of the NIC that is called `web-nic`.
const SHOW: &str = r#"[{"device":"eth0","attached":true,"generation":7,"groups":["web"],"steps":[]}]"#;
const FLOWS: &str = r#"{"flows":[],"total":0}"#;
const DENIED: &str = "{\"event\":\"denied\",\"start\":\"2026-11-30T13:00:00Z\",\"end\":\"2026-11-30T13:00:05Z\",\"nic\":\"eth0\",\
    \"device\":\"eth0\",\"direction\":\"ingress\",\"protocol\":6,\"src\":\"192.0.2.7\",\"dst\":\"10.0.0.5\",\"dport\":22,\
    \"verdict\":\"drop\",\"stage\":\"default\",\"rule\":\"default\",\"reason\":\"default\",\"generation\":7,\"packets\":[5,0],\
    \"bytes\":[300,0]}\n";

/// An agent, as far as the screen reads it.
struct Agent(TempDir);

impl Agent {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("api.sock")).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || serve(stream));
            }
        });
        Self(dir)
    }
}

fn serve(mut stream: UnixStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        assert!(lines.by_ref().any(|line| line.is_empty()), "{request}");
        let path = request.split(['?', ' ']).nth(1).unwrap();
        let body = match path {
            "/v1/status" => STATUS,
            "/v1/stats" => STATS,
            "/v1/flows" => FLOWS,
            "/v1/show" => SHOW,
            _ => {
                let length = DENIED.len();
                let head = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked";
                write!(stream, "{head}\r\n\r\n{length:x}\r\n{DENIED}\r\n").unwrap();
                continue;
            }
        };
        // The client may have ended.
        let _ = write!(stream, "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    }
}

fn size(letters: u16) -> NonZero<u16> {
    NonZero::new(letters).unwrap()
}

/// The program on a terminal.
struct Screen {
    child: Child,
    pty: Arc<blocking::Pty>,
    seen: Arc<Mutex<vt100::Parser>>,
    _agent: Agent,
}

impl Screen {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let agent = Agent::new();
        let (pty, pts) = blocking::open().unwrap();
        pty.resize(Size::new(24, 80)).unwrap();
        let socket = agent.0.path().join("api.sock");
        let command = blocking::Command::new(env!("CARGO_BIN_EXE_sgctl"));
        let words = ["top", "--interval", "1", "--socket", socket.to_str().unwrap()];
        let child =
            command.args(words).args(more).env("TERM", "xterm").env_remove("NO_COLOR").spawn(pts).unwrap();
        let (pty, seen) = (Arc::new(pty), Arc::new(Mutex::new(vt100::Parser::new(size(24), size(80), 0))));
        let (from, to) = (Arc::clone(&pty), Arc::clone(&seen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error: nobody has the terminal open any more.
            while let Ok(read @ 1..) = (&*from).read(&mut bytes) {
                to.lock().unwrap().process(&bytes[..read]);
            }
        });
        Self { child, pty, seen, _agent: agent }
    }

    fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen has all of this; returns its lines.
    fn shows(&self, wanted: &[&str]) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let lines: Vec<String> = {
                let parser = self.seen.lock().unwrap();
                let (_, columns) = parser.screen().size();
                parser.screen().rows(0, columns.get()).collect()
            };
            let has = |wanted: &&str| lines.iter().any(|line| line.contains(wanted));
            if wanted.iter().all(has) {
                return lines;
            }
            assert!(Instant::now() < deadline, "{wanted:?}: {lines:#?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its exit code; the terminal must be as it was.
    fn end(mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let is_back = || {
            let parser = self.seen.lock().unwrap();
            !parser.screen().alternate_screen() && !parser.screen().hide_cursor()
        };
        while !is_back() {
            assert!(Instant::now() < deadline, "the terminal was not given back");
            thread::sleep(Duration::from_millis(50));
        }
        let flags = tcgetattr(&*self.pty).unwrap().local_flags;
        assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG), "{flags:?}");
        status.code()
    }
}

#[test]
fn views_keys_and_sizes() {
    let screen = Screen::start();
    let lines = screen.shows(&["sgctl top  web-host", "eth0", "flows 1 of 8"]);
    assert!(lines[3].starts_with("NIC ") && lines[23].contains("q quit"), "{lines:#?}");
    assert!(screen.seen.lock().unwrap().screen().alternate_screen());
    screen.press("2");
    screen.shows(&["HITS/S", "https"]);
    screen.press("4");
    screen.shows(&["192.0.2.7", "10.0.0.5:22", "default"]);
    screen.press("/none");
    screen.shows(&["/none", "nothing yet"]);
    screen.press("\u{1b}");
    screen.shows(&["192.0.2.7"]);
    screen.press("?");
    screen.shows(&["scroll; Page Up"]);
    screen.press("?");

    screen.pty.resize(Size::new(10, 40)).unwrap();
    screen.seen.lock().unwrap().screen_mut().set_size(size(10), size(40));
    let lines = screen.shows(&["sgctl top", "filt…"]);
    assert_eq!(lines.len(), 10);
    screen.press("q");
    assert_eq!(screen.end(), Some(0));
}

#[test]
fn one_nic_is_shown_alone_by_any_name() {
    Screen::start().shows(&["eth0", "eth1"]);
    let screen = Screen::start_with(&["--nic", "web-nic"]);
    let lines = screen.shows(&["eth0"]);
    assert!(!lines.iter().any(|line| line.contains("eth1")), "{lines:#?}");
    // What is pasted is no keys, neither q nor 2.
    screen.press("\u{1b}[200~q2\u{1b}[201~");
    screen.press("/\u{1b}[200~web\u{1b}[201~\r");
    screen.shows(&["filter: web", "GROUPS"]);
    screen.press("q");
    assert_eq!(screen.end(), Some(0));
}

#[test]
fn the_terminal_is_given_back_whatever_ends_it() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let screen = Screen::start();
        screen.shows(&["eth0"]);
        kill(Pid::from_raw(screen.child.id().cast_signed()), signal).unwrap();
        assert_eq!(screen.end(), Some(0), "{signal}");
    }
    let screen = Screen::start();
    screen.shows(&["eth0"]);
    screen.press("\u{3}");
    assert_eq!(screen.end(), Some(0), "Ctrl-C");
}

#[test]
fn what_is_no_terminal_is_refused_by_name() {
    let agent = Agent::new();
    let socket = agent.0.path().join("api.sock");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sgctl"));
    let command = command.args(["top", "--socket"]).arg(socket).stdin(Stdio::null());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("standard output is no terminal: `sgctl stats -w`"), "{said}");

    let (pty, pts) = blocking::open().unwrap();
    let command = blocking::Command::new(env!("CARGO_BIN_EXE_sgctl"));
    let mut child = command.args(["top", "--json"]).spawn(pts).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let mut said = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = (&pty).read(&mut bytes) {
        said.extend_from_slice(&bytes[..read]);
    }
    let said = String::from_utf8(said).map_err(io::Error::other).unwrap();
    assert!(said.contains("has no other format"), "{said}");
}
