//! What `sgd run` shows of what is in force: status, effective rules, counters and flows over its socket, and when rules were used
//! last, over restarts, detaching and damage.

use std::{
    fs,
    io::BufReader,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, Binaries, Family, Lab, Outcome, Service, until};

use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, web},
    suite::Suite,
};

const RULES: &str = "
ingress:
  - { id: never, priority: 9, protocol: tcp, ports: 81 }
  - { id: eighty, protocol: tcp, ports: 80, remote: 10.77.0.0/24 }
";

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(
        &Attach::RECEIVED,
        "status_says_what_is_in_force_and_why",
        status_says_what_is_in_force_and_why,
    );
    suite.each("rules_are_shown_as_they_decide", rules_are_shown_as_they_decide);
    suite.each("a_document_is_no_store", a_document_is_no_store);
    suite.over(&[Attach::Tcx], "what_is_watched_ends_with_ctrl_c", what_is_watched_ends_with_ctrl_c);
    suite.each("last_hits_outlive_agents_and_filters", last_hits_outlive_agents_and_filters);
    suite.over(&[Attach::Tcx], "damage_makes_the_window_shorter", damage_makes_the_window_shorter);
    suite.over(&[Attach::Tcx], "a_socket_that_cannot_be_is_no_reason_not_to_filter", without_a_socket);
    suite.over(&[Attach::Tcx], "a_log_that_cannot_be_is_no_reason_not_to_filter", without_logs);
}

fn policy() -> String {
    web(Role::Host, RULES)
}

/// What a command of `sgctl` prints as JSON.
fn json(agent: &Agent, words: &[&str]) -> Result<Value> {
    let words = [words, &["--json", "--instance", agent.instance()]].concat();
    let output = agent.sgctl(&words)?.stdout;
    serde_json::from_slice(&output).with_context(|| String::from_utf8_lossy(&output).into_owned())
}

/// The client asks the server on port 80, which a rule accepts.
fn eighty(scene: &Scene) -> Result<()> {
    scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)
}

/// A step that `sgctl show` shows, by its rule, or `default`, of inbound packets.
fn step(agent: &Agent, rule: &str) -> Result<Value> {
    let nics = json(agent, &["show", "--nic", "eth0"])?;
    let steps = nics[0]["steps"].as_array().context("no steps")?;
    let is_it = |step: &&Value| {
        step["direction"] == "ingress"
            && (step["rule"] == rule || rule == "default" && step["stage"] == "default")
    };
    steps.iter().find(is_it).cloned().with_context(|| format!("no {rule} in {nics}"))
}

fn status_says_what_is_in_force_and_why(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let status = json(&agent, &["status"])?;
    ensure!(status["agent_pid"] == agent.pid(), "{status}");
    ensure!(status["policy"]["path"] == *agent.policy_file().to_string_lossy(), "{status}");
    ensure!(status["policy"]["owner_uid"] == 0 && status["applied"]["cause"] == "start", "{status}");
    let nic = |status: &Value| status["in_force"][0].clone();
    let first = nic(&status);
    let hook = if attach == Attach::Xdp { "xdp" } else { "tc" };
    ensure!(first["device"] == "eth0" && first["hook"] == hook, "{status}");
    ensure!(first["image_bytes"].as_u64() > Some(0) && first["ifindex"].as_u64() > Some(0), "{status}");

    agent.refuses("groups: [\n")?;
    let refused = json(&agent, &["status"])?;
    let reason = refused["refused"]["reason"].as_str().context("nothing is refused")?;
    ensure!(reason.contains("policy.yaml:"), "{reason}");
    ensure!(refused["applied"] == status["applied"] && nic(&refused) == first, "{refused}");
    eighty(&scene).context("what was in force stays in force")?;

    // A test that fails refuses a document that is valid otherwise, and would take the rule away.
    let without = policy().replace("ports: 80", "ports: 82");
    let test = "tests:\n  - { nic: eth0, direction: ingress, from: 10.77.0.0/24, protocol: tcp, ports: 80, expect: accept }\n";
    agent.refuses(&format!("{without}{test}"))?;
    let refused = json(&agent, &["status"])?;
    let reason = refused["refused"]["reason"].as_str().context("nothing is refused")?;
    ensure!(reason.contains("tests[0]: this test fails: expected accept, but {"), "{reason}");
    ensure!(refused["applied"] == status["applied"] && nic(&refused) == first, "{refused}");
    eighty(&scene).context("a test that fails leaves in force what was")?;

    agent.apply(&format!("{}{test}", policy().replace("ports: 81", "ports: 82")))?;
    let applied = json(&agent, &["status"])?;
    ensure!(applied["applied"]["cause"] == "policy" && applied.get("refused").is_none(), "{applied}");
    ensure!(nic(&applied)["generation"].as_u64() > first["generation"].as_u64(), "{applied}");
    agent.reread()?;
    ensure!(json(&agent, &["status"])?["applied"]["cause"] == "signal");

    let text = agent.sgctl(&["status", "--instance", agent.instance()])?.stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    for expected in ["POLICY", "policy.yaml, of uid 0", "by SIGHUP", &format!("eth0: {hook}, generation")] {
        ensure!(text.contains(expected), "{expected}: {text}");
    }
    ensure!(!text.contains("VPCS"), "{text}");

    // Without an agent, the catalog is read.
    agent.stop()?;
    let unserved = json(&agent, &["status"])?;
    ensure!(unserved["agent_pid"].is_null() && unserved["attached"] == 1, "{unserved}");
    Ok(())
}

