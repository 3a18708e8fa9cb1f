//! Brings what is missing, says so while it does, and does nothing twice.
//!
//! Every long command begins with `ready`; `cargo xtask setup` is the same on its own. What is there is never
//! touched, and what only the user can do is named, not tried.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    apt, linker,
    prerequisite::{Prerequisite, Remedy, Stage},
    privilege::Privilege,
    shell,
    toolchain::Rustc,
};

/// `cargo xtask setup`.
pub(crate) fn run() -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    let stages = [Stage::Build, Stage::Run, Stage::Check];
    bring(&stages, &rustc, privilege)?;
    refuse_the_hopeless(&Prerequisite::of(&stages, &rustc, privilege))?;
    println!("everything is here");
    Ok(())
}

/// Makes the machine ready for `stages`, or says what it cannot do before anything long is started.
pub(crate) fn ready(stages: &[Stage], rustc: &Rustc, privilege: Privilege) -> Result<()> {
    refuse_the_hopeless(&Prerequisite::of(stages, rustc, privilege))?;
    if stages.contains(&Stage::Run) {
        privilege.acquire()?;
    }
    bring(stages, rustc, privilege)
}

fn refuse_the_hopeless(prerequisites: &[Prerequisite]) -> Result<()> {
    let lines: Vec<String> =
        prerequisites.iter().filter(|prerequisite| prerequisite.is_beyond_us()).map(describe).collect();
    if !lines.is_empty() {
        bail!("this machine lacks what cannot be brought:\n{}", lines.join("\n"));
    }
    Ok(())
}

/// Brings what it can of what is missing, then looks again.
fn bring(stages: &[Stage], rustc: &Rustc, privilege: Privilege) -> Result<()> {
    let missing = missing(stages, rustc, privilege);
    if missing.is_empty() {
        return Ok(());
    }

    let packages: Vec<String> = missing
        .iter()
        .filter_map(|prerequisite| match &prerequisite.remedy {
            Remedy::Packages(names) => Some(names.as_slice()),
            _ => None,
        })
        .flatten()
        .cloned()
        .collect();
    if !packages.is_empty() {
        apt::install(&packages, privilege)?;
    }
    for prerequisite in &missing {
        match prerequisite.remedy {
            Remedy::Component(name) => {
                shell::announce(&format!("adding {name} to the Rust toolchain"));
                shell::run_quietly(Command::new("rustup").args(["component", "add", name]))?;
            }
            // After the packages: it is linked with the LLVM that they bring.
            Remedy::BpfLinker { llvm } => linker::install(llvm)?,
            Remedy::Packages(_) | Remedy::ByHand(_) => {}
        }
    }

    let still: Vec<String> = self::missing(stages, rustc, privilege).iter().map(describe).collect();
    if !still.is_empty() {
        bail!("installed, and still not as it should be:\n{}", still.join("\n"));
    }
    Ok(())
}

/// What is missing and can be brought.
fn missing(stages: &[Stage], rustc: &Rustc, privilege: Privilege) -> Vec<Prerequisite> {
    let mut all = Prerequisite::of(stages, rustc, privilege);
    all.retain(|prerequisite| !prerequisite.state.is_ok() && !prerequisite.is_beyond_us());
    all
}

fn describe(prerequisite: &Prerequisite) -> String {
    let Prerequisite { name, state, remedy, .. } = prerequisite;
    format!("  {name}: {state}, {}\n      remedy: {remedy}", state.found())
}
