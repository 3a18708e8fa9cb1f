//! `cargo xtask fuzz`: the fuzz targets, on the pinned stable compiler.
//!
//! They are built like the tests, from the same compiled dependencies: only the crates of this workspace are compiled again, with
//! counters that give libFuzzer its coverage. That takes a fraction of the time of a build with a sanitizer; the code under test
//! is safe Rust, in which panics, overflows and endless loops are the faults to find.
//!
//! Starts from the committed seeds in `fuzz/corpus/<target>` and never writes there: new inputs go under the target directory. An
//! input that ends a run is kept in `fuzz/artifacts`.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::{prerequisite::Stage, privilege::Privilege, setup, shell, toolchain::Rustc};

const TARGETS: &str = "fuzz/fuzz_targets";
const ARTIFACTS: &str = "fuzz/artifacts";

/// Flags that make the compiler insert coverage counters (`SanitizerCoverage` of LLVM), as cargo-fuzz sets them.
const COVERAGE: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// How many lines of a failed run's output are shown.
const TAIL: usize = 40;

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

/// Runs all of `targets`, as many in parallel as there are processors, even after one has failed.
pub(crate) fn run_all(targets: &[String], seconds: u32) -> Result<()> {
    shell::run(&mut build(targets)?)?;
    let mut failed = Vec::new();
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    for targets in targets.chunks(at_once) {
        let started = targets.iter().map(|target| Ok((target, Run::start(target, seconds)?)));
        for (target, run) in started.collect::<Result<Vec<_>>>()? {
            if !run.ends_well(target)? {
                failed.push(target.as_str());
            }
        }
    }
    if !failed.is_empty() {
        bail!("failing targets: {}; the inputs are in {ARTIFACTS}", failed.join(", "));
    }
    Ok(())
}

/// The names of the targets, sorted.
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

/// The command that builds the targets. There are no examples: requesting them makes cargo include the dev-dependencies, and so
/// reuse what the tests are built from.
pub(crate) fn build(targets: &[String]) -> Result<Command> {
    let mut build = shell::cargo("build");
    build.args(["--workspace", "--exclude", "sg-ebpf", "--exclude", "sg-lab-programs", "--examples"]);
    build.args(targets.iter().flat_map(|target| ["--bin", target]));
    build.env("RUSTC_WORKSPACE_WRAPPER", compiler()?);
    // The kernel's programs are not fuzzed.
    build.env("SG_WITHOUT_PROGRAMS", "1");
    Ok(build)
}

/// Writes a compiler wrapper that adds coverage counters. Cargo uses it for the crates of this workspace only, and keeps its
/// output apart from that of the plain compiler. Build scripts are not linked with libFuzzer.
fn compiler() -> Result<PathBuf> {
    let path = shell::target_dir()?.join("fuzz-rustc");
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in\n*' build_script_'*) exec \"$@\" ;;\nesac\nexec \"$@\" {}\n",
        COVERAGE.join(" ")
    );
    // Cargo queries a changed compiler again, so an unchanged one is not rewritten.
    if fs::read_to_string(&path).ok().as_deref() != Some(&script) {
        fs::write(&path, &script).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(path)
}

/// A running target.
struct Run {
    command: Command,
    child: Child,
    said: PathBuf,
}

impl Run {
    fn start(target: &str, seconds: u32) -> Result<Self> {
        shell::announce(&format!("fuzzing {target} for {seconds} s"));
        let runs = shell::target_dir()?.join("fuzz-runs").join(target);
        let (finds, artifacts) = (runs.join("corpus"), Path::new(ARTIFACTS).join(target));
        for directory in [&finds, &artifacts] {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let said = runs.join("log");
        let log = File::create(&said).with_context(|| format!("cannot write {}", said.display()))?;
        let mut command = Command::new(shell::dev_dir()?.join(target));
        // libFuzzer writes to the first corpus directory.
        command.arg(finds);
        let seeds = Path::new("fuzz/corpus").join(target);
        if seeds.exists() {
            command.arg(seeds);
        }
        command.arg(format!("-max_total_time={seconds}"));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = shell::start(&mut command)?;
        Ok(Self { command, child, said })
    }

    /// Waits for it, and reports how it ended.
    fn ends_well(mut self, target: &str) -> Result<bool> {
        let status = self.child.wait()?;
        let said = String::from_utf8_lossy(&fs::read(&self.said)?).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        if let Err(error) = shell::succeeded(&self.command, status) {
            lines[lines.len().saturating_sub(TAIL)..].iter().for_each(|line| eprintln!("    {line}"));
            eprintln!("    {target}: {error:#}");
            return Ok(false);
        }
        // "Done N runs in S second(s)".
        let done =
            lines.iter().rev().find(|line| line.starts_with("Done ")).copied().unwrap_or("nothing was run");
        println!("    {target}: {done}");
        Ok(done.starts_with("Done "))
    }
}
