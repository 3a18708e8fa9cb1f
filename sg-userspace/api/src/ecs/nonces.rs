//! Replay protection. A nonce is remembered for as long as its timestamp would be accepted, in bounded memory.
//!
//! When the memory of a key is full, the nonces with the oldest timestamps are forgotten, and from then on requests of that key
//! that are not newer are refused as expired. So a full memory never accepts a request twice, and never locks out clients whose
//! clocks are right: it reduces how far a clock may be behind. Each key has its own memory, so one client cannot affect another.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// The maximum difference between a timestamp and the server's time, in seconds.
pub(super) const WINDOW: i64 = 15 * 60;
/// The number of nonces remembered for a key: 145 requests a second for the whole window.
const NONCES_OF_A_KEY: usize = 131_072;
/// How often unused keys' memories are cleaned up, in seconds.
const PRUNE_INTERVAL: i64 = 60;
/// How long a key's floor is kept, in seconds.
const FLOOR_TIME: i64 = 24 * 60 * 60;

/// A digest of a nonce: clients choose the nonce's length, so it is not kept itself.
type Mark = [u8; 16];

/// The nonces of all keys.
#[derive(Debug)]
pub struct Nonces {
    keys: HashMap<String, Memory>,
    capacity: usize,
    /// Requests signed before this time are refused, in seconds.
    beginning: Option<i64>,
    pruned: i64,
}

#[derive(Debug, Default)]
struct Memory {
    marks: HashSet<Mark>,
    /// The same by timestamp, in seconds.
    by_time: BTreeMap<i64, Vec<Mark>>,
    /// Requests that are not newer than this are refused.
    floor: Option<i64>,
}

/// Why a request is refused as a replay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Replay {
    /// Its nonce was seen.
    Used,
    /// It is so old that its nonce may have been seen and forgotten.
    Forgotten,
}

impl Default for Nonces {
    fn default() -> Self {
        Self::with_capacity(NONCES_OF_A_KEY)
    }
}

impl Nonces {
    /// Remembers up to `capacity` nonces of each key.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { keys: HashMap::new(), capacity: capacity.max(1), beginning: None, pruned: i64::MIN }
    }

    /// Refuses requests signed before `time`. If an earlier process served the same keys, `time` is the start of this process:
    /// which nonces the other has seen is unknown.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.beginning = Some(time.as_second());
        self
    }

    /// Remembers the nonce of a request signed by `key_id`, whose timestamp is within the window.
    pub(super) fn admit(
        &mut self,
        key_id: &str,
        nonce: &str,
        signed: Timestamp,
        now: Timestamp,
    ) -> Result<(), Replay> {
        let (signed, now) = (signed.as_second(), now.as_second());
        if self.beginning.is_some_and(|beginning| signed < beginning) {
            return Err(Replay::Forgotten);
        }
        if now.saturating_sub(self.pruned) >= PRUNE_INTERVAL {
            self.pruned = now;
            self.keys.retain(|_, memory| {
                memory.expire(now);
                // A floor alone is kept a while longer, for clocks that are set back.
                !memory.marks.is_empty() || memory.floor.is_some_and(|floor| floor > now - FLOOR_TIME)
            });
        }
        if !self.keys.contains_key(key_id) {
            self.keys.insert(key_id.to_owned(), Memory::default());
        }
        let Some(memory) = self.keys.get_mut(key_id) else { return Err(Replay::Forgotten) };
        memory.expire(now);
        memory.admit(mark(nonce), signed, self.capacity)
    }
}

impl Memory {
    fn admit(&mut self, mark: Mark, signed: i64, capacity: usize) -> Result<(), Replay> {
        if self.marks.contains(&mark) {
            return Err(Replay::Used);
        }
        while self.marks.len() >= capacity && self.forget_oldest() {}
        if self.floor.is_some_and(|floor| signed <= floor) {
            return Err(Replay::Forgotten);
        }
        self.marks.insert(mark);
        self.by_time.entry(signed).or_default().push(mark);
        Ok(())
    }

    /// Forgets nonces whose timestamps are no longer accepted. The floor keeps them refused if the clock is set back.
    fn expire(&mut self, now: i64) {
        while self.by_time.first_key_value().is_some_and(|(time, _)| *time < now.saturating_sub(WINDOW)) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let Some((time, marks)) = self.by_time.pop_first() else { return false };
        for mark in marks {
            self.marks.remove(&mark);
        }
        self.floor = self.floor.max(Some(time));
        true
    }
}

fn mark(nonce: &str) -> Mark {
    let mut mark = Mark::default();
    mark.iter_mut().zip(Sha256::digest(nonce.as_bytes())).for_each(|(byte, hash)| *byte = hash);
    mark
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + (1_800_000_000 + seconds).seconds()
    }

    #[test]
    fn a_nonce_is_used_once_until_its_timestamp_is_too_old() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.admit("a", "n", at(0), at(0)), Ok(()));
        assert_eq!(nonces.admit("a", "n", at(0), at(1)), Err(Replay::Used));
        assert_eq!(nonces.admit("a", "n", at(30), at(30)), Err(Replay::Used));
        assert_eq!(nonces.admit("a", "n", at(0), at(WINDOW)), Err(Replay::Used));
        assert_eq!(nonces.admit("b", "n", at(0), at(1)), Ok(()));
        // The timestamp is refused before the nonce is checked, so the nonce may be used again.
        assert_eq!(nonces.admit("a", "n", at(WINDOW + 1), at(WINDOW + 1)), Ok(()));
    }

    #[test]
    fn a_full_memory_lets_nothing_in_twice_and_shuts_nobody_out() {
        let mut nonces = Nonces::with_capacity(100);
        for second in 0..1000_i64 {
            assert_eq!(nonces.admit("a", &format!("n{second}"), at(second / 10), at(second / 10)), Ok(()));
            let memory = &nonces.keys["a"];
            assert!(memory.marks.len() <= 100);
            assert_eq!(memory.marks.len(), memory.by_time.values().map(Vec::len).sum::<usize>());
        }
        for second in 0..1000_i64 {
            let replayed = nonces.admit("a", &format!("n{second}"), at(second / 10), at(100));
            assert!(replayed.is_err(), "{second}");
        }
        assert_eq!(nonces.admit("a", "late", at(50), at(100)), Err(Replay::Forgotten));
        assert_eq!(nonces.admit("a", "on time", at(100), at(100)), Ok(()));
        assert_eq!(nonces.admit("b", "late, but another's", at(50), at(100)), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing_back() {
        let mut nonces = Nonces::default();
        assert_eq!(nonces.admit("a", "n", at(0), at(0)), Ok(()));
        assert_eq!(nonces.admit("a", "m", at(WINDOW + 1), at(WINDOW + 1)), Ok(()));
        assert_eq!(nonces.admit("a", "n", at(0), at(0)), Err(Replay::Forgotten));
    }

    #[test]
    fn what_was_signed_before_the_start_is_refused() {
        let mut nonces = Nonces::default().since(at(10));
        assert_eq!(nonces.admit("a", "n", at(9), at(11)), Err(Replay::Forgotten));
        assert_eq!(nonces.admit("a", "n", at(10), at(11)), Ok(()));
    }

    #[test]
    fn keys_that_are_not_used_any_more_cost_nothing() {
        let mut nonces = Nonces::default();
        for key in 0..100 {
            assert_eq!(nonces.admit(&format!("k{key}"), "n", at(0), at(0)), Ok(()));
        }
        let later = at(2 * FLOOR_TIME);
        assert_eq!(nonces.admit("a", "n", later, later), Ok(()));
        assert_eq!(nonces.keys.len(), 1);
    }
}
