//! What an entry says of a packet: of its connection, of another one of the same ends, or of none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod two_ends;

use sg_common::{
    flow::{Direction, First, FlowEntry, FlowKey, Found, PortsProtoNic as Names, State, Timeouts, flags},
    packet::{Family, IpFields, Packet},
};
use two_ends::{ACCEPT, ACK, DROP, FIN, ORIGINAL, REPLY, RST, SYN, TwoEnds, find, recorded, way};

#[test]
fn what_is_dropped_changes_nothing() {
    let mut connection = TwoEnds::established();
    let entry = connection.entry.as_mut().unwrap();
    entry.revalidate(DROP, 2);
    let before = *entry;
    for side in [ORIGINAL, REPLY] {
        for tcp_flags in [ACK, RST, RST | ACK, FIN | ACK, SYN | ACK, FIN | RST] {
            for data in [0, 100] {
                let packet = TwoEnds { entry: None, ..connection }.packet(6, side, tcp_flags, data);
                let found = find(connection.entry.as_mut().unwrap(), side, &packet, 2, 700);
                assert_eq!(found, Found::Decided(DROP.word()));
                assert_eq!(connection.entry, Some(before), "{tcp_flags}");
            }
        }
    }
    // What has no numbers is known while an end goes on trying, and by nothing else.
    let mut udp =
        FlowEntry::open(&Packet { protocol: 17, ..Packet::EMPTY }, Direction::Egress, ACCEPT, 1, 60, 1);
    udp.revalidate(DROP, 2);
    let before = udp;
    let packet = Packet { protocol: 17, ..Packet::EMPTY };
    assert_eq!(find(&mut udp, REPLY, &packet, 2, 100), Found::Decided(DROP.word()));
    assert_eq!(udp, FlowEntry { last_seen: 100, ..before });
}

#[test]
fn a_syn_changes_nothing_before_its_reply() {
    for side in [ORIGINAL, REPLY] {
        for ended in [false, true] {
            let mut connection = TwoEnds::established();
            if ended {
                connection.send(6, ORIGINAL, RST, 0);
            }
            let before = connection.entry.unwrap();
            for end in [ORIGINAL, REPLY] {
                let reply = Packet { acknowledgement: 0, ..connection.packet(6, end, SYN | ACK, 0) };
                assert_eq!(before.begun_anew_by(&reply, way(end)), None, "nobody asked");
            }
            let ip = IpFields { hop_limit: 64, dscp: 46 };
            let forged = Packet { sequence: 77_000_000, ip, ..TwoEnds::new().packet(6, side, SYN, 0) };
            let entry = connection.entry.as_mut().unwrap();
            assert_eq!(find(entry, side, &forged, 1, 500), Found::NeedsPolicy);
            assert!(!entry.note_request(&forged, way(side), (ACCEPT, 1), 74, 500));
            let known = |entry: &FlowEntry| {
                (entry.state(), entry.direction(), entry.sent, entry.last_seen, entry.packets)
            };
            assert_eq!(known(entry), known(&before));
            // A reply to something else is of the old connection.
            for acknowledgement in [0, 77_000_000, 77_000_002] {
                let other = Packet { acknowledgement, ..connection.packet(6, side ^ 1, SYN | ACK, 0) };
                let found = find(&mut connection.entry.unwrap(), side ^ 1, &other, 1, 501);
                assert_eq!(found, Found::Decided(ACCEPT.word()));
            }
            let reply =
                Packet { acknowledgement: 77_000_001, ..connection.packet(6, side ^ 1, SYN | ACK, 0) };
            assert_eq!(
                connection.entry.unwrap().begun_anew_by(&reply, way(side)),
                None,
                "not of its own end"
            );
            // Another processor saw a packet of the old connection meanwhile, and writes the state that it found.
            let overwritten = FlowEntry { status: before.status, ..connection.entry.unwrap() };
            let first = First::of(&forged, way(side));
            assert_eq!(overwritten.begun_anew_by(&reply, way(side ^ 1)), Some(first));
            let entry = connection.entry.as_mut().unwrap();
            assert_eq!(find(entry, side ^ 1, &reply, 1, 501), Found::Stale(first, false));
            // Where the rules refuse it, all stays as it was.
            let mut refused = *entry;
            refused.begin_anew(first, DROP, 1, 501);
            assert_eq!(known(&refused), known(&before));
            assert_eq!(refused.pending_first, 0);
            assert_eq!(refused.begun_anew_by(&reply, way(side ^ 1)), None, "nothing is pending any more");
            entry.begin_anew(first, ACCEPT, 3, 501);
            assert_eq!(entry.first.dscp(), 46);
            assert_eq!((entry.packets, entry.bytes, entry.generation), ([1, 0], [74, 0], 3));
            assert_eq!((entry.first, entry.state(), entry.flags()), (first, State::New as u8, flags::SYN));
            let judged = recorded(entry, side ^ 1, &reply, (true, 3), 501);
            assert_eq!((judged, entry.state()), (Found::Decided(ACCEPT.word()), State::Established as u8));
            assert_eq!((entry.packets, entry.sent), ([1, 1], [77_000_001, reply.sequence_end()]));
        }
    }
}

