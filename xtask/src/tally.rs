//! `Tally`: the results of a run of demonstration and tests, read from its output.
//!
//! Owns the counting only: it takes lines one after the other and starts nothing. Called by `fresh`.

use std::fmt::Write as _;

/// Counts and names, in the order of the output.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<String>,
    left_out: Vec<String>,
    /// The steps of the test command, each as its line in the table at the end.
    steps: Vec<String>,
    /// The first words of failed tests, by test.
    said: Vec<(String, String)>,
    /// What the next line belongs to.
    speaking: Speaking,
}

/// What the next line of output belongs to.
#[derive(Debug, Default)]
enum Speaking {
    /// No failed test.
    #[default]
    Nobody,
    /// The first words of this test.
    First(String),
    /// More of the last test, perhaps its causes.
    More,
    /// Causes of the last test's error, one a line, up to an empty line.
    Causes,
}

impl Tally {
    /// Takes one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim_end();
        self.take(line);
        if let Some((name, how)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let name = name.trim_end();
            match how.split([',', ' ']).next() {
                Some("ok") => self.passed += 1,
                Some("FAILED") => self.failed.push(name.to_owned()),
                Some("ignored") => self.left_out.push(format!("{name}: {how}")),
                _ => {}
            }
        } else if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----")) {
            // Failed tests' messages are repeated at the end.
            let name = name.trim_end_matches(" stdout");
            self.speaking = Speaking::Nobody;
            if !self.said.iter().any(|(said, _)| said == name) {
                self.speaking = Speaking::First(name.to_owned());
            }
        } else if OUTCOMES.iter().any(|outcome| line.get(28..).is_some_and(|rest| rest.starts_with(outcome)))
        {
            self.steps.push(line.to_owned());
        }
    }

    /// Takes a line of a failed test: its first words, and the causes of its error.
    fn take(&mut self, line: &str) {
        self.speaking = match std::mem::take(&mut self.speaking) {
            Speaking::First(test) if line.is_empty() || line.starts_with("thread '") => Speaking::First(test),
            Speaking::First(test) => {
                self.said.push((test, line.to_owned()));
                Speaking::More
            }
            Speaking::More if line == "Caused by:" => Speaking::Causes,
            Speaking::Causes if line.is_empty() => Speaking::Nobody,
            Speaking::Causes => {
                let cause = line.trim_start();
                let cause = cause.split_once(": ").filter(|(number, _)| number.parse::<u32>().is_ok());
                let cause = cause.map_or(line.trim_start(), |(_, cause)| cause);
                if let Some((_, said)) = self.said.last_mut() {
                    let _ = write!(said, ": {cause}");
                }
                Speaking::Causes
            }
            other => other,
        };
    }

    /// Whether everything ran and passed: at least some tests, and no failed or skipped step or test.
    pub(crate) fn is_green(&self) -> bool {
        let passed = |step: &String| step.get(28..).is_some_and(|rest| rest.starts_with(OUTCOMES[0]));
        self.passed > 0
            && self.failed.is_empty()
            && self.left_out.is_empty()
            && !self.steps.is_empty()
            && self.steps.iter().all(passed)
    }

    pub(crate) fn counts(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.left_out.len())
    }

    /// The steps, and every test that did not pass, for people.
    pub(crate) fn details(&self) -> String {
        let mut text = String::new();
        let mut block = |title: &str, lines: &[String]| {
            if !lines.is_empty() {
                let _ = write!(text, "\n{title}\n\n```text\n{}\n```\n", lines.join("\n"));
            }
        };
        block("The steps of the test command:", &self.steps);
        let said = |name: &String| {
            let said = self.said.iter().find(|(test, _)| test == name);
            said.map_or_else(|| name.clone(), |(_, said)| format!("{name}: {said}"))
        };
        block(
            "Tests that failed, and what each said first:",
            &self.failed.iter().map(said).collect::<Vec<_>>(),
        );
        block("Tests that were left out:", &self.left_out);
        text
    }
}

/// What follows the name in the table of steps.
const OUTCOMES: [&str; 3] = ["passed ", "skipped ", "FAILED "];

#[cfg(test)]
mod tests {
    use super::Tally;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.read(line));
        tally
    }

    const STEP: &str = "tests                       passed      12 s\n";

    #[test]
    fn green_is_everything_done_and_well() {
        let all = format!("test a ... ok\ntest tcx::b          ... ok\n{STEP}");
        assert!(tally(&all).is_green());
        assert_eq!(tally(&all).counts(), "2 passed, 0 failed, 0 skipped");
        assert!(!tally("").is_green(), "nothing done is not well done");
        assert!(!tally("test a ... ok\n").is_green(), "the test command did not come to its end");
        assert!(!tally(&format!("{all}test c ... FAILED\n")).is_green());
        assert!(!tally(&format!("{all}test c ... ignored, needs nft\n")).is_green());
        assert!(!tally(&format!("{all}fuzzing                     skipped      0 s  no time\n")).is_green());
        assert!(
            !tally(&format!("{all}clippy                      FAILED       3 s  it failed\n")).is_green()
        );
    }

    #[test]
    fn a_failed_test_is_told_with_its_first_words_and_causes() {
        let text = "test a ... FAILED\ntest b ... FAILED\n---- a ----\non host server\n\nCaused by:\n    0: cannot \
                    start bpftool\n    1: No such file\n\n---- b stdout ----\n\nthread 'b' panicked at b.rs:1:1:\nit is 5\n---- a ----\nagain\n";
        let details = tally(text).details();
        assert!(
            details.contains("\na: on host server: cannot start bpftool: No such file\nb: it is 5\n"),
            "{details}"
        );
    }
}
