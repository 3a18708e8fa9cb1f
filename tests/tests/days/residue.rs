//! What is left in the kernel and its file systems, seen with the tools of others.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::Host;

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

/// The numbers that the kernel gave to what `bpftool` lists: `prog`, `map` or `link`.
pub(crate) fn numbers(host: &Host, what: &str) -> Result<BTreeSet<u64>> {
    let listed = listed(host, &[what, "show"])?;
    let entries = listed.as_array().context("no list")?;
    Ok(entries.iter().filter_map(|entry| entry.get("id")?.as_u64()).collect())
}
