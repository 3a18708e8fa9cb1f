//! `sgctl validate`: whether a document is a policy, and what it comes to.

use std::{io::Write, path::PathBuf};

use clap::Args;

use super::{failure::Failure, policy};
use crate::{
    agent::devices,
    check::CompiledNic,
    model::{Nic, Policy, Role},
};

/// Check a policy document and compile it, without applying it; no root needed.
#[derive(Debug, Args)]
pub(super) struct Typed {
    /// The policy document.
    file: PathBuf,
}

pub(super) fn run(typed: &Typed, out: &mut dyn Write) -> Result<(), Failure> {
    let policy = policy::load(&typed.file)?;
    let devices = devices::scan().map_err(Failure::other)?;
    let rules = policy.groups().iter().map(|group| group.ingress.len() + group.egress.len()).sum();
    writeln!(
        out,
        "{}: {}, {}, {}",
        typed.file.display(),
        count(policy.groups().len(), "group"),
        count(rules, "rule"),
        count(policy.nics().len(), "NIC"),
    )?;
    for nic in policy.nics() {
        // A policy without an image can never be applied, so it is the input that is wrong.
        let compiled = CompiledNic::new(&policy, nic).map_err(Failure::input)?;
        let bytes = size_of_val(compiled.image.words());
        writeln!(out, "NIC {}: {}; image {bytes} bytes", nic.device, summary(&policy, nic))?;
        if !devices.contains_key(&nic.device) {
            writeln!(out, "NIC {}: this host has no such device yet", nic.device)?;
        }
    }
    Ok(())
}

fn summary(policy: &Policy, nic: &Nic) -> String {
    let role = match nic.role {
        Role::Host => "host",
        Role::Guest => "guest",
    };
    let groups: Vec<_> = nic.groups.iter().map(|&group| policy.group(group).name.as_str()).collect();
    let anti_spoofing = if nic.anti_spoofing() { ", anti-spoofing" } else { "" };
    let addresses = match nic.addresses.as_slice() {
        [] => "no address".to_owned(),
        addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    format!("{role}{anti_spoofing}; groups {}; {addresses}", groups.join(", "))
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
