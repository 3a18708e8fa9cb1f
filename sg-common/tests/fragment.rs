//! Fragments follow the first in order, and nothing of a datagram comes twice.

use sg_common::{
    flow::Direction,
    fragment::{COMPLETE, FragmentEntry, FragmentKey},
    packet::{Family, Packet, Part, Tag, Vlan, ethertype},
    verdict::{Decision, Reason, Verdict},
};

const GENERATION: u32 = 4;
const TIMEOUT: u32 = 30;
const ACCEPTED: Decision = Decision::new(Verdict::Accept, Reason::Rule, 9);

/// Nobody else is there.
fn alone(word: &mut u64, before: u64, after: u64) -> bool {
    assert_eq!(*word, before);
    *word = after;
    true
}

/// Somebody else was faster.
fn too_late(_: &mut u64, _: u64, _: u64) -> bool {
    false
}

/// 16 bytes at `offset`.
fn fragment(part: Part, offset: u32) -> Packet {
    Packet { part, offset, payload: 34, end: 50, ..Packet::EMPTY }
}

fn open(now: u64) -> FragmentEntry {
    FragmentEntry::open(&fragment(Part::First, 0), ACCEPTED, GENERATION, now)
}

#[test]
fn they_follow_in_order_until_the_last() {
    let mut entry = open(100);
    let mut follow = |part, offset| entry.follow(&fragment(part, offset), GENERATION, TIMEOUT, 100, alone);
    assert_eq!(follow(Part::Middle, 32), Err(Reason::Fragment), "a gap");
    assert_eq!(follow(Part::Middle, 16), Ok(ACCEPTED));
    for overlap in [8, 16, 24] {
        assert_eq!(follow(Part::Middle, overlap), Err(Reason::FragmentOverlap));
        assert_eq!(follow(Part::Last, overlap), Err(Reason::FragmentOverlap));
    }
    assert_eq!(follow(Part::Last, 32), Ok(ACCEPTED));
    for offset in [32, 48, 64] {
        assert_eq!(follow(Part::Middle, offset), Err(Reason::FragmentOverlap), "it is complete");
        assert_eq!(follow(Part::Last, offset), Err(Reason::FragmentOverlap), "it is complete");
    }
    assert_eq!(entry.next(), COMPLETE);
}

#[test]
fn a_number_is_used_again_when_its_datagram_is_complete_or_too_old() {
    let mut entry = open(100);
    for (now, is_over) in [(99, false), (100, false), (130, false), (131, true), (10_000, true)] {
        assert_eq!(entry.is_over(TIMEOUT, now), is_over, "{now}");
    }
    assert_eq!(entry.follow(&fragment(Part::Middle, 16), GENERATION, TIMEOUT, 130, alone), Ok(ACCEPTED));
    assert!(!entry.is_over(TIMEOUT, 160) && entry.is_over(TIMEOUT, 161));
    assert_eq!(entry.follow(&fragment(Part::Last, 32), GENERATION, TIMEOUT, 140, alone), Ok(ACCEPTED));
    assert!(entry.is_over(TIMEOUT, 140));
}

#[test]
fn another_processor_may_be_a_moment_ahead() {
    let mut entry = open(101);
    assert!(!entry.is_over(TIMEOUT, 100));
    assert_eq!(entry.follow(&fragment(Part::Middle, 16), GENERATION, TIMEOUT, 100, alone), Ok(ACCEPTED));
}

#[test]
fn of_two_processors_one_takes_a_fragment() {
    let mut entry = open(100);
    let before = entry;
    let next = fragment(Part::Middle, 16);
    assert_eq!(entry.follow(&next, GENERATION, TIMEOUT, 105, too_late), Err(Reason::FragmentOverlap));
    assert_eq!(entry, before, "it is the other one's");
    for now in [105, 130] {
        assert!(!entry.begin_anew(&open(now), TIMEOUT, alone), "the other one has just begun");
        assert_eq!(entry, before, "at {now}");
    }
    let complete = FragmentEntry { progress: u64::MAX, ..open(100) };
    for (over, now) in [(open(100), 131), (complete, 105), (complete, 131)] {
        let mut entry = over;
        assert!(!entry.begin_anew(&open(now), TIMEOUT, too_late));
        assert_eq!(entry, over, "who is too late changes nothing");
        let changes = |word: &mut u64, before, after| before != after && alone(word, before, after);
        assert!(entry.begin_anew(&open(now), TIMEOUT, changes));
        assert_eq!(entry, open(now));
    }
}

#[test]
fn none_follows_another_policy_or_after_too_long() {
    let mut entry = open(100);
    let next = fragment(Part::Middle, 16);
    assert_eq!(entry.follow(&next, GENERATION + 1, TIMEOUT, 100, alone), Err(Reason::Fragment));
    assert_eq!(entry.follow(&next, GENERATION, TIMEOUT, 131, alone), Err(Reason::Fragment));
    assert!(!entry.is_over(TIMEOUT, 130), "the receiver still has the first");
    assert_eq!(entry.follow(&next, GENERATION, TIMEOUT, 130, alone), Ok(ACCEPTED));
}

#[test]
fn a_datagram_is_named_as_receivers_name_it() {
    let going = |family, protocol, direction| {
        let packet = Packet { family, protocol, identification: 5, ..Packet::EMPTY };
        FragmentKey::of(3, direction, &packet)
    };
    let of = |family, protocol| going(family, protocol, Direction::Ingress);
    assert_ne!(of(Family::V4, 6), of(Family::V4, 17), "RFC 791 3.2");
    assert_eq!(
        of(Family::V6, 6),
        of(Family::V6, 17),
        "RFC 8200 4.5: the next header of others than the first is ignored"
    );
    let vlan = Vlan::NONE.behind(Tag { kind: ethertype::VLAN, control: 5 });
    let elsewhere = Packet { identification: 5, vlan, ..Packet::EMPTY };
    assert_ne!(FragmentKey::of(3, Direction::Ingress, &elsewhere), of(Family::V4, 0), "in another network");
    // Each direction of each family is another way.
    let ways = [Family::V4, Family::V6].map(|family| {
        [Direction::Ingress, Direction::Egress].map(|direction| going(family, 0, direction).way)
    });
    assert_eq!(ways, [[0, 1], [2, 3]]);
}
