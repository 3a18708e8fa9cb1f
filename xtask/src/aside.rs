//! `Aside`: commands that run one after the other at low priority beside other work, and report their results on request.
//!
//! Tests mostly wait; work that only needs a processor is done meanwhile. It must never run anything whose time is measured.

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::shell;

/// Commands that run in the background.
pub(crate) struct Aside(Receiver<Result<()>>);

impl Aside {
    /// Starts the commands after a delay, in order.
    pub(crate) fn start(after: Duration, commands: Vec<Command>) -> Self {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            thread::sleep(after);
            for command in commands {
                // If the receiver is dropped, the rest is not needed.
                let Ok(()) = tell.send(run(&command)) else { return };
            }
        });
        Self(told)
    }

    /// Waits for the next command, and returns its result.
    pub(crate) fn next(&self) -> Result<()> {
        self.0.recv().context("it was not run: the thread for it ended early")?
    }
}

/// Runs a command at the lowest priority, and prints its output only if it fails.
fn run(command: &Command) -> Result<()> {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => nice.env(name, value),
            None => nice.env_remove(name),
        };
    }
    let output = nice.output().context("cannot start `nice`")?;
    if !output.status.success() {
        io::stderr().write_all(&[output.stdout, output.stderr].concat())?;
    }
    shell::succeeded(command, output.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_how_it_went_in_its_turn() {
        let commands = ["true", "false", "true"].map(Command::new);
        let aside = Aside::start(Duration::ZERO, commands.into());
        assert!(aside.next().is_ok());
        assert_eq!(aside.next().unwrap_err().to_string(), "`false` failed (exit status: 1)");
        assert!(aside.next().is_ok());
        assert!(aside.next().unwrap_err().to_string().contains("not run"));
    }
}
