//! Installs what is missing, prints what it does, and does nothing twice.
//!
//! Every long command begins with `ready`; `cargo xtask setup` is the same on its own. What is installed is never touched, and
//! what only the user can do is reported, not tried.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    apt, linker,
    prerequisite::{Prerequisite, Remedy, Stage},
    privilege::Privilege,
    shell,
    toolchain::Rustc,
};

/// The stages of building, demonstration, tests and benchmarks; other commands install what they need.
const ALWAYS: [Stage; 7] =
    [Stage::Build, Stage::Run, Stage::Test, Stage::Check, Stage::Clients, Stage::Fuzz, Stage::Bench];

/// `cargo xtask setup`.
pub(crate) fn run() -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    bring(&lacking(&ALWAYS, &rustc, privilege), privilege)?;
    refuse(&lacking(&ALWAYS, &rustc, privilege))?;
    println!("everything is here");
    Ok(())
}

/// Makes the machine ready for `stages`, or reports what it cannot do before anything long is started.
pub(crate) fn ready(stages: &[Stage], rustc: &Rustc, privilege: Privilege) -> Result<()> {
    let missing = lacking(stages, rustc, privilege);
    let (by_hand, to_bring): (Vec<_>, Vec<_>) = missing.into_iter().partition(Prerequisite::is_by_hand);
    refuse(&by_hand)?;
    if stages.contains(&Stage::Run) {
        privilege.acquire()?;
    }
    if !to_bring.is_empty() {
        bring(&to_bring, privilege)?;
        refuse(&lacking(stages, rustc, privilege))?;
    }
    Ok(())
}

/// What `stages` need and this machine lacks.
fn lacking(stages: &[Stage], rustc: &Rustc, privilege: Privilege) -> Vec<Prerequisite> {
    let mut all = Prerequisite::of(stages, rustc, privilege);
    all.retain(|prerequisite| !prerequisite.state.is_ok());
    all
}

/// An error with the remedy of each of `missing`, if any.
fn refuse(missing: &[Prerequisite]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = missing
        .iter()
        .map(|Prerequisite { name, state, remedy, .. }| {
            format!("  {name}: {state}, {}\n      remedy: {remedy}", state.found())
        })
        .collect();
    bail!("this machine is not ready:\n{}", lines.join("\n"));
}

/// Applies the remedy of each of `missing`, except what only the user can do.
fn bring(missing: &[Prerequisite], privilege: Privilege) -> Result<()> {
    let remedies = || missing.iter().map(|prerequisite| &prerequisite.remedy);
    // All packages at once, and first: bpf-linker is linked with their LLVM.
    let packages: Vec<&str> = remedies()
        .filter_map(|remedy| match remedy {
            Remedy::Packages(names) => Some(names),
            _ => None,
        })
        .flatten()
        .map(String::as_str)
        .collect();
    if !packages.is_empty() {
        apt::install(&packages, privilege)?;
    }
    for remedy in remedies() {
        match remedy {
            Remedy::Component(name) => {
                shell::announce(&format!("adding {name} to the Rust toolchain"));
                shell::run_quietly(Command::new("rustup").args(["component", "add", name]))?;
            }
            Remedy::BpfLinker { llvm } => linker::install(*llvm)?,
            Remedy::Crate(name) => {
                shell::announce(&format!("installing {name} (some minutes)"));
                shell::run_quietly(shell::cargo("install").args([name, "--locked"]))?;
            }
            Remedy::Packages(_) | Remedy::ByHand(_) => {}
        }
    }
    Ok(())
}
