//! How often senders of rejected packets are told, and what an observer learns from how often he is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::collections::BTreeMap;

use sg_common::{
    packet::Address,
    reject::{BURST, Mark, PEERS, RateLimit, SHARE},
};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const SECRET: u64 = 0x0123_4567_89ab_cdef;

/// Budgets of one NIC and its peers, with a clock and dice.
struct Budgets {
    now: u64,
    nic: u64,
    peers: Vec<u64>,
    dice: u64,
}

impl Budgets {
    fn new(seed: u64) -> Self {
        Self {
            now: 5 * SECOND,
            nic: 0,
            peers: vec![0; PEERS],
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    fn dice(&mut self) -> u32 {
        // xorshift64* (Vigna).
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        (self.dice.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// Whether `peer` is told, at a thousand rejects in a second.
    fn told(&mut self, peer: u64) -> bool {
        let limit = RateLimit { now: self.now, interval: MILLISECOND };
        let dice = self.dice();
        let peer = limit.peer(SECRET, 0, Address { high: peer, low: 0 }) as usize;
        if !limit.allows(self.nic, self.peers[peer], dice) {
            return false;
        }
        limit.spend(&mut self.nic, &mut self.peers[peer], dice);
        true
    }

    fn count(&mut self, packets: u64, peer: impl Fn(u64) -> u64) -> u64 {
        (0..packets).map(|packet| u64::from(self.told(peer(packet)))).sum()
    }
}

#[test]
fn rejects_keep_to_their_rate_after_a_burst() {
    let mut budgets = Budgets::new(1);
    let bursts = |budgets: &mut Budgets, peers: u64, expected: std::ops::RangeInclusive<u64>| {
        let mut total = 0;
        for _ in 0..200 {
            budgets.now += 10 * SECOND;
            let burst = budgets.count(500, |packet| packet % peers);
            assert!((1..=3 * BURST).contains(&burst), "{burst}");
            total += burst;
        }
        assert!(expected.contains(&(total / 200)), "{} a burst on the average", total / 200);
    };
    bursts(&mut budgets, 100, BURST - 20..=BURST + 5);
    bursts(&mut budgets, 1, BURST / SHARE - 4..=BURST / SHARE + 2);

    // Ten thousand a second are asked for during ten seconds: a thousand a second are sent, a quarter of that for one.
    for (peers, rate) in [(100, 1_000), (1, 250)] {
        budgets.now += 10 * SECOND;
        let mut sent = 0;
        for packet in 0..100_000 {
            budgets.now += SECOND / 10_000;
            sent += u64::from(budgets.told(packet % peers));
        }
        assert!((rate * 95 / 10..=rate * 105 / 10 + 2 * BURST).contains(&sent), "{sent} for {peers}");
    }
}

#[test]
fn without_a_rate_nobody_is_told() {
    let none = RateLimit { now: SECOND, interval: 0 };
    assert!((0..1_000).all(|dice| !none.allows(0, 0, dice << 20 | dice)));
    assert!((none.peer(SECRET, 1, Address { high: 1, low: 2 }) as usize) < PEERS);
}

/// Another processor wrote down what is due, a moment later by its clock, or long ago.
#[test]
fn clocks_of_two_processors_may_differ() {
    let limit = RateLimit { now: SECOND, interval: MILLISECOND };
    for due in [0, SECOND - 1, SECOND, SECOND + 1, SECOND + 5 * MILLISECOND] {
        assert!(limit.allows(due, 0, 0) && limit.allows(0, due, 0), "{due}");
        let (mut nic, mut peer) = (due, due);
        limit.spend(&mut nic, &mut peer, u32::MAX);
        let from = due.max(SECOND);
        assert_eq!((nic, peer), (from + 2 * MILLISECOND, from + 2 * SHARE * MILLISECOND));
    }
    assert!(!limit.allows(SECOND + 60 * MILLISECOND, 0, 0));
    // A clock near its end.
    let limit = RateLimit { now: u64::MAX - 1, interval: MILLISECOND };
    let (mut nic, mut peer) = (0, 0);
    limit.spend(&mut nic, &mut peer, u32::MAX);
    assert!(limit.allows(nic, peer, 0));
}

#[test]
fn peers_share_a_budget_by_chance_and_not_for_long() {
    let at = |now, secret, nic, peer: u64| {
        RateLimit { now, interval: MILLISECOND }.peer(secret, nic, Address { high: peer, low: !peer })
    };
    // Even: of so many budgets none has many times what it should have.
    let mut found = vec![0_u32; PEERS];
    for peer in 0..16 * PEERS as u64 {
        found[at(0, SECRET, 0, peer) as usize] += 1;
    }
    assert!(
        found.iter().all(|&count| count < 16 * 4) && found.iter().filter(|&&count| count == 0).count() < 10
    );
    // Whom somebody shares with changes with the address, the NIC, the secret and the time.
    let differs = |other: &dyn Fn(u64) -> u32| {
        (0..1_000).filter(|&peer| at(0, SECRET, 0, peer) != other(peer)).count() > 990
    };
    assert!(differs(&|peer| at(0, SECRET, 0, peer + 1)));
    assert!(differs(&|peer| at(0, SECRET, 0, peer << 32)));
    assert!(differs(&|peer| at(0, SECRET, 1, peer)));
    assert!(differs(&|peer| at(0, SECRET ^ 1, 0, peer)));
    assert!(differs(&|peer| at(2 * SECOND, SECRET, 0, peer)));
    assert!(!differs(&|peer| at(SECOND / 2, SECRET, 0, peer)));
    // Two that share one now are apart afterwards.
    let mut shared: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for peer in 0..1_000 {
        shared.entry(at(0, SECRET, 0, peer)).or_default().push(peer);
    }
    let pairs: Vec<&Vec<u64>> = shared.values().filter(|peers| peers.len() == 2).collect();
    let still =
        |peers: &&&Vec<u64>| at(2 * SECOND, SECRET, 0, peers[0]) == at(2 * SECOND, SECRET, 0, peers[1]);
    assert!(pairs.len() > 20 && pairs.iter().filter(still).count() < 3, "{}", pairs.len());
}

/// How much better than by a coin an observer tells, from how many rejects he got in one try, whether the victim used one more:
/// the greatest difference of the two distributions (Kolmogorov and Smirnov). 1: he knows; 0: he learns nothing.
fn advantage(tries: u64, observe: impl Fn(&mut Budgets, u64) -> u64) -> f64 {
    const SEEN: usize = 200;
    let mut seen = [[0_u64; SEEN]; 2];
    for (open, seen) in seen.iter_mut().enumerate() {
        for attempt in 0..tries {
            let mut budgets = Budgets::new(attempt * 2 + open as u64 + 1);
            // One of the ports that are tried belongs to a flow, or none: as many packets are rejected.
            seen[observe(&mut budgets, 1 - open as u64) as usize] += 1;
        }
    }
    let mut ahead = 0_i64;
    let most = (0..SEEN).map(|rejects| {
        ahead += seen[0][rejects].cast_signed() - seen[1][rejects].cast_signed();
        ahead.unsigned_abs()
    });
    f64::from(u32::try_from(most.max().unwrap()).unwrap()) / f64::from(u32::try_from(tries).unwrap())
}

#[test]
fn the_number_of_rejects_does_not_tell_what_a_victim_used() {
    const VICTIM: u64 = 1_000;
    const OBSERVER: u64 = 2_000;
    const TRIES: u64 = 20_000;
    // As many packets in the victim's name as there are rejects at once, then one of his own (CVE-2020-25705).
    let classic = advantage(TRIES, |budgets, more| {
        budgets.count(BURST - 1 + more, |_| VICTIM);
        budgets.count(1, |_| OBSERVER)
    });
    assert!(classic < 0.02, "{classic}");
    // As few that the victim's share is not used up, and all the rest in other names; then some of his own.
    for own in [1, 3, 12] {
        let rest = advantage(TRIES, |budgets, more| {
            budgets.count(4 + more, |_| VICTIM);
            budgets.count(BURST - 10, |packet| 10 + packet / 4);
            budgets.count(own, |_| OBSERVER)
        });
        assert!(rest < 0.15, "{rest} with {own}");
    }
}

#[test]
fn neither_part_of_a_mark_is_what_most_packets_have() {
    for (mark, token) in [(0, 0), (0, 7), (7, 0), (u32::MAX, u32::MAX), (1 << 31, 1)] {
        let made = Mark::from_word(Mark::new(mark, token).word());
        assert_eq!((made.mark(), made.token()), (mark.max(1), token.max(1)));
    }
}
