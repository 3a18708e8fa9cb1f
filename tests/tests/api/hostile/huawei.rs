//! Hostile clients of the API for clients of Huawei Cloud: who the caller is, what is signed and what is not, tokens that nobody
//! issued, bodies and parameters that are too much or not what they say. After each, an honest client is served.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};
use sg_tests::lab::{Host, Lab};

use super::{HUAWEI, Key, WITH_HUAWEI, exchange, expect};
use crate::support::{served::Served, suite::Suite};

const REFUSED: &str = "APIGW.0301";
/// What the agent's memory may grow by, in KiB.
const GROWTH: u64 = 128 << 10;
/// How deep a body is nested that is deeper than anything.
const DEEP: usize = 200_000;

pub(super) fn tests(suite: &mut Suite) {
    suite.add("huawei_callers_that_are_not_who_they_say", callers);
    suite.add("huawei_tokens_that_nobody_issued", tokens);
    suite.add("huawei_requests_that_are_too_much", too_much);
    suite.add("huawei_values_of_wrong_types", wrong_types);
}

/// Somebody with a key, and the project of the server.
struct Caller {
    key: Key,
    project: String,
}

impl Caller {
    fn make(served: &Served<'_>) -> Result<Self> {
        let key = served.done("POST", "/v1/access-keys", "{}")?;
        let text = |field: &str| key[field].as_str().map(str::to_owned).context("no such field");
        Ok(Self { key: Key { id: text("id")?, secret: text("secret")? }, project: text("project_id")? })
    }

    /// The target of a list.
    fn groups(&self) -> String {
        format!("/v3/{}/vpc/security-groups", self.project)
    }

    /// An honest request is served.
    fn honest(&self, host: &Host, after: &str) -> Result<()> {
        let request = self.key.huawei("GET", &self.groups(), &[], &[], "")?;
        expect(&format!("an honest client after {after}"), &exchange(host, HUAWEI, &request)?, 200, "")
    }
}

