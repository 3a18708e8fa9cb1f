//! `cargo xtask bench`: the benchmarks, built as the caller and run as root, one after the other; then a table of their results.
//!
//! Environment variables tell a benchmark what to measure and where to write figures (`sg_benches::plan`, `sg_benches::report`).
//! The meaning and display of figures also belong to `sg-benches`.

use std::{fs, path::PathBuf, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{path, prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

/// In the order in which they run, with what each measures; the table has its own order.
const BENCHMARKS: [(&str, &str); 12] = [
    ("host", "frames and images in user space"),
    ("families", "rules that overlap in every dimension"),
    ("diff", "what two policies judge differently"),
    ("packet", "packets in the kernel"),
    ("observe", "what observing traffic costs"),
    ("path", "packets on their whole path, beside other filters"),
    ("bulk", "bulk TCP"),
    ("update", "a NIC's policy, until packets meet it"),
    ("change", "a change on a large host, step by step"),
    ("store", "the store"),
    ("scale", "a large host: queries and changes"),
    ("nics", "many NICs"),
];

const MEASURED: [&str; 6] = ["--package", "sgd", "--package", "sgctl", "--package", "sg-benches"];

#[derive(Args)]
pub(crate) struct Options {
    /// Fewer rounds, within 5 minutes: rougher figures of the same names
    #[arg(long)]
    quick: bool,
    /// Only this figure (`classify/1k`) or family of figures (`classify`); may be given again
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Write the figures here, as an array of {name, value, unit, baseline, ratio, spread}
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fill the tables of docs/design/performance.md
    #[arg(long)]
    docs: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    setup::ready(&[Stage::Build, Stage::Run, Stage::Bench], &rustc, privilege)?;
    privilege.acquire()?;
    shell::announce("building the agent and the benchmarks");
    let benches = BENCHMARKS.iter().flat_map(|(name, _)| ["--bench", name]);
    // In one build, of the same packages as below: their features are resolved together.
    shell::run(
        shell::cargo("build")
            .args(["--release", "--bin", "sgd", "--bin", "sgctl", "--bin", "figures"])
            .args(MEASURED)
            .args(benches),
    )?;

    let path = path::of(&[Stage::Run, Stage::Bench], "bench")?;
    let lines = shell::target_dir()?.join("figures.jsonl");
    // Created here, so that it belongs to the caller, and without figures of an earlier run.
    fs::write(&lines, "").with_context(|| format!("cannot write {}", lines.display()))?;
    let mut failed = Vec::new();
    for (number, (name, what)) in (1..).zip(BENCHMARKS) {
        shell::announce(&format!("{number} of {}: {what}", BENCHMARKS.len()));
        let start = Instant::now();
        let mut bench = shell::cargo("bench");
        bench.args(MEASURED).args(["--bench", name]);
        bench.env("SG_FIGURES", &lines).env("SG_BIN_DIR", shell::release_dir()?);
        bench.env("SG_BENCH_ONLY", options.only.join(","));
        if options.quick {
            bench.env("SG_BENCH_QUICK", "1");
        }
        privilege.run_built_as_root(&mut bench, &rustc.host, &path);
        // The other benchmarks' figures are still worth having.
        if let Err(error) = shell::run(&mut bench) {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
        println!("    {} s", start.elapsed().as_secs());
    }

    let mut figures = Command::new(shell::release_dir()?.join("figures"));
    figures.arg(&lines).args(["--how", if options.quick { "A short run." } else { "" }]);
    if let Some(file) = &options.json {
        figures.arg("--json").arg(file);
    }
    if options.docs {
        figures.args(["--docs", "docs/design"]);
    }
    shell::run(&mut figures)?;
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}
