//! Many NICs on one host: 1,000 veths in a namespace (in a short run 100), each with its own group, under the real agent. The
//! time until all are filtered and until a change is in force, and the memory of a NIC. Criterion measures no other processes, and its
//! least number of samples, ten, would take minutes.

#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use sg_benches::{Figure, Plan, Samples, Unit};
use sg_tests::lab::{Binaries, Entered, Host, Lab};

/// Numbers of NICs: the first is the baseline of the second, which is another one in a short run.
const SIZES: [(usize, &str); 2] = [(10, "10"), (1_000, "1k")];
const SHORT: (usize, &str) = (100, "100");

/// Rules of each NIC's own group; the group that all hold has as many.
const RULES: usize = 20;

/// How long the agent may take for anything.
const PATIENCE: Duration = Duration::from_mins(2);

const FAMILIES: [&str; 7] = [
    "nics-start",
    "nics-restart",
    "nics-change-one",
    "nics-change-all",
    "nics-detach",
    "nics-memory",
    "nics-agent",
];

fn main() -> Result<()> {
    let Some(plan) = Plan::from_env(&FAMILIES) else { return Ok(()) };
    match Lab::enter()? {
        Entered::Inside(lab) => measure(lab, &plan),
        Entered::LeftOut(want) => bail!("this needs {want}"),
    }
}

fn measure(lab: Lab, plan: &Plan) -> Result<()> {
    let mut before: BTreeMap<&str, f64> = BTreeMap::new();
    let [few, many] = SIZES;
    for (count, size) in [few, if plan.quick { SHORT } else { many }] {
        let figures = host(lab, plan, count)?;
        for (family, rounds, unit) in figures {
            let name = format!("{family}/{size}");
            if rounds.median() <= 0.0 {
                println!("{name} is left out: other programs gave back more memory than this needs");
                continue;
            }
            let mut figure = Figure::new(&name, rounds.median(), unit).spread(rounds.spread());
            match before.get(family) {
                Some(baseline) => figure = figure.beside(*baseline),
                None => drop(before.insert(family, rounds.median())),
            }
            plan.record(&figure);
        }
    }
    Ok(())
}

/// The results on a host of `count` NICs, by family.
fn host(lab: Lab, plan: &Plan, count: usize) -> Result<[(&'static str, Samples, Unit); FAMILIES.len()]> {
    let host = lab.host("host")?;
    // In parts: a batch that is too long fills the pipe of `ip`.
    for part in (0..count).collect::<Vec<_>>().chunks(100) {
        let devices = part.iter().map(|nic| format!("link add tap{nic} type veth peer name guest{nic}"));
        host.ip(&devices.collect::<Vec<_>>().join("\n"))?;
    }
    let file = format!("/run/{}.yaml", host.netns());
    let write = |every: usize, one: usize| -> Result<Instant> {
        let new = format!("{file}.new");
        fs::write(&new, policy(count, every, one))?;
        let start = Instant::now();
        fs::rename(&new, &file)?;
        Ok(start)
    };

    write(0, 0)?;
    let free = available()?;
    let (mut agent, started) = Agent::start(&host, &file)?;
    let resident = agent.resident()? / count as f64;
    let needed = (free - available()?) / count as f64;
    let (mut every, mut one, mut restart) = (Samples::default(), Samples::default(), Samples::default());
    for round in 1..=plan.rounds(15, 4) {
        one.push(agent.applies(write(round - 1, round)?)?);
        every.push(agent.applies(write(round, round)?)?);
    }
    for _ in 0..plan.rounds(3, 1) {
        agent.kill()?;
        let (again, took) = Agent::start(&host, &file)?;
        agent = again;
        restart.push(took);
    }
    agent.kill()?;
    let start = Instant::now();
    detach(&host)?;
    let detached = start.elapsed().as_secs_f64() * 1e3;
    let single = |value: f64| [value].into_iter().collect::<Samples>();
    Ok([
        ("nics-start", single(started), Unit::Milliseconds),
        ("nics-restart", restart, Unit::Milliseconds),
        ("nics-change-one", one, Unit::Milliseconds),
        ("nics-change-all", every, Unit::Milliseconds),
        ("nics-detach", single(detached), Unit::Milliseconds),
        ("nics-memory", single(needed), Unit::Bytes),
        ("nics-agent", single(resident), Unit::Bytes),
    ])
}

/// The document; `every` counts the changes of the group that all hold, `one` those of the first NIC's own.
fn policy(count: usize, every: usize, one: usize) -> String {
    let mut document = String::from("groups:\n");
    let mut group = |name: &str, net: usize, changes: usize| {
        let _ = writeln!(document, "  {name}:\n    ingress:");
        for rule in 0..RULES {
            let port = 1_000 + rule * 100 + if rule == 0 { changes } else { 0 };
            let _ = writeln!(
                document,
                "      - {{ id: r{rule}, protocol: tcp, ports: {port}, remote: 10.{}.{}.{}/28 }}",
                net / 256,
                net % 256,
                rule % 16 * 16
            );
        }
    };
    group("all", 0, every);
    for nic in 0..count {
        group(&format!("of{nic}"), nic + 1, if nic == 0 { one } else { 0 });
    }
    document.push_str("nics:\n");
    for nic in 0..count {
        let _ = writeln!(
            document,
            "  - {{ device: tap{nic}, role: guest, groups: [of{nic}, all], addresses: [10.200.{}.{}] }}",
            nic / 256,
            nic % 256
        );
    }
    document
}

/// The available memory of the machine, in bytes.
fn available() -> Result<f64> {
    // Recently freed memory is returned after a grace period.
    thread::sleep(Duration::from_secs(1));
    field("/proc/meminfo", "MemAvailable:")
}

/// A field of a kernel file, in bytes.
fn field(file: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kilobytes.with_context(|| format!("no {name} in {file}"))? * 1024.0)
}

