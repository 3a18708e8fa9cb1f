//! How a TCP connection goes, as its two ends send it: from its first segment to its end, and the next one of the same ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use sg_common::{
    flow::{Direction, FlowEntry, FlowKey, Found, State, Talk as Names, Timeouts, flags},
    packet::{Family, Packet},
    verdict::{Decision, Reason, Verdict},
};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

const ACCEPT: Decision = Decision::new(Verdict::Accept, Reason::Rule, 9);
const DROP: Decision = Decision::new(Verdict::Drop, Reason::Default, 3);

/// The two ends of a connection, each with the number that its next byte has.
struct Talk {
    next: [u32; 2],
    entry: Option<FlowEntry>,
}

/// Packets that the end that opened sends.
const ORIGINAL: usize = 0;
const REPLY: usize = 1;

impl Talk {
    fn new() -> Self {
        Self { next: [u32::MAX - 1, 5_000], entry: None }
    }

    /// A packet as its end would send it.
    fn packet(&self, protocol: u8, side: usize, tcp_flags: u8, data: usize) -> Packet {
        let acknowledgement = if tcp_flags & ACK == 0 { 0 } else { self.next[side ^ 1] };
        let (sequence, header) = (self.next[side], 20);
        let packet = Packet { protocol, tcp_flags, sequence, acknowledgement, header, ..Packet::EMPTY };
        Packet { transport: 34, end: 34 + 20 + data, ..packet }
    }

    fn see(&mut self, side: usize, packet: &Packet) {
        let way = if side == ORIGINAL { Direction::Egress } else { Direction::Ingress };
        match &mut self.entry {
            Some(entry) => entry.observe(packet, way, 60, 1),
            None => self.entry = Some(FlowEntry::open(packet, way, ACCEPT, 1, 60, 0)),
        }
    }

    fn send(&mut self, protocol: u8, side: usize, tcp_flags: u8, data: usize) {
        let packet = self.packet(protocol, side, tcp_flags, data);
        self.see(side, &packet);
        self.next[side] = packet.sequence_end();
    }

    /// How far it has come, and how it ends; not how it began.
    fn state(&self) -> (u8, u8) {
        self.entry.map(|entry| (entry.state, entry.flags & !flags::SYN)).unwrap()
    }

    /// A connection over which both ends have sent data.
    fn established() -> Self {
        Self::established_from(Self::new().next)
    }

    /// The same with these first numbers.
    fn established_from(next: [u32; 2]) -> Self {
        let mut talk = Self { next, entry: None };
        for (side, tcp_flags, data) in [
            (ORIGINAL, SYN, 0),
            (REPLY, SYN | ACK, 0),
            (ORIGINAL, ACK, 700),
            (REPLY, ACK, 1400),
            (ORIGINAL, ACK, 0),
        ] {
            talk.send(6, side, tcp_flags, data);
        }
        assert_eq!(talk.state(), (State::Established as u8, 0));
        talk
    }
}

#[test]
fn a_flow_goes_from_new_to_established_to_closing() {
    let (new, established, closing) = (State::New as u8, State::Established as u8, State::Closing as u8);
    for (what, protocol, packets, wanted) in [
        ("one way", 6, &[(ORIGINAL, SYN), (ORIGINAL, ACK)][..], (new, 0)),
        ("an answer", 6, &[(ORIGINAL, SYN), (REPLY, SYN | ACK)], (established, 0)),
        ("an answer without flags", 6, &[(ORIGINAL, SYN), (REPLY, 0)], (established, 0)),
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
        let mut talk = Talk::new();
        for &(side, tcp_flags) in packets {
            talk.send(protocol, side, tcp_flags, 0);
        }
        assert_eq!(talk.state(), wanted, "{what}");
    }
}

