//! `Failures`: what tests said that failed, to be said once more where a reader looks first, at the end of a long output.

use std::{
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _, stdout},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::shell;

/// Runs `cargo test` and shows what it says; where it fails, what the failed tests said comes once more at the end.
pub(crate) fn run(tests: &mut Command) -> Result<()> {
    if stdout().is_terminal() {
        // They see a pipe, and would leave out the colours.
        tests.args(["--", "--color", "always"]);
    }
    let mut child = shell::start(tests.stdout(Stdio::piped()))?;
    let mut failures = Failures::default();
    for line in BufReader::new(child.stdout.take().context("no output")?).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        writeln!(stdout(), "{line}")?;
        failures.read(&line);
    }
    let result = shell::succeeded(tests, child.wait()?);
    if result.is_err() && !failures.said.is_empty() {
        shell::announce("what the failed tests said");
        failures.said.iter().for_each(|line| println!("{line}"));
    }
    result
}

/// The lines between `failures:` and the list of names, without backtraces.
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
            // It comes twice: before what they said, and before their names.
            "failures:" => Place::Elsewhere,
            _ if line.starts_with("test result: ") => Place::Elsewhere,
            _ if is_headline => Place::Said,
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
    use super::Failures;

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
