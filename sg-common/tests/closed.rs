//! TCP connections that nobody has an entry of: what is remembered of one that has ended, and who may take one over.

use sg_common::{
    flow::{
        AS_ESTABLISHED, Began, ClosedEntry, Direction, FOREVER, First, FlowEntry, State, Timeouts, flags,
        takes_over,
    },
    packet::{IpFields, Packet, tcp},
    verdict::{Decision, Reason, Verdict},
};

const ACCEPT: Decision = Decision::new(Verdict::Accept, Reason::Rule, 9);

/// In jiffies. An established connection may be silent for 900.
const TIMEOUTS: Timeouts = [30, 900, 3, 31, 180, 32, 33, 181];

#[test]
fn how_a_connection_began_is_remembered_as_long_as_an_established_one() {
    let other_flags = flags::FIN_ORIGINAL | flags::FIN_REPLY | flags::SYN;
    for direction in [Direction::Ingress, Direction::Egress] {
        for either in [false, true] {
            for others in [0, other_flags] {
                let first = Packet { ip: IpFields { hop_limit: 64, dscp: 46 }, ..Packet::EMPTY };
                let mut entry = FlowEntry::open(&first, direction, ACCEPT, 1, 60, 1_000);
                assert_eq!(entry.first.dscp(), 46);
                entry.status = others | if either { flags::EITHER_WAY } else { 0 };
                let (closed, deleted) = (ClosedEntry::of(&entry), ClosedEntry::deleted(1_000));
                for (now, known) in
                    [(999, true), (1_000, true), (1_900, true), (1_901, false), (5_000, false)]
                {
                    let began = known.then_some(Began::With(entry.first, either));
                    assert_eq!(closed.began(&TIMEOUTS, now), began, "at {now}");
                    assert_eq!(deleted.began(&TIMEOUTS, now), known.then_some(Began::Deleted), "at {now}");
                }
            }
        }
    }
}

#[test]
fn a_connection_is_taken_over_for_a_time_after_its_nic_was_first_filtered() {
    for (takeover, hertz, since, now, may) in [
        // For ever, whether or not anybody knows since when.
        (FOREVER, 250, 0, 1_000, true),
        (FOREVER, 250, 1, u64::MAX, true),
        // Seconds, by the rate of the clock.
        (30, 250, 1_000, 1_000, true),
        (30, 250, 1_000, 8_500, true),
        (30, 250, 1_000, 8_501, false),
        (30, 100, 1_000, 4_000, true),
        (30, 100, 1_000, 4_001, false),
        (0, 250, 1_000, 1_001, false),
        // As long as an established connection may be silent, which is in jiffies.
        (AS_ESTABLISHED, 250, 1_000, 1_900, true),
        (AS_ESTABLISHED, 250, 1_000, 1_901, false),
        // Nobody can tell since when.
        (30, 250, 0, 100, false),
        (AS_ESTABLISHED, 250, 0, 100, false),
        // The clock of another processor, and one that went round.
        (30, 250, 1_000, 999, true),
        (30, 250, u64::MAX - 99, 7_400, true),
        (30, 250, u64::MAX - 99, 7_401, false),
    ] {
        assert_eq!(
            takes_over(takeover, &TIMEOUTS, hertz, since, now),
            may,
            "{takeover} s of {hertz} jiffies since {since} at {now}"
        );
    }
}

/// Who sends a packet of a connection that had ended for all that was seen opens an entry of it; what the entry says of both ends
/// depends on who had begun the connection.
#[test]
fn a_connection_that_had_ended_goes_on_with_data_and_as_it_began() {
    let bare = Packet {
        protocol: 6,
        tcp_flags: tcp::ACK,
        sequence: 7_000,
        acknowledgement: 9_000,
        header: 20,
        transport: 34,
        end: 54,
        ..Packet::EMPTY
    };
    let data = Packet { end: 154, ..bare };
    let reset = Packet { tcp_flags: tcp::RST | tcp::ACK, ..bare };
    let reset_with_data = Packet { end: 154, ..reset };
    for (packet, state, next) in [
        (data, State::Established, 7_100),
        (bare, State::Closing, 7_000),
        (reset, State::Closing, 7_000),
        (reset_with_data, State::Closing, 7_100),
    ] {
        for sender in [Direction::Ingress, Direction::Egress] {
            let opened = FlowEntry::open(&packet, sender, ACCEPT, 4, 500, 1_000);
            assert_eq!((opened.sent, opened.acknowledged), ([next, 0], [9_000, 0]));
            let mut by_opener = opened;
            by_opener.reopen(&packet, First::of(&packet, sender));
            assert_eq!(by_opener, opened.with_state(state));
            let mut by_other = opened;
            by_other.reopen(&packet, First::of(&packet, sender.reversed()));
            let wanted = FlowEntry {
                first: First::of(&packet, sender.reversed()),
                packets: [0, 1],
                bytes: [0, 500],
                sent: [0, next],
                acknowledged: [0, 9_000],
                ..opened.with_state(state)
            };
            assert_eq!(by_other, wanted);
        }
    }
}
