//! The history of changes of `sgd serve`: what was stored is found again after a kill, and going back is a change like any other.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sg_tests::lab::Lab;

use crate::support::{served::Served, suite::Suite};

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("going_back", going_back);
    suite.add("an_import_is_undone", an_import_is_undone);
}

fn sgctl(served: &Served<'_>, line: &str) -> Result<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let output = served.sgctl(&words, "")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "sgctl {line}: {}: {error}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// What is stored, without what is no policy.
fn policy(served: &Served<'_>) -> Result<Vec<Value>> {
    let export = sgctl(served, "export")?;
    let mut records: Vec<Value> =
        export.lines().skip(1).map(serde_json::from_str).collect::<Result<_, _>>()?;
    records.retain(|record| record["kind"] != "settings");
    for record in &mut records {
        // What goes back is changed once more.
        record["record"].as_object_mut().context("no record")?.remove("updated");
    }
    Ok(records)
}

fn newest(served: &Served<'_>) -> Result<u64> {
    let page = served.done("GET", "/v1/changes?limit=1&time=0", "")?;
    page["items"][0]["number"].as_u64().context("no change")
}

fn begin(served: &Served<'_>) -> Result<()> {
    sgctl(served, "vpc create net")?;
    sgctl(served, "group create web --vpc net")?;
    sgctl(served, "nic register --device eth9 --vpc net --group web --address 10.9.0.1")?;
    Ok(())
}

fn going_back(lab: Lab) -> Result<()> {
    let host = lab.host("goes-back")?;
    host.ip("link add eth9 type veth peer name peer9")?;
    let mut served = Served::start(&host)?;
    begin(&served)?;
    let mut known = vec![(newest(&served)?, policy(&served)?)];
    for (number, line) in [
        "rule add web --direction ingress --protocol tcp --ports 22 --remote 10.0.0.0/8 --name ssh --reason first",
        "prefix-list create office --entry 203.0.113.0/24 --max-entries 5",
        "rule add web --direction ingress --protocol tcp --ports 443 --remote prefix-list:office",
        "rule modify ssh --group web --ports 2222",
        "prefix-list modify office --add 198.51.100.0/24",
        "member add web 10.9.0.7",
        "rule revoke ssh --group web --yes",
        "group modify web --name front",
    ]
    .into_iter()
    .enumerate()
    {
        sgctl(&served, line)?;
        known.push((newest(&served)?, policy(&served)?));
        if number % 3 == 1 {
            served.kill()?;
            served.again()?;
        }
    }
    let last = known.last().context("none")?.0;
    ensure!(known.iter().map(|(number, _)| *number).eq(3..=last), "each has a number");
    let listed: Vec<Value> = serde_json::from_str(&sgctl(&served, "history --changes --json")?)?;
    ensure!(listed.len() as u64 == last && listed[3]["reason"] == "first", "{listed:?}");
    ensure!(listed.iter().all(|change| change["summary"]["exact"] == json!(true)), "{listed:?}");
    ensure!(listed[3]["summary"]["counts"]["opens"] == 1, "{:?}", listed[3]);

    let shown = sgctl(&served, "rollback 4 --dry-run")?;
    ensure!(shown.contains("of packets") && shown.contains("would undo"), "{shown}");
    ensure!(policy(&served)? == known.last().context("none")?.1, "a dry run changed something");
    // To each, in an order in which most things come and go.
    for place in [1, 7, 0, 4, 8, 2, 6, 3, 5] {
        let (number, wanted) = &known[place];
        let done = sgctl(&served, &format!("rollback {number} --yes --reason mistaken"))?;
        ensure!(done.contains(&format!("goes back to the policy after change {number}")), "{done}");
        ensure!(policy(&served)? == *wanted, "after change {number}: {done}");
    }
    served.kill()?;
    served.again()?;
    ensure!(policy(&served)? == known[5].1, "after a kill");
    let trail: Vec<Value> = serde_json::from_str(&sgctl(&served, "history --last 1 --json")?)?;
    let entry = trail.first().context("no entry")?;
    ensure!(entry["operation"] == "post_changes_change_rollback" && entry["reason"] == "mistaken", "{entry}");
    ensure!(entry["change"] == last + 9, "{entry}");
    Ok(())
}

/// An import replaces everything, and brings another next serial number.
fn an_import_is_undone(lab: Lab) -> Result<()> {
    let host = lab.host("imports")?;
    host.ip("link add eth9 type veth peer name peer9")?;
    let served = Served::start(&host)?;
    let file = served.state().join("early.jsonl");
    let path = file.to_str().context("no text")?;
    begin(&served)?;
    sgctl(&served, &format!("export {path}"))?;
    for port in 1..=20 {
        let body = json!({"direction": "ingress", "rules": [{"protocol": "tcp", "ports": port.to_string(), "remote": "any"}]});
        served.done("POST", "/v1/groups/web/rules", &body.to_string())?;
    }
    let (before, full) = (newest(&served)?, policy(&served)?);
    let differs = served.sgctl(&["diff", path], "")?;
    ensure!(differs.status.code() == Some(1), "{}", String::from_utf8_lossy(&differs.stderr));
    sgctl(&served, &format!("import {path} --yes"))?;
    let alike = sgctl(&served, &format!("diff {path}"))?;
    ensure!(alike.contains("every packet is judged alike"), "{alike}");
    sgctl(&served, &format!("rollback {before} --yes"))?;
    ensure!(policy(&served)? == full, "not all of it came back");
    // The next rule has a serial number of its own.
    sgctl(&served, "rule add web --direction ingress --protocol udp --ports 53")?;
    sgctl(&served, &format!("export {path}"))?;
    sgctl(&served, &format!("import {path} --dry-run"))?;
    fs::remove_file(&file)?;
    Ok(())
}
