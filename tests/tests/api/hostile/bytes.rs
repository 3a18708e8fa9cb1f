//! Requests that are no HTTP or are ambiguous; too large; several at once; JSON of wrong types. After each of them an honest
//! client is served, and at the end the agent uses no more memory than before.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Host, Lab, until};

use super::{BOTH, ECS, Key, NATIVE, PATIENCE, exchange, exchange_here, expect};
use crate::support::{served::Served, suite::Suite};

/// What the agent's memory may grow by, in KiB.
const GROWTH: u64 = 128 << 10;

pub(super) fn tests(suite: &mut Suite) {
    suite.add("what_is_no_http_over_both_apis", no_http);
    suite.add("several_requests_in_one_are_one_or_none", several_in_one);
    suite.add("too_much_over_both_apis", too_much);
    suite.add("values_of_wrong_types", wrong_types);
}

/// Both APIs serve those who have a key.
fn honest(host: &Host, key: &Key) -> Result<()> {
    host.inside(|| honest_here(key))
}

pub(super) fn honest_here(key: &Key) -> Result<()> {
    expect("an honest client of the ECS API", &exchange_here(ECS, &key.ecs(&[])?)?, 200, "")?;
    let request = key.native("GET", "/v1/groups", "", b"");
    expect("an honest client of the native API", &exchange_here(NATIVE, &request)?, 200, "")
}

fn statuses(responses: &str) -> Vec<u16> {
    let heads = responses.split("HTTP/1.1 ").skip(1);
    heads.filter_map(|rest| rest.get(..3)?.parse().ok()).collect()
}

fn no_http(lab: Lab) -> Result<()> {
    let host = lab.host("no-http")?;
    let served = Served::start_with(&host, BOTH)?;
    let key = Key::make(&served)?;
    let garbage: Vec<u8> = (0..4096_u32).map(|number| (number * 7 + number / 13) as u8).collect();
    let long = "x".repeat(200_000);
    let get = |headers: &str| {
        format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").into_bytes()
    };
    let post = |headers: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n").into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", garbage),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec()),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        ("a version that is none", b"GET / HTTP/9.9\r\n\r\n".to_vec()),
        ("zeros", b"GET /?a=\0\xff HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("a header without a colon", get("no colon\r\n")),
        ("a space before the colon", get("X : y\r\n")),
        ("a folded header", get("X: y\r\n z\r\n")),
        ("a header of control characters", get("X: \x01\x02\r\n")),
        ("a long target", format!("GET /?{long} HTTP/1.1\r\n\r\n").into_bytes()),
        ("a long header", get(&format!("X: {long}\r\n"))),
        ("many headers", get(&"X: y\r\n".repeat(1000))),
        ("a length that is none", post("Content-Length: many\r\n")),
        ("a signed length", post("Content-Length: +2\r\n")),
        ("a negative length", post("Content-Length: -1\r\n")),
        ("a length beyond all", post("Content-Length: 99999999999999999999999\r\n")),
        ("two lengths", [post("Content-Length: 2\r\nContent-Length: 3\r\n"), b"{}}".to_vec()].concat()),
        ("an unknown transfer encoding", post("Transfer-Encoding: xchunked\r\n")),
        ("a chunk of no length", [post("Transfer-Encoding: chunked\r\n"), b"x\r\n".to_vec()].concat()),
        (
            "a chunk beyond all",
            [post("Transfer-Encoding: chunked\r\n"), b"fffffffffffffffff\r\n{}".to_vec()].concat(),
        ),
    ];
    for (what, bytes) in cases {
        for api in [ECS, NATIVE] {
            let response = exchange(&host, api, &bytes).with_context(|| format!("{what} to {api}"))?;
            let statuses = statuses(&response);
            // Where it sends more than is read, a reset may overtake the response.
            let refused = statuses.iter().all(|status| (400..500).contains(status));
            ensure!(statuses.len() <= 1 && refused, "{what} to {api}: {response:?}");
        }
        honest(&host, &key).with_context(|| format!("after {what}"))?;
    }
    for method in ["PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "BREW"] {
        for api in [ECS, NATIVE] {
            let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let response = exchange(&host, api, request.as_bytes())?;
            ensure!(
                statuses(&response).iter().all(|status| (400..500).contains(status)),
                "{method}: {response:?}"
            );
        }
    }
    honest(&host, &key)
}

