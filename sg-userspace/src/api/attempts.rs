//! Wrong secrets: they are counted, named in the log, and answered ever more slowly.
//!
//! * **Slowed, never locked.** Some wrong secrets are answered at once, as people mistype; after that, one a second. A right
//!   secret never waits for the wrong ones of others, so nobody who knows a key's id can lock its owner out.
//! * **By key.** Each key has its own account, and all ids that are no key's share one: what is remembered is bounded by the
//!   keys that there are.
//! * **By key and place.** A right secret tells by being answered, so whoever does not wait for the other answers guesses as fast as
//!   secrets are looked at. From a user of this host, or an address of another one, that gave as many wrong secrets of a key, the
//!   next of that key is not looked at before its second has come, right or wrong, whether or not anybody waited. The places that
//!   are remembered have a bound.
//! * **Logged with restraint.** The first one, each power of ten, and whoever comes 10 seconds later.
//!
//! The faces report here what they refuse, and hold the answer back for as long as they are told. A secret, wrong or not,
//! must never get here.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::listen::Peer;

/// So many of a key are answered at once.
const AT_ONCE: u32 = 5;
/// After those, one of a key is answered in this time.
const INTERVAL: Duration = Duration::from_secs(1);
/// The most that an answer waits: clients give up after ten seconds.
const LONGEST: Duration = Duration::from_secs(5);
/// How often the log hears of a key.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);
/// So many pairs of key and place are remembered.
const MOST_PLACES: usize = 4096;
/// An account without wrong secrets is forgotten after this time.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// What was wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wrong<'a> {
    /// The secret, or the signature made with it, of this key.
    Secret(&'a str),
    /// The key: there is none of this id.
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
    /// By key and place: when the wrong secrets would be paid, at one an interval.
    places: HashMap<(String, Place), Instant>,
    /// Of all ids that are no key's.
    nobody: Account,
}

#[derive(Debug, Default)]
struct Account {
    /// When all that was refused so far would be answered, at one an interval.
    paid: Option<Instant>,
    wrong: Told,
    unseen: Told,
}

/// What the log hears of.
#[derive(Debug, Default)]
struct Told {
    count: u64,
    last: Option<Instant>,
}

/// Whoever makes guesses, as well as can be told.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Place {
    /// A user of this host.
    User(u32),
    /// Connections of this host that were closed before it was known whose they are: who asks that way does not read answers.
    Closed,
    /// Another host; of IPv6, a network of 64 bits, as one host has all of its addresses.
    Address(IpAddr),
    /// Whatever is no connection.
    Unknown,
}

impl Attempts {
    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether a secret that `peer` says of this key may be looked at now. Where it may not, its answer waits for the time that is
    /// returned, and tells nothing of it.
    pub fn unseen(&self, api: &str, key: &str, peer: Option<Peer>) -> Option<Duration> {
        self.unseen_at(api, key, peer, Instant::now())
    }

    fn unseen_at(&self, api: &str, key: &str, peer: Option<Peer>, now: Instant) -> Option<Duration> {
        let mut accounts = self.accounts();
        let paid = *accounts.places.get(&(key.to_owned(), Place::of(peer)))?;
        if paid + INTERVAL <= now + INTERVAL * AT_ONCE {
            return None;
        }
        if let Some(account) = accounts.keys.get_mut(key)
            && account.unseen.tells(now)
        {
            let (from, count) = (Origin(peer), account.unseen.count);
            log::warn!(
                "{api}: secrets of access key {key}, {from}, are not looked at: too many were wrong; {count} so far"
            );
        }
        Some(INTERVAL)
    }

    /// One more, from `peer` over the face `api`; returns how long the answer waits.
    pub fn refused(&self, api: &str, wrong: Wrong<'_>, peer: Option<Peer>) -> Duration {
        self.refused_at(api, wrong, peer, Instant::now())
    }

