//! What is left in the kernel and its file systems, seen with the tools of others.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, Attach, Host, until};

/// The directory of the pins of an instance.
pub(crate) fn pins(instance: &str) -> Result<PathBuf> {
    let all = PathBuf::from(format!("/sys/fs/bpf/sgd/{instance}"));
    let version = fs::read_dir(&all).with_context(|| all.display().to_string())?.next();
    Ok(version.context("nothing is pinned")??.path())
}

/// What a command prints on a host.
pub(crate) fn printed(host: &Host, program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = host.spawn(&mut command)?.wait_with_output()?;
    ensure!(
        output.status.success(),
        "`{program} {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `bpftool` lists on a host.
pub(crate) fn listed(host: &Host, what: &[&str]) -> Result<serde_json::Value> {
    let arguments = [&["--json"], what].concat();
    Ok(serde_json::from_str(&printed(host, "bpftool", &arguments)?)?)
}

/// The filters of clsact qdiscs on the devices of a host that are programs.
pub(crate) fn filters(host: &Host) -> Result<Vec<String>> {
    let listed = listed(host, &["net", "show"])?;
    let filters = listed.pointer("/0/tc").and_then(serde_json::Value::as_array).context("no list")?;
    // A later bpftool lists TCX here, too.
    let is_filter =
        |entry: &&serde_json::Value| !entry["kind"].as_str().unwrap_or_default().starts_with("tcx");
    Ok(filters.iter().filter(is_filter).map(ToString::to_string).collect())
}

/// How often a program of this agent is on a device.
pub(crate) fn programs(host: &Host, agent: &Agent, attach: Attach) -> Result<usize> {
    if attach == Attach::Clsact {
        return Ok(filters(host)?.len());
    }
    let [(_, ours), _] = ours(host, agent)?;
    let listed = listed(host, &["link", "show"])?;
    let links = listed.as_array().context("no list")?;
    Ok(links.iter().filter(|link| link["prog_id"].as_u64().is_some_and(|id| ours.contains(&id))).count())
}

/// Numbers that the kernel gave to programs and maps.
pub(crate) type Numbers = [(&'static str, BTreeSet<u64>); 2];

/// What an agent holds of each kind. The kernel numbers all of the machine; others come and go meanwhile.
pub(crate) fn ours(host: &Host, agent: &Agent) -> Result<Numbers> {
    let mut ours = [("prog", BTreeSet::new()), ("map", BTreeSet::new())];
    for (kind, numbers) in &mut ours {
        for file in fs::read_dir(format!("/proc/{}/fdinfo", agent.pid()))?.flatten() {
            let prefix = format!("{kind}_id:");
            let info = fs::read_to_string(file.path()).unwrap_or_default();
            numbers
                .extend(info.lines().find_map(|line| line.strip_prefix(&prefix)?.trim().parse::<u64>().ok()));
        }
        let listed = all(host, kind)?;
        ensure!(numbers.is_subset(&listed), "bpftool does not list {numbers:?}");
    }
    Ok(ours)
}

fn all(host: &Host, kind: &str) -> Result<BTreeSet<u64>> {
    let listed = listed(host, &[kind, "show"])?;
    let entries = listed.as_array().context("no list")?;
    Ok(entries.iter().filter_map(|entry| entry.get("id")?.as_u64()).collect())
}

/// Waits until the kernel has none of these any more: it frees them after a grace period.
pub(crate) fn are_gone(host: &Host, ours: &Numbers) -> Result<()> {
    for (kind, numbers) in ours {
        let mut left = BTreeSet::new();
        until(&format!("every {kind} of ours is gone"), || {
            left = all(host, kind)?.intersection(numbers).copied().collect();
            Ok(left.is_empty())
        })
        .with_context(|| format!("{kind} {left:?} are still there"))?;
    }
    Ok(())
}
