//! Which figures a run is to take, and how long it may take: the arguments of `cargo xtask bench`, passed to every benchmark by
//! environment variables.

use std::{env, time::Duration};

use criterion::Criterion;

use crate::report::Figure;

/// The environment variable with the requested names, separated by commas.
const ONLY: &str = "SG_BENCH_ONLY";

/// The environment variable that requests a short run.
const QUICK: &str = "SG_BENCH_QUICK";

/// What a run has to do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Fewer rounds: the figures are rougher, their names are the same.
    pub quick: bool,
    only: Vec<String>,
}

impl Plan {
    /// The plan in the environment, by default everything at full length, for a benchmark that takes figures of these families.
    /// None if there is nothing to take: the run wants no figure of them, or cargo tests or lists benchmarks.
    #[must_use]
    pub fn from_env(families: &[&str]) -> Option<Self> {
        let only = env::var(ONLY).unwrap_or_default();
        let plan = Self { quick: env::var_os(QUICK).is_some(), ..Self::of(&only) };
        let measures = env::args().all(|argument| argument != "--test" && argument != "--list");
        (measures && families.iter().any(|family| plan.wants(family))).then_some(plan)
    }

    fn of(only: &str) -> Self {
        let only = only.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self { quick: false, only: only.map(str::to_owned).collect() }
    }

    /// Whether a figure is requested, or, for a family (`classify`), any figure of it.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        let within = |name: &str, family: &str| {
            name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.only.is_empty() || self.only.iter().any(|only| within(name, only) || within(only, name))
    }

    /// Records a figure if it is requested.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn record(&self, figure: &Figure) {
        if self.wants(&figure.name) {
            #[expect(clippy::expect_used, reason = "a measurement that nobody sees is none")]
            figure.record().expect("a figure can be written");
        }
    }

    /// `full` rounds, or `quick` in a short run.
    #[must_use]
    pub const fn rounds(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Criterion, configured for the length of the run.
    #[must_use]
    pub fn criterion(&self) -> Criterion {
        let (warm_up, measurement) = if self.quick { (50, 300) } else { (300, 2_000) };
        Criterion::default()
            .without_plots()
            .sample_size(self.rounds(20, 10))
            // Its own statistics are for the screen.
            .nresamples(1_001)
            .warm_up_time(Duration::from_millis(warm_up))
            .measurement_time(Duration::from_millis(measurement))
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn a_name_asks_for_itself_and_what_is_below_it() {
        let plan = Plan::of("classify/1k, path");
        for wanted in ["classify", "classify/1k", "path", "path/ours/1k"] {
            assert!(plan.wants(wanted), "{wanted}");
        }
        for other in ["classify/1", "classify/1kb", "classify/10", "paths", "established/16k"] {
            assert!(!plan.wants(other), "{other}");
        }
        assert!(Plan::of("").wants("anything"));
    }
}
