//! Changes of the store that are to be confirmed: packets, the store and what is said agree, whoever was killed when, and whatever
//! the kernel decided meanwhile.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use sg_tests::lab::{Host, Lab, Lan, Outcome, PATIENCE, Question, Service, ask};

use crate::support::{
    served::{self, Served},
    suite::Suite,
};

/// The shortest time.
const SECONDS: Duration = Duration::from_secs(5);
/// How far from the deadline packets are sent.
const NEAR: Duration = Duration::from_secs(1);

pub(crate) fn tests(suite: &mut Suite) {
    suite.add("killed_after_it_named_the_change_it_goes_back", killed_after_the_id);
    suite.add("killed_while_it_tries_nothing_stays_by_half", killed_while_it_tries);
    suite.add("killed_while_it_confirms_it_is_confirmed_or_pending", killed_while_it_confirms);
    suite.add("a_change_goes_on_after_a_restart", goes_on_after_a_restart);
    suite.add("another_change_waits_until_one_is_settled", others_wait);
    suite.add("of_a_confirmation_and_a_deadline_one_happens", races);
    suite.add("who_waits_confirms_with_enter", waits);
}

struct Hosts {
    server: Host,
    client: Host,
    _lan: Lan,
}

impl Hosts {
    fn new(lab: Lab) -> Result<Self> {
        let lan = lab.lan()?;
        let (server, client) = (lan.host("tried", &["10.78.0.1/24"])?, lan.host("other", &["10.78.0.2/24"])?);
        Ok(Self { server, client, _lan: lan })
    }

