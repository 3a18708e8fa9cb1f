//! Which figures a run is to take, and how long it may take: what `cargo xtask bench` was asked for, handed to every
//! benchmark by its environment.

use std::{env, time::Duration};

use criterion::Criterion;

/// The environment variable with the names that are wanted, with commas between them.
pub const ONLY: &str = "SG_BENCH_ONLY";

/// The environment variable that asks for a short run.
pub const QUICK: &str = "SG_BENCH_QUICK";

/// What a run is to do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Fewer rounds: the figures are rougher, their names are the same.
    pub quick: bool,
    only: Vec<String>,
}

impl Plan {
    /// What the command asked for; all of it at full length where no command did.
    #[must_use]
    pub fn from_env() -> Self {
        let only = env::var(ONLY).unwrap_or_default();
        Self { quick: env::var_os(QUICK).is_some(), ..Self::of(&only) }
    }

    fn of(only: &str) -> Self {
        let only = only.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self { quick: false, only: only.map(str::to_owned).collect() }
    }

    /// Whether a figure is wanted, or of a family (`classify`) any figure.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        let within = |name: &str, family: &str| {
            name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.only.is_empty() || self.only.iter().any(|only| within(name, only) || within(only, name))
    }

    /// So many rounds, or in a short run so many.
    #[must_use]
    pub const fn rounds(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Criterion, set to the length of the run.
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
