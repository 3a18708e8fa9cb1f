//! The layouts of the words that global functions pass: every field comes back whatever the others are, and a result that is no
//! decision is never taken for one.

use sg_common::{
    flow::{
        Direction::{self, Egress, Ingress},
        First,
    },
    packed::{
        ClaimKind, ExceptionArgs, ExceptionResult, FlowLookup, FlowScope, FollowResult, FrameWord,
        InsertArgs, LookupArgs, LookupResult, ParseResult, RevalidateArgs, RingStep, Takeover,
    },
    packet::{Family, Packet, Payload},
    verdict::{Decision, Reason, Verdict},
};

const DIRECTIONS: [Direction; 2] = [Ingress, Egress];
const BOTH: [bool; 2] = [false, true];
const SLOTS: [u16; 5] = [0, 1, 0x55aa, 1023, u16::MAX];

/// Both directions, with no field of the packet and with all of them.
fn firsts() -> impl Iterator<Item = First> {
    let plain = DIRECTIONS.map(|direction| First::of(&Packet::EMPTY, direction));
    plain.into_iter().flat_map(|first| [first, First::from_word(first.word() | First::WORD & !1)])
}

fn decisions() -> impl Iterator<Item = Decision> {
    let verdicts = [Verdict::Accept, Verdict::Drop, Verdict::Reject];
    let with = move |verdict| Reason::ALL.map(|reason| Decision::new(verdict, reason, u32::MAX));
    verdicts.into_iter().flat_map(with)
}

/// Every result of a lookup that is no decision.
fn results() -> Vec<LookupResult> {
    let mut all = vec![
        LookupResult::AGAIN,
        LookupResult::MISS,
        LookupResult::NEEDS_POLICY,
        LookupResult::RELATED,
        LookupResult::CORRUPT,
    ];
    for first in firsts() {
        for either in BOTH {
            all.extend([LookupResult::stale(first, either), LookupResult::closed(first, either)]);
        }
    }
    all
}

#[test]
fn a_scope_is_a_slot_and_a_direction() {
    assert_eq!(FlowScope { slot: 0x1234, direction: Egress }.word(), 0x1234_0000_0001);
    for slot in SLOTS {
        for direction in DIRECTIONS {
            let scope = FlowScope { slot, direction };
            assert_eq!(FlowScope::of(scope.word()), scope);
        }
    }
}

#[test]
fn an_exception_has_a_scope_and_an_offset() {
    let args = ExceptionArgs::new(FlowScope { slot: 0x1234, direction: Egress }, 22).trusted();
    assert_eq!(args.word(), 0x1234_0000_1603);
    for slot in SLOTS {
        for direction in DIRECTIONS {
            let scope = FlowScope { slot, direction };
            // The longest Ethernet header has two tags.
            for network in [0, 14, 18, 22, 255] {
                let args = ExceptionArgs::new(scope, network);
                for (args, trusted) in [(args, false), (args.trusted(), true)] {
                    let args = ExceptionArgs::of(args.word());
                    assert_eq!((args.scope(), args.network(), args.is_trusted()), (scope, network, trusted));
                }
            }
        }
    }
}

#[test]
fn arguments_of_a_lookup_come_back() {
    assert_eq!(LookupArgs::new(Egress, true, true).word(), 0b1101);
    for direction in DIRECTIONS {
        for error in BOTH {
            for judged in BOTH {
                let args = LookupArgs::of(LookupArgs::new(direction, error, judged).word());
                assert_eq!((args.direction(), args.is_error(), args.is_judged()), (direction, error, judged));
            }
        }
    }
}

#[test]
fn arguments_of_a_revalidation_come_back() {
    assert_eq!(RevalidateArgs::new(First::of(&Packet::EMPTY, Egress), true).word(), 0b101);
    for first in firsts() {
        for error in BOTH {
            let args = RevalidateArgs::of(RevalidateArgs::new(first, error).word());
            assert_eq!((args.first(), args.is_error()), (first, error));
        }
    }
}

/// An entry is updated by the arguments of an insert, read as those of a lookup.
#[test]
fn arguments_of_an_insert_come_back() {
    assert_eq!(InsertArgs::open(Egress, true, true).word(), 0b1_0011);
    let outbound = First::of(&Packet::EMPTY, Egress);
    assert_eq!(InsertArgs::reopen(Egress, outbound, true).word(), 0b110_0011);
    let same = |args: InsertArgs, direction| {
        let args = LookupArgs::of(args.word());
        assert_eq!((args.direction(), args.is_error(), args.is_judged()), (direction, false, false));
    };
    for direction in DIRECTIONS {
        for either in BOTH {
            for has_entry in BOTH {
                let args = InsertArgs::of(InsertArgs::open(direction, has_entry, either).word());
                assert_eq!((args.direction(), args.has_entry()), (direction, has_entry));
                assert_eq!((args.is_either(), args.reopened()), (either, None));
                same(args, direction);
            }
            for first in firsts() {
                let args = InsertArgs::of(InsertArgs::reopen(direction, first, either).word());
                assert_eq!((args.direction(), args.has_entry()), (direction, false));
                assert_eq!((args.is_either(), args.reopened()), (either, Some(first)));
                same(args, direction);
            }
        }
    }
}

