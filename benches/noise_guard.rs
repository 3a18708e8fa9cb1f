//! More rounds while the machine is slow: a shared machine is slow for seconds at a time, which the time of a program that does
//! nothing shows.

use std::time::{Duration, Instant};

use crate::plan::Plan;

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
