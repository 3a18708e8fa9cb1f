//! An export can be imported, at the promised size; what no operation could have made is refused, and so are secrets from anybody
//! but root.

use std::{fs, process::Output, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sg_tests::lab::Lab;

use crate::{
    api::hostile::{BOTH, Key, NATIVE, exchange, expect},
    support::{served::Served, suite::Suite},
};

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_large_state_comes_back_on_another_host", comes_back);
    suite.add("what_no_operation_makes_is_refused_with_its_line", refused_with_its_line);
    suite.add("the_holder_of_a_key_brings_no_secrets_in", no_secrets);
}

/// How much a state has: rules, NICs, groups. `SG_DEEP=1` takes as many as are promised.
fn size() -> [usize; 3] {
    if std::env::var_os("SG_DEEP").is_some() { [100_000, 10_000, 1_000] } else { [10_000, 1_000, 100] }
}

const CREATED: &str = "1970-01-01T00:00:00Z";

/// A valid id.
fn id(prefix: &str, number: usize) -> String {
    // No `l` and no `o` among ten letters: ids have none.
    let letter = |place: u32| char::from(b'a' + (number / 10_usize.pow(place) % 10) as u8);
    format!("{prefix}aaaaaaaaaaa{}", (0..6).rev().map(letter).collect::<String>())
}

/// An export of so many rules and NICs, in the form that exports have.
fn large_export([rules, nics, groups]: [usize; 3]) -> String {
    let region = "cn-hangzhou";
    let vpc = id("vpc-", 0);
    let mut records = vec![json!({"kind": "vpc", "record": {
        "id": vpc, "region": region, "name": "net", "created": CREATED, "updated": CREATED, "order": "merged", "established": "revalidate",
        "mid_stream": "loose", "takeover": 300, "default": "drop",
    }})];
    records.extend((0..groups).map(|number| {
        json!({"kind": "group", "record": {
            "id": id("sg-", number), "region": region, "vpc": vpc, "name": format!("group-{number}"),
            "created": CREATED, "updated": CREATED, "type": "basic", "inner_access": true, "default": false,
        }})
    }));
    records.extend((0..rules).map(|number| {
        json!({"kind": "rule", "record": {
            "id": id("sgr-", number), "group": id("sg-", number % groups), "direction": "ingress", "serial": number,
            "created": CREATED, "updated": CREATED, "spec": {
                "action": "accept", "priority": 1, "protocol": "tcp", "ports": (1 + number / groups).to_string(),
                "remote": format!("10.{}.0.0/16", number % 256), "nic_type": "intranet",
                "description": "rule of a usual length",
            },
        }})
    }));
    records.extend((0..nics).map(|number| {
        json!({"kind": "nic", "record": {
            "id": id("eni-", number), "region": region, "vpc": vpc, "name": "", "created": CREATED, "updated": CREATED,
            "instance": null, "primary": false, "device": null, "role": "host",
            "addresses": [format!("10.200.{}.{}", number / 250, 1 + number % 250)], "anti_spoofing": null,
            "accept_own_source": false, "dhcp_servers": [], "hook": "tc", "ipsec": null, "ethertypes": [],
            "nic_type": "intranet", "groups": [id("sg-", number % groups)],
        }})
    }));
    records.push(json!({"kind": "settings", "record": {"quotas": {}, "serial": rules}}));
    file(&records)
}

/// Records as a file of them.
fn file(records: &[Value]) -> String {
    let head = json!({"format": "sgd state", "schema": sg_store::SCHEMA, "secrets": false, "records": records.len()});
    let lines = [&head].into_iter().chain(records).map(|line| format!("{line}\n"));
    lines.collect()
}

fn done(what: &str, output: &Output) -> Result<String> {
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{what}: {said}{failed}");
    Ok(said.into_owned())
}