#[test]
fn results_of_a_lookup_are_told_apart() {
    let all = results();
    for (at, result) in all.iter().enumerate() {
        assert_eq!(result.decision(), None, "{result:?}");
        assert!(!all[..at].contains(result), "{result:?} twice");
    }
    assert_eq!(LookupResult::MISS.decode(), FlowLookup::Miss);
    assert_eq!(LookupResult::NEEDS_POLICY.decode(), FlowLookup::NeedsPolicy);
    assert_eq!(LookupResult::RELATED.decode(), FlowLookup::Related);
    assert_eq!(LookupResult::CORRUPT.decode(), FlowLookup::Corrupt);
    for first in firsts() {
        for either in BOTH {
            assert_eq!(LookupResult::stale(first, either).decode(), FlowLookup::Stale(first, either));
            assert_eq!(LookupResult::closed(first, either).decode(), FlowLookup::Closed(first, either));
        }
    }
    for decision in decisions() {
        assert_eq!(LookupResult::hit(decision).decode(), FlowLookup::Hit(decision));
    }
    // A full lookup is required, and never the result of one.
    assert_eq!(LookupResult::AGAIN.word(), 0);
}

#[test]
fn a_frame_is_a_decision_or_a_payload_with_a_lookup() {
    let mut payloads = vec![];
    for offset in [0, 14, 22, 0x3fff] {
        payloads.extend([
            Payload::Ip(Family::V4, offset),
            Payload::Ip(Family::V6, offset),
            Payload::Arp(offset),
        ]);
    }
    for payload in &payloads {
        let word = FrameWord::from_payload(*payload);
        let is_ip = matches!(payload, Payload::Ip(..));
        assert_eq!((word.decision(), word.has_flow(), word.lookup()), (None, false, None));
        for word in
            [word, word.with_flow()].into_iter().chain(results().iter().map(|to| word.with_lookup(*to)))
        {
            let word = FrameWord::of(word.word());
            assert_eq!((word.payload(), word.decision()), (*payload, None));
            assert_eq!((word.is_ip(), word.announces_ip()), (is_ip, is_ip));
        }
        assert!(word.with_flow().has_flow() && word.with_flow().lookup().is_none());
        for result in results() {
            let word = word.with_lookup(result);
            let known = (result != LookupResult::AGAIN).then(|| result.decode());
            assert_eq!((word.has_flow(), word.lookup()), (true, known));
        }
    }
    for decision in decisions() {
        let word = FrameWord::from_decision(decision);
        assert_eq!((word.decision(), word.is_ip()), (Some(decision), true));
    }
}

#[test]
fn a_frame_that_is_refused_keeps_its_reason() {
    for (reason, kept) in [
        (Reason::NotIp, Reason::NotIp),
        (Reason::TooManyHeaders, Reason::TooManyHeaders),
        (Reason::Malformed, Reason::Malformed),
        (Reason::VlanTag, Reason::Malformed),
    ] {
        let word = FrameWord::from_payload(Payload::Refused(reason));
        assert_eq!((word.payload(), word.is_ip()), (Payload::Refused(kept), false), "{reason:?}");
    }
    assert_eq!(FrameWord::MALFORMED.payload(), Payload::Refused(Reason::Malformed));
    assert_eq!(FrameWord::TOO_MANY_HEADERS.payload(), Payload::Refused(Reason::TooManyHeaders));
    assert_eq!(FrameWord::from_payload(Payload::Refused(Reason::Malformed)), FrameWord::MALFORMED);
}

#[test]
fn a_parsed_packet_is_no_reason() {
    assert_eq!(ParseResult::from_result(Ok(())), ParseResult::READ);
    for reason in Reason::ALL {
        assert_ne!(ParseResult::from_result(Err(reason)), ParseResult::READ);
    }
    assert_eq!(ParseResult::from_result(Err(Reason::Malformed)), ParseResult::MALFORMED);
    assert_eq!(ParseResult::from_result(Err(Reason::TooManyHeaders)), ParseResult::TOO_MANY_HEADERS);
}

#[test]
fn a_claim_is_of_arp_or_an_advertisement() {
    for direction in DIRECTIONS {
        let kind = ClaimKind::of(ClaimKind::arp(direction).word());
        assert_eq!(kind.direction(), direction);
        assert_ne!(kind, ClaimKind::ADVERTISEMENT);
    }
}

#[test]
fn a_later_fragment_follows_or_has_a_reason() {
    for decision in decisions() {
        assert_eq!(FollowResult::from_result(Ok(decision)).result(), Ok(decision));
    }
    for reason in [Reason::Fragment, Reason::FragmentOverlap, Reason::ImageFault] {
        assert_eq!(FollowResult::from_result(Err(reason)).result(), Err(reason));
    }
    // What no function returns.
    assert_eq!(FollowResult::of(0).result(), Err(Reason::Fragment));
}

#[test]
fn steps_and_exceptions_are_told_apart() {
    let steps = [RingStep::COMMON, RingStep::OWN, RingStep::OWN_IF_FREE];
    let ends = [RingStep::PLACED, RingStep::NO_PLACES, RingStep::EVICTED];
    assert!(steps.iter().all(|step| !step.is_last()) && ends.iter().all(|step| step.is_last()));
    let words = |words: &[u64]| words.iter().copied().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(words(&[steps, ends].concat().iter().map(|step| step.word()).collect::<Vec<_>>()), 6);
    let exceptions = [
        ExceptionResult::MISS,
        ExceptionResult::DHCP,
        ExceptionResult::DISCOVERY,
        ExceptionResult::TO_A_SERVER,
        ExceptionResult::UNREAD,
    ];
    assert_eq!(words(&exceptions.map(ExceptionResult::word)), 5);
}

#[test]
fn a_takeover_comes_back() {
    for takeover in [
        Takeover::OneWay,
        Takeover::EitherWay,
        Takeover::Refused(Verdict::Reject),
        Takeover::Refused(Verdict::Drop),
    ] {
        assert_eq!(Takeover::of(takeover.word()), takeover);
    }
    // What no function returns lets nothing pass.
    assert_eq!(Takeover::of(u64::MAX), Takeover::Refused(Verdict::Drop));
}
