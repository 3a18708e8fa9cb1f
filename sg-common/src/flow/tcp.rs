//! The numbers of a TCP connection: how it ends, and how another one of the same ends begins. A segment that was forged or
//! that its receiver discards may pass here, whatever its checksum says: those of this host, of veth pairs and of virtio are
//! partial and prove nothing. So nothing that a segment says makes a connection unknown or turns it round; it can only begin
//! `closing`, which the next data mends. It must never decide about a packet. Called by `entry`.

use super::{
    Direction, FlowEntry, State,
    entry::{OPENER, OTHER},
    flags,
};
use crate::{
    packet::{Packet, protocol, tcp},
    verdict::Decision,
};

/// How far from the next number of an end a packet may begin for its numbers to be believed: a burst of lost packets.
const NEAR: isize = 1 << 18;

/// A FIN of each end.
const BOTH_FINS: u8 = flags::FIN_ORIGINAL | flags::FIN_REPLY;

impl FlowEntry {
    /// Follows a TCP connection.
    ///
    /// A reset ends it only where its number is the very next one, as an end demands of it (RFC 5961 3.2): who cannot see the
    /// connection would have to guess one number in 2³². Others pass, the ends are to judge them, and leave the state alone.
    /// A FIN may come ahead of what goes before it, and ends its side when the other end acknowledges it, which it does only
    /// with everything before. What is believed about the next number moves on with packets that begin near it, so that no
    /// packet from nowhere can prepare a guess.
    #[inline(always)]
    pub(super) fn update_tcp_state<const OWN: usize>(&mut self, packet: &Packet) {
        // An end that was not heard before says its first number itself; only what it acknowledges can be checked.
        let is_first = self.packets[OWN] == 1;
        if packet.tcp_flags & tcp::RST != 0 {
            // Of a SYN that nothing came back for there is nothing to end.
            if !self.is_half_open() && self.is_next::<OWN>(packet, is_first) {
                self.state = State::Closing as u8;
            }
            return;
        }
        let before = self.sent[OWN];
        let believed = self.follow::<OWN>(packet, is_first);
        // The end was none: the connection goes on.
        if self.state == State::Closing as u8 && packet.has_data() && (is_first || self.sent[OWN] != before) {
            let answered = self.packets[OTHER] != 0;
            self.state = if answered { State::Established as u8 } else { State::New as u8 };
            self.flags &= !BOTH_FINS;
        }
        // Nothing comes after a FIN: it is the last number that its end sends.
        if packet.tcp_flags & tcp::FIN != 0 && believed && packet.sequence_end() == self.sent[OWN] {
            self.flags |= if OWN == OTHER { flags::FIN_REPLY } else { flags::FIN_ORIGINAL };
        }
        if self.flags & BOTH_FINS == BOTH_FINS
            && self.acknowledged[OPENER] == self.sent[OTHER]
            && self.acknowledged[OTHER] == self.sent[OPENER]
        {
            self.state = State::Closing as u8;
        }
    }

    /// Notes the numbers of a packet, as far as they are believed; tells whether they are.
    #[inline(always)]
    pub(super) fn follow<const OWN: usize>(&mut self, packet: &Packet, is_first: bool) -> bool {
        // How far it begins ahead of what is known, modulo 2³²; then as wide as a register of eBPF.
        let ahead = packet.sequence.wrapping_sub(self.sent[OWN]).cast_signed() as isize;
        let believed = is_first || (-NEAR..NEAR).contains(&ahead);
        if believed {
            let length = packet.sequence_length();
            if is_first || ahead + length > 0 {
                self.sent[OWN] = packet.sequence.wrapping_add(length.cast_unsigned() as u32);
            }
            if packet.tcp_flags & tcp::ACK != 0 {
                self.acknowledged[OWN] = packet.acknowledgement;
            }
        }
        believed
    }

    /// Whether a packet of the end `OWN` begins with the very next number.
    #[inline(always)]
    fn is_next<const OWN: usize>(&self, packet: &Packet, is_first: bool) -> bool {
        let other = OWN ^ 1;
        if is_first {
            return packet.tcp_flags & tcp::ACK != 0 && packet.acknowledgement == self.sent[other];
        }
        // Zero: nothing was acknowledged yet.
        let expected = self.acknowledged[other] != 0 && packet.sequence == self.acknowledged[other];
        packet.sequence == self.sent[OWN] || expected
    }

