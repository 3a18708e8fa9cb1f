//! Clients that mean no good, against an agent that serves both APIs over TCP: each is refused with the code that is documented
//! for it, none costs memory without bounds, and honest clients are served and packets judged meanwhile as before.
//!
//! | file | what it tries |
//! |---|---|
//! | `access` | wrong secrets, two of what there is one of, bodies that are not what they say |
//! | `bytes` | what is no HTTP, too much of it, several requests in one, values of wrong types |
//! | `slow` | thousands of connections that are half-open, drip, or read no response |
//! | `huawei` | the same of the API for clients of Huawei Cloud: forged tokens, what is signed and what is not, markers, deep JSON |
//! | `key` | requests signed as the vendor says it, by hand |

mod access;
mod bytes;
mod huawei;
mod key;
mod slow;

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt as _,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{Timestamp, ToSpan as _};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sg_tests::lab::{Host, Lab, Outcome, Question, Service, ask, respond, until};
use socket2::{Domain, Socket, Type};

use crate::support::{served::Served, suite::Suite};
pub(crate) use key::Key;

pub(crate) const ECS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8750);
pub(crate) const NATIVE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8790);
pub(crate) const HUAWEI: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8751);
/// Has the API for clients of Huawei Cloud on [`HUAWEI`].
pub(crate) const WITH_HUAWEI: &[&str] = &["--huawei", "127.0.0.1:8751"];
/// Has the native API on [`NATIVE`].
pub(crate) const BOTH: &[&str] = &["--listen", "127.0.0.1:8790"];

/// How long a response may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("refused_with_the_documented_code", refused);
    suite.add("replayed_after_a_restart", replayed_after_a_restart);
    suite.add("ten_thousand_connections", ten_thousand_connections);
    suite.add("nothing_listens_elsewhere_and_secrets_stay", nothing_leaks);
    for room in [access::tests, bytes::tests, slow::tests, huawei::tests] {
        room(suite);
    }
}

/// Sends bytes; what comes back until the agent closes, which is nothing where it closes at once.
pub(crate) fn exchange(host: &Host, address: SocketAddr, bytes: &[u8]) -> Result<String> {
    host.inside(|| exchange_here(address, bytes))
}

/// The same, in the network of this thread.
fn exchange_here(address: SocketAddr, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // It may close before it has read all.
    let _ = stream.write_all(bytes);
    let mut response = Vec::new();
    match stream.read_to_end(&mut response) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            bail!("it neither responds nor closes")
        }
        _ => Ok(String::from_utf8_lossy(&response).into_owned()),
    }
}

fn get(host: &Host, target: &str) -> Result<String> {
    exchange(
        host,
        ECS,
        format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", ECS.ip()).as_bytes(),
    )
}

/// Whether a response has this status, and this code if one is given.
pub(crate) fn expect(what: &str, response: &str, status: u16, code: &str) -> Result<()> {
    let first = response.lines().next().unwrap_or_default();
    ensure!(first.contains(&format!(" {status} ")), "{what}: {status} expected: {response}");
    // As JSON or as XML.
    let has = |code: String| response.contains(&code);
    let named = code.is_empty() || has(format!("\"{code}\"")) || has(format!("<Code>{code}</Code>"));
    ensure!(named, "{what}: {code} expected: {response}");
    Ok(())
}

