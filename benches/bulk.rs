//! Throughput of one TCP connection between two hosts, one of which filters: rounds of `iperf3` with the filter and
//! without it, in turns.

use std::{
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use sg_benches::{
    cloud,
    plan::Plan,
    report::{Figure, Unit},
    rounds::Rounds,
};
use sg_tests::lab::{Agent, Attach, Entered, Host, Lab};

const RULES: usize = 1_000;
const PORT: &str = "5201";
const SERVER: [u8; 4] = [198, 18, 0, 5];

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return Ok(());
    }
    let lab = match Lab::enter()? {
        Entered::Inside(lab) => lab,
        Entered::LeftOut(why) => bail!("bulk needs {why}"),
    };
    let plan = Plan::from_env();
    if !plan.wants("bulk/filtered") {
        return Ok(());
    }
    let (plain, filtered) = (Pair::new(lab, false)?, Pair::new(lab, true)?);
    let (mut without, mut with) = (Rounds::default(), Rounds::default());
    for _ in 0..plan.rounds(15, 3) {
        without.push(plain.throughput()?);
        with.push(filtered.throughput()?);
    }
    // The round that nothing else disturbed is the fastest.
    let figure = Figure::new("bulk/filtered", with.most(), Unit::Megabits).beside(without.most());
    figure.spread(with.spread()).record()?;
    Ok(())
}

/// A client and a server on one wire.
struct Pair {
    client: Host,
    server: Child,
    _server_host: Host,
    _agent: Option<Agent>,
}

impl Pair {
    fn new(lab: Lab, filtered: bool) -> Result<Self> {
        let (client, server) = (lab.host("client")?, lab.host("server")?);
        lab.wire((&client, "eth0"), (&server, "eth0"), 1500)?;
        client.address("eth0", &["198.18.0.9/24"])?;
        server.address("eth0", &["198.18.0.5/24"])?;
        let agent = filtered.then(|| Agent::start(&server, &policy(), Attach::Auto.into())).transpose()?;
        let mut iperf = Command::new("iperf3");
        iperf.args(["--server", "--port", PORT]).stdout(Stdio::null()).stdin(Stdio::null());
        let child = server.spawn(&mut iperf).context("iperf3 (package iperf3)")?;
        // It says nothing when it listens.
        thread::sleep(Duration::from_millis(500));
        Ok(Self { client, server: child, _server_host: server, _agent: agent })
    }

    /// Megabits a second that arrived.
    fn throughput(&self) -> Result<f64> {
        let mut iperf = Command::new("iperf3");
        iperf.args(["--client", "198.18.0.5", "--port", PORT, "--time", "2", "--omit", "0.5", "--json"]);
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
        // The lab takes it with it in any case.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The rules of the other benchmarks, and one that lets the client in behind all that accept.
fn policy() -> String {
    let document = cloud::document(&cloud::rules(RULES), "eth0", SERVER.into());
    let rule = format!("      - {{ protocol: tcp, ports: {PORT}, priority: 100, remote: 198.18.0.0/24 }}\n");
    document.replacen("    ingress:\n", &format!("    ingress:\n{rule}"), 1)
}
