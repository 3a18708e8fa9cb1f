//! Cases are made again from their seed and place, and all kinds of them come up.

use std::collections::BTreeSet;

use sg_receiver::{
    address::{case_of, ends},
    combination::Combination,
    frames::{Family, crc32c, internet},
    stories::STORIES,
    story::{Case, Step},
};

fn told(place: u64, number: u32) -> Case {
    Case::tell((7, place), number, Combination::all()[0])
}

#[test]
fn the_same_seed_and_place_make_the_same_case() {
    for place in 0..2_000 {
        let (one, other) = (told(place, 5), told(place, 5));
        assert_eq!((one.steps, one.lies, one.opened), (other.steps, other.lies, other.opened), "{place}");
    }
}

#[test]
fn another_source_makes_a_case_of_the_same_kind() {
    for place in 0..2_000 {
        let (one, other) = (told(place, 5), told(place, 70_000));
        assert_eq!((one.story, one.steps.len(), &one.lies), (other.story, other.steps.len(), &other.lies));
        let lengths = |case: &Case| -> Vec<usize> {
            let bytes = |step: &Step| match step {
                Step::Frame(bytes) | Step::Reply(bytes) => bytes.len(),
            };
            case.steps.iter().map(bytes).collect()
        };
        assert_eq!(lengths(&one), lengths(&other), "{place}");
    }
}

#[test]
fn all_kinds_come_up_in_both_families() {
    let told: BTreeSet<_> =
        (0..20_000).map(|place| told(place, 5)).map(|case| (case.story, case.ends.family())).collect();
    for story in STORIES {
        for family in Family::ALL {
            assert!(told.contains(&(story.name, family)), "{} over {family:?}", story.name);
        }
    }
}

#[test]
fn a_source_tells_its_case() {
    for family in Family::ALL {
        for number in [1, 0x1234, 0x7f_ffff, 0x80_0001] {
            assert_eq!(case_of(ends(family, number).from), Some(number));
            assert_eq!(case_of(ends(family, number).to), None);
        }
    }
}

#[test]
fn sums_are_what_the_rfcs_say() {
    // RFC 1071 3.
    assert_eq!(internet(&[&[0x00, 0x01, 0xf2, 0x03], &[0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
