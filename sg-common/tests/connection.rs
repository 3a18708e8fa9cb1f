//! How a TCP connection goes, as its two ends send it: from its first segment to its end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

mod two_ends;

use sg_common::{
    flow::{Direction, FlowEntry, FlowKey, PortsProtoNic as Names, State, Timeouts, flags},
    packet::{Family, Packet},
};
use two_ends::{ACCEPT, ACK, DROP, FIN, ORIGINAL, REPLY, RST, SYN, TwoEnds};

#[test]
fn a_flow_goes_from_new_to_established_to_closing() {
    let (new, established, closing) = (State::New as u8, State::Established as u8, State::Closing as u8);
    for (what, protocol, packets, wanted) in [
        ("one way", 6, &[(ORIGINAL, SYN), (ORIGINAL, ACK)][..], (new, 0)),
        ("a reply", 6, &[(ORIGINAL, SYN), (REPLY, SYN | ACK)], (established, 0)),
        ("a reply without flags", 6, &[(ORIGINAL, SYN), (REPLY, 0)], (established, 0)),
        ("opened at once", 6, &[(ORIGINAL, SYN), (REPLY, SYN), (ORIGINAL, SYN | ACK)], (established, 0)),
        (
            "the opener's FIN",
            6,
            &[(ORIGINAL, ACK), (REPLY, ACK), (ORIGINAL, FIN | ACK)],
            (established, flags::FIN_ORIGINAL),
        ),
        ("the opener's FIN, alone", 6, &[(ORIGINAL, SYN), (ORIGINAL, FIN)], (new, flags::FIN_ORIGINAL)),
        ("the other's FIN", 6, &[(ORIGINAL, SYN), (REPLY, FIN | ACK)], (established, flags::FIN_REPLY)),
        (
            "FIN from both ends, one of which is not acknowledged",
            6,
            &[(ORIGINAL, ACK), (ORIGINAL, FIN | ACK), (REPLY, FIN | ACK)],
            (established, 3),
        ),
        (
            "FIN from both ends",
            6,
            &[(ORIGINAL, ACK), (ORIGINAL, FIN | ACK), (REPLY, FIN | ACK), (ORIGINAL, ACK)],
            (closing, 3),
        ),
        (
            "FIN, the other end first",
            6,
            &[(ORIGINAL, ACK), (REPLY, FIN | ACK), (ORIGINAL, FIN | ACK)],
            (established, 3),
        ),
        (
            "the last ACK",
            6,
            &[(ORIGINAL, ACK), (REPLY, FIN | ACK), (ORIGINAL, FIN | ACK), (REPLY, ACK)],
            (closing, 3),
        ),
        ("the opener's RST", 6, &[(ORIGINAL, SYN), (REPLY, SYN | ACK), (ORIGINAL, RST)], (closing, 0)),
        ("the opener's RST, unanswered", 6, &[(ORIGINAL, SYN), (ORIGINAL, RST)], (new, 0)),
        ("the same, seen from its middle", 6, &[(ORIGINAL, ACK), (ORIGINAL, RST)], (closing, 0)),
        ("the other's RST: nobody listens", 6, &[(ORIGINAL, SYN), (REPLY, RST | ACK)], (closing, 0)),
        (
            "data after RST",
            6,
            &[(ORIGINAL, SYN), (REPLY, RST | ACK), (ORIGINAL, ACK), (REPLY, ACK)],
            (closing, 0),
        ),
        ("UDP, one way", 17, &[(ORIGINAL, 0), (ORIGINAL, 0)], (new, 0)),
        ("UDP, both ways", 17, &[(ORIGINAL, 0), (REPLY, 0)], (established, 0)),
        (
            "flags mean something in TCP only",
            17,
            &[(ORIGINAL, FIN | RST), (REPLY, FIN | RST)],
            (established, 0),
        ),
    ] {
        let mut connection = TwoEnds::new();
        for &(side, tcp_flags) in packets {
            connection.send(protocol, side, tcp_flags, 0);
        }
        assert_eq!(connection.state(), wanted, "{what}");
    }
}

