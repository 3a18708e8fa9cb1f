//! Clients that are slow, send too much, or send no HTTP.

use std::{
    io::{Read, Write},
    net::Shutdown,
    thread,
    time::{Duration, Instant},
};

use super::{Limits, PATIENCE, Server, ask, limits, read_reply, router, until_closed};

#[test]
fn a_head_has_its_time() {
    let server = Server::tcp(router(), limits());
    for beginning in ["", "G", "GET / HTTP/1.1\r\nHost: h\r\n"] {
        let mut stream = server.connect();
        write!(stream, "{beginning}").unwrap();
        let time = until_closed(&mut stream);
        assert!((Duration::from_millis(300)..Duration::from_secs(10)).contains(&time), "{time:?}");
    }
    // Never silent, and never complete.
    let mut stream = server.connect();
    let began = Instant::now();
    write!(stream, "GET / HTTP/1.1\r\n").unwrap();
    while stream.write_all(b"X: y\r\n").is_ok() && began.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    server.stop();
}

#[test]
fn an_idle_connection_has_more_time_than_a_head() {
    let idle = Duration::from_millis(1500);
    let server = Server::tcp(router(), Limits { idle_time: idle, ..limits() });
    let mut stream = server.connect();
    ask(&mut stream, "/");
    thread::sleep(Duration::from_millis(900));
    assert!(ask(&mut stream, "/").ends_with("ok"));
    let time = until_closed(&mut stream);
    assert!((Duration::from_secs(1)..Duration::from_secs(10)).contains(&time), "{time:?}");

    // A second head has no more time than a first one.
    let mut stream = server.connect();
    ask(&mut stream, "/");
    write!(stream, "GET").unwrap();
    assert!(until_closed(&mut stream) < idle);
    server.stop();
}

#[test]
fn a_body_has_its_time() {
    let server = Server::tcp(router(), limits());
    let mut stream = server.connect();
    write!(stream, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome").unwrap();
    let reply = read_reply(&mut stream);
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    assert!(until_closed(&mut stream) < Duration::from_secs(10));

    // Byte by byte.
    let mut stream = server.connect();
    write!(stream, "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let mut dripping = stream.try_clone().unwrap();
    let drops = thread::spawn(move || {
        while dripping.write_all(b"1\r\nx\r\n").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let reply = read_reply(&mut stream);
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    until_closed(&mut stream);
    drop(stream);
    drops.join().unwrap();
    server.stop();
}

#[test]
fn a_body_that_ends_early_harms_nobody() {
    let server = Server::tcp(router(), limits());
    let mut stream = server.connect();
    write!(stream, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nsome").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    until_closed(&mut stream);
    assert!(ask(&mut server.connect(), "/").ends_with("ok"));
    server.stop();
}

#[test]
fn a_body_has_its_size() {
    let server = Server::tcp(router(), Limits { body_bytes: 10_000, ..limits() });
    let post = |head: &str, body: &[u8]| {
        let mut stream = server.connect();
        write!(stream, "POST /body HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n").unwrap();
        // If it is too large, the server may close before it has everything.
        drop(stream.write_all(body));
        read_reply(&mut stream)
    };
    let reply = post("Content-Length: 10000", &[b'x'; 10_000]);
    assert!(reply.ends_with("\r\n\r\n10000"), "{reply}");
    // Announced, and refused without a byte of it.
    let reply = post("Content-Length: 10001", b"");
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    let reply = post("Content-Length: 18446744073709551615", b"");
    assert!(reply.starts_with("HTTP/1.1 4"), "{reply}");
    let reply = post("Content-Length: 10001\r\nExpect: 100-continue", b"");
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    // Sent all the same: the client still gets its response.
    let reply = post("Content-Length: 900000", &vec![b'x'; 900_000]);
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");

    let chunk = [b"2710\r\n".as_slice(), &[b'x'; 10_000], b"\r\n"].concat();
    let reply = post("Transfer-Encoding: chunked", &[&chunk, b"0\r\n\r\n".as_slice()].concat());
    assert!(reply.ends_with("\r\n\r\n10000"), "{reply}");
    let reply = post("Transfer-Encoding: chunked", &chunk.repeat(10));
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    server.stop();
}

#[test]
fn a_reply_that_nobody_reads_has_its_time() {
    // No connection has to leave for another one here.
    let server = Server::tcp(router(), Limits { connections: 1, least_time: PATIENCE, ..limits() });
    let mut deaf = server.connect();
    write!(deaf, "GET /long HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    // There is one place, and the other has it.
    let began = Instant::now();
    assert!(ask(&mut server.connect(), "/").ends_with("ok"));
    assert!(began.elapsed() < Duration::from_secs(10));

    // A response that is read slowly is written to its end.
    let mut slow = server.connect();
    write!(slow, "GET /long HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
    let (mut count, mut buffer) = (0, vec![0; 4 << 20]);
    loop {
        match slow.read(&mut buffer).unwrap() {
            0 => break,
            read => count += read,
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!(count > 64 << 20, "{count}");
    server.stop();
}

#[test]
fn what_is_not_http_is_refused() {
    // No time limit matters here.
    let server = Server::tcp(router(), Limits::default());
    let send = |bytes: &[u8]| {
        let mut stream = server.connect();
        drop(stream.write_all(bytes));
        read_reply(&mut stream)
    };
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\n\r\n",
    ] {
        let reply = send(bytes);
        assert!(reply.starts_with("HTTP/1.1 400 ") || reply.is_empty(), "{reply}");
    }
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(1000));
    assert!(send(many.as_bytes()).starts_with("HTTP/1.1 431 "));
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(120 << 10));
    assert!(send(long.as_bytes()).starts_with("HTTP/1.1 200 "));
    let longer = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(200 << 10));
    let reply = send(longer.as_bytes());
    assert!(reply.starts_with("HTTP/1.1 431 ") || reply.is_empty(), "{reply}");
    let target = format!("GET /?{} HTTP/1.1\r\nHost: h\r\n\r\n", "y".repeat(70 << 10));
    // Data sent after the response causes a reset, which may overtake it.
    let reply = (0..10).map(|_| send(target.as_bytes())).find(|reply| !reply.is_empty());
    assert!(reply.is_some_and(|reply| reply.starts_with("HTTP/1.1 414 ")));
    assert!(ask(&mut server.connect(), "/").ends_with("ok"));
    server.stop();
}
