//! Many clients at once: no update is lost, a quota is met exactly, and a request that many repeat with one key runs once.

use std::{collections::BTreeSet, thread};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::Lab;

use crate::support::{
    served::{Served, ask, ask_once},
    suite::Suite,
};

const CLIENTS: usize = 32;
const RULES_OF_A_CLIENT: usize = 10;
/// Fewer than all clients ask for.
const LIMIT: usize = 200;

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("a_limit_is_met_exactly_and_nothing_is_lost", a_limit_is_met_exactly);
    suite.add("what_all_ask_for_once_is_done_once", once);
}

/// The results of all clients, which run at once.
fn at_once<T: Send>(work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let work = &work;
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || work(client))).collect();
        let joined = clients.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|done| done.map_err(|_| anyhow::anyhow!("a client panicked"))?).collect()
    })
}

fn id(value: &Value) -> Result<String> {
    value["id"].as_str().map(str::to_owned).with_context(|| format!("no id: {value}"))
}

fn a_limit_is_met_exactly(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let host = lan.host("concurrency", &["10.80.0.1/24"])?;
    let served = Served::start(&host)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    served.done("PATCH", "/v1/quotas", &format!(r#"{{"rules_per_nic":{LIMIT}}}"#))?;
    served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
    served.done("POST", "/v1/nics", r#"{"vpc":"net","device":"eth0","groups":["web"]}"#)?;
    let socket = served.socket();
    let made = at_once(|client| {
        let mut made = Vec::new();
        for number in 0..RULES_OF_A_CLIENT {
            let port = 1 + client * RULES_OF_A_CLIENT + number;
            let rule = format!(
                r#"{{"direction":"ingress","rules":[{{"protocol":"tcp","ports":"{port}","remote":"any"}}]}}"#
            );
            match ask(&socket, "POST", "/v1/groups/web/rules", &rule)? {
                (200, rules) => made.push((id(&rules[0])?, port)),
                (409 | 400 | 403, refusal) => {
                    ensure!(refusal.to_string().contains(&LIMIT.to_string()), "{refusal}");
                }
                (status, response) => anyhow::bail!("{status} {response}"),
            }
        }
        Ok(made)
    })?;
    let accepted: BTreeSet<(String, usize)> = made.into_iter().flatten().collect();
    ensure!(accepted.len() == LIMIT, "{} of {LIMIT} rules were made", accepted.len());
    let page = served.done("GET", "/v1/groups/web/rules?limit=1000", "")?;
    let stored: Result<BTreeSet<(String, usize)>> = (page["items"].as_array().into_iter().flatten())
        .map(|rule| Ok((id(rule)?, rule["spec"]["ports"].as_str().context("no ports")?.parse()?)))
        .collect();
    ensure!(stored? == accepted, "what is stored is not what the responses said");
    for (_, port) in &accepted {
        let packet = format!(
            r#"{{"nic":"eth0","direction":"ingress","protocol":"tcp","remote":"10.80.0.9","port":{port}}}"#
        );
        ensure!(served.done("POST", "/v1/check", &packet)?["verdict"] == "accept", "port {port}");
    }
    Ok(())
}

fn once(lab: Lab) -> Result<()> {
    let host = lab.host("once")?;
    let served = Served::start(&host)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    let socket = served.socket();
    let groups = at_once(|_| {
        let (status, group) =
            ask_once(&socket, "the-same", "POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
        ensure!(status == 200, "{status} {group}");
        id(&group)
    })?;
    let groups: BTreeSet<String> = groups.into_iter().collect();
    ensure!(groups.len() == 1, "one group was asked for: {groups:?}");
    let stored = served.done("GET", "/v1/groups?name=web", "")?;
    ensure!(stored["items"].as_array().map(Vec::len) == Some(1), "{stored}");
    Ok(())
}
