//! What `sgd serve` says that a document would do to live connections, and what it then does; and what documents demand of later
//! changes.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{End, Host, Lab, PATIENCE, Pair as _, Question, SILENCE, Service, Streams};

use crate::support::{served::Served, suite::Suite};

/// Port 80 is accepted by another rule afterwards, port 81 not at all.
const BEFORE: &str = "
groups: { web: { ingress: [ { id: eighty, protocol: tcp, ports: 80 }, { id: eighty-one, protocol: tcp, ports: 81 } ] } }
nics: [ { device: eth0, groups: [web] } ]
";
const AFTER: &str = "
groups: { web: { ingress: [ { id: near, protocol: tcp, ports: 80, remote: 10.77.0.0/24 } ] } }
nics: [ { device: eth0, groups: [web] } ]
tests:
  - { nic: eth0, direction: ingress, from: 10.77.0.0/24, protocol: tcp, ports: 80, expect: accept, rule: near }
  - { group: web, direction: ingress, protocol: tcp, ports: 81, expect: drop }
";

pub(crate) fn tests(suite: &mut Suite) {
    suite.add(
        "a_store_says_which_connections_a_document_ends",
        a_store_says_which_connections_a_document_ends,
    );
    suite.add("what_a_document_demands_outlives_the_agent", what_a_document_demands_outlives_the_agent);
}

fn open(client: &Host, server: &Host, port: u16) -> Result<Streams> {
    let question = Question::new("10.77.0.2".parse()?, "10.77.0.1".parse()?, Service::Tcp(port));
    Streams::open(client, server, &question)
}

fn speaks(streams: &mut Streams, expected: bool) -> Result<()> {
    for from in End::ALL {
        streams.send(from)?;
        let arrived = streams.arrives(from.other(), if expected { PATIENCE } else { SILENCE })?;
        ensure!(arrived == expected, "what the {from:?} says arrives: {arrived}");
    }
    Ok(())
}

/// The output of a command with this input, and its exit code.
fn sgctl(served: &Served<'_>, line: &str, input: &str) -> Result<(String, Option<i32>, String)> {
    let words: Vec<&str> = line.split(' ').collect();
    let output = served.sgctl(&words, input)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&output.stdout), output.status.code(), text(&output.stderr)))
}

fn a_store_says_which_connections_a_document_ends(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let server = lan.host("impact-s", &["10.77.0.1/24"])?;
    let client = lan.host("impact-c", &["10.77.0.2/24"])?;
    let served = Served::start(&server)?;
    let (_, code, error) = sgctl(&served, "apply -f - --yes", BEFORE)?;
    ensure!(code == Some(0), "{error}");
    let (mut eighty, mut eighty_one) = (open(&client, &server, 80)?, open(&client, &server, 81)?);
    speaks(&mut eighty, true)?;
    speaks(&mut eighty_one, true)?;

    let expected = "would revoke 1 of 2 connections, re-attribute 1 to other rules\n";
    let (out, code, error) = sgctl(&served, "apply -f - --dry-run", AFTER)?;
    ensure!(code == Some(0) && out.contains(expected), "{out}{error}");
    ensure!(
        out.contains(" -> 10.77.0.1:81, ") && out.contains("rule eighty-one of group web -> drop by default"),
        "{out}"
    );
    let (out, code, error) = sgctl(&served, "diff - --json --nic eth0", AFTER)?;
    let last: Value = serde_json::from_str(out.lines().last().unwrap_or_default())?;
    ensure!(code == Some(1) && last["flows"]["revoked"] == 1 && last["flows"]["total"] == 2, "{out}{error}");
    // Nothing has changed.
    speaks(&mut eighty_one, true)?;

    let (_, code, error) = sgctl(&served, "apply -f - --yes", AFTER)?;
    ensure!(code == Some(0), "{error}");
    speaks(&mut eighty_one, false).context("what is revoked")?;
    speaks(&mut eighty, true).context("what another rule accepts")?;
    let (out, code, error) = sgctl(&served, "diff -", AFTER)?;
    ensure!(code == Some(0) && out.contains("would revoke 0 of 1 connection\n"), "{out}{error}");
    Ok(())
}

fn what_a_document_demands_outlives_the_agent(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let server = lan.host("demands-s", &["10.77.0.1/24"])?;
    let mut served = Served::start(&server)?;
    let wrong = AFTER.replace("ports: 81", "ports: 80");
    let (_, code, error) = sgctl(&served, "apply -f - --yes", &wrong)?;
    ensure!(
        code == Some(2) && error.contains(":6:5: tests[1]: this test fails: expected drop, but {"),
        "{error}"
    );
    ensure!(served.done("GET", "/v1/groups", "")?["total"] == 0, "something was changed");
    let (_, code, error) = sgctl(&served, "apply -f - --yes", AFTER)?;
    ensure!(code == Some(0), "{error}");
    let rules =
        r#"{"direction":"ingress","rules":[{"protocol":"tcp","ports":"81","remote":"192.0.2.0/24"}]}"#;
    for _ in 0..2 {
        let (code, said) = served.ask("POST", "/v1/groups/web/rules", rules)?;
        ensure!(code == 409 && said["error"]["code"] == "failing_test", "{said}");
        served.kill()?;
        served.again()?;
    }
    let (out, code, error) = sgctl(&served, "test run", "")?;
    ensure!(code == Some(0) && out.contains("2 tests: all hold"), "{out}{error}");
    served.done("POST", "/v1/groups/web/rules?skip_tests=true", rules)?;
    let (out, code, _) = sgctl(&served, "test run", "")?;
    ensure!(code == Some(1) && out.contains("tests[1]: this test fails"), "{out}");
    let (out, code, _) = sgctl(&served, "search --port 81 --direction ingress", "")?;
    ensure!(code == Some(1) && out.contains("from 192.0.2.0/24"), "{out}");
    Ok(())
}
