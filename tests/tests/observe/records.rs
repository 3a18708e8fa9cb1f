//! The flow log and the counts of denials as an operator gets them: a file of records, from real packets. The judge is the
//! kernel's per-CPU counters, which count every packet once, whatever flows do.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{
    Agent, Attach, Datagrams, End, Family, Lab, Outcome, PATIENCE, Pair as _, Service, Streams, slowly,
};

use crate::support::{
    scene::{Client, Role, Scene, Server, Stranger, filtered, question, web},
    suite::Suite,
};

pub(crate) const RULES: &str = "
ingress:
  - { id: eighty, protocol: tcp, ports: 80, remote: 10.77.0.0/24 }
  - { id: echo, protocol: icmp, remote: 10.77.0.0/24 }
  - { id: names, protocol: udp, ports: 54 }
  - { id: refused, action: reject, protocol: tcp, ports: 25 }
egress:
  - { id: out, protocol: tcp, ports: 8080 }
";

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&Attach::RECEIVED, "every_packet_has_its_record", every_packet_has_its_record);
    suite.over(&[Attach::Tcx], "the_sum_of_records_is_what_was_counted", sums_are_what_was_counted);
    suite.over(&[Attach::Tcx], "a_killed_agent_reports_nothing_twice", killed_agents_report_nothing_twice);
    suite.over(&[Attach::Tcx], "a_guest_s_flows_have_its_direction", guests_have_their_direction);
}

/// Where the log is, and the arguments that make it.
pub(crate) struct Log {
    pub(crate) file: PathBuf,
    target: String,
}

impl Log {
    pub(crate) fn of(agent: &Agent) -> Self {
        let file = agent.policy_file().with_file_name("flows.jsonl");
        Self { target: format!("file:{}", file.display()), file }
    }

    pub(crate) fn arguments(&self) -> [&str; 4] {
        ["--flow-log", &self.target, "--flow-log-interval", "10s"]
    }

    pub(crate) fn records(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    /// Waits for records like this.
    pub(crate) fn awaits(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let (mut records, mut found) = (Vec::new(), Vec::new());
        let waited = slowly(what, || {
            records = self.records()?;
            found = records.iter().filter(|record| is_it(record)).cloned().collect();
            Ok(!found.is_empty())
        });
        waited.with_context(|| format!("the records are {}", lines(&records)))?;
        Ok(found)
    }
}

/// How many reports or flows are said to be lost, over all records.
pub(crate) fn lost(records: &[Value]) -> u64 {
    let lost = records.iter().filter(|record| record["event"] == "lost");
    lost.filter_map(|record| record["count"].as_u64()).sum()
}

pub(crate) fn lines(records: &[Value]) -> String {
    records.iter().fold(String::new(), |lines, record| lines + "\n  " + &record.to_string())
}

/// A filtered scene whose agent writes a flow log.
pub(crate) fn logged(lab: Lab, attach: Attach, role: Role, rules: &str) -> Result<(Scene, Agent, Log)> {
    let (scene, mut agent) = filtered(lab, attach, role, &web(role, rules))?;
    let log = Log::of(&agent);
    agent.stop()?;
    agent.start_with(&log.arguments())?;
    Ok((scene, agent, log))
}

fn every_packet_has_its_record(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent, log) = logged(lab, attach, Role::Host, RULES)?;
    let v4 = Family::V4;
    scene.asks(Client, Server, v4, Service::Tcp(80), Outcome::Reply)?;
    scene.asks(Client, Server, v4, Service::Udp(54), Outcome::Reply)?;
    scene.asks(Client, Server, v4, Service::Echo, Outcome::Reply)?;
    scene.asks(Client, Server, v4, Service::Tcp(22), Outcome::Silent)?;
    scene.asks(Stranger, Server, Family::V6, Service::Udp(5353), Outcome::Silent)?;
    scene.asks(Server, Client, v4, Service::Tcp(8080), Outcome::Reply)?;
    // From XDP, the reply would not arrive over this wire.
    let refused = if attach == Attach::Xdp { Outcome::Silent } else { Outcome::Refused };
    scene.asks(Client, Server, v4, Service::Tcp(25), refused)?;

