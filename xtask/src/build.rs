//! `cargo xtask build`: the agent and the client, with the eBPF programs inside and their debug information beside them.
//!
//! `sg-userspace/kernel/build.rs` compiles the programs; nothing of that is known here.

use anyhow::Result;

use crate::{debug_info, prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

pub(crate) fn run() -> Result<()> {
    setup::ready(&[Stage::Build], &Rustc::ask()?, Privilege::detect())?;
    shell::announce("building sgd and sgctl");
    shell::run(shell::cargo("build").args(["--release", "--package", "sgd", "--package", "sgctl"]))?;
    let directory = shell::release_dir()?;
    for name in ["sgd", "sgctl"] {
        debug_info::separate(&directory.join(name))?;
    }
    println!(
        "sgd and sgctl are in {}; sgd.debug and sgctl.debug have their line numbers",
        directory.display()
    );
    Ok(())
}
