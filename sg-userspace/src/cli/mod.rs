//! `sgctl`: what was typed, what it means, and how it ends.
//!
//! Each subcommand is a file with its arguments (what was typed, read by clap), and a function from them to a
//! [`Failure`] or nothing. This room is a face: it must never hold rules of the domain. Only
//! `src/bin/sgctl.rs` calls it.

mod check;
mod devices;
mod explain;
mod failure;
mod policy;
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
    Validate(validate::Typed),
}

/// Reads the command line, does what it says and tells how it went: 0 done, 2 bad input, 1 anything else.
#[must_use]
pub fn main() -> ExitCode {
    let typed = Typed::parse();
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let done = match typed.command {
        Command::Check(typed) => check::run(typed, &mut out),
        Command::Validate(typed) => validate::run(&typed, &mut out),
    };
    // What was said before a failure is said whether or not it failed.
    let flushed = out.flush().map_err(Failure::from);
    match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