    fn refused_at(&self, api: &str, wrong: Wrong<'_>, peer: Option<Peer>, now: Instant) -> Duration {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut accounts = self.accounts();
        if let Wrong::Secret(key) = wrong {
            accounts.remember(key, Place::of(peer), now);
        }
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
        if account.wrong.tells(now) {
            let from = Origin(peer);
            let count = account.wrong.count;
            match wrong {
                Wrong::Secret(key) => {
                    log::warn!("{api}: wrong secret for access key {key}, {from}; {count} so far");
                }
                Wrong::Key => log::warn!("{api}: access key that does not exist, {from}; {count} so far"),
            }
        }
        account.wait(now)
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        // Nothing here can leave it half changed.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// One more wrong secret of a key from a place.
    fn remember(&mut self, key: &str, place: Place, now: Instant) {
        let pair = (key.to_owned(), place);
        if self.places.len() >= MOST_PLACES && !self.places.contains_key(&pair) {
            self.places.retain(|_, paid| *paid > now);
            let least = self.places.iter().min_by_key(|(_, paid)| **paid).map(|(pair, _)| pair.clone());
            if let Some(least) = least.filter(|_| self.places.len() >= MOST_PLACES) {
                self.places.remove(&least);
            }
        }
        let paid = self.places.entry(pair).or_insert(now);
        *paid = (*paid).max(now) + INTERVAL;
    }
}

impl Place {
    fn of(peer: Option<Peer>) -> Self {
        match peer {
            Some(Peer::Process { uid, .. } | Peer::Neighbour { uid: Some(uid), .. }) => Self::User(uid),
            Some(Peer::Neighbour { uid: None, .. }) => Self::Closed,
            Some(Peer::Address(address)) => Self::Address(match address.ip().to_canonical() {
                IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
                ip @ IpAddr::V4(_) => ip,
            }),
            None => Self::Unknown,
        }
    }
}

impl Told {
    /// Counts one; whether the log hears of it.
    fn tells(&mut self, now: Instant) -> bool {
        self.count += 1;
        let is_power_of_ten = 10_u64.pow(self.count.ilog10()) == self.count;
        let tells =
            is_power_of_ten || self.last.is_none_or(|last| now.duration_since(last) >= COMPLAINT_INTERVAL);
        if tells {
            self.last = Some(now);
        }
        tells
    }
}

impl Account {
    fn wait(&mut self, now: Instant) -> Duration {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + INTERVAL;
        let free = INTERVAL * AT_ONCE;
        let paid = paid.min(now + free + LONGEST);
        self.paid = Some(paid);
        paid.saturating_duration_since(now + free)
    }
}

/// Where an attempt came from.
struct Origin(Option<Peer>);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(Peer::Address(address)) => write!(f, "from {address}"),
            Some(Peer::Neighbour { address, uid: Some(uid) }) => write!(f, "from {address}, user {uid}"),
            Some(Peer::Neighbour { address, uid: None }) => write!(f, "from {address}"),
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
        // Another key, and those that are none, have their own.
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

    fn user(uid: u32) -> Option<Peer> {
        Some(Peer::Neighbour { address: "127.0.0.1:1".parse().unwrap(), uid: Some(uid) })
    }

    #[test]
    fn from_where_too_many_were_wrong_the_next_is_not_looked_at() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let looked_at = |key, peer, after: u64| {
            attempts.unseen_at("test", key, peer, now + Duration::from_millis(after)).is_none()
        };
        // Nobody waits for the answers.
        let guess = |after: u64| {
            let looked_at = looked_at("a", user(1), after);
            if looked_at {
                attempts.refused_at("test", Wrong::Secret("a"), user(1), now + Duration::from_millis(after));
            }
            looked_at
        };
        assert_eq!((0..1_000).filter(|_| guess(0)).count(), AT_ONCE as usize);
        assert_eq!((0..4_000).filter(|after| guess(*after)).count(), 3);
        assert_eq!(attempts.count(), 8);
        // Another user, another host, another key.
        let elsewhere = Some(Peer::Address("192.0.2.1:1".parse().unwrap()));
        assert!(!looked_at("a", user(1), 3_500));
        assert!(
            looked_at("a", user(2), 3_500)
                && looked_at("a", elsewhere, 3_500)
                && looked_at("b", user(1), 3_500)
        );
        // Later it is as before.
        assert_eq!((0..1_000).filter(|_| guess(60_000)).count(), AT_ONCE as usize);
    }

    #[test]
    fn places_are_told_apart_and_have_a_bound() {
        let at = |text: &str| Place::of(Some(Peer::Address(text.parse().unwrap())));
        assert_eq!(at("[2001:db8::1]:1"), at("[2001:db8::2:3:4:5]:2"));
        assert_ne!(at("[2001:db8::1]:1"), at("[2001:db8:0:1::1]:1"));
        assert_eq!(at("192.0.2.1:1"), at("[::ffff:192.0.2.1]:2"));
        assert_ne!(at("192.0.2.1:1"), at("192.0.2.2:1"));
        let closed = Place::of(Some(Peer::Neighbour { address: "127.0.0.1:1".parse().unwrap(), uid: None }));
        assert_ne!(closed, Place::of(user(0)));

        let attempts = Attempts::default();
        let now = Instant::now();
        let wrong = |uid| attempts.refused_at("test", Wrong::Secret("a"), user(uid), now);
        for _ in 0..5 {
            wrong(0);
        }
        for uid in 1..5_000 {
            wrong(uid);
        }
        assert_eq!(attempts.accounts().places.len(), MOST_PLACES);
        // Those with the most stay.
        assert!(attempts.unseen_at("test", "a", user(0), now).is_some());
    }

    #[test]
    fn the_log_hears_of_few() {
        let mut account = Told::default();
        let now = Instant::now();
        let told = (0..12_345).filter(|_| account.tells(now)).count();
        // 1, 10, 100, 1,000, 10,000.
        assert_eq!(told, 5);
        assert!(account.tells(now + COMPLAINT_INTERVAL) && !account.tells(now + COMPLAINT_INTERVAL));
    }
}