fn several_in_one(lab: Lab) -> Result<()> {
    let host = lab.host("smuggled")?;
    let served = Served::start_with(&host, BOTH)?;
    let key = Key::make(&served)?;
    let smuggled = b"DELETE /v1/access-keys/x HTTP/1.1\r\nHost: a\r\n\r\n";
    let authorization = format!("Host: a\r\nAuthorization: {}\r\n", key.basic());
    let good = format!("GET /v1/groups HTTP/1.1\r\n{authorization}\r\n");
    let stranger = "GET /v1/groups HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let length = smuggled.len();
    // What a proxy before the agent reads as one request gets one response, or none, and then the connection ends.
    let both_lengths = |chunks: &str, length: usize| {
        let head = format!("POST /v1/vpcs HTTP/1.1\r\n{authorization}Content-Length: {length}\r\n");
        [format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}").as_bytes(), smuggled].concat()
    };
    let in_a_body = |method: &str| {
        let head = format!("{method} /v1/groups HTTP/1.1\r\n{authorization}Connection: close\r\n");
        [format!("{head}Content-Length: {length}\r\n\r\n").as_bytes(), smuggled].concat()
    };
    for (what, bytes) in [
        ("a length and chunks", both_lengths("0\r\n\r\n", length + 5)),
        ("a short length and chunks", both_lengths("0\r\n\r\n", 5)),
        ("a request as the body of a GET", in_a_body("GET")),
        ("a request as the body of a POST", in_a_body("POST")),
    ] {
        for api in [ECS, NATIVE] {
            let response = exchange(&host, api, &bytes).with_context(|| format!("{what} to {api}"))?;
            ensure!(statuses(&response).len() <= 1, "{what} to {api}: {response}");
        }
    }
    // Several that are several: each is asked who it is from.
    let response = exchange(&host, NATIVE, format!("{good}{stranger}").as_bytes())?;
    ensure!(statuses(&response) == [200, 401], "{response}");
    let response = exchange(&host, NATIVE, format!("{}{stranger}", good.repeat(200)).as_bytes())?;
    let all = statuses(&response);
    ensure!(all.len() == 201 && all[..200] == [200; 200] && all[200] == 401, "{all:?}");
    let ecs = String::from_utf8(key.ecs(&[])?)?.replace("Connection: close\r\n", "");
    let unsigned = "GET /?Action=DescribeRegions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let response = exchange(&host, ECS, format!("{ecs}{ecs}{unsigned}").as_bytes())?;
    // The second is the first again.
    ensure!(statuses(&response) == [200, 400, 400] && response.contains("SignatureNonceUsed"), "{response}");
    honest(&host, &key)
}

fn too_much(lab: Lab) -> Result<()> {
    /// The memory for bodies of an API takes 64 of them.
    const UPLOADS: usize = 90;
    let host = lab.host("too-much")?;
    let served = Served::start_with(&host, BOTH)?;
    let key = Key::make(&served)?;
    honest(&host, &key)?;
    let before = served.memory()?;
    let head = |api: SocketAddr| {
        let (path, kind) = if api == ECS {
            ("/", "application/x-www-form-urlencoded")
        } else {
            ("/v1/vpcs", "application/json")
        };
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {}\r\nConnection: close\r\nContent-Type: {kind}\r\n",
            key.basic()
        )
    };
    for api in [ECS, NATIVE] {
        let announced = |length: &str| {
            exchange(&host, api, format!("{}Content-Length: {length}\r\n\r\nabc", head(api)).as_bytes())
        };
        expect("a gigabyte", &announced("1000000000")?, 413, "")?;
        let most = announced("18446744073709551615")?;
        ensure!(most.starts_with("HTTP/1.1 4"), "{most}");
        // In chunks, which announce nothing.
        let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x1_0000], b"\r\n"].concat();
        let request =
            [format!("{}Transfer-Encoding: chunked\r\n\r\n", head(api)).as_bytes(), &chunk.repeat(40)]
                .concat();
        expect("chunks", &exchange(&host, api, &request)?, 413, "")?;
    }

    // Many bodies that stop one byte before their end.
    let uploads = |api: SocketAddr| -> Result<Vec<TcpStream>> {
        let body = vec![b'x'; 1 << 20];
        (0..UPLOADS)
            .map(|_| {
                let mut stream = TcpStream::connect_timeout(&api, PATIENCE)?;
                stream.set_write_timeout(Some(Duration::from_millis(200)))?;
                let head = format!("{}Content-Length: {}\r\n\r\n", head(api), body.len() + 1);
                // The response comes before that where there is no memory for it.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
                Ok(stream)
            })
            .collect()
    };
    let mut held = host.inside(|| Ok([uploads(ECS)?, uploads(NATIVE)?]))?;
    let refused = |stream: &mut TcpStream| -> Result<bool> {
        let mut response = [0; 12];
        stream.set_nonblocking(true)?;
        Ok(stream.peek(&mut response).is_ok_and(|length| length == 12) && response.ends_with(b" 503"))
    };
    until("those that there is no memory for are refused", || {
        let refused: Result<Vec<bool>> = held.iter_mut().flatten().map(refused).collect();
        Ok(refused?.into_iter().filter(|refused| *refused).count() >= 2 * (UPLOADS - 64))
    })?;
    let after = served.memory()?;
    println!("memory {before} KiB before, {after} KiB with {UPLOADS} uploads of 1 MiB to each API");
    ensure!(after < before + 2 * GROWTH, "{before} KiB before, {after} KiB after");
    honest(&host, &key).context("while the memory for bodies is taken")?;
    drop(held);
    until("bodies are taken again", || {
        let body = format!(r#"{{"name":"n{}","description":"{}"}}"#, fastrand::u32(..), "x".repeat(100));
        let request = key.native("POST", "/v1/vpcs", "Content-Type: application/json\r\n", body.as_bytes());
        Ok(exchange(&host, NATIVE, &request)?.starts_with("HTTP/1.1 200"))
    })
}

