//! `cargo xtask test`: every check and test of the project, the cheapest first.
//!
//! One profile, dev, for all of them: compiling costs more than running, and assertions and overflow checks are on. The kernel's
//! programs are release in every profile, as `aya-build` builds them. Builds run as the caller, tests as root (they create
//! namespaces and load programs).
//!
//! Work that only needs a processor is done beside the tests, which mostly wait, and reported after them.
//!
//! **Nothing is compiled twice**, because every step requests the same packages from cargo *with* their dev-dependencies: one
//! more feature anywhere in the tree makes the agent and the programs another build.

use std::{process::Command, thread, time::Duration};

use anyhow::{Result, anyhow};
use clap::Args;

use crate::{
    aside::Aside,
    boot, clients, failures, fuzz, matrix, mutations, path,
    prerequisite::Stage,
    privilege::Privilege,
    receiver, setup, shell,
    steps::{Outcome, Steps},
    toolchain::Rustc,
};

#[derive(Args)]
pub(crate) struct Options {
    /// Run the long forms of the tests too
    #[arg(long)]
    deep: bool,
    /// How long to run each fuzz target; 0 leaves fuzzing out
    #[arg(long, default_value_t = 20)]
    fuzz_seconds: u32,
    /// Check licences, sources and advisories of what the project depends on, too. It brings cargo-deny and cargo-audit,
    /// which takes minutes, and fetches the databases of advisories from GitHub
    #[arg(long)]
    supply_chain: bool,
    /// Run only what tells kernels apart, over this kernel of Debian in an emulated machine; may be given again
    #[arg(long = "kernel", value_name = "VERSION", conflicts_with = "receiver")]
    kernels: Vec<String>,
    /// Run only this: boot a Debian with systemd and our unit in an emulated machine
    #[arg(long, conflicts_with_all = ["kernels", "receiver"])]
    boot: bool,
    /// Run only the receiver as judge, with this many frames
    #[arg(long, value_name = "NUMBER", group = "receiver")]
    frames: Option<u64>,
    /// Run only this: apply each mutation of tests/mutations whose name begins so, or all of them, and see that it is found
    #[arg(long, value_name = "NAME", num_args = 0.., group = "receiver")]
    mutations: Option<Vec<String>>,
    /// The seed of the frames, 1 where none is said; may be given again, for one after the other
    #[arg(long = "seed", value_name = "NUMBER", requires = "receiver")]
    seeds: Vec<u64>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.kernels.is_empty() {
        return matrix::run(&options.kernels);
    }
    if options.boot {
        return boot::run();
    }
    if let Some(frames) = options.frames {
        return receiver::run(frames, &options.seeds);
    }
    if let Some(chosen) = &options.mutations {
        return mutations::run(chosen, &options.seeds);
    }
    let rustc = Rustc::ask()?;
    let privilege = Privilege::detect();
    shell::announce("setup");
    let mut stages = vec![Stage::Build, Stage::Run, Stage::Test, Stage::Check, Stage::Clients];
    if options.fuzz_seconds > 0 {
        stages.push(Stage::Fuzz);
    }
    if options.supply_chain {
        stages.push(Stage::SupplyChain);
    }
    setup::ready(&stages, &rustc, privilege)?;