fn comes_back(lab: Lab) -> Result<()> {
    let hosts = [lab.host("backed-up")?, lab.host("restored")?];
    let [first, second] = [Served::start(&hosts[0])?, Served::start(&hosts[1])?];
    let size @ [rules, nics, groups] = size();
    let records = 1 + groups + rules + nics + 1;
    let began = Instant::now();
    let import = |served: &Served<'_>, file: &str| {
        let said = done("import", &served.sgctl(&["import", "-", "--yes"], file)?)?;
        served.done("GET", "/v1/status", "").map(|status| (said, status))
    };
    // The settings are there already.
    let (said, status) = import(&first, &large_export(size))?;
    ensure!(said.starts_with("0 records removed"), "{said}");
    ensure!(status["rules"] == rules && status["nics"] == nics, "{status}");
    let imported = began.elapsed();

    let path = first.state().join("backup.jsonl");
    let path = path.to_str().context("a path that is no text")?;
    done("export", &first.sgctl(&["export", path], "")?)?;
    let backup = fs::read_to_string(path)?;
    ensure!(backup.lines().count() == 1 + records, "{} lines", backup.lines().count());
    ensure!(backup.len() > 2 << 20, "{} bytes", backup.len());
    let exported = began.elapsed().saturating_sub(imported);

    // What was changed since goes back to what it was.
    first.done("DELETE", &format!("/v1/rules/{}", id("sgr-", 0)), "")?;
    first.done("PATCH", "/v1/groups/group-1", r#"{"name":"other"}"#)?;
    first.done("DELETE", &format!("/v1/nics/{}", id("eni-", 0)), "")?;
    let (said, _) = import(&first, &backup)?;
    ensure!(said == "0 records removed, 3 records written\n", "{said}");

    import(&second, &backup)?;
    let again = done("export", &second.sgctl(&["export", "-"], "")?)?;
    ensure!(again == backup, "another host has another state");
    println!(
        "{rules} rules and {nics} NICs, {} bytes: in within {imported:.1?}, out within {exported:.1?}; \
         {} KiB of memory",
        backup.len(),
        first.memory()?
    );
    Ok(())
}

/// What an import changes in a state: a field, by the kind of its record and its pointer, and what the refusal says.
const EDITS: &[(&str, &str, &str, &str)] = &[
    ("rule", "/group", "\"sg-nothere\"", "there is no group"),
    ("rule", "/spec/remote", r#"{"group":"sg-nothere"}"#, "there is no group"),
    ("rule", "/spec/priority", "0", "priority"),
    ("rule", "/spec/priority", "255", "priority"),
    ("rule", "/spec/ports", "\"0-70000\"", "0-70000"),
    ("rule", "/serial", "18446744073709551615", "serial"),
    ("group", "/id", "\"../../etc\"", "../../etc"),
    ("group", "/id", "\"\"", "id"),
    ("group", "/name", r#""\u001b[31mred\u0007""#, r"\u{1b}[31mred\u{7}"),
    ("group", "/name", "\"w\u{435}b\"", "name"),
    ("group", "/name", "\"sg-aaaaaaaaaaaaaaaaa\"", "form of an id"),
    ("group", "/vpc", "\"vpc-x\"", "there is no VPC"),
    ("settings", "/quotas/rules_per_nic", "18446744073709551615", "18446744073709551615"),
    ("vpc", "/extra", "1", "extra"),
];

fn refused_with_its_line(lab: Lab) -> Result<()> {
    let host = lab.host("edited")?;
    let served = Served::start(&host)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
    let rule = r#"{"direction":"ingress","rules":[{"protocol":"tcp","ports":"22","remote":"any"}]}"#;
    served.done("POST", "/v1/groups/web/rules", rule)?;
    let export = || done("export", &served.sgctl(&["export", "-"], "")?);
    let before = export()?;
    let records: Vec<Value> = before.lines().skip(1).map(serde_json::from_str).collect::<Result<_, _>>()?;
    let refused = |file: &str, what: &str, line: usize, said: &str| -> Result<()> {
        let output = served.sgctl(&["import", "-", "--yes"], file)?;
        let refusal = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2), "{what}: {output:?}");
        ensure!(refusal.contains(&format!("line {line}")) && refusal.contains(said), "{what}: {refusal}");
        ensure!(!refusal.contains('\u{1b}'), "{what}: {refusal:?}");
        ensure!(export()? == before, "{what}: something of it came in");
        Ok(())
    };
    for &(kind, pointer, value, said) in EDITS {
        let mut records = records.clone();
        let at = records.iter().position(|record| record["kind"] == kind).context("no such record")?;
        let (parent, field) = pointer.rsplit_once('/').context("no pointer")?;
        let place = records[at].pointer_mut(&format!("/record{parent}")).context("no such field")?;
        place[field] = serde_json::from_str(value)?;
        // The head is the first line.
        refused(&file(&records), &format!("{kind}{pointer} = {value}"), at + 2, said)?;
    }
    let twice = [&records[..], &records[..1]].concat();
    refused(&file(&twice), "a record twice", records.len() + 2, "line 2 already")?;
    let few = file(&records).replacen(&format!("\"records\":{}", records.len()), "\"records\":1", 1);
    refused(&few, "more than the head says", 3, "1 records follow")?;
    let (truncated, _) = before.trim_end().rsplit_once('\n').context("one line")?;
    refused(&format!("{truncated}\n"), "truncated", 1, "truncated")?;
    refused("", "an empty file", 1, "empty")
}