fn rules_are_shown_as_they_decide(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &policy())?;
    for rule in ["never", "eighty", "default"] {
        let step = step(&agent, rule)?;
        ensure!(step["last_hit"].is_null() && !step["observed_since"].is_null(), "{step}");
    }
    eighty(&scene)?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    let nics = json(&agent, &["show"])?;
    let steps = nics[0]["steps"].as_array().context("no steps")?;
    let order: Vec<&str> = steps
        .iter()
        .filter(|step| step["direction"] == "ingress")
        .map(|step| step["rule"].as_str().or(step["stage"].as_str()).unwrap_or_default())
        .collect();
    ensure!(order == ["intra-group", "eighty", "never", "default"], "{order:?}");
    let [hit, unhit, default] = ["eighty", "never", "default"].map(|rule| step(&agent, rule));
    let (hit, unhit, default) = (hit?, unhit?, default?);
    ensure!(hit["matches"] == "tcp ports 80 remote 10.77.0.0/24" && hit["action"] == "accept", "{hit}");
    ensure!(hit["packets"].as_u64() > Some(0) && !hit["last_hit"].is_null(), "{hit}");
    ensure!(unhit["packets"] == 0 && unhit["last_hit"].is_null(), "{unhit}");
    ensure!(default["action"] == "drop" && !default["last_hit"].is_null(), "{default}");

    // Only who was observed for so long without a packet is unused.
    until("one rule is unused, and the other is not", || {
        eighty(&scene)?;
        let unused = json(&agent, &["show", "--unused", "1s"])?;
        let steps = unused[0]["steps"].as_array().context("no steps")?;
        let rules: Vec<&str> = steps.iter().filter_map(|step| step["rule"].as_str()).collect();
        Ok(rules == ["never"])
    })?;
    let long = json(&agent, &["show", "--unused", "30d"])?;
    ensure!(long[0]["steps"] == serde_json::json!([]), "nobody knows for so long: {long}");
    let findings = json(&agent, &["lint", "--unused", "1s"])?;
    let finding =
        findings.as_array().context("no findings")?.iter().find(|finding| finding["rule"] == "never");
    let finding = finding.with_context(|| format!("{findings}"))?;
    ensure!(finding["kind"] == "unused" && finding["group"] == "web", "{finding}");
    ensure!(finding["message"].as_str().is_some_and(|text| text.contains("observed")), "{finding}");

    let text = agent.sgctl(&["show", "--by-group", "--instance", agent.instance()])?.stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(text.contains("MATCHES") && text.contains("none in ") && text.contains("web"), "{text}");
    Ok(())
}

fn a_document_is_no_store(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let instance = agent.instance().to_owned();
    let document = agent.policy_file().to_string_lossy().into_owned();
    for words in [&["group", "list"][..], &["apply", "-f", &document, "--yes"]] {
        let refused = agent.sgctl(&[words, &["--instance", &instance]].concat()).err();
        let refused = refused.with_context(|| format!("{words:?} was done"))?.to_string();
        ensure!(refused.contains("policy.yaml") && refused.contains("no store"), "{refused}");
    }
    eighty(&scene)?;
    let flows = json(&agent, &["flows", "--port", "80"])?;
    ensure!(flows[0]["rule"] == "eighty" && flows[0]["nic"] == "eth0", "{flows}");
    ensure!(json(&agent, &["flows", "--port", "81"])? == serde_json::json!([]));
    let served = json(&agent, &["stats"])?;
    // It is only looked at over the socket; root deletes by the pins.
    let deleted = agent.sgctl(&["flows", "--delete", "--yes", "--port", "80", "--instance", &instance])?;
    ensure!(String::from_utf8_lossy(&deleted.stdout).starts_with("deleted "));
    ensure!(json(&agent, &["flows", "--port", "80"])? == serde_json::json!([]));
    agent.stop()?;
    let pinned = json(&agent, &["stats"])?;
    ensure!(pinned["rules"] == served["rules"], "{pinned} {served}");
    Ok(())
}