    // Fetching them waits for the network.
    let clients = thread::spawn(vendor_clients);
    let mut steps = Steps::default();
    steps.run("format", || passed(shell::cargo("fmt").args(["--all", "--check"])));
    steps.run("clippy", || passed(&mut clippy()));
    steps.run("agent, client and tests", || passed(&mut build()));
    steps.run("the vendor's clients", || {
        clients.join().map_err(|_| anyhow!("the thread that brought them ended early"))
    });
    let mut meanwhile = vec![clippy_of_the_programs()?, documentation()];
    if options.fuzz_seconds > 0 {
        meanwhile.push(fuzz::build(&fuzz::targets()?)?);
    }
    // Cargo first checks whether the tests are built, under a lock that a build holds.
    let aside = Aside::start(Duration::from_secs(30), meanwhile);
    steps.run("tests", || {
        let mut tests = shell::cargo("test");
        tests.arg("--no-fail-fast").args(TESTED).env("SG_BIN_DIR", shell::dev_dir()?);
        if options.deep {
            tests.env("SG_DEEP", "1");
        }
        let path = path::of(&[Stage::Run, Stage::Test], "test")?;
        privilege.run_built_as_root(&mut tests, &rustc.host, &path);
        failures::run(&mut tests).map(|()| Outcome::Passed)
    });
    for name in ["clippy of the programs", "documentation"] {
        steps.run(name, || aside.next().map(|()| Outcome::Passed));
    }
    steps.run("fuzzing", || fuzzing(options.fuzz_seconds, &aside));
    if options.supply_chain {
        let deny = |checks: &[&str]| {
            passed(shell::cargo("deny").args(["check", "--hide-inclusion-graph"]).args(checks))
        };
        steps.run("licences and sources", || deny(&["licenses", "bans", "sources"]));
        steps.run("advisories (cargo deny)", || deny(&["advisories"]));
        steps.run("advisories (cargo audit)", || passed(&mut shell::cargo("audit")));
    }
    steps.finish()
}

/// The packages under test. The programs are compiled for another target, by the agent's build script; fuzz targets are built by
/// another compiler, see `fuzz`.
pub(crate) const TESTED: [&str; 7] =
    ["--workspace", "--exclude", "sg-ebpf", "--exclude", "sg-lab-programs", "--exclude", "sg-fuzz"];

/// Builds the tests and the programs that they drive, in one go: `cargo build --bins` is without dev-dependencies.
pub(crate) fn build() -> Command {
    let mut build = shell::cargo("build");
    build.args(["--bin", "sgd", "--bin", "sgctl", "--bin", "sg-demo", "--tests"]).args(TESTED);
    build
}

fn passed(command: &mut Command) -> Result<Outcome> {
    shell::run(command).map(|()| Outcome::Passed)
}

fn clippy() -> Command {
    let mut clippy = shell::cargo("clippy");
    clippy.args(["--workspace", "--exclude", "sg-ebpf", "--exclude", "sg-lab-programs"]);
    clippy.args(["--all-targets", "--", "-D", "warnings"]);
    // Nothing is linked: libFuzzer, which is C++, need not be compiled.
    clippy.env("CUSTOM_LIBFUZZER_PATH", "/dev/null");
    clippy
}

fn documentation() -> Command {
    let mut doc = shell::cargo("doc");
    // There are no examples: requesting them makes cargo include the dev-dependencies.
    doc.args(["--no-deps", "--lib", "--bins", "--examples"]).args(TESTED).env("RUSTDOCFLAGS", "-D warnings");
    doc
}

/// Clippy for the packages of the programs, with the flags that aya-build compiles them with.
fn clippy_of_the_programs() -> Result<Command> {
    let endian = if cfg!(target_endian = "big") { "eb" } else { "el" };
    let flags = [
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
    ];
    let mut clippy = shell::cargo("clippy");
    clippy
        .args(["--release", "--package", "sg-ebpf", "--package", "sg-lab-programs"])
        .args(["-Z", "build-std=core"])
        .args(["--target", &format!("bpf{endian}-unknown-none")])
        // A separate directory: what RUSTC_BOOTSTRAP affects would be compiled again without it.
        .arg("--target-dir")
        .arg(shell::target_dir()?.join("clippy-ebpf"))
        .args(["--", "-D", "warnings"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    Ok(clippy)
}

fn fuzzing(seconds: u32, built: &Aside) -> Result<Outcome> {
    if seconds == 0 {
        return Ok(Outcome::Skipped("--fuzz-seconds 0".into()));
    }
    built.next()?;
    fuzz::run_all(&fuzz::targets()?, seconds).map(|()| Outcome::Passed)
}

/// The vendor's clients for the tests of the ECS-compatible API. Without them, those tests are skipped by name.
fn vendor_clients() -> Outcome {
    match clients::bring() {
        Ok(_) => Outcome::Passed,
        Err(error) => Outcome::Skipped(format!("{error:#}; see `cargo xtask clients`")),
    }
}
