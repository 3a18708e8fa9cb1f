//! `Steps`: steps run one after the other, and a table of their results.
//!
//! A failed step does not stop the others: the user sees all failures in one run.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::shell;

/// The result of a step that did not fail.
pub(crate) enum Outcome {
    Passed,
    /// Not run; the text says what was missing.
    Skipped(String),
}

#[derive(Default)]
pub(crate) struct Steps(Vec<Step>);

struct Step {
    name: String,
    outcome: Result<Outcome>,
    took: Duration,
}

impl Steps {
    pub(crate) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<Outcome>) {
        shell::announce(name);
        let start = Instant::now();
        let outcome = step();
        let step = Step { name: name.to_owned(), outcome, took: start.elapsed() };
        println!("    {step}");
        self.0.push(step);
    }

    /// Prints the table; an error if a step failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!();
        for step in &self.0 {
            println!("{:<28}{step}", step.name);
        }
        let total: Duration = self.0.iter().map(|step| step.took).sum();
        println!("{:<28}{:>14} s", "total", total.as_secs());
        let failed: Vec<&str> =
            self.0.iter().filter(|step| step.outcome.is_err()).map(|step| step.name.as_str()).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        match &self.outcome {
            Ok(Outcome::Passed) => write!(f, "passed  {seconds:>6.0} s"),
            Ok(Outcome::Skipped(why)) => write!(f, "skipped {seconds:>6.0} s  {why}"),
            Err(error) => write!(f, "FAILED  {seconds:>6.0} s  {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Steps};

    #[test]
    fn a_failed_step_is_named_and_the_rest_still_runs() {
        let mut steps = Steps::default();
        let mut ran = 0;
        steps.run("first", || anyhow::bail!("no"));
        steps.run("second", || Ok(Outcome::Skipped("nothing to do".into())));
        steps.run("third", || {
            ran += 1;
            Ok(Outcome::Passed)
        });
        assert_eq!(ran, 1);
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn a_skip_is_no_failure() {
        let mut steps = Steps::default();
        steps.run("only", || Ok(Outcome::Skipped("no network".into())));
        assert!(steps.finish().is_ok());
    }
}
