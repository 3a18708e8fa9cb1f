//! `cargo xtask test --frames N`: the receiver test for N frames. The test command uses half a million.

use anyhow::Result;

use crate::{
    path,
    prerequisite::Stage,
    privilege::Privilege,
    setup, shell,
    test::{self, TESTED},
    toolchain::Rustc,
};

/// The default seed of frames.
pub(crate) const SEED: u64 = 1;

/// Sends this many frames for each of the seeds, from which all cases are generated.
pub(crate) fn run(frames: u64, seeds: &[u64]) -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    setup::ready(&[Stage::Build, Stage::Run, Stage::Test], &rustc, privilege)?;
    privilege.acquire()?;
    shell::announce("agent, client and tests");
    shell::run(&mut test::build())?;
    let seeds = if seeds.is_empty() { &[SEED] } else { seeds };
    for seed in seeds {
        shell::announce(&format!("{frames} frames, seed {seed}"));
        let mut tests = shell::cargo("test");
        tests.args(TESTED).args(["--test", "receiver"]).env("SG_BIN_DIR", shell::dev_dir()?);
        tests.env("SG_RECEIVER_FRAMES", frames.to_string()).env("SG_RECEIVER_SEED", seed.to_string());
        let path = path::of(&[Stage::Run, Stage::Test], "test")?;
        privilege.run_built_as_root(&mut tests, &rustc.host, &path);
        shell::run(&mut tests)?;
    }
    Ok(())
}
