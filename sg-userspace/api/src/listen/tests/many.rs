//! More clients than there are places.

use std::{
    io::{self, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Body,
    routing::{get, post},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
};

use super::{
    super::{Claim, HeldBack, collect},
    Limits, Server, ask, limits, read_reply, router, until_closed,
};

/// The number of requests being served, its maximum, and what they wait for.
#[derive(Clone)]
struct Counted {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    release: Arc<Semaphore>,
}

impl Counted {
    fn new() -> Self {
        Self { now: Arc::default(), most: Arc::default(), release: Arc::new(Semaphore::new(0)) }
    }

    fn router(&self) -> Router {
        let counted = self.clone();
        Router::new().route(
            "/",
            get(move || async move {
                let now = counted.now.fetch_add(1, Ordering::SeqCst) + 1;
                counted.most.fetch_max(now, Ordering::SeqCst);
                drop(counted.release.acquire().await);
                counted.now.fetch_sub(1, Ordering::SeqCst);
                "ok"
            }),
        )
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < super::PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Files that this process has open.
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn thousands_of_clients_are_served_a_few_at_a_time() {
    const CLIENTS: usize = 2_500;
    const ROOM: usize = 100;
    // As `sgd` does when it starts.
    let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, descriptors, descriptors).unwrap();
    assert!(descriptors > 2 * CLIENTS as u64, "{descriptors} file descriptors are too few for this test");

    let counted = Counted::new();
    let limits =
        Limits { connections: ROOM, head_time: super::PATIENCE, least_time: super::PATIENCE, ..limits() };
    let server = Server::tcp(counted.router(), limits);
    let address = server.address.unwrap();
    let responses = Arc::new(AtomicUsize::new(0));
    let clients = {
        let responses = Arc::clone(&responses);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut clients = tokio::task::JoinSet::new();
                for _ in 0..CLIENTS {
                    let responses = Arc::clone(&responses);
                    clients.spawn(async move {
                        // A client for which the backlog has no room tries again, as the kernel does; here, for as long.
                        let mut stream = connect(address).await.unwrap();
                        stream
                            .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
                            .await
                            .unwrap();
                        let mut reply = String::new();
                        stream.read_to_string(&mut reply).await.unwrap();
                        assert!(reply.ends_with("ok"), "{reply}");
                        responses.fetch_add(1, Ordering::SeqCst);
                    });
                }
                while let Some(ended) = clients.join_next().await {
                    ended.unwrap();
                }
            });
        })
    };
    eventually("the house is full", || counted.now.load(Ordering::SeqCst) == ROOM);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(counted.most.load(Ordering::SeqCst), ROOM);
    assert_eq!(responses.load(Ordering::SeqCst), 0);
    // Clients have a socket each in this process too; the server holds the rest.
    let files = open_files();
    assert!(files < CLIENTS + ROOM + 500, "{files}");

    counted.release.add_permits(CLIENTS);
    clients.join().unwrap();
    assert_eq!(responses.load(Ordering::SeqCst), CLIENTS);
    assert_eq!(counted.most.load(Ordering::SeqCst), ROOM);
    server.stop();
}

