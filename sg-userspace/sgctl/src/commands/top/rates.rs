//! Counters of two moments, as rates. A counter that became smaller began anew: what it has came since then. It must never know what
//! is counted. `model` calls it.

use std::{collections::HashMap, hash::Hash, time::Instant};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// Packets and bytes each second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) packets: f64,
    pub(super) bytes: f64,
}

impl Rate {
    pub(super) fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// The counters of the last look.
#[derive(Debug)]
pub(super) struct Rates<K> {
    at: Option<Instant>,
    last: HashMap<K, Counted>,
}

impl<K> Default for Rates<K> {
    fn default() -> Self {
        Self { at: None, last: HashMap::new() }
    }
}

impl<K: Eq + Hash> Rates<K> {
    /// The rates since the last look, in the order of `counters`; zero at the first one. With `new_is_zero`, what was not there then
    /// had nothing; else nobody knows what it had, and its rate is zero.
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
    pub(super) fn look(
        &mut self,
        at: Instant,
        counters: impl IntoIterator<Item = (K, Counted)>,
        new_is_zero: bool,
    ) -> Vec<Rate> {
        let seconds =
            self.at.map(|last| at.duration_since(last).as_secs_f64()).filter(|seconds| *seconds > 0.0);
        let before = std::mem::take(&mut self.last);
        let mut rates = Vec::new();
        for (key, now) in counters {
            let then = before.get(&key).copied().or_else(|| new_is_zero.then(Counted::default));
            let since = |now: u64, then: u64| if now >= then { now - then } else { now };
            rates.push(match (seconds, then) {
                (Some(seconds), Some(then)) => Rate {
                    packets: since(now.packets, then.packets) as f64 / seconds,
                    bytes: since(now.bytes, then.bytes) as f64 / seconds,
                },
                _ => Rate::default(),
            });
            self.last.insert(key, now);
        }
        self.at = Some(at);
        rates
    }

    /// Forgets the last look: there was a gap.
    pub(super) fn forget(&mut self) {
        self.at = None;
        self.last.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_is_a_difference_and_a_counter_may_begin_anew() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let counted = |packets| Counted { packets, bytes: packets * 10 };
        let mut look = |seconds, counters: &[(&'static str, u64)]| {
            let counters =
                counters.iter().map(|(key, packets)| (*key, counted(*packets))).collect::<Vec<_>>();
            let rates = rates.look(start + Duration::from_secs(seconds), counters, true);
            rates.into_iter().map(|rate| (rate.packets, rate.bytes)).collect::<Vec<_>>()
        };
        assert_eq!(look(0, &[("a", 100)]), [(0.0, 0.0)]);
        assert_eq!(look(2, &[("a", 110), ("b", 4)]), [(5.0, 50.0), (2.0, 20.0)]);
        assert_eq!(look(4, &[("a", 6)]), [(3.0, 30.0)], "it began anew");
        assert_eq!(look(4, &[("a", 9)]), [(0.0, 0.0)], "no time has passed");
    }
}