fn callers(lab: Lab) -> Result<()> {
    let host = lab.host("hw-callers")?;
    let served = Served::start_with(&host, WITH_HUAWEI)?;
    let caller = Caller::make(&served)?;
    let (key, groups) = (&caller.key, caller.groups());
    let stranger = Key { id: key.id.clone(), secret: "guessed".into() };
    let nobody = Key { id: "nobody\u{1b}[31m".into(), secret: key.secret.clone() };
    let now = Timestamp::now();
    let get = |key: &Key, time| key.huawei_at(time, "GET", &groups, &[], &[], "");
    let with = |signed: &[(&str, &str)], on_the_way: &[(&str, &str)]| {
        key.huawei("GET", &groups, signed, on_the_way, "")
    };
    let good = String::from_utf8(get(key, now)?)?;
    let line = |name: &str| {
        good.lines().find(|line| line.to_ascii_lowercase().starts_with(name)).unwrap_or_default().to_owned()
    };
    let (authorization, date) = (line("authorization"), line("x-sdk-date"));
    let other = "0".repeat(32);
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("a good one", get(key, now)?, 200, ""),
        ("the same again, as clients do within a second", get(key, now)?, 200, ""),
        ("another secret", get(&stranger, now)?, 401, REFUSED),
        ("a late clock", get(key, now - 16.minutes())?, 401, REFUSED),
        ("an early clock", get(key, now + 16.minutes())?, 401, REFUSED),
        ("no signature", good.replace(&format!("{authorization}\r\n"), "").into_bytes(), 401, REFUSED),
        (
            "two signatures",
            good.replace(&authorization, &format!("{authorization}\r\n{authorization}")).into_bytes(),
            401,
            REFUSED,
        ),
        ("two dates", good.replace(&date, &format!("{date}\r\n{date}")).into_bytes(), 401, REFUSED),
        ("another path", good.replace("security-groups", "security-group-rules").into_bytes(), 401, REFUSED),
        ("another method", good.replacen("GET", "DELETE", 1).into_bytes(), 401, REFUSED),
        ("another query", good.replacen(" HTTP", "?limit=1 HTTP", 1).into_bytes(), 401, REFUSED),
        (
            "a header named twice",
            good.replace("SignedHeaders=", "SignedHeaders=host;").into_bytes(),
            401,
            REFUSED,
        ),
        ("no host signed", good.replace("host;", "").into_bytes(), 401, REFUSED),
        ("another algorithm", good.replace("SDK-HMAC-SHA256", "SDK-HMAC-SM3").into_bytes(), 401, REFUSED),
        ("a signature of nothing", good.replace("Signature=", "Signature=zz").into_bytes(), 401, REFUSED),
        ("a project on the way", with(&[], &[("x-project-id", &caller.project)])?, 401, REFUSED),
        ("a signed project", with(&[("x-project-id", &caller.project)], &[])?, 200, ""),
        ("another project than that of the path", with(&[("x-project-id", &other)], &[])?, 400, "VPC.0007"),
        ("a temporary key", with(&[("x-security-token", "t")], &[])?, 401, REFUSED),
        ("a temporary key on the way", with(&[], &[("x-security-token", "t")])?, 401, REFUSED),
        ("a signature and a token", with(&[], &[("x-auth-token", "t")])?, 401, REFUSED),
        (
            "the project that no client filled in",
            key.huawei("GET", "/v3/%7Bproject_id%7D/vpc/security-groups", &[], &[], "")?,
            400,
            "VPC.0007",
        ),
        ("no such operation", key.huawei("GET", "/v9/nothing", &[], &[], "")?, 404, "APIGW.0101"),
        ("another directory", key.huawei("GET", "/v3/../../etc/passwd", &[], &[], "")?, 404, "APIGW.0101"),
        ("the native API", key.huawei("GET", "/v1/groups", &[], &[], "")?, 404, "APIGW.0101"),
    ];
    for (what, request, status, code) in cases {
        let response = exchange(&host, HUAWEI, &request)?;
        expect(what, &response, status, code)?;
        ensure!(response.to_ascii_lowercase().contains("\r\nx-request-id: "), "{what}: {response}");
        ensure!(!response.contains(&key.secret), "{what}: {response}");
    }
    let unprintable = exchange(&host, HUAWEI, &get(&nobody, now)?)?;
    ensure!(!unprintable.contains('\u{1b}'), "{unprintable}");
    caller.honest(&host, "all of it")
}

