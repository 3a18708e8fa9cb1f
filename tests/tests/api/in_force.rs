//! What `sgd serve` shows of what is in force, with real packets: rules with their last hit, effective rules of a NIC by its id,
//! counters and flows, and deleting flows.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{Host, Lab, Outcome, PATIENCE, Question, Service, ask, respond};

use crate::support::{served::Served, suite::Suite};

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_store_shows_what_its_rules_did", a_store_shows_what_its_rules_did);
}

fn exchange(server: &Host, client: &Host) -> Result<()> {
    let (from, to) = ("10.77.0.2".parse()?, "10.77.0.1".parse()?);
    let _responder = respond(server, to, Service::Tcp(80))?;
    let outcome = ask(client, &Question::new(from, to, Service::Tcp(80)), PATIENCE)?;
    ensure!(outcome == Outcome::Reply, "{outcome}");
    Ok(())
}

/// The rule with this name.
fn rule(served: &Served<'_>, query: &str, name: &str) -> Result<Option<Value>> {
    let rules = served.done("GET", &format!("/v1/groups/web/rules{query}"), "")?;
    let items = rules["items"].as_array().context("no list")?;
    Ok(items.iter().find(|rule| rule["spec"]["name"] == name).cloned())
}

fn a_store_shows_what_its_rules_did(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let server = lan.host("shows-s", &["10.77.0.1/24"])?;
    let client = lan.host("shows-c", &["10.77.0.2/24"])?;
    let mut served = Served::start(&server)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
    let rules = r#"{"direction":"ingress","rules":[
        {"name":"eighty","protocol":"tcp","ports":"80","remote":{"prefix_list":"office"}},
        {"name":"never","protocol":"tcp","ports":"81","remote":"any","priority":7}]}"#;
    let list = r#"{"name":"office","family":"IPv4","max_entries":4,"entries":[{"addresses":"10.77.0.2-10.77.0.9"}]}"#;
    served.done("POST", "/v1/prefix-lists", list)?;
    served.done("POST", "/v1/groups/web/rules", rules)?;
    let nic = served.done("POST", "/v1/nics", r#"{"device":"eth0","vpc":"net","groups":["web"]}"#)?;
    let id = nic["id"].as_str().context("no id")?;

    exchange(&server, &client)?;
    let eighty = rule(&served, "", "eighty")?.context("no rule")?;
    ensure!(!eighty["last_hit"].is_null() && !eighty["observed_since"].is_null(), "{eighty}");
    let never = rule(&served, "", "never")?.context("no rule")?;
    ensure!(never["last_hit"].is_null() && !never["observed_since"].is_null(), "{never}");
    ensure!(rule(&served, "?unused=30d", "never")?.is_none(), "nobody knows for so long");

    let status = served.done("GET", "/v1/status", "")?;
    ensure!(status["policy"]["from"] == "store" && status["groups"] == 1, "{status}");
    ensure!(status["in_force"][0]["id"] == id && status["in_force"][0]["hook"] == "tc", "{status}");
    let shown = served.done("GET", &format!("/v1/show?nic={id}"), "")?;
    ensure!(shown[0]["id"] == id && shown[0]["device"] == "eth0", "{shown}");
    let steps = shown[0]["steps"].as_array().context("no steps")?;
    let first = steps.iter().find(|step| step["rule"] == eighty["id"]).context("no step")?;
    ensure!(first["group"] == eighty["group"] && first["packets"].as_u64() > Some(0), "{first}");
    let text = String::from_utf8(served.sgctl(&["show", "--nic", "eth0"], "")?.stdout)?;
    ensure!(text.contains("remote prefix-list:office") && text.contains(" web "), "{text}");

    let flows = served.done("GET", &format!("/v1/flows?nic={id}&port=80"), "")?;
    ensure!(flows["total"] == 1 && flows["flows"][0]["rule"] == eighty["id"], "{flows}");
    let (code, refused) = served.ask("POST", "/v1/flows/delete", "{}")?;
    ensure!(code == 400, "{refused}");
    let deleted = served.done("POST", "/v1/flows/delete", r#"{"port":80}"#)?;
    ensure!(deleted["deleted"] == 1, "{deleted}");
    ensure!(served.done("GET", "/v1/flows?port=80", "")?["total"] == 0);

    // The last hit outlives the agent, and is not of the time when it was read.
    served.kill()?;
    served.again()?;
    let again = rule(&served, "", "eighty")?.context("no rule")?;
    ensure!(!again["last_hit"].is_null(), "{again}");
    let findings = served.done("GET", "/v1/lint?unused=0s", "")?;
    let unused = findings.as_array().context("no list")?;
    let unused = unused.iter().find(|finding| finding["rule"] == never["id"] && finding["kind"] == "unused");
    ensure!(unused.is_some_and(|finding| finding["group"] == never["group"]), "{findings}");
    Ok(())
}
