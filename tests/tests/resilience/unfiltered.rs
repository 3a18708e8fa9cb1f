//! Devices that you may wrongly believe to be filtered: stderr and `sgctl status` name them.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sg_tests::lab::{Agent, Attach, Binaries, Family, Host, Lab, Outcome, Service, until};

use crate::support::{
    scene::{Client, Role, Scene, Server, filtered, web},
    suite::Suite,
};

const EIGHTY: &str = "ingress: [{ protocol: tcp, ports: 80 }]";
/// Without the NIC, and meant so.
const NO_NIC: &str = "groups: { web: {} }\nallow_unfiltered: [eth0]\n";

pub(crate) fn tests(suite: &mut Suite) {
    suite.over(&[Attach::Tcx], "a_nic_that_leaves_the_document", a_nic_that_leaves_the_document);
    suite.over(&[Attach::Tcx], "a_device_that_is_not_there", a_device_that_is_not_there);
    suite.over(&[Attach::Tcx], "what_is_served_says_so_too", what_is_served_says_so_too);
}

fn status(agent: &Agent) -> Result<Value> {
    let said = agent.sgctl(&["status", "--instance", agent.instance(), "--json"])?.stdout;
    Ok(serde_json::from_slice(&said)?)
}

fn complains(agent: &Agent, what: &str) -> Result<()> {
    until(what, || Ok(agent.complaints().contains(what))).with_context(|| agent.complaints())
}

/// Under `sgd run`, and after it.
fn a_nic_that_leaves_the_document(lab: Lab, attach: Attach) -> Result<()> {
    let (scene, mut agent) = filtered(lab, attach, Role::Host, &web(Role::Host, EIGHTY))?;
    let before = status(&agent)?;
    ensure!(before["unfiltered"] == serde_json::json!([]) && before["attached"] == 1, "{before}");
    ensure!(before["agent_pid"] == agent.pid(), "{before}");
    agent.apply(NO_NIC)?;
    complains(&agent, "the policy does not name eth0 any more, which is still there: not filtered now")?;
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Reply)?;
    let after = status(&agent)?;
    ensure!(after["unfiltered"] == serde_json::json!(["eth0"]) && after["local_nics"] == 0, "{after}");
    agent.stop()?;
    let after = status(&agent)?;
    ensure!(after["unfiltered"] == serde_json::json!(["eth0"]) && after["agent_pid"].is_null(), "{after}");
    let shown = agent.sgctl(&["status", "--instance", agent.instance()])?.stdout;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    ensure!(shown.contains("NOT-FILTERED") && shown.contains("none, the filter stays"), "{shown}");
    agent.hand(&web(Role::Host, EIGHTY))?;
    agent.start_again()?;
    let again = status(&agent)?;
    ensure!(again["unfiltered"] == serde_json::json!([]) && again["attached"] == 1, "{again}");
    scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)
}

fn a_device_that_is_not_there(lab: Lab, attach: Attach) -> Result<()> {
    let wrong = web(Role::Host, EIGHTY).replace("eth0", "eht0");
    let (_scene, agent) = filtered(lab, attach, Role::Host, &wrong)?;
    complains(&agent, "this host has no device eht0 (did you mean eth0?)")?;
    complains(&agent, "not filtered: eth0")?;
    let said = status(&agent)?;
    ensure!(said["waiting"] == serde_json::json!(["eht0"]) && said["attached"] == 0, "{said}");
    Ok(())
}

/// `sgctl` on a host, which succeeds.
fn sgctl(host: &Host, arguments: &[&str]) -> Result<String> {
    let mut sgctl = Command::new(Binaries::find()?.sgctl());
    sgctl.args(["--instance", host.netns()]).args(arguments);
    let output = host
        .spawn(sgctl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?
        .wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{arguments:?}: {complaint}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn what_is_served_says_so_too(lab: Lab, _: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let server = scene.host(Server);
    let directory = format!("/run/lab/{}", server.netns());
    fs::create_dir_all(&directory)?;
    let log = fs::File::create(format!("{directory}/sgd.log"))?;
    let mut sgd = Command::new(Binaries::find()?.sgd());
    sgd.args([
        "serve",
        "--instance",
        server.netns(),
        "--ecs",
        "none",
        "--state",
        &format!("{directory}/state"),
    ]);
    let mut sgd = server.spawn(sgd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log))?;
    let socket = format!("/run/sgd/{}/api.sock", server.netns());
    let done = until("sgd serve listens", || Ok(fs::exists(&socket)?)).and_then(|()| {
        let (full, empty) = (format!("{directory}/full.yaml"), format!("{directory}/empty.yaml"));
        fs::write(&full, web(Role::Host, EIGHTY))?;
        fs::write(&empty, NO_NIC)?;
        sgctl(server, &["apply", "-f", &full, "--yes"])?;
        let before: Value = serde_json::from_str(&sgctl(server, &["status", "--json"])?)?;
        ensure!(before["unfiltered"] == serde_json::json!([]) && before["attached"] == 1, "{before}");
        ensure!(before["pinned"] == "container", "{before}");
        sgctl(server, &["apply", "-f", &empty, "--yes"])?;
        let after: Value = serde_json::from_str(&sgctl(server, &["status", "--json"])?)?;
        ensure!(after["unfiltered"] == serde_json::json!(["eth0"]) && after["attached"] == 0, "{after}");
        let said = fs::read_to_string(format!("{directory}/sgd.log"))?;
        ensure!(said.contains("does not name eth0 any more"), "{said}");
        Ok(())
    });
    sgd.kill()?;
    sgd.wait()?;
    done
}
