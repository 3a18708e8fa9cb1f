//! `sgctl`: parses arguments, runs a command, and reports how it ended.
//!
//! `args` parses; `client` connects to `sgd serve` and `render` prints, and neither knows the other: `session` brings them
//! together, with `resource` for what is alike for all objects. `commands` has a file for each noun. `help` completes the tree of
//! commands that clap derives. This crate must never decide what is allowed: the service does. `main.rs` calls it.

// Both panic once nobody reads: results go through `render`, everything else through `stderr`.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod args;
mod client;
mod commands;
mod completion;
mod failure;
mod file;
mod help;
mod names;
mod render;
mod resource;
mod session;
mod stderr;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use args::{common::Common, tried};
use commands::Command;
use failure::Failure;
use render::faults;

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
    completion::complete(tree);
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let args = match Args::parse_from_words(std::env::args_os()) {
        Ok(args) => args,
        // clap prints the error, or the help, and ends the process.
        Err(error) => error.exit(),
    };
    let format = args.common.output.format();
    match args.run(&mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            faults::report(&failure, format);
            ExitCode::from(failure.code())
        }
    }
}

/// The tree of commands as users see it.
fn tree() -> clap::Command {
    help::of(Args::command())
}

impl Args {
    fn parse_from_words(
        words: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let mut command = tree();
        let matches = command.try_get_matches_from_mut(words)?;
        let mut args = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        args.common.prefer_the_command_line(&matches);
        args.common.tried = tried::of(&matches);
        Ok(args)
    }

    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let done = self.command.run(&self.common, tree, out);
        // Output that precedes a failure is printed in any case.
        done.and(out.flush().map_err(Failure::from))
    }
}
