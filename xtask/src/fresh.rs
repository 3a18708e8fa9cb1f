//! `cargo xtask fresh`: checks that the commands of the README work on a fresh Debian 12 as they do here.
//!
//! Reads the commands in the README of the commit under test, runs them unchanged in a `Debian`, and counts with a `Tally`. Green
//! means that everything passed, and nothing was skipped. Writes below `fresh` in the target directory, and the report to the
//! given path.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    debian::{CLONE, Debian},
    prerequisite::Stage,
    privilege::Privilege,
    setup, shell,
    tally::Tally,
    toolchain::Rustc,
};

#[derive(Args)]
pub(crate) struct Options {
    /// What to try, as git names it; what is not committed is not tried
    #[arg(long, default_value = "HEAD")]
    commit: String,
    /// Of the README's commands of ours only this one, such as `test`
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Write what came of it here, in Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// The prefix of our commands.
const OURS: &str = "cargo xtask ";
/// Printed before each command.
const PROMPT: &str = "fresh$ ";
/// Printed before the exit status of a failed command.
const FAILED: &str = "fresh: this ended with ";

pub(crate) fn run(options: &Options) -> Result<()> {
    let privilege = Privilege::detect();
    ensure!(
        privilege == Privilege::Root,
        "a Debian of its own takes root: `sudo -E cargo xtask fresh`, or as root"
    );
    let rustc = Rustc::ask()?;
    setup::ready(&[Stage::Build, Stage::Fresh], &rustc, privilege)?;
    let commit = git(&["rev-parse", "--short", "--verify", &format!("{}^{{commit}}", options.commit)])?;
    let readme = git(&["show", &format!("{commit}:README.md")])?;
    let mut commands = commands(&readme);
    if let Some(only) = &options.only {
        commands.retain(|command| !command.starts_with(OURS) || command[OURS.len()..] == **only);
    }
    ensure!(commands.iter().any(|command| command.starts_with(OURS)), "the README has no such command");

    let directory = shell::target_dir()?.join("fresh");
    let debian = Debian::new(&directory, rustc.sysroot())?;
    debian.clone_of(&commit)?;
    let log = directory.join(format!("{commit}.log"));
    shell::announce(&format!("the README of {commit}, in {}; {}", directory.display(), log.display()));
    let mut file = File::create(&log)?;
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    let mut inside = debian.shell(&script(&commands));
    let mut child = shell::start(inside.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut command = String::new();
    for line in BufReader::new(child.stdout.take().context("no output")?).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        writeln!(file, "{line}")?;
        if let Some(next) = line.strip_prefix(PROMPT) {
            next.clone_into(&mut command);
        } else if let Some(status) = line.strip_prefix(FAILED) {
            failed.push(format!("`{command}` ended with status {status}"));
        }
        tally.read(&line);
    }
    shell::succeeded(&inside, child.wait()?)?;

    let green = failed.is_empty() && tally.is_green();
    let verdict = if green { "green: everything passed, nothing was skipped" } else { "red" };
    let summary = format!("{verdict}; {}", tally.counts());
    if let Some(report) = &options.report {
        fs::write(report, text(&commit, &commands, &summary, &failed, &tally))?;
    }
    println!("\n{commit} on a fresh Debian 12: {summary}");
    if !green {
        bail!("{}", if failed.is_empty() { "something was skipped".to_owned() } else { failed.join("; ") });
    }
    Ok(())
}

fn git(arguments: &[&str]) -> Result<String> {
    let said = shell::read(Command::new("git").args(arguments));
    said.map(|said| said.trim().to_owned()).with_context(|| format!("`git {}` failed", arguments.join(" ")))
}

/// The first commands in the README, up to its test command, except the one that fetches rustup.
fn commands(readme: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside && !line.contains("sh.rustup.rs") {
            let command = line.split(" # ").next().unwrap_or(line).trim_end();
            commands.push(command.to_owned());
            if command == "cargo xtask test" {
                break;
            }
        }
    }
    commands
}

/// Each command with a prompt before it, in the clone. After a failure, the next command is run all the same.
fn script(commands: &[String]) -> String {
    let one = |command: &String| {
        let shown = command.replace('\'', r"'\''");
        format!("echo '{PROMPT}{shown}'\n{command} || echo \"{FAILED}$?\"\n")
    };
    let all: String = commands.iter().map(one).collect();
    format!("exec 2>&1\ncd /{CLONE}\n{all}")
}

fn text(commit: &str, commands: &[String], summary: &str, failed: &[String], tally: &Tally) -> String {
    let mut text = format!(
        "# {commit} on a fresh Debian 12\n\nBy `cargo xtask fresh --commit {commit}`: the commands of the README, in a \
         Debian made by debootstrap.\n\n```sh\n{}\n```\n\n**{summary}.**\n",
        commands.join("\n")
    );
    for line in failed {
        text.extend(["\n", line.as_str(), ".\n"]);
    }
    text + &tally.details()
}

#[cfg(test)]
mod tests {
    use super::{commands, script};

    #[test]
    fn the_readme_says_what_is_run() {
        let commands = commands(include_str!("../../README.md"));
        assert!(commands.first().is_some_and(|first| first.starts_with("apt-get update && apt-get install")));
        assert_eq!(commands[commands.len() - 2..], ["cargo xtask demo", "cargo xtask test"]);
        assert!(!commands.iter().any(|command| command.contains("rustup.rs")));
    }

    #[test]
    fn a_command_that_fails_is_named_and_the_next_is_tried() {
        let script = script(&["false".into(), "echo 'it is'".into()]).replace("cd /", "cd / #");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "fresh$ false\nfresh: this ended with 1\nfresh$ echo 'it is'\nit is\n");
    }
}
