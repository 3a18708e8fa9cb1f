//! `sgctl`: parses arguments, runs a command, and reports how it ended.
//!
//! `args` parses, `client` talks to `sgd serve`, `render` prints, and `commands` has a file for each noun, which brings them
//! together. `help` completes the tree of commands that clap derives. This crate must never decide what is allowed: the
//! service does. `main.rs` calls it.

mod args;
mod client;
mod commands;
mod completion;
mod failure;
mod help;
mod render;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::{FromArgMatches as _, Parser};

use args::common::Common;
use commands::Command;
use failure::Failure;

/// Manage and inspect security groups.
#[derive(Debug, Parser)]
#[command(name = "sgctl", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// Parses the command line, runs the command and returns its exit code, which `failure::EXIT_CODES` lists.
#[must_use]
pub fn main() -> ExitCode {
    completion::answer();
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let args = match Args::parse_from_words(std::env::args_os()) {
        Ok(args) => args,
        // clap prints the error, or the help, and ends the process.
        Err(error) => error.exit(),
    };
    let format = args.common.output.format();
    match args.run(&mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(format),
    }
}

impl Args {
    fn parse_from_words(
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut command = help::command();
        let matches = command.try_get_matches_from_mut(words)?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        args.common.prefer_the_command_line(&matches);
        Ok(args)
    }

    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let done = self.command.run(&self.common, out);
        // Output that precedes a failure is printed in any case.
        done.and(out.flush().map_err(Failure::from))
    }
}