fn no_secrets(lab: Lab) -> Result<()> {
    let host = lab.host("secrets")?;
    let served = Served::start_with(&host, BOTH)?;
    let [operator, other] = [Key::make(&served)?, Key::make(&served)?];
    let with_secrets = done("export", &served.sgctl(&["export", "--secrets", "-"], "")?)?;
    ensure!(with_secrets.contains(&operator.secret), "no secrets: {with_secrets}");
    let known = "k".repeat(40);
    let chosen = with_secrets.replace(&operator.secret, &known);
    let send = |key: &Key, method: &str, path: &str, body: &str| {
        exchange(
            &host,
            NATIVE,
            &key.native(method, path, "Content-Type: application/jsonl\r\n", body.as_bytes()),
        )
    };
    expect("secrets out", &send(&other, "GET", "/v1/export?secrets=true", "")?, 403, "forbidden")?;
    let out = send(&other, "GET", "/v1/export", "")?;
    expect("no secrets out", &out, 200, "")?;
    ensure!(!out.contains(&operator.secret) && !out.contains(&other.secret), "{out}");
    for (what, file) in [
        ("chosen", chosen.clone()),
        ("its own", with_secrets.clone()),
        // A head that lies.
        ("secretly", chosen.replace("\"secrets\":true", "\"secrets\":false")),
    ] {
        let response = send(&other, "POST", "/v1/import", &file)?;
        let status = if what == "secretly" { (400, "") } else { (403, "forbidden") };
        expect(what, &response, status.0, status.1)?;
    }
    expect("the operator", &send(&operator, "GET", "/v1/groups", "")?, 200, "")?;
    let impostor = Key { id: operator.id.clone(), secret: known.clone() };
    expect("an impostor", &send(&impostor, "GET", "/v1/groups", "")?, 401, "unauthenticated")?;
    // Root may, and what comes in without secrets leaves the keys that are there.
    done("import", &served.sgctl(&["import", "-", "--yes"], &chosen)?)?;
    expect("root imported it", &send(&impostor, "GET", "/v1/groups", "")?, 200, "")?;
    let without = done("export", &served.sgctl(&["export", "-"], "")?)?;
    expect("without secrets", &send(&other, "POST", "/v1/import", &without)?, 200, "")?;
    expect("the key stays", &send(&other, "GET", "/v1/groups", "")?, 200, "")
}
