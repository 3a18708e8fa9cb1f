//! What another processor recorded a moment after our clock was read is never old: flows and datagrams. The rate of
//! rejects is tried in `reject_budget.rs`.

use sg_common::{
    flow::{Direction, FlowEntry, FlowKey, PortsProtoNic, State},
    fragment::FragmentEntry,
    packet::{Family, Packet, Part, protocol},
    verdict::{Decision, Reason, Verdict},
};

const ACCEPT: Decision = Decision::new(Verdict::Accept, Reason::Rule, 9);

/// Clocks as one processor read them, with how far ahead another may be.
fn clocks() -> impl Iterator<Item = (u64, u64)> {
    let nows = [0, 1, 1 << 32, u64::MAX - 1, u64::MAX];
    nows.into_iter().flat_map(|now| [1, 2, 1_000].map(|ahead| (now, now.wrapping_add(ahead))))
}

/// Nobody else is there.
fn alone(word: &mut u64, _: u64, after: u64) -> bool {
    *word = after;
    true
}

#[test]
fn a_flow_seen_a_moment_later_lives() {
    let timeouts = [1; 8];
    for (now, then) in clocks() {
        for (protocol, family) in [(protocol::TCP, Family::V4), (protocol::UDP, Family::V6), (47, Family::V4)]
        {
            let key = FlowKey { l4: PortsProtoNic::new((1, 2), 0, protocol, family), ..FlowKey::default() };
            for state in [State::New, State::Established, State::Closing] {
                let opened = FlowEntry::open(&Packet::EMPTY, Direction::Ingress, ACCEPT, 1, 60, then);
                let entry = opened.with_state(state);
                assert!(!entry.is_expired(key.l4, &timeouts, now), "{then} at {now}");
                assert!(entry.is_expired(key.l4, &timeouts, then.wrapping_add(100_000)));
            }
        }
    }
}

#[test]
fn a_datagram_seen_a_moment_later_goes_on() {
    for (now, then) in clocks() {
        let first = Packet { part: Part::First, payload: 34, end: 42, ..Packet::EMPTY };
        let next = Packet { part: Part::Last, offset: 8, ..first };
        let opened = FragmentEntry::open(&first, ACCEPT, 1, then);
        assert_eq!({ opened }.follow(&next, 1, 30, now, alone), Ok(ACCEPT), "{then} at {now}");
        assert_eq!({ opened }.follow(&next, 1, 30, then.wrapping_add(31), alone), Err(Reason::Fragment));
    }
}