fn tokens(lab: Lab) -> Result<()> {
    let host = lab.host("hw-tokens")?;
    let served = Served::start_with(&host, WITH_HUAWEI)?;
    let caller = Caller::make(&served)?;
    let send = |method: &str, target: &str, headers: &str, body: &str| {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {HUAWEI}\r\nConnection: close\r\n{headers}");
        let length = body.len();
        exchange(
            &host,
            HUAWEI,
            format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        )
    };
    let login = |name: &str, password: &str| {
        let user = json!({ "name": name, "password": password, "domain": { "name": "Default" } });
        let identity = json!({ "methods": ["password"], "password": { "user": user } });
        json!({ "auth": { "identity": identity, "scope": { "project": { "id": caller.project } } } })
            .to_string()
    };
    let issue = |name: &str, password: &str| send("POST", "/v3/auth/tokens", "", &login(name, password));
    let issued = issue(&caller.key.id, &caller.key.secret)?;
    expect("a token", &issued, 201, "")?;
    ensure!(!issued.contains(&caller.key.secret), "{issued}");
    let token = issued.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-subject-token").then(|| value.trim().to_owned())
    });
    let token = token.context("no X-Subject-Token")?;
    let groups = caller.groups();
    let with = |token: &str| send("GET", &groups, &format!("X-Auth-Token: {token}\r\n"), "");
    expect("with a token", &with(&token)?, 200, "")?;
    expect(
        "with a token of v2.0",
        &send("GET", "/v2.0/ports", &format!("X-Auth-Token: {token}\r\n"), "")?,
        200,
        "",
    )?;
    let (first, rest) = token.split_at(1);
    let forged = format!("{}{rest}", if first == "0" { "1" } else { "0" });
    let long = "a".repeat(30_000);
    for (what, token) in
        [("a forged one", forged.as_str()), ("a part of one", rest), ("a long one", &long), ("none", "")]
    {
        expect(what, &with(token)?, 401, REFUSED)?;
    }
    let twice = format!("X-Auth-Token: {token}\r\nX-Auth-Token: {token}\r\n");
    expect("two tokens", &send("GET", &groups, &twice, "")?, 401, REFUSED)?;
    let elsewhere = format!("/v3/{}/vpc/security-groups", "0".repeat(32));
    let header = format!("X-Auth-Token: {token}\r\n");
    expect("another project", &send("GET", &elsewhere, &header, "")?, 400, "VPC.0007")?;
    // Wrong secrets are slowed, and the owner of the key is not.
    let began = Instant::now();
    for number in 0..7 {
        expect("a guess", &issue(&caller.key.id, &format!("guess-{number}"))?, 401, "")?;
    }
    ensure!(began.elapsed() >= Duration::from_secs(1), "seven guesses in {:?}", began.elapsed());
    expect("the owner", &issue(&caller.key.id, &caller.key.secret)?, 201, "")?;
    // A token ends with its key.
    let id = &caller.key.id;
    let other = served.done("POST", "/v1/access-keys", "{}")?;
    ensure!(other["id"].is_string(), "{other}");
    served.done("DELETE", &format!("/v1/access-keys/{id}"), "")?;
    expect("after its key", &with(&token)?, 401, REFUSED)
}

