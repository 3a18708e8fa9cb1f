//! What a scrape of the figures for Prometheus costs on a large host: the time that a client waits, over loopback, and the size of
//! what it gets. The agent is a real one, its counters are those of the kernel. Called by `observe`.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use sg_benches::{Figure, Plan, Unit};
use sg_tests::lab::{Agent, Attach, Host, Lab};

const NICS: usize = 100;
const GROUPS: usize = 10;
const RULES_OF_GROUP: usize = 100;
const PORT: u16 = 9750;

/// A hundred NICs, which share a thousand rules.
pub(crate) fn scraping(plan: &Plan, lab: Lab) -> Result<()> {
    if !plan.wants("observe-scrape/1k-rules") && !plan.wants("observe-scrape-size/1k-rules") {
        return Ok(());
    }
    let host = lab.host("scraped")?;
    let mut devices = String::new();
    for nic in 0..NICS {
        writeln!(devices, "link add nic{nic} type veth peer name peer{nic}")?;
        writeln!(devices, "link set nic{nic} up")?;
    }
    host.ip(&devices)?;
    let mut agent = Agent::start(&host, "groups: {}\nnics: []\n", Attach::Auto.into())?;
    agent.stop()?;
    agent.detach()?;
    agent.hand(&policy()?)?;
    let address = format!("{}:{PORT}", Ipv4Addr::LOCALHOST);
    agent.start_with(&["--metrics", &address, "--max-nics", "128"])?;
    let (mut least, mut bytes) = (Duration::MAX, 0);
    for _ in 0..plan.rounds(40, 10) {
        let (text, took) = scrape(&host)?;
        let rules = text.lines().filter(|line| line.starts_with("sgd_rule_packets_total{")).count();
        let nics = text.lines().filter(|line| line.starts_with("sgd_policy_generation{")).count();
        ensure!((rules, nics) == (GROUPS * RULES_OF_GROUP, NICS), "{rules} rules, {nics} NICs");
        (least, bytes) = (least.min(took), text.len());
    }
    plan.record(&Figure::new("observe-scrape/1k-rules", least.as_secs_f64() * 1e3, Unit::Milliseconds));
    plan.record(&Figure::new("observe-scrape-size/1k-rules", bytes as f64, Unit::Bytes));
    Ok(())
}

fn policy() -> Result<String> {
    let mut policy = String::from("groups:\n");
    for group in 0..GROUPS {
        writeln!(policy, "  group-{group}:\n    inner_access: drop\n    ingress:")?;
        for rule in 0..RULES_OF_GROUP {
            let port = 1_000 + group * RULES_OF_GROUP + rule;
            writeln!(policy, "      - {{ id: rule-{group}-{rule}, protocol: tcp, ports: {port} }}")?;
        }
    }
    policy.push_str("nics:\n");
    for nic in 0..NICS {
        writeln!(policy, "  - {{ device: nic{nic}, groups: [group-{}] }}", nic % GROUPS)?;
    }
    Ok(policy)
}

/// One scrape, as Prometheus does it.
fn scrape(host: &Host) -> Result<(String, Duration)> {
    host.inside(|| {
        let (start, mut text) = (Instant::now(), String::new());
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?;
        let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n")?;
        stream.read_to_string(&mut text)?;
        ensure!(text.starts_with("HTTP/1.0 200") && text.ends_with("# EOF\n"), "{text}");
        Ok((text, start.elapsed()))
    })
}
