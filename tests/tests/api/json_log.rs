//! The JSON log: one object a line, in which the id in a response finds its request.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::Lab;

use crate::{
    api::hostile::{ECS, Key, NATIVE, exchange, expect},
    support::{served::Served, suite::Suite},
};

const JSON: &[&str] = &["--log-format", "json", "--listen", "127.0.0.1:8790"];

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_request_is_found_by_its_id", a_request_is_found_by_its_id);
}

fn a_request_is_found_by_its_id(lab: Lab) -> Result<()> {
    let host = lab.host("logged")?;
    let mut served = Served::start_with(&host, JSON)?;
    // The first wrong secret of a key is logged, whatever the API; the second is only counted.
    let (key, other) = (Key::make(&served)?, Key::make(&served)?);
    served.kill()?;
    let log = served.again_with_log("debug,aya=debug")?;
    // Timestamps of the process before are refused, and they are whole seconds.
    thread::sleep(Duration::from_secs(1));
    let guess = |key: &Key| Key { id: key.id.clone(), secret: "guessed".into() };
    let native = |key: &Key, path: &str| {
        // The id is the agent's, whatever the client says.
        exchange(&host, NATIVE, &key.native("GET", path, "X-Request-Id: mine\r\n", b""))
    };
    let (ecs, ecs_guess) =
        (exchange(&host, ECS, &key.ecs(&[])?)?, exchange(&host, ECS, &guess(&key).ecs(&[])?)?);
    expect("ECS", &ecs, 200, "")?;
    let (found, missing, native_guess) = (
        native(&key, "/v1/groups")?,
        native(&key, "/v1/groups/no-such")?,
        native(&guess(&other), "/v1/groups")?,
    );
    expect("native", &found, 200, "")?;

    let log = fs::read_to_string(log)?;
    let lines =
        log.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")));
    let lines = lines.collect::<Result<Vec<Value>>>()?;
    for (response, api, level, target, message) in [
        (&ecs, "ecs", "DEBUG", "sg_api::ecs::router", format!("DescribeRegions by {}", key.id)),
        (&ecs_guess, "ecs", "WARN", "sg_api::attempts", "ECS API: wrong secret".into()),
        (
            &found,
            "native",
            "DEBUG",
            "sg_api::native::caller",
            format!("GET /v1/groups by key {}: 200", key.id),
        ),
        (&missing, "native", "DEBUG", "sg_api::native::caller", "GET /v1/groups/{group} by key".into()),
        (&native_guess, "native", "WARN", "sg_api::attempts", "native API: wrong secret".into()),
    ] {
        let header = if api == "ecs" { "x-acs-request-id: " } else { "x-request-id: " };
        let id = response.lines().find_map(|line| line.strip_prefix(header));
        let id = id.with_context(|| format!("no {header:?} in {response}"))?.trim();
        let is_of = |line: &&Value| line["spans"][0]["id"] == id && line["spans"][0]["api"] == api;
        let is_it = |line: &Value| {
            let said = line["message"].as_str().is_some_and(|said| said.starts_with(&message));
            said && line["level"] == level && line["target"] == target && line["timestamp"].is_string()
        };
        let found: Vec<&Value> = lines.iter().filter(is_of).collect();
        ensure!(found.iter().any(|line| is_it(line)), "{level} {target} {message:?} of {id}: {found:?}");
    }
    // The cause of what the agent did, and a library that logs through the crate `log`.
    ensure!(lines.iter().any(|line| line["spans"][0]["cause"] == "policy"), "no cause");
    let is_of_aya = |line: &Value| line["target"].as_str().is_some_and(|target| target.starts_with("aya"));
    ensure!(lines.iter().any(is_of_aya), "no line of aya");
    Ok(())
}
