//! `sgctl observe` and `check --flow` under `sgd run`, with real packets: what happens is shown as it happens, packets are written for
//! others to read, and a row is explained afterwards.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, Binaries, Family, Lab, Outcome, Service, Streams, until};

use super::slow_readers::is_told;
use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, question, web},
    suite::Suite,
};

const RULES: &str = "
ingress:
  - { id: eighty, protocol: tcp, ports: 80, remote: 10.77.0.0/24 }
  - { id: refused, action: reject, protocol: tcp, ports: 25 }
";

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&Attach::ALL, "what_happens_is_shown_as_it_happens", shown_as_it_happens);
    suite.over(&[Attach::Tcx], "packets_are_written_with_their_rule", packets_are_written);
    suite.over(&[Attach::Tcx], "a_row_is_explained_afterwards", explained_afterwards);
    suite.over(&[Attach::Tcx], "an_agent_that_ends_ends_what_goes_on", agents_end_it);
}

/// `sgctl observe` of an agent, which goes on.
struct Observing {
    child: Child,
    out: PathBuf,
    said: PathBuf,
}

impl Observing {
    fn start(scene: &Scene, agent: &Agent, words: &[&str]) -> Result<Self> {
        let [out, said] = ["observed", "said"].map(|name| agent.policy_file().with_file_name(name));
        let mut sgctl = Command::new(Binaries::find()?.sgctl());
        sgctl.args(["observe", "--instance", agent.instance()]).args(words);
        sgctl.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&said)?);
        let observing = Self { child: scene.host(Server).spawn(&mut sgctl)?, out, said };
        until("the program is told", || is_told(agent))
            .with_context(|| fs::read_to_string(&observing.said).unwrap_or_default())?;
        Ok(observing)
    }

    fn records(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.out)?;
        // The last line may not be complete yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    }

    fn interrupt(&self) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT)?)
    }

    /// The exit code, and what it said on standard error.
    fn end(&mut self) -> Result<(Option<i32>, String)> {
        Ok((self.child.wait()?.code(), fs::read_to_string(&self.said)?))
    }
}

fn scene(lab: Lab, attach: Attach) -> Result<(Scene, Agent)> {
    filtered(lab, attach, Role::Host, &web(Role::Host, RULES))
}

/// A packet of each verdict.
fn traffic(scene: &Scene) -> Result<()> {
    scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(25), Outcome::Refused)
}

/// What `sgctl` prints.
fn printed(agent: &Agent, words: &[&str]) -> Result<String> {
    let output = agent.sgctl(&[words, &["--instance", agent.instance()]].concat())?;
    Ok(String::from_utf8(output.stdout)?)
}

fn shown_as_it_happens(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = scene(lab, attach)?;
    let mut observing = Observing::start(&scene, &agent, &["-f", "--json", "--direction", "ingress"])?;
    traffic(&scene)?;
    let is = |record: &Value, event: &str, port: u16| {
        record["event"] == event && record["dport"] == port && record["live"] == true
    };
    until("each verdict is shown", || {
        let records = observing.records()?;
        let has = |event, port| records.iter().any(|record| is(record, event, port));
        Ok(has("begin", 80) && has("denied", 22) && has("denied", 25))
    })?;
    let records = observing.records()?;
    let find = |event, port| records.iter().find(|record| is(record, event, port)).context("no record");
    let (begin, dropped, rejected) = (find("begin", 80)?, find("denied", 22)?, find("denied", 25)?);
    ensure!(begin["verdict"] == "accept" && begin["group"] == "web" && begin["rule"] == "eighty", "{begin}");
    ensure!(begin["src"] == "10.77.0.2" && begin["dst"] == "10.77.0.1" && begin["nic"] == "eth0", "{begin}");
    ensure!(dropped["verdict"] == "drop" && dropped["stage"] == "default", "{dropped}");
    ensure!(dropped["groups"] == serde_json::json!(["web"]), "{dropped}");
    ensure!(rejected["verdict"] == "reject" && rejected["rule"] == "refused", "{rejected}");
    // Single events come once; counts follow, and are of the same packets.
    ensure!(records.iter().filter(|record| is(record, "begin", 80)).count() == 1, "{records:?}");
    observing.interrupt()?;
    let (code, said) = observing.end()?;
    ensure!(code == Some(0) && said.is_empty(), "{code:?} {said}");

    let refused = agent.sgctl(&["observe", "--verdict", "dropped", "--instance", agent.instance()]).err();
    let refused = refused.context("it is not refused")?.to_string();
    ensure!(refused.contains("\"dropped\" is no verdict: allowed are accept, drop, reject"), "{refused}");
    Ok(())
}

