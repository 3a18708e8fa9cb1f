//! `cargo xtask demo`: builds the demonstration and the programs that it drives, then runs it as root.
//!
//! `tests/src/bin/sg-demo/main.rs` has its steps, and finds `sgd` and `sgctl` beside itself.

use anyhow::Result;

use crate::{path, prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

const BUILD: [&str; 13] = [
    "--release",
    "--package",
    "sgd",
    "--package",
    "sgctl",
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

    let path = path::of(&[Stage::Run], "demo")?;
    let mut demo = privilege.command("env")?;
    demo.arg(path::variable(&path));
    shell::run(demo.arg(shell::release_dir()?.join("sg-demo")).args(args))
}