async fn connect(address: std::net::SocketAddr) -> io::Result<tokio::net::TcpStream> {
    tokio::time::timeout(super::PATIENCE, tokio::net::TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

#[test]
fn half_open_connections_keep_nobody_out_for_long() {
    // Each of them has half a minute for its head.
    let server = Server::tcp(router(), Limits { connections: 20, head_time: super::PATIENCE, ..limits() });
    let silent: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    let began = Instant::now();
    assert!(ask(&mut server.connect(), "/").ends_with("ok"));
    // All places were taken three times, and the oldest connections left.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(silent);
    server.stop();
}

#[test]
fn who_keeps_others_waiting_leaves_and_who_is_served_or_known_does_not() {
    let counted = Counted::new();
    let known = async |Extension(claim): Extension<Claim>, body: Body| {
        claim.accept();
        collect(body).await.map_or(0, |bytes| bytes.len()).to_string()
    };
    let held = async || (Extension(HeldBack(super::PATIENCE)), "late");
    let router = router().merge(Router::new().route("/known", post(known)).route("/held", get(held)));
    let router = Router::new().nest("/served", counted.router()).merge(router);
    let long = super::PATIENCE;
    let limits = Limits { head_time: long, body_time: long, write_time: long, connections: 6, ..limits() };
    let server = Server::tcp(router, limits);
    let begin = |text: &str| {
        let mut stream = server.connect();
        stream.write_all(text.as_bytes()).unwrap();
        // One after the other, so that it is known which is the oldest.
        thread::sleep(Duration::from_millis(30));
        stream
    };
    let mut served = begin("GET /served HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut uploads = begin("POST /known HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
    let leaving = [
        begin("GET / HTTP/1.1\r\nHo"),
        begin("POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome"),
        begin("GET /held HTTP/1.1\r\nHost: h\r\n\r\n"),
        begin("GET /long HTTP/1.1\r\nHost: h\r\n\r\n"),
    ];
    eventually("the request arrives", || counted.now.load(Ordering::SeqCst) == 1);
    let began = Instant::now();
    let mut others = Vec::new();
    for mut stream in leaving {
        // Each of these stays, so that the next one needs the place of another.
        let mut other = server.connect();
        write!(other, "GET /served HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        others.push(other);
        until_closed(&mut stream);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    uploads.write_all(b"y").unwrap();
    assert!(read_reply(&mut uploads).ends_with("\r\n\r\n2"));
    counted.release.add_permits(1 + others.len());
    for stream in std::iter::once(&mut served).chain(&mut others) {
        assert!(read_reply(stream).ends_with("ok"));
    }
    server.stop();
}

#[test]
fn a_response_is_held_back_without_memory_for_bodies() {
    let wait = Duration::from_millis(700);
    let held = async move |body: Body| {
        let bytes = collect(body).await.map_or(0, |bytes| bytes.len());
        (Extension(HeldBack(wait)), bytes.to_string())
    };
    let router = router().merge(Router::new().route("/held", post(held)));
    let server = Server::tcp(router, Limits { own_body_bytes: 0, shared_body_bytes: 100, ..limits() });
    let began = Instant::now();
    let post = |path: &str| {
        let mut stream = server.connect();
        write!(stream, "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 80\r\n\r\n{}", "x".repeat(80))
            .unwrap();
        stream
    };
    let mut held = post("/held");
    thread::sleep(Duration::from_millis(200));
    assert!(read_reply(&mut post("/body")).ends_with("\r\n\r\n80"));
    assert!(read_reply(&mut held).ends_with("\r\n\r\n80"));
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
    server.stop();
}

#[test]
fn idle_connections_leave_when_the_house_is_full() {
    let server = Server::tcp(router(), Limits { connections: 10, ..Limits::default() });
    let mut idle: Vec<TcpStream> = (0..9)
        .map(|_| {
            let mut stream = server.connect();
            assert!(ask(&mut stream, "/").ends_with("ok"));
            stream
        })
        .collect();
    // There is a place for all of them.
    for stream in &mut idle {
        assert!(ask(stream, "/").ends_with("ok"));
    }
    let began = Instant::now();
    // Each of them stays, so that it needs the place of another one.
    let others: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = server.connect();
            assert!(ask(&mut stream, "/").ends_with("ok"));
            stream
        })
        .collect();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let closed = idle.iter_mut().map(until_closed).max().unwrap();
    assert!(closed < Duration::from_secs(20), "{closed:?}");
    drop(others);
    server.stop();
}

#[test]
fn stopping_lets_requests_end() {
    let counted = Counted::new();
    let server =
        Server::tcp(counted.router().merge(Router::new().route("/idle", get(async || "ok"))), limits());
    let address = server.address.unwrap();
    let mut asking = server.connect();
    write!(asking, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    let mut idle = server.connect();
    assert!(ask(&mut idle, "/idle").ends_with("ok"));
    let mut silent = server.connect();
    eventually("the request arrives", || counted.now.load(Ordering::SeqCst) == 1);

    let stopping = thread::spawn(move || server.stop());
    until_closed(&mut idle);
    until_closed(&mut silent);
    assert!(TcpStream::connect(address).is_err());
    assert!(!stopping.is_finished());
    counted.release.add_permits(1);
    let reply = read_reply(&mut asking);
    assert!(reply.ends_with("ok") && reply.contains("connection: close"), "{reply}");
    stopping.join().unwrap();
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let counted = Counted::new();
    let server = Server::tcp(counted.router(), Limits { grace: Duration::from_millis(300), ..limits() });
    let mut asking = server.connect();
    write!(asking, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    eventually("the request arrives", || counted.now.load(Ordering::SeqCst) == 1);
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(10));
    until_closed(&mut asking);
}
