//! `Failures`: repeats the messages of failed tests at the end of a long output, where a reader looks first.

use std::{
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _, stdout},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::shell;

/// Runs `cargo test` and shows its output; if it fails, the messages of the failed tests are repeated at the end.
pub(crate) fn run(tests: &mut Command) -> Result<()> {
    if stdout().is_terminal() {
        // Standard output is a pipe, so libtest would leave out the colours.
        tests.args(["--", "--color", "always"]);
    }
    let mut child = shell::start(tests.stdout(Stdio::piped()))?;
    let mut failures = Failures::default();
    let mut shown = Ok(());
    let mut output = BufReader::new(child.stdout.take().context("no output")?);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        // If the reader of the output is gone, the tests still run to their end.
        shown = shown.and_then(|()| stdout().write_all(&line));
        failures.read(String::from_utf8_lossy(&line).trim_end_matches('\n'));
        line.clear();
    }
    let result = shell::succeeded(tests, child.wait()?);
    shown?;
    if result.is_err() && !failures.said.is_empty() {
        shell::announce("what the failed tests said");
        failures.said.iter().for_each(|line| println!("{line}"));
    }
    result
}

/// The text under headlines such as `---- name ----`, without backtraces.
#[derive(Default)]
struct Failures {
    said: Vec<String>,
    place: Place,
}

#[derive(Default, PartialEq, Eq)]
enum Place {
    #[default]
    Elsewhere,
    Said,
    Backtrace,
}

impl Failures {
    fn read(&mut self, line: &str) {
        let is_headline = line.starts_with("---- ");
        self.place = match line {
            // It occurs twice: before the messages, and before the names.
            "failures:" => Place::Elsewhere,
            _ if line.starts_with("test result: ") || line.starts_with("running ") => Place::Elsewhere,
            _ if is_headline => Place::Said,
            "" if self.place == Place::Backtrace => Place::Said,
            "Stack backtrace:" | "stack backtrace:" if self.place == Place::Said => Place::Backtrace,
            _ => return self.keep(line),
        };
        if is_headline {
            self.keep(line);
        }
    }

    fn keep(&mut self, line: &str) {
        if self.place == Place::Said && !(line.is_empty() && self.said.last().is_some_and(String::is_empty)) {
            self.said.push(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Failures, run};

    #[test]
    fn who_fails_is_told_from_who_does_not() {
        let ends = |code| run(Command::new("sh").args(["-c", &format!("echo 'test a ... ok'; exit {code}")]));
        assert!(ends(0).is_ok());
        assert!(ends(101).unwrap_err().to_string().contains("exit status: 101"));
    }

    #[test]
    fn what_failed_tests_said_is_kept_and_nothing_else() {
        let output = "running 2 tests
test a ... ok
test b ... FAILED

failures:

---- b ----
it is 4

Stack backtrace:
   0: somewhere

---- c stdout ----

thread 'c' panicked at c.rs:1:1:
it is 5


failures:
    b
    c

test result: FAILED. 1 passed
";
        let mut failures = Failures::default();
        output.lines().for_each(|line| failures.read(line));
        let expected = [
            "---- b ----",
            "it is 4",
            "",
            "---- c stdout ----",
            "",
            "thread 'c' panicked at c.rs:1:1:",
            "it is 5",
            "",
        ];
        assert_eq!(failures.said, expected);
    }
}