    /// Starts it, with a NIC that lets nothing in.
    fn serve(&self) -> Result<Served<'_>> {
        let served = Served::start(&self.server)?;
        served.done("POST", "/v1/vpcs", r#"{"name":"net"}"#)?;
        served.done("POST", "/v1/groups", r#"{"name":"web","vpc":"net"}"#)?;
        served.done("POST", "/v1/nics", r#"{"vpc":"net","device":"eth0","groups":["web"]}"#)?;
        Ok(served)
    }

    /// Whether echo requests come through.
    fn meets(&self, open: bool, when: &str) -> Result<()> {
        let question = Question::new("10.78.0.2".parse()?, "10.78.0.1".parse()?, Service::Echo);
        let patience = if open { PATIENCE } else { Duration::from_millis(200) };
        let outcome = ask(&self.client, &question, patience)?;
        ensure!((outcome != Outcome::Silent) == open, "{when}: {outcome}");
        Ok(())
    }
}

/// Lets echo requests in, until it is confirmed; returns when, and the id.
fn open(served: &Served<'_>, time: &str) -> Result<(Instant, String)> {
    let words = ["rule", "add", "web", "--direction", "ingress", "--protocol", "icmp", "--remote", "any"];
    let output = served.sgctl(&[&words[..], &["--confirm", time]].concat(), "")?;
    let at = Instant::now();
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.success(), "{said}");
    let id = said.split_once("pending id=").and_then(|(_, rest)| rest.split(' ').next());
    Ok((at, id.with_context(|| said.clone())?.to_owned()))
}

fn command(served: &Served<'_>, words: &[&str]) -> Result<String> {
    let output = served.sgctl(words, "")?;
    ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// All that is stored.
fn stored(served: &Served<'_>) -> Result<String> {
    command(served, &["export"])
}

fn rules(served: &Served<'_>) -> Result<usize> {
    let page = served.done("GET", "/v1/groups/web/rules", "")?;
    Ok(page["items"].as_array().context("no rules")?.len())
}

fn pending(served: &Served<'_>) -> Result<Value> {
    Ok(served.done("GET", "/v1/status", "")?["pending"].clone())
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

fn says(served: &Served<'_>, line: &str) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        if served.has_said(line) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    bail!("it does not say {line:?}")
}

fn killed_after_the_id(lab: Lab) -> Result<()> {
    let hosts = Hosts::new(lab)?;
    let mut served = hosts.serve()?;
    let before = stored(&served)?;
    for round in 0..2 {
        hosts.meets(false, "before")?;
        let (at, id) = open(&served, "5s")?;
        served.kill()?;
        hosts.meets(true, "at once")?;
        sleep_until(at + SECONDS.saturating_sub(NEAR));
        hosts.meets(true, "before the deadline")?;
        sleep_until(at + SECONDS + NEAR);
        hosts.meets(false, "after the deadline")?;
        served.again()?;
        ensure!(served.has_said(&format!("reverted id={id} cause=deadline")), "round {round}");
        hosts.meets(false, "once an agent runs")?;
        ensure!(stored(&served)? == before, "{}", stored(&served)?);
        ensure!(pending(&served)?.is_null(), "{}", pending(&served)?);
    }
    // A host that starts anew has nothing in its kernel and in /run, and a store with what was not confirmed.
    let (_, id) = open(&served, "10m")?;
    served.kill()?;
    detach(&served, &hosts)?;
    served.again()?;
    ensure!(served.has_said(&format!("reverted id={id} cause=restart")));
    ensure!(stored(&served)? == before, "{}", stored(&served)?);
    hosts.meets(false, "after the host started anew")?;
    // Without a kill, the store goes back by itself.
    let (at, id) = open(&served, "5s")?;
    ensure!(rules(&served)? == 1);
    sleep_until(at + SECONDS + NEAR);
    ensure!(stored(&served)? == before, "{}", stored(&served)?);
    says(&served, &format!("reverted id={id} cause=deadline"))?;
    let trail = command(&served, &["history", "--json"])?;
    let reverted = trail.lines().filter(|line| line.contains("revert_change")).count();
    ensure!(reverted == 4, "{trail}");
    Ok(())
}

/// Takes off what an agent left, as a host that starts anew does.
fn detach(served: &Served<'_>, hosts: &Hosts) -> Result<()> {
    let mut sgctl = Command::new(served.binaries().sgctl());
    sgctl.args(["detach", "--yes", "--instance", hosts.server.netns()]);
    let status = hosts.server.spawn(&mut sgctl)?.wait()?;
    ensure!(status.success(), "{status}");
    Ok(())
}

fn killed_while_it_tries(lab: Lab) -> Result<()> {
    let hosts = Hosts::new(lab)?;
    let mut served = hosts.serve()?;
    let before = stored(&served)?;
    let (mut named, mut found) = (0, 0);
    for round in 0..24 {
        let socket = served.socket();
        let body = r#"{"direction":"ingress","rules":[{"protocol":"icmp","remote":"any"}]}"#;
        let asked =
            thread::spawn(move || served::ask(&socket, "POST", "/v1/groups/web/rules?confirm=600", body));
        thread::sleep(Duration::from_millis(4 * round));
        served.kill()?;
        let is_named = asked.join().is_ok_and(|response| matches!(response, Ok((200, _))));
        served.again()?;
        let pending = pending(&served)?;
        ensure!(!is_named || pending["id"].is_u64(), "round {round}: it was named and is not pending");
        ensure!(rules(&served)? == usize::from(!pending.is_null()), "round {round}: {pending}");
        hosts.meets(!pending.is_null(), "after a restart")?;
        if !pending.is_null() {
            found += 1;
            command(&served, &["cancel"])?;
        }
        ensure!(stored(&served)? == before, "round {round}: {}", stored(&served)?);
        hosts.meets(false, "after it was taken back")?;
        named += usize::from(is_named);
    }
    println!("{named} of 24 were named before the kill, {found} were found pending");
    Ok(())
}

fn killed_while_it_confirms(lab: Lab) -> Result<()> {
    let hosts = Hosts::new(lab)?;
    let mut served = hosts.serve()?;
    let (mut confirmed, mut found) = (0, 0);
    for round in 0..16 {
        let there = rules(&served)?;
        let group = format!(r#"{{"name":"round-{round}","vpc":"net"}}"#);
        served.done("POST", "/v1/groups?confirm=600", &group)?;
        let socket = served.socket();
        let asked = thread::spawn(move || served::ask(&socket, "POST", "/v1/pending/confirm", "{}"));
        thread::sleep(Duration::from_millis(3 * round));
        served.kill()?;
        let is_confirmed = asked.join().is_ok_and(|response| matches!(response, Ok((200, _))));
        served.again()?;
        let pending = pending(&served)?;
        ensure!(!is_confirmed || pending.is_null(), "round {round}: it was confirmed, and is pending");
        ensure!(stored(&served)?.contains(&format!("round-{round}")), "round {round}: {pending}");
        ensure!(rules(&served)? == there);
        found += usize::from(!pending.is_null());
        confirmed += usize::from(is_confirmed);
        if !pending.is_null() {
            command(&served, &["confirm"])?;
        }
        served.done("PATCH", "/v1/quotas", &format!(r#"{{"rules_per_nic":{}}}"#, 500 + round))?;
    }
    println!("{confirmed} of 16 were confirmed before the kill, {found} were pending after it");
    Ok(())
}

fn goes_on_after_a_restart(lab: Lab) -> Result<()> {
    let hosts = Hosts::new(lab)?;
    let mut served = hosts.serve()?;
    let (_, id) = open(&served, "60s")?;
    served.kill()?;
    served.again()?;
    ensure!(pending(&served)?["id"].as_u64() == id.parse().ok());
    ensure!(rules(&served)? == 1);
    let (status, refusal) = served.ask("POST", "/v1/groups", r#"{"name":"more","vpc":"net"}"#)?;
    ensure!(status == 409 && refusal["error"]["details"]["owner"] == "uid 0", "{refusal}");
    command(&served, &["confirm", &id])?;
    served.kill()?;
    served.again()?;
    hosts.meets(true, "which was confirmed")?;
    ensure!(rules(&served)? == 1 && pending(&served)?.is_null());
    served.done("POST", "/v1/groups", r#"{"name":"more","vpc":"net"}"#)?;
    // What was resumed may be taken back, too.
    let rule = command(&served, &["rule", "list", "web", "-o", "name"])?;
    let words = ["rule", "revoke", rule.trim(), "--group", "web", "--yes", "--confirm", "5s"];
    command(&served, &words)?;
    let at = Instant::now();
    hosts.meets(false, "without its rule")?;
    served.kill()?;
    served.again()?;
    sleep_until(at + SECONDS + NEAR);
    hosts.meets(true, "after the deadline")?;
    ensure!(command(&served, &["rule", "list", "web", "-o", "name"])? == rule, "it is the same rule");
    Ok(())
}

fn others_wait(lab: Lab) -> Result<()> {
    let hosts = Hosts::new(lab)?;
    let served = hosts.serve()?;
    for (query, words) in [
        ("confirm=4", "confirm: 4 is not 5 to 86400 seconds"),
        ("confirm=86401", "confirm: 86401 is not"),
        ("confirm=soon", "confirm"),
        ("confirm=60&dry_run=true", "a dry run changes nothing that could be confirmed"),
    ] {
        let (status, refusal) = served.ask("POST", &format!("/v1/vpcs?{query}"), r#"{"name":"x"}"#)?;
        ensure!(status == 400 && refusal.to_string().contains(words), "{query}: {refusal}");
    }
    let refused = served.sgctl(&["vpc", "list", "--confirm", "60s"], "")?;
    ensure!(refused.status.code() == Some(2), "{refused:?}");
    let (_, id) = open(&served, "60s")?;
    let (status, refusal) = served.ask("PATCH", "/v1/quotas", r#"{"rules_per_nic":1000}"#)?;
    let details = &refusal["error"]["details"];
    ensure!(status == 409 && refusal["error"]["code"] == "pending_confirmation", "{refusal}");
    ensure!(details["id"].as_u64() == id.parse().ok() && details["deadline"].is_string(), "{refusal}");
    // Reads and dry runs go on, and show what is in force.
    ensure!(stored(&served)?.contains("icmp") && rules(&served)? == 1);
    served.done("PATCH", "/v1/quotas?dry_run=true", r#"{"rules_per_nic":1000}"#)?;
    let packet = r#"{"nic":"eth0","direction":"ingress","protocol":"icmp","remote":"10.78.0.2"}"#;
    ensure!(served.done("POST", "/v1/check", packet)?["verdict"] == "accept");
    command(&served, &["extend", "--time", "10m"])?;
    command(&served, &["cancel", &id])?;
    hosts.meets(false, "after it was cancelled")?;
    let (status, late) = served.ask("POST", "/v1/pending/confirm", &format!(r#"{{"id":{id}}}"#))?;
    ensure!(status == 409 && late["error"]["code"] == "reverted", "{late}");
    Ok(())
}

fn races(lab: Lab) -> Result<()> {
    let hosts = Hosts::new(lab)?;
    let served = hosts.serve()?;
    let body = |id: &str| format!(r#"{{"id":{id}}}"#);
    for round in 0..20 {
        let there = rules(&served)?;
        let is_late = round < 3;
        let (at, id) = if there == 0 {
            open(&served, "5s")?
        } else {
            let rule = command(&served, &["rule", "list", "web", "-o", "name"])?;
            let words = ["rule", "revoke", rule.trim(), "--group", "web", "--yes", "--confirm", "5s"];
            let said = String::from_utf8(served.sgctl(&words, "")?.stderr)?;
            let id = said.split_once("pending id=").and_then(|(_, rest)| rest.split(' ').next());
            (Instant::now(), id.context("no id")?.to_owned())
        };
        let socket = served.socket();
        let other = (!is_late).then(|| {
            let (socket, body) = (socket.clone(), body(&id));
            thread::spawn(move || served::ask(&socket, "POST", "/v1/pending/cancel", &body))
        });
        if is_late {
            // The response to the change came some milliseconds after it began.
            sleep_until(at + SECONDS.saturating_sub(Duration::from_millis(15 - 5 * round)));
        }
        let (status, confirmed) = served.ask("POST", "/v1/pending/confirm", &body(&id))?;
        if let Some(other) = other {
            let (cancelled, response) = other.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
            ensure!(cancelled == 200, "{response}");
            let stays = if status == 200 { "confirmed" } else { "reverted" };
            ensure!(response["state"] == stays, "round {round}: {confirmed} {response}");
        }
        ensure!(matches!(status, 200 | 409), "{confirmed}");
        let expected = if status == 200 { 1 - there } else { there };
        ensure!(rules(&served)? == expected, "round {round}: {confirmed}");
        hosts.meets(expected == 1, "after the race")?;
        ensure!(pending(&served)?.is_null());
    }
    Ok(())
}

fn waits(lab: Lab) -> Result<()> {
    let hosts = Hosts::new(lab)?;
    let served = hosts.serve()?;
    let words = [
        "rule",
        "add",
        "web",
        "--direction",
        "ingress",
        "--protocol",
        "icmp",
        "--remote",
        "any",
        "--confirm",
    ];
    let waiting =
        |time: &'static str, input: &str| served.sgctl(&[&words[..], &[time, "--wait"]].concat(), input);
    // Nobody can say anything.
    let cancelled = waiting("60s", "")?;
    ensure!(cancelled.status.code() == Some(1), "{cancelled:?}");
    ensure!(String::from_utf8_lossy(&cancelled.stderr).contains("it was cancelled"), "{cancelled:?}");
    ensure!(rules(&served)? == 0);
    hosts.meets(false, "after it was cancelled")?;
    // Ctrl-C, and a user who says nothing.
    for (time, interrupts, why) in [("60s", true, "it was cancelled"), ("5s", false, "not confirmed in time")]
    {
        let mut sgctl = Command::new(served.binaries().sgctl());
        sgctl.args(["--instance", hosts.server.netns()]).args(words).args([time, "--wait"]);
        let mut child = sgctl.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let _stdin = child.stdin.take();
        let mut said = BufReader::new(child.stderr.take().context("no stderr")?).lines();
        let asks = said.by_ref().map_while(Result::ok).any(|line| line.contains("Enter keeps"));
        ensure!(asks && rules(&served)? == 1, "it does not wait");
        hosts.meets(true, "while it waits")?;
        if interrupts {
            kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
        }
        let status = child.wait()?;
        let last: Vec<String> = said.map_while(Result::ok).collect();
        ensure!(status.code() == Some(1) && last.concat().contains(why), "{status}: {last:?}");
        ensure!(rules(&served)? == 0);
    }
    // Somebody gives it more time than whoever waits knows of.
    let mut sgctl = Command::new(served.binaries().sgctl());
    sgctl.args(["--instance", hosts.server.netns()]).args(words).args(["5s", "--wait"]);
    let mut child = sgctl.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let mut said = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    let asks = said.by_ref().map_while(Result::ok).any(|line| line.contains("Enter keeps"));
    ensure!(asks, "it does not wait");
    command(&served, &["extend", "--time", "60s"])?;
    thread::sleep(SECONDS + NEAR);
    ensure!(child.try_wait()?.is_none() && rules(&served)? == 1, "it was cancelled");
    writeln!(stdin)?;
    ensure!(child.wait()?.success(), "{:?}", said.map_while(Result::ok).collect::<Vec<_>>());
    ensure!(rules(&served)? == 1);
    let rule = command(&served, &["rule", "list", "web", "-o", "name"])?;
    command(&served, &["rule", "revoke", rule.trim(), "--group", "web", "--yes"])?;
    let confirmed = waiting("60s", "\n")?;
    ensure!(confirmed.status.success(), "{confirmed:?}");
    ensure!(rules(&served)? == 1 && pending(&served)?.is_null());
    hosts.meets(true, "after it was confirmed")
}
