//! `sgctl`: parses arguments, runs a command, and reports how it ended.
//!
//! Each noun has a file with its arguments (parsed by clap), and a function from them to a `Failure` or nothing. Nouns of the
//! management side are clients of the native API: they send the service room's operations and display the responses. This room
//! must never hold rules of the domain. Only `src/bin/sgctl.rs` calls it.

mod address;
mod apply;
mod args;
mod check;
mod check_nic;
mod check_policy;
mod client;
mod client_error;
mod detach;
mod explain;
mod failure;
mod faults;
mod file;
mod flows;
mod generate;
mod group;
mod group_copy;
mod group_file;
mod health;
mod instance;
mod key;
mod label;
mod limit;
mod list;
mod member;
mod membership;
mod moved;
mod names;
mod nic;
mod nic_spec;
mod output;
mod policy;
mod port_list;
mod prefix_list;
mod progress;
mod reference;
mod rule;
mod rule_args;
mod session;
mod stats;
mod status;
mod table;
#[cfg(test)]
mod tests;
mod transfer;
mod validate;
mod vpc;

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use failure::Failure;
use session::{Common, Session};

/// Manage and inspect security groups.
#[derive(Debug, Parser)]
#[command(name = "sgctl", version, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Served(Served),
    Check(check::Args),
    Validate(validate::Args),
    Status(status::Args),
    Stats(stats::Args),
    Flows(flows::Args),
    Detach(detach::Args),
    Completion(generate::Completion),
    Man(generate::Man),
}

/// What `sgd serve` is asked for.
#[derive(Debug, Subcommand)]
enum Served {
    Vpc(vpc::Args),
    Group(group::Args),
    Rule(rule::Args),
    Nic(nic::Args),
    Instance(instance::Args),
    PrefixList(prefix_list::Args),
    PortList(port_list::Args),
    Member(member::Args),
    Key(key::Args),
    Limit(limit::Args),
    Health(health::Args),
    Apply(apply::Args),
    Export(transfer::ExportArgs),
    Import(transfer::ImportArgs),
}

/// Parses the command line, runs the command and returns the exit code: 0 success, 2 bad input, 1 anything else.
#[must_use]
pub fn main() -> ExitCode {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    // If the arguments are wrong, clap ends the process itself, with 2.
    let args = Args::parse();
    let format = args.common.format();
    match args.run(&mut out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(format),
    }
}

impl Args {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let Self { command, common } = self;
        let done = match command {
            Command::Served(typed) => {
                Session::new(&common, out).and_then(|mut session| typed.run(&mut session))
            }
            Command::Check(typed) => check::run(typed, &common, out),
            Command::Validate(typed) => validate::run(&typed, &common, out),
            Command::Status(typed) => status::run(&typed, &common, out),
            Command::Stats(typed) => stats::run(&typed, &common, out),
            Command::Flows(typed) => flows::run(&typed, &common, out),
            Command::Detach(typed) => detach::run(&typed, &common, out),
            Command::Completion(typed) => generate::completion(&typed, out),
            Command::Man(typed) => generate::man(&typed, out),
        };
        // Output that precedes a failure is printed in any case.
        done.and(out.flush().map_err(Failure::from))
    }
}

impl Served {
    fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Vpc(typed) => vpc::run(typed, session),
            Self::Group(typed) => group::run(typed, session),
            Self::Rule(typed) => rule::run(typed, session),
            Self::Nic(typed) => nic::run(typed, session),
            Self::Instance(typed) => instance::run(typed, session),
            Self::PrefixList(typed) => prefix_list::run(typed, session),
            Self::PortList(typed) => port_list::run(typed, session),
            Self::Member(typed) => member::run(typed, session),
            Self::Key(typed) => key::run(typed, session),
            Self::Limit(typed) => limit::run(typed, session),
            Self::Health(typed) => health::run(typed, session),
            Self::Apply(typed) => apply::run(typed, session),
            Self::Export(typed) => transfer::export(&typed, session),
            Self::Import(typed) => transfer::import(&typed, session),
        }
    }
}