#[test]
fn who_cannot_see_a_connection_cannot_end_it() {
    let established = State::Established as u8;
    for side in [ORIGINAL, REPLY] {
        for guess in [0, 1, 1_000, 1 << 20, 1 << 31, u32::MAX] {
            for tcp_flags in [RST, RST | ACK, FIN, FIN | ACK] {
                let mut connection = TwoEnds::established();
                let good = connection.packet(6, side, tcp_flags, 0);
                let forged = Packet { sequence: good.sequence.wrapping_add(guess), ..good };
                connection.see(side, &forged);
                if guess == 0 {
                    let believed = connection.state() != (established, 0);
                    assert!(believed, "that of the end itself is believed");
                    continue;
                }
                assert_eq!(connection.state().0, established, "{tcp_flags} {guess}");
                // Data from nowhere does not prepare the guess.
                connection.see(side, &Packet { tcp_flags: ACK, end: 34 + 20 + 100, ..forged });
                let after = Packet { sequence: forged.sequence.wrapping_add(100), ..good };
                connection.see(side, &after);
                if guess > 1 << 18 && guess < u32::MAX - (1 << 18) {
                    assert_eq!(connection.state(), (established, 0), "{tcp_flags} {guess}, prepared");
                }
            }
        }
    }
    // A request without a reply yet: a reset must acknowledge it.
    let mut connection = TwoEnds::new();
    connection.send(6, ORIGINAL, SYN, 0);
    let refusal = connection.packet(6, REPLY, RST | ACK, 0);
    for forged in [
        Packet { sequence: 0, acknowledgement: 0, tcp_flags: RST, ..refusal },
        Packet { acknowledgement: refusal.acknowledgement.wrapping_add(1), ..refusal },
        Packet { tcp_flags: RST, ..refusal },
    ] {
        let mut connection = TwoEnds { entry: connection.entry, ..connection };
        connection.see(REPLY, &forged);
        assert_eq!(connection.state(), (State::New as u8, 0));
    }
}

#[test]
fn numbers_go_on_at_zero_and_never_back() {
    let edges = [0, 1, 699, 700, 1 << 31, u32::MAX];
    for (original, reply) in edges.iter().flat_map(|&one| edges.map(|other| (one, other))) {
        for before in [0, 1, 700, 1400] {
            let next = [original.wrapping_sub(before), reply.wrapping_sub(before)];
            let mut connection = TwoEnds::established_from(next);
            assert_eq!(connection.entry.unwrap().sent, connection.next, "{next:?}");
            for side in [ORIGINAL, REPLY] {
                let packet = connection.packet(6, side, ACK, 500);
                connection.see(side, &Packet { sequence: packet.sequence.wrapping_sub(600), ..packet });
                assert_eq!(connection.entry.unwrap().sent, connection.next, "sent again: {next:?}");
            }
            connection.send(6, REPLY, RST, 0);
            assert_eq!(connection.state(), (State::Closing as u8, 0), "{next:?}");
        }
    }
}

#[test]
fn a_number_is_acknowledged_where_the_flag_says_so() {
    for side in [ORIGINAL, REPLY] {
        let mut connection = TwoEnds::established();
        let before = connection.entry.unwrap().acknowledged;
        let packet = Packet { acknowledgement: 77, ..connection.packet(6, side, 0, 10) };
        connection.see(side, &packet);
        let entry = connection.entry.unwrap();
        assert_eq!((entry.sent[side], entry.acknowledged), (packet.sequence_end(), before));
        connection.see(side, &Packet { tcp_flags: ACK, ..packet });
        assert_eq!(connection.entry.unwrap().acknowledged[side], 77);
    }
}

#[test]
fn an_end_is_believed_after_packets_were_lost() {
    let mut connection = TwoEnds::established();
    // Lost before the filter; then what follows, and the end.
    connection.next[REPLY] = connection.next[REPLY].wrapping_add(100_000);
    connection.send(6, REPLY, ACK, 1400);
    connection.send(6, REPLY, FIN | ACK, 0);
    connection.send(6, ORIGINAL, FIN | ACK, 0);
    connection.send(6, REPLY, ACK, 0);
    assert_eq!(connection.state(), (State::Closing as u8, 3));
    // An end that acknowledged more than the other was seen to send is believed, too.
    let mut connection = TwoEnds::established();
    connection.next[REPLY] = connection.next[REPLY].wrapping_add(10_000);
    connection.send(6, ORIGINAL, ACK, 0);
    connection.send(6, REPLY, RST, 0);
    assert_eq!(connection.state(), (State::Closing as u8, 0));
}

/// Seconds as jiffies of one a second.
const TIMEOUTS: Timeouts = [30, 910, 3, 30, 180, 30, 30, 180];

fn key() -> FlowKey {
    FlowKey { l4: Names::new((80, 40_000), 0, 6, Family::V4), ..FlowKey::default() }
}