#[test]
fn who_cannot_see_a_connection_cannot_end_it() {
    let established = State::Established as u8;
    for side in [ORIGINAL, REPLY] {
        for guess in [0, 1, 1_000, 1 << 20, 1 << 31, u32::MAX] {
            for tcp_flags in [RST, RST | ACK, FIN, FIN | ACK] {
                let mut talk = Talk::established();
                let good = talk.packet(6, side, tcp_flags, 0);
                let forged = Packet { sequence: good.sequence.wrapping_add(guess), ..good };
                talk.see(side, &forged);
                if guess == 0 {
                    let believed = talk.state() != (established, 0);
                    assert!(believed, "that of the end itself is believed");
                    continue;
                }
                assert_eq!(talk.state().0, established, "{tcp_flags} {guess}");
                // Data from nowhere does not prepare the guess.
                talk.see(side, &Packet { tcp_flags: ACK, end: 34 + 20 + 100, ..forged });
                let after = Packet { sequence: forged.sequence.wrapping_add(100), ..good };
                talk.see(side, &after);
                if guess > 1 << 18 && guess < u32::MAX - (1 << 18) {
                    assert_eq!(talk.state(), (established, 0), "{tcp_flags} {guess}, prepared");
                }
            }
        }
    }
    // A question that was not answered yet: a reset must answer it.
    let mut talk = Talk::new();
    talk.send(6, ORIGINAL, SYN, 0);
    let refusal = talk.packet(6, REPLY, RST | ACK, 0);
    for forged in [
        Packet { sequence: 0, acknowledgement: 0, tcp_flags: RST, ..refusal },
        Packet { acknowledgement: refusal.acknowledgement.wrapping_add(1), ..refusal },
    ] {
        let mut talk = Talk { entry: talk.entry, ..talk };
        talk.see(REPLY, &forged);
        assert_eq!(talk.state(), (State::New as u8, 0));
    }
}

#[test]
fn numbers_go_on_at_zero_and_never_back() {
    let edges = [0, 1, 699, 700, 1 << 31, u32::MAX];
    for (original, reply) in edges.iter().flat_map(|&one| edges.map(|other| (one, other))) {
        for before in [0, 1, 700, 1400] {
            let next = [original.wrapping_sub(before), reply.wrapping_sub(before)];
            let mut talk = Talk::established_from(next);
            assert_eq!(talk.entry.unwrap().sent, talk.next, "{next:?}");
            for side in [ORIGINAL, REPLY] {
                let packet = talk.packet(6, side, ACK, 500);
                talk.see(side, &Packet { sequence: packet.sequence.wrapping_sub(600), ..packet });
                assert_eq!(talk.entry.unwrap().sent, talk.next, "sent again: {next:?}");
            }
            talk.send(6, REPLY, RST, 0);
            assert_eq!(talk.state(), (State::Closing as u8, 0), "{next:?}");
        }
    }
}

#[test]
fn an_end_is_believed_after_packets_were_lost() {
    let mut talk = Talk::established();
    // Lost before the filter; then what follows, and the end.
    talk.next[REPLY] = talk.next[REPLY].wrapping_add(100_000);
    talk.send(6, REPLY, ACK, 1400);
    talk.send(6, REPLY, FIN | ACK, 0);
    talk.send(6, ORIGINAL, FIN | ACK, 0);
    talk.send(6, REPLY, ACK, 0);
    assert_eq!(talk.state(), (State::Closing as u8, 3));
    // An end that acknowledged more than the other was seen to send is believed, too.
    let mut talk = Talk::established();
    talk.next[REPLY] = talk.next[REPLY].wrapping_add(10_000);
    talk.send(6, ORIGINAL, ACK, 0);
    talk.send(6, REPLY, RST, 0);
    assert_eq!(talk.state(), (State::Closing as u8, 0));
}

/// Seconds as jiffies of one a second.
const TIMEOUTS: Timeouts = [30, 910, 3, 30, 180, 30, 30, 180];

fn key() -> FlowKey {
    FlowKey { talk: Names::new((80, 40_000), 0, 6, Family::V4), ..FlowKey::default() }
}

#[test]
fn a_fin_ahead_of_what_was_lost_is_remembered() {
    for first in [ORIGINAL, REPLY] {
        let mut talk = Talk::established();
        // Lost behind the filter or before it: the data, and not the FIN after it.
        let data = talk.packet(6, first, ACK, 1_000);
        talk.next[first] = data.sequence_end();
        talk.send(6, first, FIN | ACK, 0);
        talk.see(first, &data);
        assert_eq!(talk.state().0, State::Established as u8);
        talk.send(6, first ^ 1, FIN | ACK, 0);
        talk.send(6, first, ACK, 0);
        assert_eq!(talk.state(), (State::Closing as u8, 3));
    }
}

