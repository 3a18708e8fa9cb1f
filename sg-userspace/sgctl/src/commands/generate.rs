//! `sgctl completion` and `sgctl man`: generated from the arguments' definitions.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context as _, anyhow};
use clap_complete::{Shell, env::Shells};

use crate::{completion, failure::Failure, render::count};

/// Print a shell completion script.
#[derive(Debug, clap::Args)]
pub(crate) struct Completion {
    /// Shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Write a manual page for each command.
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// Directory for the pages; created if missing.
    dir: PathBuf,
}

/// The script asks `sgctl` itself at every completion, so names of groups and NICs are those of the moment.
pub(crate) fn completion(args: &Completion, out: &mut dyn Write) -> Result<(), Failure> {
    let shell = args.shell.to_string();
    let completers = Shells::builtins();
    let completer = completers
        .completer(&shell)
        .ok_or_else(|| Failure::input(anyhow!("there is no completion for {shell}")))?;
    let mut script = Vec::new();
    completer.write_registration(completion::VARIABLE, "sgctl", "sgctl", "sgctl", &mut script)?;
    Ok(out.write_all(&script)?)
}

pub(crate) fn man(args: &Man, tree: clap::Command, out: &mut dyn Write) -> Result<(), Failure> {
    let dir = args.dir.display().to_string();
    let pages = || -> io::Result<usize> {
        fs::create_dir_all(&args.dir)?;
        clap_mangen::generate_to(tree, &args.dir)?;
        Ok(fs::read_dir(&args.dir)?
            .filter_map(Result::ok)
            .filter(|entry| is_ours(&entry.file_name()))
            .count())
    };
    let pages =
        pages().with_context(|| format!("cannot write manual pages to {dir}")).map_err(Failure::Other)?;
    Ok(writeln!(out, "{} in {dir}", count(pages, "page"))?)
}

fn is_ours(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("sgctl") && name.ends_with(".1"))
}
