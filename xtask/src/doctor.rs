//! `cargo xtask doctor`: a table of what is installed, what is missing, and the remedy. Changes nothing.

use anyhow::{Result, bail};

use crate::{
    prerequisite::{Prerequisite, Stage},
    privilege::Privilege,
    toolchain::Rustc,
};

/// In order. Commands install what only they need; if that is missing, it is no fault.
const SECTIONS: [(Stage, &str, bool); 11] = [
    (Stage::Build, "to build", true),
    (Stage::Run, "to run", true),
    (Stage::Test, "to test", true),
    (Stage::Check, "to check", true),
    (Stage::Clients, "to try the vendor's clients", true),
    (Stage::Fuzz, "to fuzz", true),
    (Stage::Bench, "to measure", true),
    (Stage::SupplyChain, "to check what we depend on, if asked", false),
    (Stage::Kernels, "to try other kernels, if asked", false),
    (Stage::Fresh, "to try a fresh machine, if asked", false),
    (Stage::Advice, "to be fast", false),
];

pub(crate) fn run() -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    let mut lacking = 0;
    for (stage, purpose, needed) in SECTIONS {
        println!("{purpose}");
        for prerequisite in Prerequisite::of(&[stage], &rustc, privilege) {
            let Prerequisite { name, state, remedy, .. } = prerequisite;
            println!("  {name:<24}{state:<9}{}", state.found());
            if !state.is_ok() {
                println!("  {:<33}-> {remedy}", "");
                lacking += usize::from(needed);
            }
        }
    }
    if lacking > 0 {
        bail!("{lacking} missing; `cargo xtask setup` brings what can be brought");
    }
    Ok(())
}