/// Both FINs were seen, and the network lost them: what is sent again is of a connection that lives.
#[test]
fn ends_that_nobody_acknowledged_are_none() {
    let mut talk = Talk::established();
    talk.send(6, ORIGINAL, FIN | ACK, 0);
    let lost = talk.packet(6, REPLY, ACK, 5_000);
    talk.next[REPLY] = lost.sequence_end();
    let fin = talk.packet(6, REPLY, FIN | ACK, 0);
    for _ in 0..8 {
        talk.see(REPLY, &lost);
        talk.see(REPLY, &fin);
        assert_eq!(talk.state(), (State::Established as u8, 3));
    }
    talk.next[REPLY] = fin.sequence_end();
    talk.send(6, ORIGINAL, ACK, 0);
    assert_eq!(talk.state(), (State::Closing as u8, 3));
    // The last acknowledgement was lost: the FIN comes again, and is no beginning.
    talk.see(REPLY, &fin);
    talk.see(REPLY, &lost);
    talk.send(6, ORIGINAL, ACK, 0);
    assert_eq!(talk.state(), (State::Closing as u8, 3));
}

/// A reset with the right number and a wrong checksum passes the filter and is none to its receiver.
#[test]
fn data_after_an_end_that_was_none_mends_it() {
    for side in [ORIGINAL, REPLY] {
        for ends in [&[RST][..], &[RST | ACK], &[RST, RST]] {
            let mut talk = Talk::established();
            for &tcp_flags in ends {
                let reset = talk.packet(6, side, tcp_flags, 0);
                talk.see(side, &reset);
            }
            assert_eq!(talk.state().0, State::Closing as u8);
            talk.send(6, side ^ 1, ACK, 0);
            assert_eq!(talk.state().0, State::Closing as u8, "an acknowledgement alone says nothing");
            talk.send(6, side ^ 1, ACK, 100);
            assert_eq!(talk.state(), (State::Established as u8, 0));
        }
    }
}

#[test]
fn a_connection_that_ended_is_known_as_long_as_one_that_lives() {
    let mut talk = Talk::established();
    talk.send(6, REPLY, RST, 0);
    let closing = talk.entry.unwrap();
    let mut cut_early =
        FlowEntry::open(&Talk::new().packet(6, ORIGINAL, SYN, 0), Direction::Egress, ACCEPT, 1, 60, 1);
    assert!(cut_early.is_expired(key().talk, &TIMEOUTS, 32));
    cut_early.rejudge(DROP, 2);
    for entry in [closing, cut_early] {
        assert!(!entry.is_expired(key().talk, &TIMEOUTS, 911));
        assert!(entry.is_expired(key().talk, &TIMEOUTS, 912));
    }
    assert!(!closing.is_closed(&key(), &TIMEOUTS, 4) && closing.is_closed(&key(), &TIMEOUTS, 5));
    // It takes nobody's room, and one that the rules cut is remembered for itself.
    assert!(!cut_early.is_closed(&key(), &TIMEOUTS, 500));
    let established = FlowEntry { state: State::Established as u8, ..closing };
    assert!(!established.is_closed(&key(), &TIMEOUTS, 500));
}

#[test]
fn what_is_dropped_changes_nothing() {
    let mut talk = Talk::established();
    let entry = talk.entry.as_mut().unwrap();
    entry.rejudge(DROP, 2);
    let before = *entry;
    for side in [ORIGINAL, REPLY] {
        for tcp_flags in [ACK, RST, RST | ACK, FIN | ACK, SYN | ACK, FIN | RST] {
            for data in [0, 100] {
                let packet = Talk { entry: None, ..talk }.packet(6, side, tcp_flags, data);
                let found = find(talk.entry.as_mut().unwrap(), side, &packet, 2, 700);
                assert_eq!(found, Found::Decided(DROP.word()));
                assert_eq!(talk.entry, Some(before), "{tcp_flags}");
            }
        }
    }
    // What has no numbers is known while an end goes on trying, and by nothing else.
    let mut udp =
        FlowEntry::open(&Packet { protocol: 17, ..Packet::EMPTY }, Direction::Egress, ACCEPT, 1, 60, 1);
    udp.rejudge(DROP, 2);
    let before = udp;
    let packet = Packet { protocol: 17, ..Packet::EMPTY };
    assert_eq!(find(&mut udp, REPLY, &packet, 2, 100), Found::Decided(DROP.word()));
    assert_eq!(udp, FlowEntry { last_seen: 100, ..before });
}

