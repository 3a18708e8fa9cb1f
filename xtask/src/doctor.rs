//! `cargo xtask doctor`: a table of what is here, what is not, and the remedy. Changes nothing.

use anyhow::{Result, bail};

use crate::{
    prerequisite::{Prerequisite, Stage},
    privilege::Privilege,
    toolchain::Rustc,
};

const SECTIONS: [(Stage, &str); 5] = [
    (Stage::Build, "to build"),
    (Stage::Run, "to run"),
    (Stage::Check, "to check and fuzz"),
    (Stage::Clients, "to try the vendor's clients"),
    (Stage::Advice, "to be fast"),
];

pub(crate) fn run() -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    let mut lacking = 0;
    for (stage, purpose) in SECTIONS {
        println!("{purpose}");
        for prerequisite in Prerequisite::of(&[stage], &rustc, privilege) {
            let Prerequisite { name, state, remedy, .. } = prerequisite;
            println!("  {name:<24}{state:<9}{}", state.found());
            if !state.is_ok() {
                println!("  {:<33}-> {remedy}", "");
                lacking += usize::from(stage != Stage::Advice);
            }
        }
    }
    if lacking > 0 {
        bail!("{lacking} missing; `cargo xtask setup` brings what can be brought");
    }
    Ok(())
}
