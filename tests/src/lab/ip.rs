//! The command `ip`: operators know it, and its errors.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Runs `commands`, one a line, in the named network namespace.
///
/// # Errors
/// The commands, and the error output of `ip`.
pub(super) fn batch(namespace: Option<&str>, commands: &str) -> Result<()> {
    let mut ip = Command::new("ip");
    if let Some(namespace) = namespace {
        ip.args(["-netns", namespace]);
    }
    let mut ip = ip
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run `ip` (package iproute2)")?;
    if let Some(mut stdin) = ip.stdin.take() {
        // If `ip` gave up early, its own error is the better one.
        let _ = stdin.write_all(commands.as_bytes());
    }
    let output = ip.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`ip` in namespace {} failed: {}\n{commands}", namespace.unwrap_or("of the lab"), said.trim());
    }
    Ok(())
}
