//! More bodies than there is memory for.

use std::{
    io::Write as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use axum::{Extension, Router, body::Body, routing::post};

use super::{
    super::{Claim, collect},
    Limits, PATIENCE, Server, limits, read_reply, router, until_closed,
};

/// A body larger than what each has of its own.
const LARGE: usize = 10_000;

/// A listener that has memory for one and a half large bodies.
fn server(own: usize, least: Duration) -> Server {
    let known = async |Extension(claim): Extension<Claim>, body: Body| {
        claim.accept();
        collect(body).await.map_or(0, |bytes| bytes.len()).to_string()
    };
    let router = router().merge(Router::new().route("/known", post(known)));
    let limits = Limits {
        own_body_bytes: own,
        shared_body_bytes: 15_000,
        least_time: least,
        body_time: PATIENCE,
        ..limits()
    };
    Server::tcp(router, limits)
}

/// Sends a body except its last byte, if there is memory for it.
fn begin(server: &Server, path: &str, length: usize) -> TcpStream {
    let mut stream = server.connect();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").unwrap();
    stream.write_all(&vec![b'x'; length - 1]).unwrap();
    // One after the other, so that it is known which is the oldest.
    thread::sleep(Duration::from_millis(50));
    stream
}

fn end(stream: &mut TcpStream) -> String {
    stream.write_all(b"x").unwrap();
    read_reply(stream)
}

#[test]
fn the_oldest_that_is_incomplete_goes_for_others() {
    let server = server(0, Duration::from_millis(100));
    let began = Instant::now();
    let mut held: Vec<TcpStream> = (0..5).map(|_| begin(&server, "/body", LARGE)).collect();
    let mut last = held.pop().unwrap();
    // Each of them was dropped for the next one, and got the reason.
    for stream in &mut held {
        let reply = read_reply(stream);
        assert!(reply.starts_with("HTTP/1.1 503 "), "{reply}");
        assert!(until_closed(stream) < Duration::from_secs(10));
    }
    assert!(end(&mut last).ends_with("\r\n\r\n10000"));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // The memory that it held is free again.
    assert!(end(&mut begin(&server, "/body", LARGE)).ends_with("\r\n\r\n10000"));
    server.stop();
}

#[test]
fn who_is_known_stays_and_those_who_come_are_refused() {
    let server = server(0, Duration::from_millis(100));
    let mut known = begin(&server, "/known", LARGE);
    for path in ["/body", "/known"] {
        let mut other = begin(&server, path, LARGE);
        // This API's response to an unreadable body is empty.
        let reply = read_reply(&mut other);
        assert!(reply.starts_with("HTTP/1.1 503 ") || reply.ends_with("\r\n\r\n0"), "{path}: {reply}");
    }
    assert!(end(&mut known).ends_with("\r\n\r\n10000"));
    server.stop();
}

#[test]
fn a_small_one_waits_for_nobody() {
    // None would have to leave for a long time.
    let server = server(1_000, PATIENCE);
    let mut held = [begin(&server, "/body", LARGE), begin(&server, "/body", LARGE)];
    let began = Instant::now();
    for _ in 0..20 {
        assert!(end(&mut begin(&server, "/body", 1_000)).ends_with("\r\n\r\n1000"));
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // The second one waits for the memory of the first, and gets it.
    assert!(end(&mut held[0]).ends_with("\r\n\r\n10000"));
    assert!(end(&mut held[1]).ends_with("\r\n\r\n10000"));
    server.stop();
}

#[test]
fn who_goes_away_leaves_its_memory() {
    let server = server(0, Duration::from_millis(100));
    let held = [begin(&server, "/known", LARGE), begin(&server, "/body", LARGE)];
    drop(held);
    thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        assert!(end(&mut begin(&server, "/body", LARGE)).ends_with("\r\n\r\n10000"));
    }
    server.stop();
}