fn too_much(lab: Lab) -> Result<()> {
    let host = lab.host("hw-much")?;
    let served = Served::start_with(&host, WITH_HUAWEI)?;
    let caller = Caller::make(&served)?;
    let (key, groups) = (&caller.key, caller.groups());
    caller.honest(&host, "nothing")?;
    let before = served.memory()?;
    let long = "x".repeat(20_000);
    let post = |body: &str| key.huawei("POST", &groups, &[], &[], body);
    let large = format!(r#"{{"security_group":{{"name":"{}"}}}}"#, "x".repeat(3 << 20));
    let deep = format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP));
    let in_deep =
        format!(r#"{{"security_group":{{"name":{}1{}}}}}"#, "{\"a\":".repeat(DEEP), "}".repeat(DEEP));
    let wide: Vec<String> = (0..20_000).map(|number| format!("\"f{number}\":1,")).collect();
    let wide = wide.concat();
    let many = format!("{groups}?{}", vec!["id=a"; 5000].join("&"));
    let cases: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("a large body", post(&large)?, &[413]),
        ("deep arrays", post(&deep)?, &[400]),
        ("deep objects", post(&in_deep)?, &[400]),
        ("a wide object", post(&format!("{{{wide}\"g\":1}}"))?, &[400]),
        (
            "a field twice",
            post(r#"{"security_group":{"name":"a1"},"security_group":{"name":"a2"}}"#)?,
            &[400],
        ),
        ("no JSON", post("{")?, &[400]),
        (
            "not UTF-8",
            key.huawei("POST", &groups, &[], &[], "{\"security_group\":{\"name\":\"\\ud800\"}}")?,
            &[400],
        ),
        ("a long marker", key.huawei("GET", &format!("{groups}?marker={long}"), &[], &[], "")?, &[400]),
        ("many parameters", key.huawei("GET", &many, &[], &[], "")?, &[400]),
        ("a long name", post(&format!(r#"{{"security_group":{{"name":"{long}"}}}}"#))?, &[400]),
        (
            "a limit beyond all",
            key.huawei("GET", &format!("{groups}?limit=99999999999999999999"), &[], &[], "")?,
            &[400],
        ),
        ("a negative limit", key.huawei("GET", &format!("{groups}?limit=-1"), &[], &[], "")?, &[400]),
        (
            "a body that is announced",
            {
                let whole = String::from_utf8(post("{}")?)?;
                whole.replace("Content-Length: 2", "Content-Length: 1000000000").into_bytes()
            },
            &[413],
        ),
        (
            "a form",
            key.huawei(
                "POST",
                &groups,
                &[("content-type", "application/x-www-form-urlencoded")],
                &[],
                "a=b",
            )?,
            &[415],
        ),
        ("XML", key.huawei("POST", &groups, &[("content-type", "application/xml")], &[], "<a/>")?, &[415]),
    ];
    for (what, request, statuses) in cases {
        let response = exchange(&host, HUAWEI, &request).with_context(|| what.to_owned())?;
        let first = response.lines().next().unwrap_or_default();
        let is_one = |status: &u16| first.contains(&format!(" {status} "));
        // Where it sends more than is read, a reset may overtake the response.
        ensure!(
            response.is_empty() || statuses.iter().any(is_one),
            "{what}: {statuses:?} expected: {response:.500}"
        );
        ensure!(response.len() < 4096, "{what}: a response of {} bytes", response.len());
        caller.honest(&host, what)?;
    }
    let after = served.memory()?;
    ensure!(after < before + GROWTH, "{before} KiB before, {after} KiB after");
    let page = served.done("GET", "/v1/groups", "")?;
    ensure!(page["items"] == json!([]), "something was made: {page}");
    Ok(())
}

fn wrong_types(lab: Lab) -> Result<()> {
    let host = lab.host("hw-types")?;
    let served = Served::start_with(&host, WITH_HUAWEI)?;
    let caller = Caller::make(&served)?;
    let project = &caller.project;
    served.done("POST", "/v1/vpcs", r#"{"name":"net","region":"cn-hangzhou"}"#)?;
    served.done("POST", "/v1/nics", r#"{"vpc":"net","addresses":["10.0.0.5"]}"#)?;
    let nics = served.done("GET", "/v1/nics", "")?;
    let port = nics["items"][0]["uuid"].as_str().context("no uuid")?;
    let before = served.done("GET", "/v1/nics", "")?;
    let port_of = |version: &str| match version {
        "v3" => format!("/v3/{project}/ports/{port}/insert-security-groups"),
        "v1" => format!("/v1/{project}/ports/{port}"),
        _ => format!("/v2.0/ports/{port}"),
    };
    let odd = [
        json!(null),
        json!(true),
        json!(1),
        json!(-1),
        json!(1.5),
        json!("x"),
        json!([]),
        json!([1]),
        json!([null]),
        json!({}),
        json!({ "a": 1 }),
        json!([[]]),
    ];
    let mut tried = 0;
    for version in ["v3", "v1", "v2.0"] {
        for value in &odd {
            let bodies = [
                value.clone(),
                json!({ "port": value }),
                json!({ "port": { "security_groups": value } }),
                json!({ "port": { "security_groups": ["x"], "index": value } }),
                json!({ "port": { "name": value, "security_groups": ["x"] } }),
                json!({ "port": { "allowed_address_pairs": value, "security_groups": ["x"] } }),
                json!({ "colour": value }),
            ];
            for body in bodies {
                let request = caller.key.huawei("PUT", &port_of(version), &[], &[], &body.to_string())?;
                let response = exchange(&host, HUAWEI, &request)?;
                let status: u16 = response.get(9..12).and_then(|text| text.parse().ok()).unwrap_or_default();
                // A port of which nothing is said stays as it is.
                ensure!([200, 400, 404].contains(&status), "{version} {body}: {response}");
                tried += 1;
            }
        }
    }
    ensure!(tried > 200, "{tried}");
    let after: Value = served.done("GET", "/v1/nics", "")?;
    ensure!(after["items"][0]["groups"] == before["items"][0]["groups"], "{before} {after}");
    caller.honest(&host, "all of it")
}
