//! Listeners as clients meet them: over loopback, and over sockets in a directory of the test's own.

mod accept;
mod large;
mod many;
mod memory;
mod slow;
mod unix;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Body,
    http::{Request, StatusCode},
    routing::{get, post},
};
use tokio::{runtime::Builder, sync::oneshot};

use super::{BodyFailure, Exposure, LargeBody, Limits, Listener, Peer, collect};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener in a thread of its own, so that clients may block.
struct Server {
    address: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    fn tcp(router: Router, limits: Limits) -> Self {
        Self::start(async { listener() }, router, limits)
    }

    fn start(
        listener: impl Future<Output = Listener> + Send + 'static,
        router: Router,
        limits: Limits,
    ) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = listener.await;
                tell.send(listener.address()).unwrap();
                let stopped = async { drop(stopped.await) };
                listener.serve(router, limits, stopped).await;
            });
        });
        Self { address: told.recv().unwrap(), stop, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address.unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Tells it to stop; returns when it has.
    fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}

fn listener() -> Listener {
    Listener::tcp("127.0.0.1:0".parse().unwrap(), Exposure::Loopback { flag: "--any" }, "--here").unwrap()
}

/// An API whose responses describe the requests.
fn router() -> Router {
    Router::new()
        .route("/", get(async || "ok"))
        .route("/peer", get(async |Extension(peer): Extension<Peer>| format!("{peer:?}")))
        .route("/long", get(async || vec![b'x'; 64 << 20]))
        .route("/body", post(body))
        .route("/large", post(large))
        .route("/apart", post(apart))
}

/// An API that allows a few bodies of 1 MB beside the large one.
async fn apart(Extension(bounds): Extension<LargeBody>, request: Request<Body>) -> (StatusCode, String) {
    bounds.stand_apart();
    bounds.allow(1_000_000);
    body(request).await
}

/// An API that allows bodies of 1 MB.
async fn large(Extension(bounds): Extension<LargeBody>, request: Request<Body>) -> (StatusCode, String) {
    bounds.allow(1_000_000);
    body(request).await
}

async fn body(request: Request<Body>) -> (StatusCode, String) {
    match collect(request.into_body()).await {
        Ok(bytes) => (StatusCode::OK, bytes.len().to_string()),
        Err(failure) => {
            let status = match failure {
                BodyFailure::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                BodyFailure::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
                BodyFailure::Crowded => StatusCode::SERVICE_UNAVAILABLE,
                BodyFailure::Broken { .. } => StatusCode::BAD_REQUEST,
            };
            (status, failure.to_string())
        }
    }
}

/// Limits short enough for tests, yet long enough for a busy machine.
fn limits() -> Limits {
    Limits {
        head_time: Duration::from_millis(500),
        body_time: Duration::from_millis(500),
        write_time: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// Sends a request for `path` and keeps the connection.
fn ask(stream: &mut (impl Read + Write), path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    read_reply(stream)
}

/// Reads one response that has a length; blank if the connection ended before.
fn read_reply(stream: &mut impl Read) -> String {
    let mut reply = Vec::new();
    let mut byte = [0];
    while !reply.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return String::from_utf8(reply).unwrap();
        }
        reply.push(byte[0]);
    }
    let head = String::from_utf8(reply).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

/// How long it takes until the peer has closed the connection.
fn until_closed(stream: &mut impl Read) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    // A reset also closes it.
    drop(stream.read_to_end(&mut rest));
    began.elapsed()
}

#[test]
fn requests_are_served_one_after_another() {
    let server = Server::tcp(router(), limits());
    let mut stream = server.connect();
    for _ in 0..3 {
        let reply = ask(&mut stream, "/");
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nok"), "{reply}");
    }
    let local = stream.local_addr().unwrap();
    assert!(ask(&mut stream, "/peer").ends_with(&format!("Address({local})")));
    // Several at once, and one in pieces.
    write!(stream, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET http://elsewhere/ HTTP/1.1\r\nHo").unwrap();
    assert!(read_reply(&mut stream).ends_with("ok"));
    write!(stream, "st: h\r\n\r\n").unwrap();
    assert!(read_reply(&mut stream).ends_with("ok"));
    server.stop();
}

#[test]
fn only_loopback_unless_allowed() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "[2001:db8::1]:80", "[::ffff:192.0.2.1]:80"] {
        let refused = Listener::tcp(address.parse().unwrap(), Exposure::Loopback { flag: "--any" }, "--here")
            .unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(address) && text.contains("--any"), "{text}");
    }
    // Allowed, but not an address of this host.
    let refused = Listener::tcp("192.0.2.1:80".parse().unwrap(), Exposure::Anywhere, "--here").unwrap_err();
    assert!(refused.to_string().starts_with("cannot listen on 192.0.2.1:80: "), "{refused}");
    assert!(refused.to_string().ends_with("; choose another address with --here"), "{refused}");

    let first = listener();
    let taken = Listener::tcp(first.address().unwrap(), Exposure::Loopback { flag: "--any" }, "--here");
    let refused = taken.unwrap_err().to_string();
    assert!(refused.ends_with("it is in use; choose another address with --here"), "{refused}");
}
