//! The commands, one noun a file: its arguments, what it sends or reads, and the columns in which it is displayed.
//!
//! The commands in [`Served`] are clients of the native API: they send requests to `sgd serve` and display its responses. The
//! others read what the agent leaves on this host, or work on a document.

pub(crate) mod access_key;
pub(crate) mod apply;
pub(crate) mod candidate;
pub(crate) mod changes;
pub(crate) mod check;
pub(crate) mod detach;
pub(crate) mod diff;
pub(crate) mod flows;
pub(crate) mod generate;
pub(crate) mod group;
pub(crate) mod history;
pub(crate) mod instance;
pub(crate) mod lint;
pub(crate) mod list;
pub(crate) mod member;
pub(crate) mod membership;
pub(crate) mod nic;
pub(crate) mod observe;
pub(crate) mod pending;
pub(crate) mod quota;
pub(crate) mod rollback;
pub(crate) mod rule;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod status;
pub(crate) mod test;
pub(crate) mod top;
pub(crate) mod transfer;
pub(crate) mod tried;
pub(crate) mod validate;
pub(crate) mod vpc;

use std::io::Write;

use clap::Subcommand;
use sg_records::{PortEntry, PrefixEntry};

use super::{args::common::Common, failure::Failure, session::Session};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Served(Served),
    Check(check::Args),
    Validate(validate::Args),
    Diff(diff::Args),
    Search(search::Args),
    Status(status::Args),
    Stats(stats::Args),
    Flows(flows::Args),
    Top(top::Args),
    History(history::Args),
    Detach(detach::Args),
    Completion(generate::Completion),
    Man(generate::Man),
}

/// Commands that an agent executes: `sgd serve`, and those about what is in force `sgd run`, too.
#[derive(Debug, Subcommand)]
pub(crate) enum Served {
    #[command(subcommand)]
    Vpc(vpc::Verb),
    #[command(subcommand)]
    Group(group::Verb),
    Rule(rule::Args),
    #[command(subcommand)]
    Nic(nic::Verb),
    #[command(subcommand)]
    Instance(instance::Verb),
    PrefixList(list::Args<PrefixEntry>),
    PortList(list::Args<PortEntry>),
    #[command(subcommand)]
    Member(member::Verb),
    #[command(subcommand)]
    AccessKey(access_key::Verb),
    #[command(subcommand)]
    Quota(quota::Verb),
    /// Tests of the policy
    #[command(subcommand)]
    Test(test::Verb),
    Lint(lint::Args),
    Show(show::Args),
    Observe(observe::Args),
    Apply(apply::Args),
    Confirm(pending::ConfirmArgs),
    Cancel(pending::CancelArgs),
    Extend(pending::ExtendArgs),
    #[command(subcommand)]
    Candidate(candidate::Verb),
    Rollback(rollback::Args),
    Export(transfer::ExportArgs),
    Import(transfer::ImportArgs),
}

impl Command {
    /// Runs the command; `tree` is that of all commands, for those that print it.
    pub(crate) fn run(
        self,
        common: &Common,
        tree: fn() -> clap::Command,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        match self {
            Self::Served(command) => {
                let mut session = Session::new(common, out)?;
                command.run(&mut session)?;
                common.tried.map_or(Ok(()), |tried| tried::after(&mut session, tried))
            }
            Self::Check(args) => check::run(args, common, out),
            Self::Validate(args) => validate::run(&args, common, out),
            Self::Diff(args) => diff::run(&args, common, out),
            Self::Search(args) => search::run(&args, common, out),
            Self::Status(args) => status::run(&args, common, out),
            Self::Stats(args) => stats::run(&args, common, out),
            Self::Flows(args) => flows::run(&args, common, out),
            Self::Top(args) => top::run(&args, common),
            Self::History(args) => history::run(&args, common, out),
            Self::Detach(args) => detach::run(&args, common, out),
            Self::Completion(args) => generate::completion(&args, out),
            Self::Man(args) => generate::man(&args, tree(), out),
        }
    }
}

impl Served {
    fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self {
            Self::Vpc(args) => vpc::run(args, session),
            Self::Group(args) => group::run(args, session),
            Self::Rule(args) => rule::run(args, session),
            Self::Nic(args) => nic::run(args, session),
            Self::Instance(args) => instance::run(args, session),
            Self::PrefixList(args) => list::run(args, session),
            Self::PortList(args) => list::run(args, session),
            Self::Member(args) => member::run(args, session),
            Self::AccessKey(args) => access_key::run(args, session),
            Self::Quota(args) => quota::run(args, session),
            Self::Test(args) => test::run(&args, session),
            Self::Lint(args) => lint::run(args, session),
            Self::Show(args) => show::run(&args, session),
            Self::Observe(args) => observe::run(&args, session),
            Self::Apply(args) => apply::run(args, session),
            Self::Confirm(args) => pending::confirm(&args, session),
            Self::Cancel(args) => pending::cancel(&args, session),
            Self::Extend(args) => pending::extend(&args, session),
            Self::Candidate(verb) => candidate::run(verb, session),
            Self::Rollback(args) => rollback::run(&args, session),
            Self::Export(args) => transfer::export(&args, session),
            Self::Import(args) => transfer::import(&args, session),
        }
    }
}
