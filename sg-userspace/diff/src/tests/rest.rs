//! What is left of a box without other boxes, held against each packet of a small universe.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{
    cell::{Shape, merged},
    decider::service,
    rest::{Bounds, Rests},
    set::{Range, SetId, Sets},
};

/// The largest keys: of two addresses, 40 ports of TCP as the only services, source ports, DSCP.
const TOPS: [u128; 5] = [63, 31, service(6, 39), 7, 1];

/// A set of a dimension, most often all of it.
fn set(random: &mut Rng, sets: &mut Sets, dimension: usize, all_of: u8) -> SetId {
    let from = if dimension == 2 { service(6, 0) } else { 0 };
    let top = TOPS[dimension];
    if random.u8(..10) < all_of {
        return sets.id(vec![Range::new(from, top)], top).unwrap();
    }
    let ranges = (0..random.usize(1..3)).map(|_| {
        let first = random.u128(from..=top);
        Range::new(first, (first + random.u128(0..6)).min(top))
    });
    sets.id(ranges.collect(), top).unwrap()
}

fn has(sets: &Sets, shape: &Shape, packet: &[u128; 5]) -> bool {
    shape
        .iter()
        .zip(packet)
        .all(|(set, key)| sets.ranges(*set).iter().any(|range| (range.first..=range.last).contains(key)))
}

#[test]
fn each_packet_is_left_once_or_is_of_a_box_that_was_taken() {
    let (mut left, mut boxes, mut nothing) = ([0, 0], 0, 0);
    for seed in 0..400 {
        let mut random = Rng::with_seed(seed);
        let mut sets = Sets::new();
        // As firewalls have them: one end is open, or both are named; and as access lists.
        let all_of = [[5, 5, 3, 7, 9], [1, 1, 4, 9, 9], [2, 2, 9, 9, 10]][random.usize(..3)];
        let mut shape = |random: &mut Rng, all_of: [u8; 5]| -> Shape {
            std::array::from_fn(|dimension| set(random, &mut sets, dimension, all_of[dimension]))
        };
        let domain = shape(&mut random, [9; 5]);
        let count = random.usize(..60);
        let taken: Vec<Shape> = (0..count).map(|_| shape(&mut random, all_of)).collect();
        let until = Instant::now() + Duration::from_mins(1);
        let bounds = Bounds { until, memory: usize::MAX };
        // Blocks at every opportunity, too.
        let large = if random.bool() { 1 } else { usize::MAX };
        let mark = sets.count();
        let found =
            Rests::of_large(&mut sets, TOPS, bounds, large).of(domain, taken.iter().copied()).unwrap();
        let is_some = Rests::new(&mut sets, TOPS, bounds).is_some(domain, taken.iter().copied()).unwrap();
        assert_eq!(is_some, !found.is_empty(), "seed {seed}");
        nothing += usize::from(!is_some);
        let mut found = merged(found, &TOPS, &mut sets, until);
        sets.forget(mark, found.iter_mut().flatten());
        boxes += found.len();
        let near = |random: &mut Rng, dimension: usize| {
            let from = if dimension == 2 { service(6, 0) } else { 0 };
            random.u128(from..=TOPS[dimension])
        };
        for _ in 0..2_000 {
            let packet: [u128; 5] = std::array::from_fn(|dimension| near(&mut random, dimension));
            let is_left =
                has(&sets, &domain, &packet) && !taken.iter().any(|shape| has(&sets, shape, &packet));
            let count = found.iter().filter(|shape| has(&sets, shape, &packet)).count();
            assert_eq!(count, usize::from(is_left), "seed {seed}: {packet:?}");
            left[usize::from(is_left)] += 1;
        }
    }
    assert!(left.iter().all(|count| *count > 100_000) && boxes > 10_000, "{left:?} {boxes}");
    assert!(nothing > 10, "{nothing}");
}

#[test]
fn without_memory_nothing_is_said() {
    let mut random = Rng::with_seed(3);
    let mut sets = Sets::new();
    let mut shape = |all_of: u8| -> Shape {
        std::array::from_fn(|dimension| set(&mut random, &mut sets, dimension, all_of))
    };
    let taken: Vec<Shape> = (0..50).map(|_| shape(3)).collect();
    let until = Instant::now() + Duration::from_mins(1);
    let mut of = |memory| {
        Rests::new(&mut sets, TOPS, Bounds { until, memory }).of([SetId::FULL; 5], taken.iter().copied())
    };
    assert!(of(10_000).is_err());
    assert!(of(usize::MAX).is_ok());
}