/// Between the judgement and its record, another processor may see that SYN again, with another value of a field.
#[test]
fn a_connection_that_begins_anew_remembers_the_syn_that_was_judged() {
    let mut connection = TwoEnds::established();
    let entry = connection.entry.as_mut().unwrap();
    let syn = Packet { sequence: 77_000_000, ..TwoEnds::new().packet(6, REPLY, SYN, 0) };
    assert!(!entry.note_request(&syn, way(REPLY), (ACCEPT, 1), 74, 500));
    let judged = First::from_word(First::of(&syn, way(REPLY)).word() | First::WORD);
    entry.begin_anew(judged, ACCEPT, 3, 501);
    assert_eq!((entry.first, entry.pending_first), (judged, 0));
    assert_eq!((entry.sent, entry.bytes), ([77_000_001, 0], [74, 0]));
}

#[test]
fn the_same_syn_again_is_the_same_connection() {
    let mut connection = TwoEnds::new();
    let syn = connection.packet(6, ORIGINAL, SYN, 0);
    connection.send(6, ORIGINAL, SYN, 0);
    let entry = connection.entry.as_mut().unwrap();
    assert!(entry.note_request(&syn, Direction::Egress, (ACCEPT, 1), 60, 0));
    assert_eq!((entry.packets, entry.last_seen, entry.flags()), ([1, 0], 0, flags::SYN));
    // Another number is another connection.
    assert!(!entry.note_request(&Packet { sequence: 5, ..syn }, Direction::Egress, (ACCEPT, 1), 60, 0));
    assert_eq!((entry.packets, entry.last_seen), ([1, 0], 0));
    let pending = First::of(&syn, Direction::Egress).pending();
    assert_eq!((entry.flags(), entry.pending_first, entry.pending_syn), (flags::SYN, pending, 6));
}

#[test]
fn of_two_syns_without_reply_the_last_one_is_pending() {
    let mut connection = TwoEnds::established();
    let before = connection.entry.unwrap();
    let entry = connection.entry.as_mut().unwrap();
    // A frame of more bytes than are counted is one of 255.
    for (number, (length, counted)) in
        (1..).zip([(60, 60), (254, 254), (255, 255), (256, 255), (1_514, 255), (70, 70)])
    {
        for side in [ORIGINAL, REPLY, REPLY, ORIGINAL] {
            let ip = IpFields { hop_limit: 64, dscp: number as u8 };
            let syn = Packet { sequence: number, ip, ..TwoEnds::new().packet(6, side, SYN, 0) };
            assert!(!entry.note_request(&syn, way(side), (ACCEPT, 1), length, 9));
            let wanted = FlowEntry {
                pending_first: First::of(&syn, way(side)).pending(),
                pending_syn: number + 1,
                pending_length: counted,
                ..before
            };
            assert_eq!(*entry, wanted);
        }
    }
}

/// An association of SCTP: whoever asks for one meets the rules. Accepted, the flow goes on as it was, and where it was revoked
/// it begins anew.
#[test]
fn an_init_meets_the_rules() {
    const SCTP: u8 = 132;
    for side in [ORIGINAL, REPLY] {
        let mut connection = TwoEnds::new();
        let data = Packet { header: 0, ..connection.packet(SCTP, ORIGINAL, 0, 0) };
        connection.see(ORIGINAL, &Packet { tcp_flags: SYN, ..data });
        connection.see(REPLY, &data);
        let entry = connection.entry.as_mut().unwrap();
        assert_eq!(recorded(entry, side, &data, (false, 1), 10), Found::Decided(ACCEPT.word()));
        let init = Packet { tcp_flags: SYN, ..data };
        assert_eq!(find(entry, side, &init, 1, 11), Found::NeedsPolicy);
        let before = *entry;
        assert!(entry.note_request(&init, way(side), (ACCEPT, 1), 60, 11));
        assert_eq!(*entry, before);
        entry.revalidate(DROP, 2);
        assert_eq!(find(entry, side, &data, 2, 12), Found::Decided(DROP.word()));
        assert_eq!(find(entry, side, &init, 2, 13), Found::NeedsPolicy);
        assert_eq!(entry.last_seen, 13, "a revoked end that goes on trying stays known");
        assert!(!entry.note_request(&init, way(side), (ACCEPT, 2), 60, 14));
        assert_eq!((entry.direction(), entry.is_revoked(), entry.packets), (way(side), false, [1, 0]));
    }
}

