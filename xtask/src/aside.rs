//! `Aside`: commands that give way to what else is done, one after the other, and say how they went when they are asked.
//!
//! Tests mostly wait; what only needs a processor is done meanwhile. It must never run what takes the time of something.

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::shell;

/// Commands that run beside something else.
pub(crate) struct Aside(Receiver<Result<()>>);

impl Aside {
    /// Starts them after a while, the first one first.
    pub(crate) fn start(after: Duration, commands: Vec<Command>) -> Self {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            thread::sleep(after);
            for command in commands {
                // Where nobody asks any more, the rest is not needed.
                let Ok(()) = tell.send(run(&command)) else { return };
            }
        });
        Self(told)
    }

    /// Waits until the next one is done, and says how it went.
    pub(crate) fn next(&self) -> Result<()> {
        self.0.recv().context("it was not run: the thread for it ended early")?
    }
}

/// Runs a command at the lowest priority, and shows what it says only where it fails.
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
