//! Wrong secrets: each is counted and logged, and the responses are delayed more and more.
//!
//! * **Slowed, never locked.** Some wrong secrets get a response at once, as people mistype; after that, one a second. A request
//!   with the right secret never waits, so nobody who knows a key's id can lock its owner out.
//! * **By key.** Each key has its own account, and all unknown ids share one: the memory is bounded by the number of keys.
//! * **Logged with restraint.** The first attempt, each power of ten, and any attempt 10 seconds after the last log line.
//!
//! The APIs report refusals here, and delay the response for as long as this module says. A secret, wrong or not, must never get
//! here.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::listen::Peer;

/// The number of wrong secrets of a key with an immediate response.
const AT_ONCE: u32 = 5;
/// After those, one response of a key in this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// The maximum delay of a response: clients give up after ten seconds.
const LONGEST: Duration = Duration::from_secs(5);
/// The minimum time between log lines of a key.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);
/// An account without wrong secrets is forgotten after this time.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// What was wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wrong<'a> {
    /// The secret of this key, or the signature made with it.
    Secret(&'a str),
    /// The key: its id is unknown.
    Key,
}

/// All wrong secrets since the start.
#[derive(Debug, Default)]
pub struct Attempts {
    count: AtomicU64,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    keys: HashMap<String, Account>,
    /// The account of all unknown ids.
    nobody: Account,
}

#[derive(Debug, Default)]
struct Account {
    /// When the responses to all attempts so far would be due, at one an interval.
    paid: Option<Instant>,
    count: u64,
    told: Option<Instant>,
}

impl Attempts {
    /// The number of attempts.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts an attempt of `peer` through `api`; returns how long to delay the response.
    pub fn refused(&self, api: &str, wrong: Wrong<'_>, peer: Option<Peer>) -> Duration {
        self.refused_at(api, wrong, peer, Instant::now())
    }

    fn refused_at(&self, api: &str, wrong: Wrong<'_>, peer: Option<Peer>, now: Instant) -> Duration {
        self.count.fetch_add(1, Ordering::Relaxed);
        // No code below can leave it inconsistent.
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = match wrong {
            Wrong::Key => &mut accounts.nobody,
            Wrong::Secret(key) => {
                if !accounts.keys.contains_key(key) {
                    // Keys may have been deleted.
                    accounts
                        .keys
                        .retain(|_, account| account.paid.is_some_and(|paid| paid + FORGOTTEN > now));
                }
                accounts.keys.entry(key.to_owned()).or_default()
            }
        };
        if account.tells(now) {
            let from = Origin(peer);
            let count = account.count;
            match wrong {
                Wrong::Secret(key) => {
                    tracing::warn!("{api}: wrong secret for access key {key}, {from}; {count} so far");
                }
                Wrong::Key => tracing::warn!("{api}: access key that does not exist, {from}; {count} so far"),
            }
        }
        account.wait(now)
    }
}

impl Account {
    /// Counts an attempt; returns whether to log it.
    fn tells(&mut self, now: Instant) -> bool {
        self.count += 1;
        let is_power_of_ten = 10_u64.pow(self.count.ilog10()) == self.count;
        let tells =
            is_power_of_ten || self.told.is_none_or(|told| now.duration_since(told) >= COMPLAINT_INTERVAL);
        if tells {
            self.told = Some(now);
        }
        tells
    }

    fn wait(&mut self, now: Instant) -> Duration {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + INTERVAL;
        let free = INTERVAL * AT_ONCE;
        let paid = paid.min(now + free + LONGEST);
        self.paid = Some(paid);
        paid.saturating_duration_since(now + free)
    }
}

/// The origin of an attempt.
struct Origin(Option<Peer>);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Peer::Address(address)) => write!(f, "from {address}"),
            Some(Peer::Process { uid, .. }) => write!(f, "from user {uid}"),
            None => write!(f, "from nobody known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_at_once_then_one_a_second_up_to_a_bound() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let wait = |wrong, after: u64| {
            attempts.refused_at("test", wrong, None, now + Duration::from_secs(after)).as_secs()
        };
        let key = Wrong::Secret("a");
        let waits: Vec<u64> = (0..15).map(|_| wait(key, 0)).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 5, 5, 5]);
        // Another key, and unknown ids, have their own accounts.
        assert_eq!((wait(Wrong::Secret("b"), 0), wait(Wrong::Key, 0)), (0, 0));
        assert_eq!((wait(key, 3), wait(key, 3)), (3, 4));
        assert_eq!((0..6).map(|_| wait(key, 60)).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 1]);
        assert_eq!(attempts.count(), 15 + 2 + 2 + 6);
    }

    #[test]
    fn ids_that_are_no_keys_cost_no_memory_and_old_accounts_go() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..100 {
            attempts.refused_at("test", Wrong::Key, None, now);
            attempts.refused_at("test", Wrong::Secret(&number.to_string()), None, now);
        }
        assert_eq!(attempts.accounts.lock().unwrap().keys.len(), 100);
        let later = now + FORGOTTEN + LONGEST + INTERVAL;
        attempts.refused_at("test", Wrong::Secret("a"), None, later);
        assert_eq!(attempts.accounts.lock().unwrap().keys.len(), 1);
    }

    #[test]
    fn few_attempts_are_logged() {
        let mut account = Account::default();
        let now = Instant::now();
        let told = (0..12_345).filter(|_| account.tells(now)).count();
        // 1, 10, 100, 1,000, 10,000.
        assert_eq!(told, 5);
        assert!(account.tells(now + COMPLAINT_INTERVAL) && !account.tells(now + COMPLAINT_INTERVAL));
    }
}