/// `sgd`, and its lines with the time of each.
struct Agent {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

impl Agent {
    /// Starts it and waits until every NIC is filtered; returns how long that took, in milliseconds.
    fn start(host: &Host, policy: &str) -> Result<(Self, f64)> {
        let mut sgd = Command::new(Binaries::find()?.sgd());
        sgd.args(["run", "--policy", policy, "--instance", host.netns()]);
        sgd.arg("--state").arg(format!("/run/lab/{}-state", host.netns()));
        sgd.args(["--max-nics", "1024", "--max-counters", "131072"]);
        let start = Instant::now();
        let mut child = host.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let output = child.stdout.take().context("no standard output")?;
        let (tell, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // If the receiver is gone, the agent was dropped.
                let _ = tell.send((Instant::now(), line));
            }
        });
        let agent = Self { child, lines };
        let ready = agent.says("ready")?;
        Ok((agent, (ready - start).as_secs_f64() * 1e3))
    }

    /// The time at which it prints a line that begins with `word`.
    fn says(&self, word: &str) -> Result<Instant> {
        loop {
            let (when, line) =
                self.lines.recv_timeout(PATIENCE).with_context(|| format!("it never says {word}"))?;
            if line.starts_with("refused") {
                bail!("the policy is {line}");
            }
            if line.starts_with(word) && !line.contains("cause=devices") {
                return Ok(when);
            }
        }
    }

    /// The time until the policy that was written at `start` is in force, in milliseconds.
    fn applies(&self, start: Instant) -> Result<f64> {
        Ok((self.says("applied")? - start).as_secs_f64() * 1e3)
    }

    /// Its memory, in bytes.
    fn resident(&self) -> Result<f64> {
        field(&format!("/proc/{}/status", self.child.id()), "VmRSS:")
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot end the agent")?;
        self.child.wait().map(drop).context("the agent does not end")
    }
}

/// Removes what the agent left.
fn detach(host: &Host) -> Result<()> {
    let mut sgctl = Command::new(Binaries::find()?.sgctl());
    sgctl.args(["detach", "--instance", host.netns()]).stdout(Stdio::null());
    let status = host.spawn(&mut sgctl)?.wait()?;
    if !status.success() {
        bail!("`sgctl detach` failed ({status})");
    }
    Ok(())
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended; the lab removes everything in the end.
        let _ = self.kill();
    }
}
