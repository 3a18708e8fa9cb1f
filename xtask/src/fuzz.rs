//! `cargo xtask fuzz`: the fuzz targets, on the pinned stable compiler.
//!
//! Starts from the seeds in `fuzz/corpus/<target>`, which are committed, and never writes there: what a run
//! finds goes under the target directory. A crash is kept by libFuzzer in `fuzz/artifacts`.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

const TARGETS: &str = "fuzz/fuzz_targets";

#[derive(Args)]
pub(crate) struct Options {
    /// The target to run; all of them if none is named
    target: Option<String>,
    /// How long to run each target
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::ready(&[Stage::Build, Stage::Fuzz], &Rustc::ask()?, Privilege::detect())?;
    let all = targets()?;
    let chosen = match &options.target {
        Some(target) if all.contains(target) => vec![target.clone()],
        Some(target) => bail!("there is no fuzz target `{target}`; there are: {}", all.join(", ")),
        None => all,
    };
    run_all(&chosen, options.seconds)
}

/// Runs every one of `targets`, even after one that failed.
pub(crate) fn run_all(targets: &[String], seconds: u32) -> Result<()> {
    let mut failed = Vec::new();
    for target in targets {
        shell::announce(&format!("fuzzing {target} for {seconds} s"));
        if let Err(error) = run_one(target, seconds) {
            eprintln!("    {error:#}");
            failed.push(target.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("failing targets: {}; the inputs are in fuzz/artifacts", failed.join(", "));
    }
    Ok(())
}

/// The names of the targets, in order.
pub(crate) fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(TARGETS).with_context(|| format!("cannot read {TARGETS}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

fn run_one(target: &str, seconds: u32) -> Result<()> {
    let target_dir = shell::target_dir()?;
    // The first corpus directory is the one libFuzzer writes to.
    let finds = target_dir.join("fuzz-corpus").join(target);
    fs::create_dir_all(&finds).with_context(|| format!("cannot make {}", finds.display()))?;
    let seeds = Path::new("fuzz/corpus").join(target);

    let mut fuzz = shell::cargo("fuzz");
    // A target directory of its own: what RUSTC_BOOTSTRAP touches would be compiled again without it.
    fuzz.args(["run", "--fuzz-dir", "fuzz", "--target-dir"]).arg(target_dir.join("fuzz"));
    fuzz.arg(target).arg(finds);
    if seeds.exists() {
        fuzz.arg(seeds);
    }
    // The sanitizer is a nightly option; this lets the pinned compiler take it.
    fuzz.env("RUSTC_BOOTSTRAP", "1");
    shell::run(fuzz.arg("--").arg(format!("-max_total_time={seconds}")))
}
