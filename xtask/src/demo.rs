//! `cargo xtask demo`: builds the demonstration and what it drives, then runs it as root.
//!
//! What is shown is said in `tests/src/bin/sg-demo/main.rs`, which finds `sgd` and `sgctl` beside itself.

use anyhow::{Context as _, Result};

use crate::{prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

const BUILD: [&str; 11] = [
    "--release",
    "--package",
    "sg-userspace",
    "--package",
    "sg-tests",
    "--bin",
    "sgd",
    "--bin",
    "sgctl",
    "--bin",
    "sg-demo",
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let privilege = Privilege::detect();
    setup::ready(&[Stage::Build, Stage::Run], &Rustc::ask()?, privilege)?;
    shell::announce("building the agent, the client and the demonstration");
    shell::run(shell::cargo("build").args(BUILD))?;

    let demo = shell::release_dir()?.join("sg-demo");
    let demo = demo.to_str().context("the path of the repository is no UTF-8")?;
    shell::run(privilege.command(demo)?.args(args))
}