fn packets_are_written(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = scene(lab, attach)?;
    let file = agent.policy_file().with_file_name("denied.pcapng");
    let path = file.to_string_lossy().into_owned();
    let mut observing =
        Observing::start(&scene, &agent, &["--verdict", "drop,reject", "--nic", "eth0", "-w", &path])?;
    traffic(&scene)?;
    let comments = || -> Result<Vec<String>> {
        let mut tshark = Command::new("tshark");
        tshark.args([
            "-r",
            &path,
            "-T",
            "fields",
            "-e",
            "frame.comment",
            "-e",
            "ip.src",
            "-e",
            "tcp.dstport",
        ]);
        let output = tshark.stderr(Stdio::null()).output().context("cannot start tshark")?;
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    };
    let has = |lines: &[String], begin: &str, end: &str| {
        lines.iter().any(|line| line.starts_with(begin) && line.ends_with(end))
    };
    until("both are written", || {
        let lines = comments()?;
        Ok(has(&lines, "drop by default of web (generation 1)", "\t10.77.0.2\t22")
            && has(&lines, "reject by web/refused (generation 1)", "\t10.77.0.2\t25"))
    })?;
    ensure!(!comments()?.iter().any(|line| line.ends_with("\t80")), "an accepted packet is there");
    observing.interrupt()?;
    let (code, said) = observing.end()?;
    ensure!(code == Some(0) && said.contains("packets in "), "{code:?} {said}");
    ensure!(fs::read_to_string(&observing.out)?.is_empty(), "nothing else is printed");
    let capinfos = Command::new("capinfos").arg(&path).output().context("cannot start capinfos")?;
    ensure!(capinfos.status.success(), "{}", String::from_utf8_lossy(&capinfos.stderr));
    Ok(())
}

fn explained_afterwards(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = scene(lab, attach)?;
    traffic(&scene)?;
    let open = question(Client, Server, Family::V4, Service::Tcp(80));
    let _open = Streams::open(scene.host(Client), scene.host(Server), &open)?;
    let line = |port: &str| {
        let words = ["observe", "--since", "5m", "--event", "denied", "--port", port, "--last", "1"];
        printed(&agent, &words).map(|text| text.trim().to_owned())
    };
    until("the denial is remembered", || Ok(!line("22")?.is_empty()))?;
    let (dropped, flow) = (line("22")?, printed(&agent, &["flows", "--port", "80", "--no-headers"])?);
    let sums = printed(
        &agent,
        &["observe", "--since", "5m", "--event", "denied", "--aggregate-by", "port", "--json"],
    )?;
    let sums: Vec<Value> = sums.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    ensure!(sums.iter().any(|sum| sum["dport"] == 22 && sum.get("src").is_none()), "{sums:?}");

    let explained = |row: &str, agent: &Agent| printed(agent, &["check", "--flow", row]);
    let same = explained(&dropped, &agent)?;
    for expected in [
        "eth0 ingress tcp 10.77.0.2:",
        "then: drop by the default, after no rule of web matched at ",
        "the rules of eth0 are those that decided: generation 1",
        "policy.yaml\n",
        "drop by default",
        "eighty of web (accept, priority 1): ports",
    ] {
        ensure!(same.contains(expected), "{expected:?} is not in {same}");
    }
    let of_flow = explained(flow.lines().next().context("no flow")?, &agent)?;
    ensure!(of_flow.contains("then: accept by rule eighty of group web"), "{of_flow}");
    ensure!(of_flow.contains("accept by rule eighty of group web\n"), "{of_flow}");

    agent.apply(&web(Role::Host, &RULES.replace("ports: 80,", "ports: \"80,22\",")))?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply)?;
    until("the change is remembered", || {
        let changed = explained(&dropped, &agent)?;
        Ok(changed.contains("have changed since then: the row is of generation 1, in force is 2")
            && changed.contains("the policy changed at ")
            && changed.contains("accept by rule eighty of group web"))
    })
}

fn agents_end_it(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = scene(lab, attach)?;
    let mut observing = Observing::start(&scene, &agent, &["-f"])?;
    agent.stop()?;
    let (code, said) = observing.end()?;
    ensure!(code == Some(1) && said.contains("sgd was stopped or restarted"), "{code:?} {said}");
    let refused = agent.sgctl(&["observe", "-f", "--instance", agent.instance()]).err();
    let refused = refused.context("it observes nobody")?.to_string();
    ensure!(refused.contains("nothing serves"), "{refused}");
    Ok(())
}
