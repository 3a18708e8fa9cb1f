//! `sgctl`: what was typed, what it means, and how it ends.
//!
//! Each subcommand is a file with its arguments (what was typed, read by clap), and a function from them to a
//! `Failure` or nothing. This room is a face: it must never hold rules of the domain. Only
//! `src/bin/sgctl.rs` calls it.

mod check;
mod detach;
mod explain;
mod failure;
mod policy;
mod stats;
#[cfg(test)]
mod tests;
mod validate;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use failure::Failure;

/// The client of the security group engine.
#[derive(Debug, Parser)]
#[command(name = "sgctl", version, propagate_version = true)]
struct Typed {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Typed),
    Detach(detach::Typed),
    Stats(stats::Typed),
    Validate(validate::Typed),
}

/// Reads the command line, does what it says and tells how it went: 0 done, 2 bad input, 1 anything else.
#[must_use]
pub fn main() -> ExitCode {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    // clap ends the process itself, with 2, where the arguments are wrong.
    match Typed::parse().run(&mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

impl Typed {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let done = match self.command {
            Command::Check(typed) => check::run(typed, out),
            Command::Detach(typed) => detach::run(&typed, out),
            Command::Stats(typed) => stats::run(&typed, out),
            Command::Validate(typed) => validate::run(&typed, out),
        };
        // What was said before a failure is said whether or not it failed.
        done.and(out.flush().map_err(Failure::from))
    }
}
