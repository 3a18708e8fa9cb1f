//! Repeated measurements: one figure from them, and more of them while the machine is slow. A shared machine is slow for seconds at
//! a time, which the time of a program that does nothing shows.

use std::time::{Duration, Instant};

use crate::plan::Plan;

/// The same quantity, round by round.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds the value of a round.
    pub fn push(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    /// The least value: the round that nothing else on the machine disturbed. Not a number if there was no round.
    #[must_use]
    pub fn least(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    /// The greatest value.
    #[must_use]
    pub fn most(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quarter(2)
    }

    /// The interquartile range.
    #[must_use]
    pub fn spread(&self) -> f64 {
        self.quarter(3) - self.quarter(1)
    }

    fn quarter(&self, number: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * number / 4).copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self(sorted)
    }
}

/// The machine is as fast as at its best if the empty program takes at most this factor longer.
const AS_FAST: f64 = 1.05;

/// How long all measurements together wait for that.
const WHOLE: Duration = Duration::from_mins(2);
const SHORT: Duration = Duration::from_secs(15);

/// The waiting time that is left.
#[derive(Debug)]
pub struct NoiseGuard {
    /// The least time of the empty program.
    quickest: f64,
    left: Duration,
}

impl NoiseGuard {
    /// For all measurements of a benchmark.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self { quickest: f64::INFINITY, left: if plan.quick { SHORT } else { WHOLE } }
    }

    /// Runs `count` rounds, and more until the empty program takes no longer than in an earlier measurement. A round returns the
    /// least time of the empty program so far.
    ///
    /// # Errors
    /// Those of a round.
    pub fn rounds<E>(&mut self, count: usize, mut round: impl FnMut() -> Result<f64, E>) -> Result<(), E> {
        let mut nothing = f64::INFINITY;
        for _ in 0..count {
            nothing = round()?;
        }
        while nothing > self.quickest * AS_FAST && !self.left.is_zero() {
            let start = Instant::now();
            nothing = round()?;
            self.left = self.left.saturating_sub(start.elapsed());
        }
        self.quickest = self.quickest.min(nothing);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, thread::sleep};

    use super::*;

    #[test]
    fn the_middle_half() {
        let mut rounds: Samples = [9.0, 1.0, 3.0, 2.0].into_iter().collect();
        rounds.push(4.0);
        assert_eq!((rounds.least(), rounds.median(), rounds.most(), rounds.spread()), (1.0, 3.0, 9.0, 2.0));
        assert!(Samples::default().median().is_nan());
    }

    /// The number of rounds if the empty program takes these times, one after the other.
    fn rounds(patience: &mut NoiseGuard, times: &[f64]) -> usize {
        let mut times = times.iter();
        let before = times.len();
        let round = || {
            sleep(Duration::from_millis(1));
            Ok::<_, Infallible>(*times.next().unwrap_or(&1.0))
        };
        patience.rounds(2, round).unwrap();
        before - times.len()
    }

    #[test]
    fn a_slow_machine_is_waited_for() {
        let mut patience = NoiseGuard { quickest: f64::INFINITY, left: Duration::from_millis(500) };
        assert_eq!(rounds(&mut patience, &[20.0, 12.0, 11.0, 11.0]), 2, "nothing is known yet");
        assert_eq!(rounds(&mut patience, &[20.0, 20.0, 19.0, 12.5, 11.0]), 4);
        assert_eq!(rounds(&mut patience, &[11.0, 11.0, 11.0]), 2);
        let some = rounds(&mut patience, &[20.0; 1_500]);
        assert!((3..1_500).contains(&some), "{some}: not for ever");
    }
}
