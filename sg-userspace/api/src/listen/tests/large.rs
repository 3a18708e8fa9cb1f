//! Bodies that an API allows to be larger than others.

use std::{
    io::Write as _,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use super::{Limits, Server, limits, read_reply, router};

const SMALL: usize = 1_000;

fn server(limits: &Limits) -> Server {
    Server::tcp(router(), Limits { body_bytes: SMALL, ..limits.clone() })
}

fn begin(server: &Server, path: &str, length: usize) -> TcpStream {
    let mut stream = server.connect();
    write!(stream, "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").unwrap();
    stream
}

fn post(server: &Server, path: &str, length: usize) -> String {
    let mut stream = begin(server, path, length);
    // If it is refused, it is not read.
    let _ = stream.write_all(&vec![b'x'; length]);
    read_reply(&mut stream)
}

#[test]
fn only_who_may_sends_a_large_one() {
    let server = server(&Limits::default());
    for (path, length, status) in [
        ("/body", SMALL, "200 OK"),
        ("/body", SMALL + 1, "413 Payload Too Large"),
        ("/large", SMALL, "200 OK"),
        ("/large", 1_000_000, "200 OK"),
        ("/large", 1_000_001, "413 Payload Too Large"),
    ] {
        let reply = post(&server, path, length);
        assert!(reply.contains(status), "{path} {length}: {reply}");
    }
    // In pieces, without a length.
    let mut stream = server.connect();
    write!(stream, "POST /large HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..50 {
        write!(stream, "3e8\r\n{}\r\n", "x".repeat(SMALL)).unwrap();
    }
    write!(stream, "0\r\n\r\n").unwrap();
    assert!(read_reply(&mut stream).ends_with("\r\n\r\n50000"));
    server.stop();
}

#[test]
fn there_is_one_at_a_time() {
    let server = server(&Limits::default());
    let mut first = begin(&server, "/large", 10_000);
    first.write_all(&[b'x'; 5_000]).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(post(&server, "/large", 10_000).contains("503 Service Unavailable"));
    // Other requests are not affected.
    assert!(post(&server, "/large", SMALL).contains("200 OK"));
    assert!(post(&server, "/body", SMALL).contains("200 OK"));
    first.write_all(&[b'x'; 5_000]).unwrap();
    assert!(read_reply(&mut first).contains("200 OK"));
    assert!(post(&server, "/large", 10_000).contains("200 OK"));
    // Nor does one that ended halfway block the next one.
    drop(begin(&server, "/large", 10_000));
    thread::sleep(Duration::from_millis(200));
    assert!(post(&server, "/large", 10_000).contains("200 OK"));
    server.stop();
}

/// A question must not keep a change from being sent, nor the other way round.
#[test]
fn those_that_stand_apart_are_not_counted() {
    let server = server(&Limits { body_time: Duration::from_secs(5), ..limits() });
    let mut questions = [0; 2].map(|_| begin(&server, "/apart", 10_000));
    for question in &mut questions {
        question.write_all(&[b'x'; 5_000]).unwrap();
    }
    let mut change = begin(&server, "/large", 10_000);
    change.write_all(&[b'x'; 5_000]).unwrap();
    thread::sleep(Duration::from_millis(200));
    assert!(post(&server, "/large", 10_000).contains("503 Service Unavailable"));
    assert!(post(&server, "/apart", 10_000).contains("200 OK"));
    assert!(post(&server, "/apart", 1_000_001).contains("413 Payload Too Large"));
    for stream in questions.iter_mut().chain([&mut change]) {
        stream.write_all(&[b'x'; 5_000]).unwrap();
        assert!(read_reply(stream).contains("200 OK"));
    }
    server.stop();
}

#[test]
fn a_large_one_has_the_time_that_its_size_takes() {
    // One more second for each 10,000 bytes.
    let server = server(&Limits { large_body_pace: 10_000, ..limits() });
    let mut steady = begin(&server, "/large", 30_000);
    for _ in 0..30 {
        steady.write_all(&[b'x'; 1_000]).unwrap();
        thread::sleep(Duration::from_millis(40));
    }
    // It took more time than every body has.
    assert!(read_reply(&mut steady).contains("200 OK"));
    let began = Instant::now();
    let mut slow = begin(&server, "/large", 30_000);
    slow.write_all(&[b'x'; 11_000]).unwrap();
    assert!(read_reply(&mut slow).contains("408 Request Timeout"));
    assert!(began.elapsed() > Duration::from_millis(1_400), "{:?}", began.elapsed());
    server.stop();
}
