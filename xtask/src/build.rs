//! `cargo xtask build`: the agent and the client, with the eBPF programs inside.
//!
//! `sg-userspace/build.rs` compiles the programs; nothing of that is known here.

use anyhow::Result;

use crate::{prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

pub(crate) fn run() -> Result<()> {
    setup::ready(&[Stage::Build], &Rustc::ask()?, Privilege::detect())?;
    shell::announce("building sgd and sgctl");
    shell::run(shell::cargo("build").args(["--release", "--package", "sg-userspace"]))?;
    println!("sgd and sgctl are in {}", shell::release_dir()?.display());
    Ok(())
}