/// What the entry says under `generation` of the policy.
fn find(entry: &mut FlowEntry, side: usize, packet: &Packet, generation: u32, now: u64) -> Found {
    noted(entry, side, packet, (false, generation), now)
}

fn noted(
    entry: &mut FlowEntry,
    side: usize,
    packet: &Packet,
    (judged, generation): (bool, u32),
    now: u64,
) -> Found {
    match entry.find(packet, way(side), (false, judged), (generation, true), now) {
        Found::Passes(decision) => {
            entry.observe(packet, way(side), 60, now);
            Found::Decided(decision)
        }
        found => found,
    }
}

fn way(side: usize) -> Direction {
    if side == ORIGINAL { Direction::Egress } else { Direction::Ingress }
}

#[test]
fn a_syn_changes_nothing_before_it_is_answered() {
    for side in [ORIGINAL, REPLY] {
        for ended in [false, true] {
            let mut talk = Talk::established();
            if ended {
                talk.send(6, ORIGINAL, RST, 0);
            }
            let before = talk.entry.unwrap();
            let forged = Packet { sequence: 77_000_000, ..Talk::new().packet(6, side, SYN, 0) };
            let entry = talk.entry.as_mut().unwrap();
            assert_eq!(find(entry, side, &forged, 1, 500), Found::Meets);
            assert!(!entry.ask(&forged, way(side), (ACCEPT, 1), 74, 500));
            let known = |entry: &FlowEntry| {
                (entry.state, entry.direction, entry.sent, entry.last_seen, entry.packets)
            };
            assert_eq!(known(entry), known(&before));
            // What answers something else is of the old connection.
            for acknowledgement in [0, 77_000_000, 77_000_002] {
                let other = Packet { acknowledgement, ..talk.packet(6, side ^ 1, SYN | ACK, 0) };
                let found = find(&mut talk.entry.unwrap(), side ^ 1, &other, 1, 501);
                assert_eq!(found, Found::Decided(ACCEPT.word()));
            }
            let answer = Packet { acknowledgement: 77_000_001, ..talk.packet(6, side ^ 1, SYN | ACK, 0) };
            assert!(!talk.entry.unwrap().is_begun_anew_by(&answer, way(side)), "not of its own end");
            let entry = talk.entry.as_mut().unwrap();
            assert_eq!(find(entry, side ^ 1, &answer, 1, 501), Found::Stale(way(side), false));
            // Where the rules refuse it, all stays as it was.
            let mut refused = *entry;
            refused.begin_anew(DROP, 1, 501);
            assert_eq!(known(&refused), known(&before));
            assert_eq!(refused.flags & flags::PENDING, 0);
            entry.begin_anew(ACCEPT, 3, 501);
            assert_eq!((entry.packets, entry.bytes, entry.generation), ([1, 0], [74, 0], 3));
            assert_eq!(
                (entry.direction(), entry.state, entry.flags),
                (way(side), State::New as u8, flags::SYN)
            );
            let judged = noted(entry, side ^ 1, &answer, (true, 3), 501);
            assert_eq!((judged, entry.state), (Found::Decided(ACCEPT.word()), State::Established as u8));
            assert_eq!((entry.packets, entry.sent), ([1, 1], [77_000_001, answer.sequence_end()]));
        }
    }
}

#[test]
fn the_same_syn_again_is_the_same_connection() {
    let mut talk = Talk::new();
    let syn = talk.packet(6, ORIGINAL, SYN, 0);
    talk.send(6, ORIGINAL, SYN, 0);
    let entry = talk.entry.as_mut().unwrap();
    assert!(entry.ask(&syn, Direction::Egress, (ACCEPT, 1), 60, 0));
    assert_eq!((entry.packets, entry.last_seen, entry.flags), ([1, 0], 0, flags::SYN));
    // Another number is another connection.
    assert!(!entry.ask(&Packet { sequence: 5, ..syn }, Direction::Egress, (ACCEPT, 1), 60, 0));
    assert_eq!((entry.packets, entry.last_seen), ([1, 0], 0));
    assert_eq!((entry.flags, entry.pending_syn), (flags::SYN | flags::PENDING | flags::PENDING_EGRESS, 6));
}

