//! `cargo xtask bench`: the benchmarks, built as the caller and run as root.

use anyhow::Result;

use crate::{prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    setup::ready(&[Stage::Build, Stage::Run], &rustc, privilege)?;
    let mut bench = shell::cargo("bench");
    bench.args(["--package", "sg-benches"]).args(args);
    privilege.run_built_as_root(&mut bench, &rustc.host);
    shell::run(&mut bench)
}
