//! Repeated measurements, and one figure from them.

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

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn the_middle_half() {
        let mut rounds: Samples = [9.0, 1.0, 3.0, 2.0].into_iter().collect();
        rounds.push(4.0);
        assert_eq!((rounds.least(), rounds.median(), rounds.most(), rounds.spread()), (1.0, 3.0, 9.0, 2.0));
        assert!(Samples::default().median().is_nan());
    }
}