/// Who pipes it gets a block for every interval, and who interrupts it has got what was wanted.
fn what_is_watched_ends_with_ctrl_c(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, agent) = filtered(lab, attach, Role::Host, &policy())?;
    for command in ["stats", "flows"] {
        let mut sgctl = Command::new(Binaries::find()?.sgctl());
        sgctl.args([command, "-w", "1", "--json", "--instance", agent.instance()]);
        let pipes = sgctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut sgctl = scene.host(Server).spawn(pipes)?;
        let mut output = BufReader::new(sgctl.stdout.take().context("no standard output")?);
        let mut blocks = serde_json::Deserializer::from_reader(&mut output).into_iter::<Value>();
        let mut counted = Vec::new();
        for _ in 0..3 {
            counted.push(blocks.next().with_context(|| format!("{command} ended"))??);
            eighty(&scene)?;
        }
        ensure!(counted[0] != counted[2], "{command} shows what was: {counted:?}");
        kill(Pid::from_raw(sgctl.id().cast_signed()), Signal::SIGINT)?;
        let status = sgctl.wait()?;
        ensure!(status.success(), "{command}: {status}");
    }
    Ok(())
}

/// The file with the last hits.
fn file(agent: &Agent) -> PathBuf {
    let state = agent.policy_file().with_file_name("state");
    state.join(format!("last-hits-{}.json", agent.instance()))
}

fn last_hits_outlive_agents_and_filters(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let since = step(&agent, "never")?["observed_since"].clone();
    eighty(&scene)?;
    agent.kill()?;
    agent.start_again()?;
    // The counter kept counting, and the file knows how far it was.
    ensure!(!step(&agent, "eighty")?["last_hit"].is_null(), "the hit before the agent was killed");
    let never = step(&agent, "never")?;
    ensure!(never["last_hit"].is_null() && never["observed_since"] == since, "{never}");

    agent.stop()?;
    let saved = file(&agent);
    ensure!(fs::metadata(&saved)?.permissions().mode() & 0o777 == 0o600);
    agent.detach()?;
    agent.start_again()?;
    let (hit, never) = (step(&agent, "eighty")?, step(&agent, "never")?);
    ensure!(hit["packets"] == 0 && !hit["last_hit"].is_null(), "the counter is new, the hit is not: {hit}");
    ensure!(never["last_hit"].is_null() && never["observed_since"] == since, "{never}");
    // Times have whole seconds.
    thread::sleep(Duration::from_secs(1));
    eighty(&scene)?;
    ensure!(step(&agent, "eighty")?["last_hit"].as_str() > hit["last_hit"].as_str());

    // A rule that takes the place of another has none of its hits.
    agent.apply(&policy().replace("id: eighty", "id: another"))?;
    let another = step(&agent, "another")?;
    ensure!(another["packets"] == 0 && another["last_hit"].is_null(), "{another}");
    Ok(())
}

fn damage_makes_the_window_shorter(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    let since = step(&agent, "eighty")?["observed_since"].clone();
    eighty(&scene)?;
    agent.stop()?;
    fs::write(file(&agent), "{\"version\": 1, \"boot\":")?;
    // Times have whole seconds.
    thread::sleep(Duration::from_secs(1));
    agent.start_again()?;
    let hit = step(&agent, "eighty")?;
    ensure!(hit["packets"].as_u64() > Some(0), "{hit}");
    ensure!(since.is_string() && hit["observed_since"].as_str() > since.as_str(), "not since {since}: {hit}");
    ensure!(hit["last_hit"].is_null(), "what was counted before is no hit: {hit}");
    ensure!(agent.complaints().contains("begin anew"), "{}", agent.complaints());
    let kept = file(&agent).with_extension("damaged");
    ensure!(fs::read_to_string(kept)?.starts_with("{\"version\": 1"));
    eighty(&scene)?;
    ensure!(!step(&agent, "eighty")?["last_hit"].is_null());
    Ok(())
}

fn without_a_socket(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    agent.stop()?;
    let taken = agent.policy_file().with_file_name("taken");
    fs::write(&taken, "no socket")?;
    agent.start_with(&["--socket", &taken.to_string_lossy()])?;
    ensure!(agent.complaints().contains("enforced, and not served"), "{}", agent.complaints());
    eighty(&scene)?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    agent.stop()?;
    agent.start_with(&["--socket", "none"])?;
    ensure!(!agent.complaints().contains("served"), "{}", agent.complaints());
    // What needs no agent needs no socket.
    ensure!(json(&agent, &["status"])?["agent_pid"] == agent.pid());
    ensure!(agent.stats()?.rule("eighty") > 0);
    Ok(())
}

fn without_logs(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &policy())?;
    agent.stop()?;
    let folder = agent.policy_file().with_file_name("later");
    let (flows, requests) = (folder.join("flows"), folder.join("requests"));
    let target = format!("file:{}", flows.display());
    agent.start_with(&["--flow-log", &target, "--access-log", &requests.to_string_lossy()])?;
    let said = agent.complaints();
    ensure!(said.contains("it is tried again") && said.contains("the access log loses lines"), "{said}");
    ensure!(said.matches("create its directory").count() == 2, "{said}");
    eighty(&scene)?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)?;
    fs::create_dir(&folder)?;
    until("both are written", || {
        step(&agent, "eighty")?;
        Ok(flows.exists() && fs::metadata(&requests).is_ok_and(|file| file.len() > 0))
    })
}