/// A SYN alone gives no passage to an older connection of the same ends.
#[test]
fn what_is_no_reply_to_a_syn_is_of_no_known_flow() {
    let mut connection = TwoEnds::new();
    connection.send(6, ORIGINAL, SYN, 0);
    let says = |packet: Packet| {
        let mut entry = connection.entry.unwrap();
        let before = entry;
        let found = find(&mut entry, REPLY, &packet, 1, 9);
        if found == Found::Miss || entry == before { found } else { Found::Decided(1) }
    };
    let reply = TwoEnds::new().packet(6, REPLY, ACK, 0);
    let syn = connection.next[ORIGINAL];
    let recorded = Found::Decided(1);
    let passes = Found::Decided(ACCEPT.word());
    let data = |packet: Packet| Packet { end: packet.end + 100, ..packet };
    let of = |tcp_flags, acknowledgement| Packet { tcp_flags, acknowledgement, ..reply };
    assert_eq!(says(of(SYN | ACK, syn)), recorded);
    assert_eq!(says(of(RST | ACK, syn)), recorded);
    assert_eq!(says(data(of(ACK, syn.wrapping_add(1_000)))), recorded, "the reply itself went another way");
    assert_eq!(
        says(of(ACK, syn ^ 1 << 31)),
        passes,
        "the reply of an end that still has an older connection"
    );
    assert_eq!(says(of(RST, 0)), passes);
    assert_eq!(says(data(of(ACK, syn ^ 1 << 31))), Found::Miss);
    assert_eq!(says(data(of(0, 0))), Found::Miss);
    assert_eq!(says(data(of(FIN, syn))), Found::Miss);
    // Of a connection that was seen from its middle nobody knows what was asked.
    let mut connection = TwoEnds::new();
    connection.send(6, ORIGINAL, ACK, 100);
    for packet in [of(ACK, syn ^ 1 << 31), data(of(ACK, syn ^ 1 << 31)), data(of(0, 0))] {
        assert_eq!(find(&mut connection.entry.unwrap(), REPLY, &packet, 1, 9), Found::Decided(ACCEPT.word()));
    }
}

#[test]
fn a_request_for_another_connection_is_left_to_the_policy_unless_the_flow_was_revoked() {
    let established = TwoEnds::established().entry.unwrap();
    let mut asked = TwoEnds::new();
    asked.send(6, ORIGINAL, SYN, 0);
    let asked = asked.entry.unwrap();
    let revoked = |mut entry: FlowEntry| {
        entry.revalidate(DROP, 1);
        entry
    };
    for (what, entry, side, tcp_flags, is_left) in [
        ("a SYN of the opener", established, ORIGINAL, SYN, true),
        ("a SYN of the other end", established, REPLY, SYN, true),
        ("a reply to it", established, REPLY, SYN | ACK, false),
        ("an acknowledgement", established, ORIGINAL, ACK, false),
        ("the same SYN again", asked, ORIGINAL, SYN, true),
        ("a SYN of the other end at once", asked, REPLY, SYN, false),
        ("a SYN where the flow was revoked", revoked(established), ORIGINAL, SYN, false),
        ("an acknowledgement where it was", revoked(established), ORIGINAL, ACK, false),
    ] {
        let packet = TwoEnds::new().packet(6, side, tcp_flags, 0);
        assert_eq!(entry.only_leaves_to_policy(&packet, way(side)), is_left, "{what}");
        let meets = find(&mut { entry }, side, &packet, 1, 5) == Found::NeedsPolicy;
        assert_eq!(meets && !entry.is_revoked(), is_left, "{what}");
    }
}

/// RFC 9293 3.5: both ends ask, and neither has a reply.
#[test]
fn a_connection_is_opened_at_once_where_both_ends_asked_and_nothing_else_was_received() {
    let mut asked = TwoEnds::new();
    asked.send(6, ORIGINAL, SYN, 0);
    let asked = asked.entry.unwrap();
    let mut revoked = asked;
    revoked.revalidate(DROP, 1);
    let mut mid_stream = TwoEnds::new();
    mid_stream.send(6, ORIGINAL, ACK, 100);
    let established = TwoEnds::established().entry.unwrap();
    for (what, entry, by_the_other) in [
        ("asked", asked, true),
        ("asked, and revoked", revoked, false),
        ("seen from its middle", mid_stream.entry.unwrap(), false),
        ("established", established, false),
        ("ended", asked.with_state(State::Closing), false),
    ] {
        assert_eq!(entry.is_opened_at_once(way(REPLY)), by_the_other, "{what}");
        assert!(!entry.is_opened_at_once(way(ORIGINAL)), "{what}");
    }
}

