//! Throughput of one TCP connection between two hosts, one of which filters: short runs of `iperf3` in turns, with the filter,
//! without it, without it once more between two other hosts, and with the filter and a flow log. The difference between the two without it is noise, and no
//! smaller difference means anything. Criterion has neither runs in turns nor ratios of one round.
//!
//! Client and server have a processor each if there are two. Data passes in segments of up to 64 KiB, and each passes the filter
//! once; so does each acknowledgement.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use sg_benches::{Figure, Plan, Samples, Unit, cloud};
use sg_tests::lab::{Agent, Attach, Entered, Host, Lab};

const RULES: usize = 1_000;
const PORT: &str = "5201";
const SERVER: [u8; 4] = [198, 18, 0, 5];
/// The size of a run: less than a second, so that other load on the machine affects the runs of all pairs alike.
const BYTES: &str = "1G";

fn main() -> Result<()> {
    let Some(plan) = Plan::from_env(&["bulk", "bulk-rate"]) else { return Ok(()) };
    let lab = match Lab::enter()? {
        Entered::Inside(lab) => lab,
        Entered::LeftOut(why) => bail!("bulk needs {why}"),
    };
    let kinds = [Server::Plain, Server::Filtered, Server::Plain, Server::Logged];
    let mut pairs = Vec::new();
    for kind in kinds {
        pairs.push(Pair::new(lab, kind)?);
    }
    // Of the first pair and the second; of the second and the third, relative to the first of the same round, and of the fourth,
    // relative to the second.
    let (mut rates, mut ratios) = <([Samples; 2], [Samples; 3])>::default();
    for round in 0..plan.rounds(60, 12) {
        let mut found = [0.0; 4];
        // Each goes first as often as the others.
        for turn in 0..pairs.len() {
            let place = (round + turn) % pairs.len();
            found[place] = pairs[place].throughput()?;
        }
        let [plain, filtered, other, logged] = found;
        for (rounds, rate) in rates.iter_mut().zip([plain, filtered]) {
            rounds.push(rate);
        }
        for (rounds, ratio) in ratios.iter_mut().zip([filtered / plain, other / plain, logged / filtered]) {
            rounds.push(ratio);
        }
    }
    let [plain, with] = rates;
    let [filtered, unfiltered, logged] = ratios;
    for (name, ratio) in
        [("bulk/filtered", filtered), ("bulk/unfiltered", unfiltered), ("bulk/flow-log", logged)]
    {
        plan.record(&Figure::new(name, ratio.median(), Unit::Ratio).spread(ratio.spread()));
    }
    let rate = Figure::new("bulk-rate/filtered", with.median(), Unit::Megabits);
    plan.record(&rate.beside(plain.median()).spread(with.spread()));
    Ok(())
}

/// What filters at the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Plain,
    Filtered,
    /// Filtered, with a flow log every ten seconds, the shortest interval, and packets that do not pass counted, as always.
    Logged,
}

/// A client and a server on one wire.
struct Pair {
    client: Host,
    server: Child,
    _server_host: Host,
    _agent: Option<Agent>,
}

impl Pair {
    fn new(lab: Lab, kind: Server) -> Result<Self> {
        let (client, server) = (lab.host("client")?, lab.host("server")?);
        lab.wire((&client, "eth0"), (&server, "eth0"), 1500)?;
        client.address("eth0", &["198.18.0.9/24"])?;
        server.address("eth0", &["198.18.0.5/24"])?;
        let agent = match kind {
            Server::Plain => None,
            Server::Filtered | Server::Logged => Some(Agent::start(&server, &policy(), Attach::Auto.into())?),
        };
        let agent = match agent {
            Some(mut agent) if kind == Server::Logged => {
                let log = format!("file:{}", agent.policy_file().with_file_name("flows.jsonl").display());
                agent.stop()?;
                agent.start_with(&["--flow-log", &log, "--flow-log-interval", "10s"])?;
                Some(agent)
            }
            agent => agent,
        };
        let mut iperf = Command::new("iperf3");
        iperf.args(["--server", "--port", PORT]).stdout(Stdio::null()).stdin(Stdio::null());
        let child = server.spawn(&mut iperf).context("iperf3 (package iperf3)")?;
        // It does not report when it listens.
        thread::sleep(Duration::from_millis(500));
        Ok(Self { client, server: child, _server_host: server, _agent: agent })
    }

    /// Received megabits a second.
    fn throughput(&self) -> Result<f64> {
        let mut iperf = Command::new("iperf3");
        iperf.args(["--client", "198.18.0.5", "--port", PORT, "--bytes", BYTES, "--json"]);
        if let [client, server, ..] = processors()?[..] {
            iperf.args(["--affinity", &format!("{client},{server}")]);
        }
        iperf.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.client.spawn(&mut iperf)?.wait_with_output()?;
        ensure!(output.status.success(), "iperf3: {}", String::from_utf8_lossy(&output.stdout));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let bits = said.pointer("/end/sum_received/bits_per_second").and_then(serde_json::Value::as_f64);
        Ok(bits.context("iperf3 says no throughput")? / 1e6)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // The lab ends it in any case.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The processors that this process may use.
fn processors() -> Result<Vec<u32>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let mut processors = Vec::new();
    for range in list.context("no list of processors")?.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        processors.extend(first.parse::<u32>()?..=last.parse()?);
    }
    Ok(processors)
}

/// The rules of the other benchmarks, and one that accepts the client, behind all others that accept.
fn policy() -> String {
    let document = cloud::document(&cloud::rules(RULES), "eth0", SERVER.into());
    let rule = format!("      - {{ protocol: tcp, ports: {PORT}, priority: 100, remote: 198.18.0.0/24 }}\n");
    document.replacen("    ingress:\n", &format!("    ingress:\n{rule}"), 1)
}
