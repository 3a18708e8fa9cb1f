//! A candidate beside what `sgd serve` has in force: a document that is observed before it is applied.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sg_tests::lab::{Host, Lab, Outcome, PATIENCE, Question, SILENCE, Service, ask, respond};

use crate::support::{served::Served, suite::Suite};

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_document_is_observed_before_it_is_applied", a_document_is_observed);
}

/// Whether the server replies at this port.
fn replies(server: &Host, client: &Host, port: u16, expected: bool) -> Result<()> {
    let (from, to) = ("10.77.0.2".parse()?, "10.77.0.1".parse()?);
    let _responder = respond(server, to, Service::Tcp(port))?;
    let patience = if expected { PATIENCE } else { SILENCE };
    let outcome = ask(client, &Question::new(from, to, Service::Tcp(port)), patience)?;
    ensure!((outcome == Outcome::Reply) == expected, "port {port}: {outcome}");
    Ok(())
}

fn document(rules: &str) -> String {
    let text = format!(
        "groups: {{ web: {{ inner_access: drop, ingress: [{rules}] }} }}\nnics: [{{ device: eth0, groups: [web] }}]\n"
    );
    json!({ "text": text, "name": "site" }).to_string()
}

/// The packets in lines with this port.
fn in_line(report: &Value, port: &str) -> Result<u64> {
    let lines = report["lines"].as_array().context("lines")?;
    let has = |line: &&Value| {
        line["family"] == 4
            && line["ports"].as_array().is_some_and(|ports| ports.iter().any(|one| one == port))
    };
    lines
        .iter()
        .find(has)
        .and_then(|line| line["packets"].as_u64())
        .with_context(|| format!("no line: {report}"))
}

fn a_document_is_observed(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let server = lan.host("candidate-s", &["10.77.0.1/24"])?;
    let client = lan.host("candidate-c", &["10.77.0.2/24"])?;
    let served = Served::start(&server)?;
    let web = "{ id: web, protocol: tcp, ports: 80 }";
    served.done(
        "POST",
        "/v1/apply",
        &document(&format!("{web}, {{ id: old, protocol: tcp, ports: 81 }}")),
    )?;
    let (code, refused) = served.ask("GET", "/v1/candidate", "")?;
    ensure!(code == 409 && refused["error"]["code"] == "no_candidate", "{refused}");
    let then = document(&format!(
        "{web}, {{ id: new, protocol: tcp, ports: 82 }}, {{ id: newer, protocol: tcp, ports: 84 }}"
    ));
    let set = served.done("POST", "/v1/candidate", &then)?;
    ensure!(set["nics"][0]["nic"] == "eth0", "{set}");
    for (port, expected) in [(80, true), (81, true), (82, false)] {
        replies(&server, &client, port, expected)?;
    }
    let report = served.done("GET", "/v1/candidate", "")?;
    ensure!(in_line(&report, "81")? == 1 && in_line(&report, "82")? >= 1, "{report}");

    // Whatever else changes meanwhile, the candidate is the document; it is compared with what is in force now.
    let more =
        r#"{"direction":"egress","rules":[{"name":"more","protocol":"udp","action":"drop","remote":"any"}]}"#;
    served.done("POST", "/v1/groups/web/rules", more)?;
    let report = served.done("GET", "/v1/candidate", "")?;
    ensure!(in_line(&report, "81")? == 0, "counts began anew: {report}");
    replies(&server, &client, 82, false)?;
    // One that is to be confirmed takes itself back.
    let tried = served.done("POST", "/v1/candidate/promote?confirm=60", "{}")?;
    ensure!(tried["pending"]["id"].is_u64(), "{tried}");
    replies(&server, &client, 82, true)?;
    let (code, refused) = served.ask("POST", "/v1/groups/web/rules", more)?;
    ensure!(code == 409 && refused["error"]["code"] == "pending_confirmation", "{refused}");
    served.done("POST", "/v1/pending/cancel", "{}")?;
    replies(&server, &client, 82, false)?;
    served.done("POST", "/v1/candidate", &then)?;
    let report = served.done("GET", "/v1/candidate", "")?;
    let promoted = served.done("POST", "/v1/candidate/promote?reason=it+was+observed", "{}")?;
    let changes = served.done("GET", "/v1/changes", "")?;
    let last = &changes["items"][0];
    ensure!(
        last["operation"] == "post_candidate_promote" && last["reason"] == "it was observed",
        "{changes}"
    );
    ensure!(
        promoted["nics"] == report["candidate"]["nics"] && promoted["pending"].is_null(),
        "{promoted}, and {report}"
    );
    for (port, expected) in [(80, true), (81, false), (82, true), (84, true)] {
        replies(&server, &client, port, expected)?;
    }
    let (code, refused) = served.ask("POST", "/v1/candidate/drop", "{}")?;
    ensure!(code == 409, "{refused}");
    // Its rules are those of the store.
    let rules = served.done("GET", "/v1/groups/web/rules", "")?;
    ensure!(rules["items"].as_array().is_some_and(|rules| rules.len() == 3), "{rules}");
    Ok(())
}
