//! Criterion, and a figure from its runs: for work in user space.

#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

use std::time::Duration;

use criterion::{Criterion, SamplingMode};

use crate::{
    plan::Plan,
    report::{Figure, Unit},
    sampling::Samples,
};

/// Which of the rounds is the figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The least: for pure computation, the round that nothing else on the machine disturbed.
    Least,
    /// The median: for what waits for a disk or the kernel.
    Median,
}

/// Takes the requested figures.
pub struct Timing {
    /// What is wanted.
    pub plan: Plan,
    criterion: Criterion,
}

impl Timing {
    /// Takes the figures of `plan`.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self { criterion: plan.criterion(), plan }
    }

    /// Records the figure `name`. `run` repeats the work the given number of times, and returns how long that took.
    pub fn take(&mut self, name: &str, unit: Unit, of: Of, mut run: impl FnMut(u64) -> Duration) {
        if !self.plan.wants(name) {
            return;
        }
        let mut rounds = Samples::default();
        let (family, rest) = name.split_once('/').unwrap_or((name, ""));
        let mut group = self.criterion.benchmark_group(family);
        // The same number of runs in each sample: what takes a second is run ten times, not fifty.
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(rest, |bencher| {
            bencher.iter_custom(|iterations| {
                let taken = run(iterations);
                rounds.push(taken.as_secs_f64() * unit.a_second() / iterations as f64);
                taken
            });
        });
        group.finish();
        let value = match of {
            Of::Least => rounds.least(),
            Of::Median => rounds.median(),
        };
        self.plan.record(&Figure::new(name, value, unit).spread(rounds.spread()));
    }
}