fn refused(lab: Lab) -> Result<()> {
    let host = lab.host("refuses")?;
    let served = Served::start(&host)?;
    let key = Key::make(&served)?;
    let stranger = Key { id: key.id.clone(), secret: "guessed".into() };
    let nobody = Key { id: "nobody".into(), secret: key.secret.clone() };
    let now = Timestamp::now();
    let (late, early) = (now - 16.minutes(), now + 16.minutes());

    let taken = key.target(now, "taken", &[])?;
    let cases = [
        ("a good one", taken.clone(), 200, ""),
        ("the same again", taken, 400, "SignatureNonceUsed"),
        ("its nonce again", key.target(now, "taken", &[("RegionId", "x")])?, 400, "SignatureNonceUsed"),
        ("another secret", stranger.target(now, "a", &[])?, 400, "SignatureDoesNotMatch"),
        ("another key", nobody.target(now, "b", &[])?, 404, "InvalidAccessKeyId.NotFound"),
        ("a late clock", key.target(late, "c", &[])?, 400, "InvalidTimeStamp.Expired"),
        ("an early clock", key.target(early, "d", &[])?, 400, "InvalidTimeStamp.Expired"),
        ("no such action", key.target(now, "e", &[("Action", "Nothing")])?, 404, "InvalidAction.NotFound"),
        ("no such version", key.target(now, "f", &[("Version", "1999-01-01")])?, 400, "InvalidVersion"),
        ("nothing", "/".into(), 400, ""),
        ("another path", "/etc/passwd".into(), 404, "InvalidAction.NotFound"),
    ];
    for (what, target, status, code) in cases {
        expect(what, &get(&host, &target)?, status, code)?;
    }

    let long = "x".repeat(200_000);
    let garbage: Vec<u8> = (0..4096_u32).map(|number| (number * 7 + number / 13) as u8).collect();
    let announced = |length: &str| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n");
        format!("{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n").into_bytes()
    };
    let raw: [(&str, Vec<u8>, &[u16]); 6] = [
        ("garbage", garbage, &[400]),
        ("a long target", format!("GET /?{long} HTTP/1.1\r\n\r\n").into_bytes(), &[400, 414, 431]),
        ("a long header", format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n").into_bytes(), &[431]),
        ("a large body", announced("1000000000"), &[413]),
        ("no length", announced("many"), &[400]),
        ("two requests in one", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n".to_vec(), &[400]),
    ];
    for (what, bytes, statuses) in raw {
        let response = exchange(&host, ECS, &bytes).context(what)?;
        let first = response.lines().next().unwrap_or_default();
        let is_one = |status: &u16| first.contains(&format!(" {status} "));
        ensure!(statuses.iter().any(is_one), "{what}: one of {statuses:?} expected: {response:?}");
    }
    expect("at last", &get(&host, &key.target(now, "last", &[])?)?, 200, "")
}

fn replayed_after_a_restart(lab: Lab) -> Result<()> {
    let host = lab.host("replayed")?;
    let mut served = Served::start(&host)?;
    let key = Key::make(&served)?;
    let target = key.target(Timestamp::now(), "once", &[])?;
    expect("at first", &get(&host, &target)?, 200, "")?;
    served.kill()?;
    // Timestamps are whole seconds.
    std::thread::sleep(Duration::from_secs(1));
    served.again()?;
    expect("after the restart", &get(&host, &target)?, 400, "InvalidTimeStamp.Expired")?;
    expect("a new one", &get(&host, &key.target(Timestamp::now(), "new", &[])?)?, 200, "")
}

fn ten_thousand_connections(lab: Lab) -> Result<()> {
    const CONNECTIONS: usize = 10_000;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let lan = lab.lan()?;
    let server = lan.host("crowded", &["10.79.0.1/24"])?;
    let client = lan.host("neighbour", &["10.79.0.2/24"])?;
    let served = Served::start(&server)?;
    let key = Key::make(&served)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
    served.done("POST", "/v1/nics", r#"{"vpc":"net","device":"eth0","groups":["web"]}"#)?;
    let rule = r#"{"direction":"ingress","rules":[{"protocol":"tcp","ports":"80","remote":"10.79.0.0/24"}]}"#;
    served.done("POST", "/v1/groups/web/rules", rule)?;
    let (to, from): (IpAddr, IpAddr) = ("10.79.0.1".parse()?, "10.79.0.2".parse()?);
    let _open = respond(&server, to, Service::Tcp(80))?;
    let _closed = respond(&server, to, Service::Tcp(81))?;
    let judged = |when: &str| -> Result<()> {
        let open = ask(&client, &Question::new(from, to, Service::Tcp(80)), Duration::from_secs(2))?;
        let closed = ask(&client, &Question::new(from, to, Service::Tcp(81)), Duration::from_millis(300))?;
        ensure!((open, closed) == (Outcome::Reply, Outcome::Silent), "{when}: {open:?} {closed:?}");
        Ok(())
    };
    judged("before")?;
    let before = served.memory()?;

    let mut held = Vec::with_capacity(CONNECTIONS);
    server.inside(|| {
        for _ in 0..CONNECTIONS {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            // Most of them wait: the agent takes no more than it can serve.
            let _ = socket.connect(&ECS.into());
            held.push(TcpStream::from(socket));
        }
        for (number, stream) in held.iter_mut().enumerate() {
            // Half of a head, a body that does not come, or nothing at all. It may wait, or be closed already.
            let _ = match number % 3 {
                0 => stream.write_all(b"GET /?Action=Describe"),
                1 => stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nAct"),
                _ => Ok(()),
            };
        }
        Ok(())
    })?;
    judged("meanwhile")?;
    ensure!(served.done("GET", "/v1/status", "")?["attached"] == 1, "its own socket is served meanwhile");
    let (after, open) = (served.memory()?, served.descriptors()?);
    println!("memory {before} KiB before, {after} KiB with {CONNECTIONS} connections, {open} descriptors");
    ensure!(after < before + (128 << 10), "{before} KiB before, {after} KiB after");
    ensure!(open < 1_100, "{open} descriptors");
    drop(held);
    until("it serves again", || {
        let response = get(&server, &key.target(Timestamp::now(), &fastrand::u64(..).to_string(), &[])?)?;
        Ok(response.starts_with("HTTP/1.1 200"))
    })?;
    judged("after")
}

fn nothing_leaks(lab: Lab) -> Result<()> {
    let host = lab.host("secrets")?;
    let mut served = Served::start(&host)?;
    let key = Key::make(&served)?;
    served.kill()?;
    // A library speaks where it is named only.
    let log = served.again_with_log("trace,axum=trace,hyper=trace,hyper_util=trace,mio=trace,redb=trace")?;
    expect("a good one", &get(&host, &key.target(Timestamp::now(), "n", &[])?)?, 200, "")?;
    let other = Key::make(&served)?;
    let listening = host.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/tcp")?))?;
    let listening: Vec<&str> = listening.lines().filter(|line| line.contains(" 0A ")).collect();
    ensure!(
        listening.len() == 1 && listening[0].contains(" 0100007F:222E "),
        "only 127.0.0.1:8750 is expected: {listening:?}"
    );
    let six = host.inside(|| Ok(fs::read_to_string("/proc/thread-self/net/tcp6")?))?;
    ensure!(!six.contains(" 0A "), "{six}");

    let mode = |path: &std::path::Path| -> Result<u32> {
        Ok(fs::metadata(path).with_context(|| path.display().to_string())?.permissions().mode() & 0o777)
    };
    let modes = [(served.state().to_path_buf(), 0o700), (served.state().join("state.redb"), 0o600)];
    for (path, wanted) in modes.into_iter().chain([(served.socket(), 0o660)]) {
        ensure!(mode(&path)? == wanted, "{}: {:o}", path.display(), mode(&path)?);
    }
    let log = fs::read_to_string(log)?;
    ensure!(log.lines().count() > 10, "it logs nothing, so nothing is shown by this: {log}");
    for secret in [&key.secret, &other.secret] {
        ensure!(!log.contains(secret.as_str()), "the secret is in the log");
    }
    let shown = served.done("GET", "/v1/access-keys", "")?.to_string();
    ensure!(shown.contains(&key.id) && !shown.contains(&key.secret), "{shown}");
    Ok(())
}
