//! Two readers of images, the kernel's and the host's, read the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use proptest::prelude::*;
use sg_common::{
    image::{
        Dimension, Header, Keys, MAX_STEPS, NO_BOUND, PARTITION_WORDS, RANKS, Reference, TREES, VERSION,
        Walk, Words, header, inner_control, leaf_control, service_key,
    },
    verdict::{Decision, Reason, Verdict},
};

type Reading = (Option<Header>, Vec<Option<Decision>>, Vec<u64>, Vec<u64>);

fn reading<I: Words + ?Sized>(image: &I, keys: &Keys, places: &[usize]) -> Reading {
    (
        Header::read(image),
        (0..header::WORDS).map(|root| Walk::from(image, root).run(image, keys)).collect(),
        places.iter().map(|&place| image.word(place)).collect(),
        places.iter().map(|&place| image.node_word(place, place >> 3)).collect(),
    )
}

/// As a map's value has it: zero behind the image.
fn padded<const N: usize>(image: &[u64]) -> [u64; N] {
    std::array::from_fn(|index| image.get(index).copied().unwrap_or(0))
}

fn decision(number: u32) -> Decision {
    Decision::new(Verdict::Accept, Reason::Rule, number)
}

/// Words that are often references, controls and bounds that mean something within 64 words.
fn word() -> impl Strategy<Value = u64> {
    let offset = 0..96_u32;
    let dimension = prop::sample::select(&Dimension::ALL[..]);
    prop_oneof![
        (offset.clone(), dimension, any::<bool>())
            .prop_map(|(offset, dimension, paired)| Reference::node(offset, dimension, paired).word()),
        (offset.clone(), any::<bool>()).prop_map(|(offset, paired)| Reference::small(
            offset,
            Dimension::Service,
            paired
        )
        .word()),
        offset.clone().prop_map(|offset| Reference::partition(offset).word()),
        offset.clone().prop_map(leaf_control),
        offset.prop_map(inner_control),
        any::<u32>().prop_map(|number| decision(number).word()),
        (any::<u32>(), 0..RANKS).prop_map(|(number, rank)| Reference::ranked(decision(number), rank).word()),
        (0..RANKS).prop_map(|rank| Reference::lowest(rank).word()),
        Just(NO_BOUND),
        Just(Header::magic_version()),
        0..20_u64,
        any::<u64>(),
    ]
}

fn keys() -> impl Strategy<Value = Keys> {
    prop::array::uniform16(prop_oneof![0..20_u64, any::<u64>(), Just(NO_BOUND), Just(u64::MAX)])
        .prop_map(Keys::from)
}

proptest! {
    #[test]
    fn a_slice_of_any_length_reads_as_the_array_that_the_kernel_has(
        image in prop::collection::vec(word(), 33..=64),
        keys in keys(),
        places in prop::collection::vec(0..200_usize, 16),
    ) {
        prop_assert_eq!(reading(&image[..], &keys, &places), reading(&padded::<64>(&image), &keys, &places));
        let image = &image[..17];
        prop_assert_eq!(reading(image, &keys, &places), reading(&padded::<32>(image), &keys, &places));
    }

    #[test]
    fn decisions_and_references_are_told_apart_by_one_bit(word in any::<u64>()) {
        prop_assert_eq!(Decision::from_word(word).is_some(), word >= 1 << 63);
        if let Some(decision) = Decision::from_word(word) {
            prop_assert_eq!(decision.word(), word);
            prop_assert_eq!(decision.number(), word as u32);
        }
    }
}