fn wrong_types(lab: Lab) -> Result<()> {
    let host = lab.host("wrong-types")?;
    let served = Served::start_with(&host, BOTH)?;
    let key = Key::make(&served)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net","region":"cn-hangzhou"}"#)?;
    let group = served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net","region":"cn-hangzhou"}"#)?;
    let json = "Content-Type: application/json\r\n";
    let send = |path: &str, body: &[u8]| exchange(&host, NATIVE, &key.native("POST", path, json, body));
    let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let bodies: Vec<&[u8]> = vec![
        b"{",
        b"[]",
        b"null",
        b"1",
        b"\"text\"",
        b"{}{}",
        b"{\"name\":5}",
        b"{\"name\":null,\"vpc\":\"net\"}",
        b"{\"name\":[\"a\"],\"vpc\":\"net\"}",
        b"{\"name\":{},\"vpc\":\"net\"}",
        b"{\"name\":true,\"vpc\":\"net\"}",
        b"{\"name\":NaN,\"vpc\":\"net\"}",
        b"{\"name\":1e400,\"vpc\":\"net\"}",
        b"{\"name\":\"a\",\"name\":\"b\",\"vpc\":\"net\"}",
        b"{\"name\":\"a\",\"vpc\":\"net\",\"x\":1}",
        b"{\"name\":\"\\ud800\",\"vpc\":\"net\"}",
        b"{\"name\":\"\xff\xfe\",\"vpc\":\"net\"}",
        b"{\"name\":\"a\0b\",\"vpc\":\"net\"}",
        b"\xef\xbb\xbf{\"name\":\"a\"}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let what = String::from_utf8_lossy(body.get(..60).unwrap_or(body)).into_owned();
        expect(&what, &send("/v1/groups", body)?, 400, "")?;
    }
    for priority in ["1.0", "1e0", "-0", "257", "4294967297", "\"1\"", "null", "[1]", &"1".repeat(5000)] {
        let rule = format!(
            r#"{{"direction":"ingress","rules":[{{"protocol":"tcp","ports":"22","remote":"any","priority":{priority}}}]}}"#
        );
        expect(
            &format!("priority {priority:.20}"),
            &send("/v1/groups/web/rules", rule.as_bytes())?,
            400,
            "",
        )?;
    }
    let id = group["id"].as_str().context("no id")?;
    for (name, value) in [
        ("Priority", "1.0"),
        ("Priority", "0x1"),
        ("Priority", "\u{661}"),
        ("PortRange", "22"),
        ("PortRange", "1/65536"),
        ("PortRange", "\u{ff12}/3"),
        ("SourceCidrIp", "0.0.0.0/0.0"),
        ("SourceCidrIp", "010.0.0.1"),
        ("Policy", "yes"),
        ("IpProtocol", "6.0"),
    ] {
        let mut call = vec![
            ("Action", "AuthorizeSecurityGroup"),
            ("RegionId", "cn-hangzhou"),
            ("SecurityGroupId", id),
            ("IpProtocol", "tcp"),
            ("PortRange", "22/22"),
            ("SourceCidrIp", "10.0.0.0/8"),
            ("Priority", "1"),
            ("Policy", "accept"),
        ];
        call.retain(|(other, _)| *other != name);
        call.push((name, value));
        expect(&format!("{name}={value}"), &exchange(&host, ECS, &key.ecs(&call)?)?, 400, "")?;
    }
    ensure!(served.done("GET", "/v1/groups/web/rules", "")?["total"] == 0, "one of them was read");
    honest(&host, &key)
}
