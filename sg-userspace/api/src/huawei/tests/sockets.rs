//! Recorded requests over a real connection, as bytes.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use sg_records::KeyRole;
use tokio::sync::oneshot;

use super::{Huawei, face, huawei, router};
use crate::{
    keys::{AccessKeys, KnownKey, Secret},
    listen::{Exposure, Limits, Listener},
    signature::tests::huawei::{Vector, vectors},
};

/// Runs `client` in a thread while an API listens.
async fn with_face<T: Send + 'static>(
    router: Router,
    client: impl FnOnce(&mut TcpStream) -> T + Send + 'static,
) -> T {
    let listener =
        Listener::tcp("127.0.0.1:0".parse().unwrap(), Exposure::Loopback { flag: "" }, "").unwrap();
    let address = listener.address().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Limits { body_bytes: 100_000, body_time: Duration::from_millis(500), ..Limits::default() };
    let serving = tokio::spawn(listener.serve(router, limits, async { drop(stopped.await) }));
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        client(&mut stream)
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
    assert!(head.contains("\r\nx-request-id: "), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), String::from_utf8(body).unwrap())
}

/// The keys of the recorded requests.
struct Recorded(BTreeMap<String, String>);

impl AccessKeys for Recorded {
    fn find(&self, id: &str) -> Option<KnownKey> {
        let secret = self.0.get(id)?;
        Some(KnownKey { secret: Secret::new(secret.as_bytes()), role: KeyRole::Admin })
    }
}

/// Each gets past its signature, unless it is too old by the clock here: then that is said.
#[tokio::test]
async fn recorded_requests_over_one_connection() {
    let sent: Vec<Vector> = vectors()
        .into_iter()
        .filter(|vector| vector.valid && vector.header("x-security-token").is_none())
        .collect();
    let keys = sent.iter().map(|vector| (vector.key_id.clone(), vector.secret.clone())).collect();
    let now = "2026-11-29T05:00:00Z".parse().unwrap();
    let router = router(Huawei { keys: Arc::new(Recorded(keys)), clock: Arc::new(move || now), ..huawei() });
    let count = sent.len();
    let replies = with_face(router, move |stream| {
        let ask = |vector: Vector| {
            let headers: Vec<_> =
                vector.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let head = format!("{} {} HTTP/1.1\r\n{}\r\n", vector.method, vector.target, headers.concat());
            stream.write_all((head + &vector.body).as_bytes()).unwrap();
            read(stream)
        };
        sent.into_iter().map(ask).collect::<Vec<_>>()
    })
    .await;
    assert_eq!(replies.len(), count);
    let is_old = |body: &str| body.contains("more than 15 minutes");
    let old = replies.iter().filter(|(_, body)| is_old(body)).count();
    assert!(old < count / 2, "{old} of {count}");
    for (status, body) in replies {
        assert!(status < 500 && (status != 401 || is_old(&body)), "{status}: {body}");
    }
}

#[tokio::test]
async fn bodies_that_go_too_far_are_refused_in_the_vendors_form() {
    let post = "POST /v3/auth/tokens HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
    for (rest, status) in [
        ("Content-Length: 100001\r\n\r\n".to_owned(), 413),
        ("Content-Length: 100\r\n\r\n{".to_owned(), 408),
        ("Content-Length: 1\r\n\r\n{".to_owned(), 400),
        (format!("Content-Length: 90000\r\n\r\n{}", "[".repeat(90_000)), 400),
        ("Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}".to_owned(), 415),
    ] {
        let text = format!("{post}{rest}");
        let (found, body) = with_face(face(), move |stream| {
            stream.write_all(text.as_bytes()).unwrap();
            read(stream)
        })
        .await;
        assert!(found == status && body.contains("\"error_code\":\"APIGW."), "{found}: {body}");
    }
}
