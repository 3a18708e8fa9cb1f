//! An agent that is killed at any moment during operations: what it confirmed is there after the next start, in the store and in
//! the kernel and the audit trail; nothing is there by half.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::Lab;

use crate::support::{
    served::{Served, ask},
    suite::Suite,
};

const KILLS: usize = 12;
const CLIENTS: usize = 4;

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("killed_at_any_time_it_keeps_what_it_acknowledged", killed_at_any_time);
}

fn killed_at_any_time(lab: Lab) -> Result<()> {
    let lan = lab.lan()?;
    let host = lan.host("killed", &["10.78.0.1/24"])?;
    let mut served = Served::start(&host)?;
    served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
    served.done("PATCH", "/v1/quotas", r#"{"rules_per_nic":100000}"#)?;
    served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
    served.done("POST", "/v1/nics", r#"{"vpc":"net","device":"eth0","groups":["web"]}"#)?;
    let acknowledged: Mutex<BTreeSet<String>> = Mutex::default();
    let mut next = 1;
    for round in 0..KILLS {
        let (socket, killed) = (served.socket(), AtomicBool::new(false));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (socket, acknowledged, killed) = (&socket, &acknowledged, &killed);
                scope.spawn(move || {
                    // Each rule has a port of its own; two in one request are there together or not at all.
                    let mut port = next + client * 2;
                    while !killed.load(Ordering::Relaxed) && port < 65_000 {
                        let body = format!(
                            r#"{{"direction":"ingress","rules":[{{"protocol":"tcp","ports":"{port}","remote":"any"}},
                            {{"protocol":"tcp","ports":"{}","remote":"any"}}]}}"#,
                            port + 1
                        );
                        if let Ok((200, rules)) = ask(socket, "POST", "/v1/groups/web/rules", &body)
                            && let Ok(mut acknowledged) = acknowledged.lock()
                        {
                            let ids = rules.as_array().into_iter().flatten();
                            acknowledged.extend(ids.filter_map(|rule| Some(rule["id"].as_str()?.to_owned())));
                        }
                        port += CLIENTS * 2;
                    }
                });
            }
            // A busy machine may acknowledge nothing in the first of these times, and what is not there is not lost.
            let begun = Instant::now();
            while round == 0
                && begun.elapsed() < Duration::from_secs(30)
                && acknowledged.lock().is_ok_and(|acknowledged| acknowledged.is_empty())
            {
                thread::sleep(Duration::from_millis(1));
            }
            // Not always at the same point of what it does.
            thread::sleep(Duration::from_millis(40 + 37 * round as u64 % 200));
            let result = served.kill();
            killed.store(true, Ordering::Relaxed);
            result
        })?;
        served.again()?;
        next += 4_000;
        let found = rules(&served)?;
        let there: BTreeSet<&String> = found.iter().map(|(id, _)| id).collect();
        let acknowledged = acknowledged.lock().map_err(|_| anyhow::anyhow!("a client panicked"))?;
        let lost: Vec<&String> = acknowledged.iter().filter(|id| !there.contains(id)).collect();
        ensure!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        let recorded = recorded(&served)?;
        let lost: Vec<&String> = acknowledged.iter().filter(|id| !recorded.contains(*id)).collect();
        ensure!(lost.is_empty(), "round {round}: acknowledged, and not in the audit trail: {lost:?}");
        let ports: BTreeSet<u64> = found.iter().map(|(_, port)| *port).collect();
        let halves = ports.iter().filter(|port| !ports.contains(&(((*port - 1) ^ 1) + 1)));
        ensure!(halves.clone().next().is_none(), "round {round}: by half: {:?}", halves.collect::<Vec<_>>());
        // What is in force is what is stored.
        let (_, port) = found.last().context("no rule was made before the agent was killed")?;
        let packet = format!(
            r#"{{"nic":"eth0","direction":"ingress","protocol":"tcp","remote":"10.78.0.9","port":{port}}}"#
        );
        ensure!(served.done("POST", "/v1/check", &packet)?["verdict"] == "accept");
        let status = served.done("GET", "/v1/status", "")?;
        ensure!(status["attached"] == 1, "{status}");
    }
    Ok(())
}

/// The ids of all objects in the audit trail.
fn recorded(served: &Served<'_>) -> Result<BTreeSet<String>> {
    let (mut ids, mut after) = (BTreeSet::new(), None);
    loop {
        let query = sg_audit::HistoryQuery { limit: Some(1_000), after, ..Default::default() };
        let page = sg_audit::read(&served.state().join(sg_audit::FILE), &query)?;
        let objects = page.items.into_iter().flat_map(|entry| entry.objects);
        ids.extend(objects.map(|object| object.id));
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(ids),
        }
    }
}

/// Ids and ports of all rules.
fn rules(served: &Served<'_>) -> Result<Vec<(String, u64)>> {
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = served.done("GET", &format!("/v1/groups/web/rules?limit=1000{after}"), "")?;
        for rule in page["items"].as_array().into_iter().flatten() {
            let id = rule["id"].as_str().context("no id")?.to_owned();
            let port = rule["spec"]["ports"].as_str().context("no ports")?.parse()?;
            all.push((id, port));
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(all),
        }
    }
}
