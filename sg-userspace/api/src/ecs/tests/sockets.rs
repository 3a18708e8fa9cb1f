//! The recorded requests over a real connection, as bytes.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{common, ecs, encoded, router, sign};
use crate::{
    listen::{Exposure, Limits, Listener},
    signature::tests::{Recorded, recorded},
};

/// Runs `clients` in a thread while an API at the time `now` listens.
async fn with_face<T: Send + 'static>(
    now: &str,
    clients: impl FnOnce(&mut TcpStream) -> T + Send + 'static,
) -> T {
    let listener =
        Listener::tcp("127.0.0.1:0".parse().unwrap(), Exposure::Loopback { flag: "" }, "").unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Limits { body_bytes: 100_000, body_time: Duration::from_millis(500), ..Limits::default() };
    let serving = tokio::spawn(listener.serve(router(ecs(now)), limits, async { drop(stopped.await) }));
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        clients(&mut stream)
    });
    let result = asked.await.unwrap();
    drop(stop);
    serving.await.unwrap();
    result
}

/// Reads one response: status and body.
fn read(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

fn write(stream: &mut TcpStream, recorded: &Recorded, target: &str) {
    let headers: Vec<_> =
        recorded.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{} {target} HTTP/1.1\r\n{}\r\n", recorded.method, headers.concat());
    stream.write_all((head + &recorded.body).as_bytes()).unwrap();
}

#[tokio::test]
async fn recorded_requests_over_one_connection() {
    // They were recorded in two sessions, further apart than the window is wide.
    let early =
        |recorded: &Recorded| matches!(recorded.client.as_str(), "aliyun_tea_acs3" | "aliyun_tea_v2" | "npm");
    let mut count = 0;
    for (now, of_early) in [("2026-11-21T00:06:00Z", true), ("2026-11-21T00:37:00Z", false)] {
        let session = recorded()
            .into_iter()
            .filter(Recorded::is_rpc)
            .filter(move |recorded| early(recorded) == of_early);
        let replies = with_face(now, move |stream| {
            let ask = |recorded: Recorded| {
                // One client sends absolute targets, as to a proxy.
                let absolute = format!("http://ecs.cn-hangzhou.aliyuncs.com{}", recorded.target);
                let target = if recorded.client == "aliyun_core_v1" { &absolute } else { &recorded.target };
                write(stream, &recorded, target);
                (recorded.valid, read(stream))
            };
            session.map(ask).collect::<Vec<_>>()
        })
        .await;
        count += replies.len();
        for (valid, (status, body)) in replies {
            let refused = status == 400 && body.contains("SignatureDoesNotMatch");
            assert!(status < 500 && refused != valid, "{status}: {body}");
        }
    }
    assert_eq!(count, 102);
}

#[tokio::test]
async fn bodies_that_go_too_far_are_refused_in_the_vendors_form() {
    let form = "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let (status, body) = with_face(super::NOW, move |stream| {
        write!(stream, "{form}Content-Length: 100001\r\n\r\n").unwrap();
        read(stream)
    })
    .await;
    assert!(status == 413 && body.contains("<Code>RequestEntityTooLarge</Code>"), "{status}: {body}");
    let (status, body) = with_face(super::NOW, move |stream| {
        write!(stream, "{form}Content-Length: 100\r\n\r\nAction=").unwrap();
        read(stream)
    })
    .await;
    assert!(status == 408 && body.contains("<Code>RequestTimeout</Code>"), "{status}: {body}");
}

#[tokio::test]
async fn a_body_in_chunks_is_a_body() {
    let signed = encoded(&sign(&axum::http::Method::POST, common("DescribeRegions", "n")));
    let (status, body) = with_face(super::NOW, move |stream| {
        let (first, second) = signed.split_at(50);
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Transfer-Encoding: chunked\r\n\r\n32\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
            second.len()
        )
        .unwrap();
        read(stream)
    })
    .await;
    assert_eq!(status, 200, "{body}");
}