    let client = Client.address(v4).to_string();
    let denied = |port: u16, source: String| {
        move |record: &Value| {
            record["event"] == "denied" && record["dport"] == port && record["src"] == source.as_str()
        }
    };
    let found = log.awaits("the packet to port 22", denied(22, client.clone()))?;
    let drop = &found[0];
    ensure!(drop["verdict"] == "drop" && drop["stage"] == "default" && drop["rule"] == "default", "{drop}");
    ensure!(drop["groups"] == serde_json::json!(["web"]) && drop["nic"] == "eth0", "{drop}");
    ensure!(drop["direction"] == "ingress" && drop["protocol"] == 6 && drop["reason"] == "default", "{drop}");
    ensure!(drop["sport"].as_u64() > Some(1023) && drop["generation"].as_u64() > Some(0), "{drop}");
    let found = log.awaits("the packet to port 25", denied(25, client.clone()))?;
    let reject = &found[0];
    ensure!(
        reject["verdict"] == "reject" && reject["rule"] == "refused" && reject["group"] == "web",
        "{reject}"
    );
    let six = Stranger.address(Family::V6).to_string();
    log.awaits("the datagram over IPv6", denied(5353, six))?;

    let of_rule =
        |rule: &'static str| move |record: &Value| record["rule"] == rule && record["event"] != "denied";
    for (rule, protocol, direction) in
        [("eighty", 6, "ingress"), ("names", 17, "ingress"), ("echo", 1, "ingress"), ("out", 6, "egress")]
    {
        let found = log.awaits(rule, of_rule(rule))?;
        let flow = &found[0];
        ensure!(flow["stage"] == "rule" && flow["group"] == "web" && flow["verdict"] == "accept", "{flow}");
        ensure!(flow["protocol"] == protocol && flow["direction"] == direction, "{flow}");
        let source = if direction == "ingress" { Client } else { Server }.address(v4).to_string();
        ensure!(flow["src"] == source.as_str(), "{flow}");
        ensure!(flow["packets"][0].as_u64() > Some(0) && flow["packets"][1].as_u64() > Some(0), "{flow}");
    }
    // Whatever it is, what decided has a name.
    let records = log.records()?;
    for record in &records {
        let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        if ["policy", "lost"].contains(&text("event").as_str()) {
            ensure!(text("event") != "lost", "something was lost: {record}");
            continue;
        }
        ensure!(!text("stage").is_empty() && !text("reason").is_empty(), "{record}");
        ensure!(text("stage") != "rule" || !text("rule").is_empty() && text("group") == "web", "{record}");
        ensure!(text("start") <= text("end"), "{record}");
    }
    ensure!(
        fs::metadata(&log.file)?.len() > 0 && agent.complaints().lines().all(|line| !line.contains("ERROR"))
    );
    Ok(())
}

/// Packets by rule, over all records of flows.
pub(crate) fn packets_of(records: &[Value], rule: &str) -> u64 {
    let is_it = |record: &&Value| record["rule"] == rule && record["event"] != "denied";
    let sum = |record: &Value| {
        record["packets"].as_array().map_or(0, |both| both.iter().filter_map(Value::as_u64).sum::<u64>())
    };
    records.iter().filter(is_it).map(sum).sum()
}

/// Packets of the side that opened each flow of this rule and of the other side, and bytes likewise, over all records.
fn of_both_sides(records: &[Value], rule: &str) -> [[u64; 2]; 2] {
    ["packets", "bytes"].map(|field| {
        [0, 1].map(|side| {
            let of_rule =
                records.iter().filter(|record| record["rule"] == rule && record["event"] != "denied");
            of_rule.filter_map(|record| record[field][side].as_u64()).sum()
        })
    })
}