#[test]
fn a_fin_ahead_of_what_was_lost_is_remembered() {
    for first in [ORIGINAL, REPLY] {
        let mut connection = TwoEnds::established();
        // Lost behind the filter or before it: the data, and not the FIN after it.
        let data = connection.packet(6, first, ACK, 1_000);
        connection.next[first] = data.sequence_end();
        connection.send(6, first, FIN | ACK, 0);
        connection.see(first, &data);
        assert_eq!(connection.state().0, State::Established as u8);
        connection.send(6, first ^ 1, FIN | ACK, 0);
        connection.send(6, first, ACK, 0);
        assert_eq!(connection.state(), (State::Closing as u8, 3));
    }
}

/// Both FINs were seen, and the network lost them: what is sent again is of a connection that lives.
#[test]
fn ends_that_nobody_acknowledged_are_none() {
    let mut connection = TwoEnds::established();
    connection.send(6, ORIGINAL, FIN | ACK, 0);
    let lost = connection.packet(6, REPLY, ACK, 5_000);
    connection.next[REPLY] = lost.sequence_end();
    let fin = connection.packet(6, REPLY, FIN | ACK, 0);
    for _ in 0..8 {
        connection.see(REPLY, &lost);
        connection.see(REPLY, &fin);
        assert_eq!(connection.state(), (State::Established as u8, 3));
    }
    connection.next[REPLY] = fin.sequence_end();
    connection.send(6, ORIGINAL, ACK, 0);
    assert_eq!(connection.state(), (State::Closing as u8, 3));
    // The last acknowledgement was lost: the FIN comes again, and is no beginning.
    connection.see(REPLY, &fin);
    connection.see(REPLY, &lost);
    connection.send(6, ORIGINAL, ACK, 0);
    assert_eq!(connection.state(), (State::Closing as u8, 3));
}

/// A reset with the right number and a wrong checksum passes the filter and is none to its receiver.
#[test]
fn data_after_an_end_that_was_none_mends_it() {
    for side in [ORIGINAL, REPLY] {
        for ends in [&[RST][..], &[RST | ACK], &[RST, RST]] {
            let mut connection = TwoEnds::established();
            for &tcp_flags in ends {
                let reset = connection.packet(6, side, tcp_flags, 0);
                connection.see(side, &reset);
            }
            assert_eq!(connection.state().0, State::Closing as u8);
            connection.send(6, side ^ 1, ACK, 0);
            assert_eq!(connection.state().0, State::Closing as u8, "an acknowledgement alone says nothing");
            connection.send(6, side ^ 1, ACK, 100);
            assert_eq!(connection.state(), (State::Established as u8, 0));
        }
        // Both FINs and what acknowledges them: of all that was known of the connection nothing else is forgotten.
        let mut connection = TwoEnds::established();
        for (side, tcp_flags) in [(side, FIN | ACK), (side ^ 1, FIN | ACK), (side, ACK)] {
            connection.send(6, side, tcp_flags, 0);
        }
        assert_eq!(connection.state(), (State::Closing as u8, 3));
        connection.send(6, side, ACK, 100);
        assert_eq!(
            connection.entry.map(|entry| (entry.state(), entry.flags())),
            Some((State::Established as u8, flags::SYN))
        );
    }
}

#[test]
fn a_connection_that_ended_is_known_as_long_as_one_that_lives() {
    let mut connection = TwoEnds::established();
    connection.send(6, REPLY, RST, 0);
    let closing = connection.entry.unwrap();
    let mut revoked_early =
        FlowEntry::open(&TwoEnds::new().packet(6, ORIGINAL, SYN, 0), Direction::Egress, ACCEPT, 1, 60, 1);
    assert!(revoked_early.is_expired(key().l4, &TIMEOUTS, 32));
    revoked_early.revalidate(DROP, 2);
    for entry in [closing, revoked_early] {
        assert!(!entry.is_expired(key().l4, &TIMEOUTS, 911));
        assert!(entry.is_expired(key().l4, &TIMEOUTS, 912));
    }
    assert!(!closing.is_closed(&key(), &TIMEOUTS, 4) && closing.is_closed(&key(), &TIMEOUTS, 5));
    // It takes nobody's room, and one that the rules revoked is remembered for itself.
    assert!(!revoked_early.is_closed(&key(), &TIMEOUTS, 500));
    let established = closing.with_state(State::Established);
    assert!(!established.is_closed(&key(), &TIMEOUTS, 500));
}
