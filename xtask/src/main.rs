//! `cargo xtask`: how the project is set up, shown, tested and measured.
//!
//! Owns the command line. Every command is a file; what several of them need (prerequisites, privileges, running programs) has a
//! file each. It is a program for people and for `.ci/run`; no crate may depend on it, and it links none of ours, so that it
//! builds on a machine where nothing else builds yet.

mod apt;
mod aside;
mod bench;
mod boot;
mod build;
#[cfg(test)]
mod circles;
mod clients;
#[cfg(test)]
mod commands;
mod debian;
mod debug_info;
mod demo;
mod doctor;
mod failures;
mod fresh;
mod fuzz;
mod guest;
#[cfg(test)]
mod imports;
mod kernel;
mod linker;
#[cfg(test)]
mod links;
mod matrix;
mod mutations;
mod path;
mod prerequisite;
mod privilege;
mod programs;
mod receiver;
mod setup;
mod shell;
mod stamp;
mod steps;
mod tally;
mod test;
mod toolchain;
mod tools;
mod unpacked;
mod version;
#[cfg(test)]
mod words;

use std::{path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

/// Sets up, shows, tests and measures the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring what is missing on this machine: packages, Rust components, bpf-linker
    Setup,
    /// Say what is here, what is missing, and the remedy for each
    Doctor,
    /// Build the agent and the client, in release mode
    Build,
    /// Build, then run the demonstration as root
    Demo {
        /// Handed to the demonstration as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Install the vendors' clients that the APIs are tried with
    Clients,
    /// Run every check and test of the project, or with `--kernel` some over other kernels
    Test(test::Options),
    /// Run the commands of the README on a fresh Debian 12, made for it; as root
    Fresh(fresh::Options),
    /// Run one fuzz target, or all of them in turn
    Fuzz(fuzz::Options),
    /// Run the benchmarks as root, and show their figures
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    // Paths in this program are relative to the repository, whatever the current directory is. Read at run time: two checkouts
    // can share a target directory, or it can move with one.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let repository = Path::new(&xtask).parent().context("xtask lies in no repository")?;
    std::env::set_current_dir(repository)
        .with_context(|| format!("cannot enter the repository {}", repository.display()))?;

    match command {
        Command::Setup => setup::run(),
        Command::Doctor => doctor::run(),
        Command::Build => build::run(),
        Command::Demo { args } => demo::run(&args),
        Command::Clients => clients::run(),
        Command::Test(options) => test::run(&options),
        Command::Fresh(options) => fresh::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Bench(options) => bench::run(&options),
    }
}
