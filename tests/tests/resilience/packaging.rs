//! The systemd unit: `sgd` runs with the rights that it grants, and needs each of them.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sg_tests::lab::{Attach, Binaries, Family, Lab, Outcome, Service};

use crate::support::{
    scene::{Client, Role, Scene, Server, web},
    suite::Suite,
};

const UNIT: &str = include_str!("../../../packaging/sgd.service");

pub(crate) fn tests(suite: &mut Suite) {
    suite.each("the_units_capabilities_are_enough", the_units_capabilities_are_enough);
    suite.each("none_of_them_is_too_much", none_of_them_is_too_much);
}

/// What the unit says after `key=`.
fn said(key: &str) -> Result<&'static str> {
    let value = UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.with_context(|| format!("the unit does not say {key}"))
}

/// The unit's capabilities, as `setpriv` calls them, without the one named.
fn capabilities(without: Option<&str>) -> Result<Vec<String>> {
    let all = said("CapabilityBoundingSet")?.split_whitespace();
    Ok(all
        .filter(|name| Some(*name) != without)
        .map(|name| format!("+{}", name.trim_start_matches("CAP_").to_lowercase()))
        .collect())
}

/// Runs `sgd` with these capabilities, no new privileges, and a file system that may be written where the unit says,
/// until `work` is done. Returns what it said first.
fn run(
    scene: &Scene,
    attach: Attach,
    capabilities: &[String],
    work: impl FnOnce() -> Result<()>,
) -> Result<String> {
    let server = scene.host(Server);
    let policy = format!("/run/lab/{}/policy.yaml", server.netns());
    fs::create_dir_all(format!("/run/lab/{}", server.netns()))?;
    fs::create_dir_all("/run/sgd")?;
    fs::write(&policy, web(Role::Host, "ingress: [{ protocol: tcp, ports: 80 }]"))?;
    ensure!(said("RuntimeDirectory")? == "sgd" && said("ProtectSystem")? == "strict");
    let writable: Vec<_> = said("ReadWritePaths")?.split_whitespace().chain(["/run/sgd"]).collect();
    let bind = |path: &&str| format!("mount --bind {path} {path}\n");
    let binds = writable.iter().map(bind).collect::<Vec<_>>().concat();
    // Binds are mounts of their own: what was made read-only below them does not make them so.
    let line = format!(
        "set -e\n{binds}mount -o remount,ro,bind /\nmount -o remount,ro,bind /run\nmount -o remount,ro,bind /sys\n\
         exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,{} {} run --policy {policy} --instance {} \
         --attach {attach}",
        capabilities.join(","),
        Binaries::find()?.sgd().display(),
        server.netns(),
    );
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--propagation", "private", "sh", "-c", &line]);
    let mut sgd = server.spawn(shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let lines = BufReader::new(sgd.stdout.take().context("no standard output")?).lines();
    let ready = lines.map_while(Result::ok).any(|line| line.starts_with("ready "));
    let done = if ready { work() } else { Ok(()) };
    if ready {
        kill(Pid::from_raw(sgd.id().cast_signed()), Signal::SIGTERM)?;
    }
    let output = sgd.wait_with_output()?;
    done?;
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(ready == output.status.success(), "ready: {ready}, but {}: {complaints}", output.status);
    Ok(if ready { String::new() } else { complaints })
}

fn the_units_capabilities_are_enough(lab: Lab, attach: Attach) -> Result<()> {
    let scene = Scene::new(lab)?;
    let complaints = run(&scene, attach, &capabilities(None)?, || {
        scene.asks(Client, Server, Family::V4, Service::Tcp(80), Outcome::Reply)?;
        scene.asks(Client, Server, Family::V4, Service::Tcp(22), Outcome::Silent)
    })?;
    ensure!(complaints.is_empty(), "it does not start: {complaints}");
    Ok(())
}

fn none_of_them_is_too_much(lab: Lab, attach: Attach) -> Result<()> {
    for missing in said("CapabilityBoundingSet")?.split_whitespace() {
        let scene = Scene::new(lab)?;
        let complaints = run(&scene, attach, &capabilities(Some(missing))?, || Ok(()))?;
        ensure!(complaints.contains(missing), "without {missing}: {complaints:?}");
    }
    Ok(())
}
