//! `sgctl completion` and `sgctl man`: generated from the arguments' definitions.

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Args, failure::Failure, output::count};

const WHERE: &str = "Examples:
  sgctl completion bash > /etc/bash_completion.d/sgctl
  sgctl completion zsh > ~/.zfunc/_sgctl
  sgctl completion fish > ~/.config/fish/completions/sgctl.fish";

/// Print a shell completion script.
#[derive(Debug, clap::Args)]
#[command(after_long_help = WHERE)]
pub(super) struct Completion {
    /// Shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Write a manual page for each command.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Example:\n  sgctl man /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Directory for the pages; created if missing.
    dir: PathBuf,
}

pub(super) fn completion(typed: &Completion, out: &mut dyn Write) -> Result<(), Failure> {
    // clap_complete panics if it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(typed.shell, &mut Args::command(), "sgctl", &mut script);
    Ok(out.write_all(&script)?)
}

pub(super) fn man(typed: &Man, out: &mut dyn Write) -> Result<(), Failure> {
    let dir = typed.dir.display().to_string();
    let pages = || -> io::Result<usize> {
        fs::create_dir_all(&typed.dir)?;
        clap_mangen::generate_to(Args::command(), &typed.dir)?;
        Ok(fs::read_dir(&typed.dir)?
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