/// Datagrams between the same two ends, by whom they are sent. Unlike the packets of a connection, it is the test that decides how
/// many there are.
struct Tallied {
    pair: Datagrams,
    sent: [u64; 2],
}

impl Tallied {
    /// Ethernet, IPv4 and UDP, and the number that a datagram has.
    const FRAME: u64 = 14 + 20 + 8 + 4;

    fn open(scene: &Scene) -> Result<Self> {
        let asked = question(Client, Server, Family::V4, Service::Udp(54));
        let pair = Datagrams::open(scene.host(Client), scene.host(Server), &asked)?;
        Ok(Self { pair, sent: [0; 2] })
    }

    /// So many of the end that opened the flow, and then of the other.
    fn exchange(&mut self, count: [u64; 2]) -> Result<()> {
        for (end, count) in End::ALL.into_iter().zip(count) {
            for _ in 0..count {
                self.pair.send(end)?;
                ensure!(self.pair.arrives(end.other(), PATIENCE)?, "a datagram does not arrive");
                self.sent[end as usize] += 1;
            }
        }
        Ok(())
    }

    /// Packets of both sides that are not in the records.
    fn missing(&self, records: &[Value]) -> [u64; 2] {
        let [packets, _] = of_both_sides(records, "names");
        [0, 1].map(|side| self.sent[side].saturating_sub(packets[side]))
    }

    /// Whether the records say the same. More packets than were sent are an error.
    fn is_recorded(&self, records: &[Value]) -> Result<bool> {
        let recorded = of_both_sides(records, "names");
        let sent = [self.sent, self.sent.map(|count| count * Self::FRAME)];
        let is_more = recorded.iter().flatten().zip(sent.iter().flatten()).any(|(said, sent)| said > sent);
        ensure!(!is_more, "{recorded:?} of {sent:?}: something was reported twice");
        Ok(recorded == sent)
    }
}

/// What records of flows say of each connection's life: it begins once, and ends once.
fn lives(records: &[Value]) -> Result<BTreeMap<String, (usize, usize)>> {
    let mut lives: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for record in records.iter().filter(|record| record["rule"] == "eighty") {
        let key = format!("{} {} {} {}", record["src"], record["sport"], record["dst"], record["dport"]);
        let life = lives.entry(key).or_default();
        match record["event"].as_str() {
            Some("begin") => life.0 += 1,
            Some("end") => life.1 += 1,
            Some("continue") => {
                ensure!(
                    life.0 == 1 && life.1 == 0,
                    "it goes on before it begins, or after its end: {record}"
                );
            }
            _ => {}
        }
    }
    Ok(lives)
}

/// Exchanges data over a connection that stays, now and then, while others come and go.
fn exchange(scene: &Scene, pair: &mut Streams, seconds: u64) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        for end in End::ALL {
            pair.send(end)?;
            ensure!(pair.arrives(end.other(), PATIENCE)?, "they exchange data");
        }
        scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)?;
        thread::sleep(Duration::from_millis(400));
    }
    Ok(())
}

fn sums_are_what_was_counted(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent, log) = logged(lab, attach, Role::Host, RULES)?;
    let asked = question(Client, Server, Family::V4, Service::Tcp(80));
    let mut pair = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
    let mut names = Tallied::open(&scene)?;
    names.exchange([7, 3])?;
    exchange(&scene, &mut pair, 24)?;
    // Of the same flow, which has been reported by now.
    names.exchange([2, 11])?;
    let long = log.awaits("a connection that goes on", |record| record["event"] == "continue")?;
    drop(pair);
    slowly("the datagrams of both sides are recorded", || names.is_recorded(&log.records()?))
        .with_context(|| log.records().map_or_else(|error| error.to_string(), |records| lines(&records)))?;
    ended(&agent, &log)?;
    let records = log.records()?;
    ensure!(names.is_recorded(&records)? && lost(&records) == 0, "it changed afterwards{}", lines(&records));
    let lives = lives(&records)?;
    ensure!(lives.len() > 10, "{lives:?}");
    ensure!(lives.values().all(|&(begun, ended)| begun <= 1 && ended == 1), "{lives:?}{}", lines(&records));
    ensure!(long[0]["state"] == "established" && long[0]["tcp_flags"].as_u64() == Some(18), "{}", long[0]);
    Ok(())
}