    /// Whether a SYN that goes in `direction` is the other half of a simultaneous open (RFC 9293 3.5): both ends asked, and
    /// neither was answered yet.
    #[inline(always)]
    #[must_use]
    pub const fn is_opened_at_once(&self, direction: Direction) -> bool {
        !self.is_revoked()
            && self.flags & flags::SYN != 0
            && self.direction != direction as u8
            && self.state == State::New as u8
    }

    /// Whether the SYN that began this flow was not answered yet, and `packet` of the other end is no answer to it: neither a
    /// SYN of its own, nor does it acknowledge what the SYN's end sent. A SYN alone gives no passage to a connection that was
    /// there before it.
    #[inline(always)]
    pub(super) fn waits_for_an_answer(&self, packet: &Packet, direction: Direction) -> bool {
        if !self.is_half_open() || self.direction == direction as u8 || packet.is_syn() {
            return false;
        }
        let ahead = packet.acknowledgement.wrapping_sub(self.sent[OPENER]).cast_signed() as isize;
        packet.tcp_flags & tcp::ACK == 0 || !(-NEAR..NEAR).contains(&ahead)
    }

    /// Notes that `decision`, of the policy of `generation`, accepts `packet`, which asks for a new connection, is `length` bytes long
    /// and goes in `direction`. Where it is the SYN that began this flow, which it tells, it is to be [noted](Self::observe). Another
    /// one asks for another connection of the same ends, or was forged: until it is answered, all stays as it is.
    ///
    /// An association of SCTP has no numbers to tell its answers by. It goes on, and begins anew where the policy had cut it.
    #[inline(always)]
    #[must_use]
    pub fn ask(
        &mut self,
        packet: &Packet,
        direction: Direction,
        (decision, generation): (Decision, u32),
        length: u64,
        now: u64,
    ) -> bool {
        if packet.protocol != protocol::TCP {
            if !self.is_revoked() {
                return true;
            }
            *self = Self::open(packet, direction, decision, generation, length, now);
            return false;
        }
        let is_the_first = self.flags & (flags::SYN | flags::REVOKED) == flags::SYN
            && self.state != State::Closing as u8
            && self.direction == direction as u8
            && self.sent[OPENER] == packet.sequence_end();
        if is_the_first {
            return true;
        }
        self.pending_syn = packet.sequence_end();
        self.pending_length = if length > 255 { 255 } else { length as u8 };
        self.flags = self.flags & !flags::PENDING_EGRESS
            | flags::PENDING
            | if direction as u8 == Direction::Egress as u8 { flags::PENDING_EGRESS } else { 0 };
        false
    }

    /// Whether `packet`, which goes in `direction`, answers the SYN that asked for another connection of the same ends. Then
    /// that SYN is to be judged, and [`Self::begin_anew`] told.
    #[inline(always)]
    #[must_use]
    pub const fn is_begun_anew_by(&self, packet: &Packet, direction: Direction) -> bool {
        let egress = self.flags & flags::PENDING_EGRESS != 0;
        self.flags & flags::PENDING != 0
            && packet.protocol == protocol::TCP
            && packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST) == tcp::SYN | tcp::ACK
            && egress != (direction as u8 == Direction::Egress as u8)
            && packet.acknowledgement == self.pending_syn
    }

    /// Becomes the entry of the connection that was [pending](Self::is_begun_anew_by), where `decision`, of the policy of
    /// `generation`, accepts its SYN. Else this flow goes on, and nothing is pending.
    #[inline(always)]
    pub fn begin_anew(&mut self, decision: Decision, generation: u32, now: u64) {
        if !decision.accepts() {
            self.flags &= !flags::PENDING;
            return;
        }
        let egress = self.flags & flags::PENDING_EGRESS != 0;
        *self = Self {
            last_seen: now,
            opened: now as u32,
            pending_syn: 0,
            decision: decision.word(),
            packets: [1, 0],
            bytes: [u64::from(self.pending_length), 0],
            sent: [self.pending_syn, 0],
            acknowledged: [0, 0],
            generation,
            state: State::New as u8,
            direction: if egress { Direction::Egress as u8 } else { Direction::Ingress as u8 },
            flags: flags::SYN,
            pending_length: 0,
        };
    }
}