/// An association of SCTP: whoever asks for one meets the rules. Accepted, the flow goes on as it was, and where it was cut it begins
/// anew.
#[test]
fn an_init_meets_the_rules() {
    const SCTP: u8 = 132;
    for side in [ORIGINAL, REPLY] {
        let mut talk = Talk::new();
        let data = Packet { header: 0, ..talk.packet(SCTP, ORIGINAL, 0, 0) };
        talk.see(ORIGINAL, &Packet { tcp_flags: SYN, ..data });
        talk.see(REPLY, &data);
        let entry = talk.entry.as_mut().unwrap();
        assert_eq!(noted(entry, side, &data, (false, 1), 10), Found::Decided(ACCEPT.word()));
        let init = Packet { tcp_flags: SYN, ..data };
        assert_eq!(find(entry, side, &init, 1, 11), Found::Meets);
        let before = *entry;
        assert!(entry.ask(&init, way(side), (ACCEPT, 1), 60, 11));
        assert_eq!(*entry, before);
        entry.rejudge(DROP, 2);
        assert_eq!(find(entry, side, &data, 2, 12), Found::Decided(DROP.word()));
        assert_eq!(find(entry, side, &init, 2, 13), Found::Meets);
        assert_eq!(entry.last_seen, 13, "who was cut and goes on trying stays known");
        assert!(!entry.ask(&init, way(side), (ACCEPT, 2), 60, 14));
        assert_eq!((entry.direction(), entry.is_cut(), entry.packets), (way(side), false, [1, 0]));
    }
}

/// A SYN alone gives no passage to an older connection of the same ends.
#[test]
fn what_does_not_answer_a_syn_is_of_no_known_flow() {
    let mut talk = Talk::new();
    talk.send(6, ORIGINAL, SYN, 0);
    let says = |packet: Packet| {
        let mut entry = talk.entry.unwrap();
        let before = entry;
        let found = find(&mut entry, REPLY, &packet, 1, 9);
        if found == Found::Stranger || entry == before { found } else { Found::Decided(1) }
    };
    let answer = Talk::new().packet(6, REPLY, ACK, 0);
    let syn = talk.next[ORIGINAL];
    let noted = Found::Decided(1);
    let passes = Found::Decided(ACCEPT.word());
    let data = |packet: Packet| Packet { end: packet.end + 100, ..packet };
    let of = |tcp_flags, acknowledgement| Packet { tcp_flags, acknowledgement, ..answer };
    assert_eq!(says(of(SYN | ACK, syn)), noted);
    assert_eq!(says(of(RST | ACK, syn)), noted);
    assert_eq!(
        says(data(of(ACK, syn.wrapping_add(1_000)))),
        noted,
        "what the answer was is gone another way"
    );
    assert_eq!(says(of(ACK, syn ^ 1 << 31)), passes, "the answer of who still has an older connection");
    assert_eq!(says(of(RST, 0)), passes);
    assert_eq!(says(data(of(ACK, syn ^ 1 << 31))), Found::Stranger);
    assert_eq!(says(data(of(0, 0))), Found::Stranger);
    assert_eq!(says(data(of(FIN, syn))), Found::Stranger);
}

#[test]
fn usual_packets_are_noted_as_any_are() {
    for side in [ORIGINAL, REPLY] {
        for data in [0, 1, 1_400] {
            let talk = Talk::established();
            let packet = talk.packet(6, side, ACK, data);
            let mut noted = talk.entry.unwrap();
            assert!(noted.is_usual(&packet));
            let mut observed = noted;
            noted.note(&packet, way(side), 99, 7);
            observed.observe(&packet, way(side), 99, 7);
            assert_eq!(noted, observed);
            for tcp_flags in [SYN, FIN, RST, SYN | ACK] {
                assert!(!noted.is_usual(&Packet { tcp_flags, ..packet }));
            }
            for flag in [flags::CUT, flags::PENDING, flags::FIN_ORIGINAL, flags::FIN_REPLY] {
                assert!(!FlowEntry { flags: flag, ..noted }.is_usual(&packet));
            }
            assert!(FlowEntry { flags: flags::SYN | flags::EITHER_WAY, ..noted }.is_usual(&packet));
            for state in [State::New, State::Closing] {
                assert!(!FlowEntry { state: state as u8, ..noted }.is_usual(&packet));
            }
            let question = FlowEntry { state: State::New as u8, ..noted };
            assert_eq!(question.is_usual_question(&packet, way(side)), side == ORIGINAL);
            assert!(!noted.is_usual_question(&packet, way(side)));
        }
    }
}