/// Waits until all connections have ended, and compares the sum of their records with the rule's counter.
fn ended(agent: &Agent, log: &Log) -> Result<()> {
    let counted = agent.stats()?.rule("eighty");
    ensure!(counted > 50, "{counted}");
    let is_complete = || {
        let counted = agent.stats()?.rule("eighty");
        Ok(packets_of(&log.records()?, "eighty") == counted)
    };
    let waited = slowly("the sum of the records is what the rule counted", is_complete);
    let reported = packets_of(&log.records()?, "eighty");
    waited.with_context(|| format!("{reported} of {counted}"))?;
    // And it stays.
    thread::sleep(Duration::from_secs(12));
    let reported = packets_of(&log.records()?, "eighty");
    ensure!(reported == agent.stats()?.rule("eighty"), "{reported} of {counted}");
    Ok(())
}

fn killed_agents_report_nothing_twice(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent, log) = logged(lab, attach, Role::Host, RULES)?;
    let asked = question(Client, Server, Family::V4, Service::Tcp(80));
    let mut pair = Streams::open(scene.host(Client), scene.host(Server), &asked)?;
    let mut names = Tallied::open(&scene)?;
    for _ in 0..3 {
        names.exchange([3, 1])?;
        exchange(&scene, &mut pair, 13)?;
        names.exchange([1, 3])?;
        agent.kill()?;
        // Nobody reads meanwhile.
        exchange(&scene, &mut pair, 2)?;
        names.exchange([2, 2])?;
        agent.start_with(&log.arguments())?;
    }
    drop(pair);
    let is_complete = || {
        let (counted, records) = (agent.stats()?.rule("eighty"), log.records()?);
        let (reported, lost) = (packets_of(&records, "eighty"), lost(&records));
        ensure!(reported <= counted, "{reported} of {counted}: something was reported twice");
        let is_exact = names.is_recorded(&records)? && reported == counted;
        // What was lost with a killed agent is counted, in reports.
        Ok(is_exact || lost > 0 && reported + 40 * lost >= counted)
    };
    slowly("nothing is missing but what is said to be", is_complete)?;
    // What was sent since the last start is not among what is lost: it is recorded on both sides.
    let missing = names.missing(&log.records()?);
    names.exchange([5, 4])?;
    slowly("the datagrams after the last kill are recorded", || {
        let now = names.missing(&log.records()?);
        Ok(now.iter().zip(missing).all(|(now, before)| *now <= before))
    })
}

fn guests_have_their_direction(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, _agent, log) = logged(lab, attach, Role::Guest, RULES)?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)?;
    scene.asks(Server, Client, Family::V4, Service::Tcp(8080), Outcome::Reply)?;
    scene.asks(Server, Client, Family::V4, Service::Tcp(8081), Outcome::Reply)?;
    let found = log.awaits("an inbound flow", |record| record["rule"] == "eighty")?;
    ensure!(found[0]["direction"] == "ingress" && found[0]["nic"] == "server", "{}", found[0]);
    let found = log.awaits("an outbound flow", |record| record["rule"] == "out")?;
    ensure!(found[0]["direction"] == "egress" && found[0]["dport"] == 8080, "{}", found[0]);
    let found =
        log.awaits("a flow by default", |record| record["rule"] == "default" && record["dport"] == 8081)?;
    ensure!(found[0]["stage"] == "default" && found[0]["verdict"] == "accept", "{}", found[0]);
    Ok(())
}