#[test]
fn a_walk_has_exactly_so_many_steps() {
    // A chain: each node's table leads to the next node, the last to a decision.
    let accept = decision(7);
    for (steps, wanted) in [(1, Some(accept)), (MAX_STEPS, Some(accept)), (MAX_STEPS + 1, None)] {
        let mut image = [0_u64; 1024];
        image[0] = Reference::node(16, Dimension::Service, false).word();
        for step in 0..steps {
            let node = 16 + step as usize * 16;
            let next = Reference::node(node as u32 + 16, Dimension::Service, false);
            image[node..node + 7].fill(NO_BOUND);
            image[node + 7] = leaf_control(node as u32 + 8);
            image[node + 8..node + 16].fill(next.word());
            if step + 1 == steps {
                image[node + 8..node + 16].fill(accept.word());
            }
        }
        assert_eq!(Walk::from(&image, 0).run(&image, &Keys::default()), wanted, "{steps} steps");
    }
}

/// A partition at word 16 whose trees are decisions: for each the lowest rank that it can give, and the one it gives.
fn partition(trees: &[(u32, u32)]) -> [u64; 64] {
    let mut image = [0_u64; 64];
    image[0] = Reference::partition(16).word();
    image[16..16 + PARTITION_WORDS].fill(u64::MAX);
    for (tree, &(lowest, rank)) in trees.iter().enumerate() {
        image[16 + tree * 2] = Reference::lowest(lowest).word();
        // The number is no order.
        image[17 + tree * 2] = Reference::ranked(decision(u32::MAX - rank), rank).word();
    }
    image
}

#[test]
fn of_a_partition_the_lowest_rank_counts() {
    let last = RANKS - 1;
    for (trees, wanted) in [
        (&[(0, 3), (1, 1), (2, last)][..], 1),
        (&[(0, last), (1, last), (2, last)], last),
        // The second cannot be lower, so it is not asked, and neither is the third.
        (&[(0, 3), (4, 0), (2, 0)], 3),
        (&[(0, 4), (4, 5), (5, 0)], 4),
        (&[(0, 9); TREES], 9),
    ] {
        let image = partition(trees);
        let found = Walk::from(&image, 0).run(&image, &Keys::default());
        assert_eq!(found, Some(decision(u32::MAX - wanted)), "{trees:?}");
    }
}

#[test]
fn a_partition_with_a_damaged_tree_decides_nothing() {
    let image = partition(&[(0, 5), (1, 1)]);
    let ask = |image: &[u64; 64]| Walk::from(image, 0).run(image, &Keys::default());
    assert_eq!(ask(&image), Some(decision(u32::MAX - 1)));
    // A node of zeroes, a partition in a partition, and itself.
    for damaged in [0, Reference::node(48, Dimension::Service, false).word(), Reference::partition(16).word()]
    {
        for root in [17, 19] {
            let mut image = image;
            image[root] = damaged;
            assert_eq!(ask(&image), None, "{damaged:#x} in word {root}");
        }
    }
}

#[test]
fn a_circle_ends() {
    let mut image = [0_u64; 32];
    image[0] = Reference::node(16, Dimension::Service, false).word();
    image[16..23].fill(NO_BOUND);
    image[23] = inner_control(16);
    assert_eq!(Walk::from(&image, 0).run(&image, &Keys::default()), None);
}

#[test]
fn a_header_of_another_version_is_not_read() {
    let mut image = [0_u64; 16];
    image[header::MAGIC_VERSION] = Header::magic_version();
    image[header::GENERATION_FLAGS] = 5 << 32 | 0xffff_ffff;
    image[header::COUNTERS] = 128;
    assert_eq!(Header::read(&image), Some(Header { generation: u32::MAX, flags: 5, counters: 128 }));
    for wrong in [u64::from(VERSION), Header::magic_version() + 1, Header::magic_version() | NO_BOUND] {
        image[header::MAGIC_VERSION] = wrong;
        assert_eq!(Header::read(&image), None, "{wrong:#x}");
    }
}

#[test]
fn services_are_ordered_by_protocol_then_port() {
    assert_eq!(service_key(6, 22), 0x06_0016);
    assert!(service_key(6, u16::MAX) < service_key(7, 0));
    assert_eq!(service_key(255, u16::MAX), 0xff_ffff);
}