#[test]
fn a_stale_flow_says_which_ways_the_policy_is_asked() {
    for (either, flag) in [(false, 0), (true, flags::EITHER_WAY)] {
        let connection = TwoEnds::established();
        let mut entry = connection.entry.unwrap();
        entry.status |= flag;
        let first = entry.first;
        for side in [ORIGINAL, REPLY] {
            let packet = connection.packet(6, side, ACK, 100);
            for error in [false, true] {
                let mut found = |judged| entry.find(&packet, way(side), (error, judged), (2, true), 5);
                assert_eq!(found(false), Found::Stale(first, either));
                let after = if error { Found::Related } else { Found::Passes(ACCEPT.word()) };
                assert_eq!(found(true), after, "it was judged for this packet");
            }
        }
    }
}

/// In jiffies.
const TIMEOUTS: Timeouts = [30, 910, 3, 31, 180, 32, 33, 181];

#[test]
fn an_established_flow_with_recent_packets_is_in_use() {
    for (protocol, family, seldom) in [
        (6, Family::V4, 30),
        (6, Family::V6, 30),
        (17, Family::V4, 31),
        (1, Family::V4, 32),
        (58, Family::V6, 32),
        (47, Family::V4, 33),
    ] {
        let key = FlowKey { l4: Names::new((80, 40_000), 0, protocol, family), ..FlowKey::default() };
        let entry = FlowEntry { last_seen: 1_000, ..FlowEntry::default() }.with_state(State::Established);
        for (now, in_use) in [(999, true), (1_000, true), (1_000 + seldom, true), (1_001 + seldom, false)] {
            assert_eq!(entry.is_in_use(&key, &TIMEOUTS, now), in_use, "protocol {protocol} at {now}");
            for state in [State::New, State::Closing] {
                let other = entry.with_state(state);
                assert!(!other.is_in_use(&key, &TIMEOUTS, now), "{state:?}");
            }
        }
    }
}

#[test]
fn usual_packets_are_recorded_as_any_are() {
    for side in [ORIGINAL, REPLY] {
        for data in [0, 1, 1_400] {
            let connection = TwoEnds::established();
            let packet = connection.packet(6, side, ACK, data);
            let mut recorded = connection.entry.unwrap();
            assert!(recorded.is_usual(&packet));
            let mut observed = recorded;
            recorded.note(&packet, way(side), 99, 7);
            observed.observe(&packet, way(side), 99, 7);
            assert_eq!(recorded, observed);
            for tcp_flags in [SYN, FIN, RST, SYN | ACK] {
                assert!(!recorded.is_usual(&Packet { tcp_flags, ..packet }));
            }
            let with = |flags| FlowEntry { status: recorded.status | flags, ..recorded };
            for flag in [flags::FIN_ORIGINAL, flags::FIN_REPLY] {
                assert!(!with(flag).is_usual(&packet));
            }
            assert!(with(flags::SYN | flags::EITHER_WAY).is_usual(&packet));
            for state in [State::New, State::Closing] {
                assert!(!recorded.with_state(state).is_usual(&packet));
            }
            let question = recorded.with_state(State::New);
            assert_eq!(question.is_usual_question(&packet, way(side)), side == ORIGINAL);
            assert!(!recorded.is_usual_question(&packet, way(side)));
        }
    }
}

/// Of an end that was not seen before every number is believed, of another one those near the next.
#[test]
fn usual_packets_are_believed_as_any_are() {
    // A connection that had ended for all that was seen, and goes on with data of the end that had not begun it.
    let connection = TwoEnds::established();
    let data = connection.packet(6, REPLY, ACK, 100);
    let mut reopened = FlowEntry::open(&data, way(REPLY), ACCEPT, 1, 154, 0);
    reopened.reopen(&data, First::of(&data, way(ORIGINAL)));
    assert_eq!((reopened.packets, reopened.sent), ([0, 1], [0, data.sequence_end()]));
    for (entry, unseen) in [(connection.entry.unwrap(), None), (reopened, Some(ORIGINAL))] {
        for side in [ORIGINAL, REPLY] {
            for (ahead, is_near) in [(0, true), (1 << 17, true), (1 << 20, false), (1 << 31, false)] {
                let packet = connection.packet(6, side, ACK, 500);
                let packet = Packet { sequence: packet.sequence.wrapping_add(ahead), ..packet };
                let is_believed = is_near || unseen == Some(side);
                let next = if is_believed { packet.sequence_end() } else { entry.sent[side] };
                assert!(entry.is_usual(&packet));
                let (mut recorded, mut observed) = (entry, entry);
                recorded.note(&packet, way(side), 99, 7);
                observed.observe(&packet, way(side), 99, 7);
                assert_eq!(recorded, observed);
                assert_eq!(recorded.sent[side], next, "{ahead} ahead, unseen {unseen:?}, of {side}");
            }
        }
    }
}
