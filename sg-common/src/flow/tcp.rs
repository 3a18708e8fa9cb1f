//! Sequence numbers of a TCP connection: how it closes, and how another connection with the same ends begins. A segment that is
//! forged or that its receiver discards may pass here, whatever its checksum: those of this host, of veth pairs and of virtio are
//! partial and prove nothing. So no segment makes a connection unknown or reverses it; it can only begin `closing`, which the
//! next data undoes. It must never decide about a packet. Called by `entry`.

use super::{
    Direction, First, FlowEntry, State,
    entry::{OPENER, OTHER},
    flags,
};
use crate::{
    packet::{Packet, protocol, tcp},
    verdict::Decision,
};

/// Maximum distance of a plausible segment from the next sequence number of its sender: a burst of lost packets.
const NEAR: isize = 1 << 18;

/// FINs of both sides.
const BOTH_FINS: u8 = flags::FIN_ORIGINAL | flags::FIN_REPLY;

impl FlowEntry {
    /// Tracks a TCP connection.
    ///
    /// A reset closes it only with the exact next sequence number, as receivers demand (RFC 5961 3.2): an off-path attacker would
    /// have to guess one number in 2³². Other resets pass, for the receivers to judge, and leave the state alone. A FIN may
    /// arrive ahead of earlier data, and closes its side when the other side acknowledges it, which it does only with everything
    /// before. The next expected number advances only with segments that begin near it, so that no packet from nowhere can
    /// prepare a guess.
    #[inline(always)]
    pub(super) fn update_tcp_state<const OWN: usize>(&mut self, packet: &Packet) {
        // A side that was not seen before defines its first number itself; only its acknowledgement can be checked.
        let is_first = self.packets[OWN] == 1;
        if packet.tcp_flags & tcp::RST != 0 {
            // A SYN without a reply has no connection to close.
            if !self.is_half_open() && self.is_next::<OWN>(packet, is_first) {
                self.set_state(State::Closing);
            }
            return;
        }
        let before = self.sent[OWN];
        let believed = self.follow::<OWN>(packet, is_first);
        // The close was none: the connection continues.
        if self.is(State::Closing) && packet.has_data() && (is_first || self.sent[OWN] != before) {
            let has_reply = self.packets[OTHER] != 0;
            self.set_state(if has_reply { State::Established } else { State::New });
            self.status &= !BOTH_FINS;
        }
        // Nothing comes after a FIN: it is the last number that its side sends.
        if packet.tcp_flags & tcp::FIN != 0 && believed && packet.sequence_end() == self.sent[OWN] {
            self.status |= if OWN == OTHER { flags::FIN_REPLY } else { flags::FIN_ORIGINAL };
        }
        if self.status & BOTH_FINS == BOTH_FINS
            && self.acknowledged[OPENER] == self.sent[OTHER]
            && self.acknowledged[OTHER] == self.sent[OPENER]
        {
            self.set_state(State::Closing);
        }
    }

    /// Records the numbers of a plausible packet; returns whether it is plausible.
    #[inline(always)]
    pub(super) fn follow<const OWN: usize>(&mut self, packet: &Packet, is_first: bool) -> bool {
        // Distance ahead of the known number, modulo 2³²; then as wide as an eBPF register.
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

    /// Whether a packet of the side `OWN` begins with the exact next number.
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

    /// Whether a SYN in `direction` is the other half of a simultaneous open (RFC 9293 3.5): both sides sent a SYN, and neither
    /// has a reply yet.
    #[inline(always)]
    #[must_use]
    pub const fn is_opened_at_once(&self, direction: Direction) -> bool {
        !self.is_revoked()
            && self.status & flags::SYN != 0
            && !self.is_of_opener(direction)
            && self.is(State::New)
    }

    /// Whether the SYN that began this flow has no reply yet, and `packet` of the other side is none: it is no SYN, and does not
    /// acknowledge what the SYN's sender sent. A SYN alone lets no packet of an earlier connection pass.
    #[inline(always)]
    #[must_use]
    pub fn awaits_reply(&self, packet: &Packet, direction: Direction) -> bool {
        if !self.is_half_open() || self.is_of_opener(direction) || packet.is_syn() {
            return false;
        }
        let ahead = packet.acknowledgement.wrapping_sub(self.sent[OPENER]).cast_signed() as isize;
        packet.tcp_flags & tcp::ACK == 0 || !(-NEAR..NEAR).contains(&ahead)
    }

    /// Records that `decision`, of the policy of `generation`, accepts `packet`, which requests a new connection, is `length`
    /// bytes long and goes in `direction`. Returns whether it is the SYN that began this flow, which must be
    /// [recorded](Self::observe). Another SYN requests another connection between the same ends, or is forged: until it has a
    /// reply, nothing changes.
    ///
    /// An SCTP association has no numbers to tell its replies by. It continues, or begins anew if the policy had revoked it.
    #[inline(always)]
    #[must_use]
    pub fn note_request(
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
            let opened = self.opened_next(now);
            *self = Self { opened, ..Self::open(packet, direction, decision, generation, length, now) };
            return false;
        }
        let is_the_first = self.status & flags::SYN != 0
            && !self.is_revoked()
            && !self.is(State::Closing)
            && self.is_of_opener(direction)
            && self.sent[OPENER] == packet.sequence_end();
        if is_the_first {
            return true;
        }
        self.pending_syn = packet.sequence_end();
        self.pending_length = if length > 255 { 255 } else { length as u8 };
        // Last: who finds it finds the number.
        core::hint::black_box(());
        self.pending_first = First::of(packet, direction).pending();
        false
    }

    /// The SYN that requests another connection between the same ends, if `packet`, which goes in `direction`, replies to it.
    /// Then that SYN must be judged, and passed to [`Self::begin_anew`] with the decision.
    #[inline(always)]
    #[must_use]
    pub const fn begun_anew_by(&self, packet: &Packet, direction: Direction) -> Option<First> {
        let Some(first) = First::of_pending(self.pending_first) else { return None };
        let is_reply = packet.protocol == protocol::TCP
            && packet.tcp_flags & (tcp::SYN | tcp::ACK | tcp::RST) == tcp::SYN | tcp::ACK
            && packet.acknowledgement == self.pending_syn
            && !first.goes(direction);
        if is_reply { Some(first) } else { None }
    }

    /// When another flow between the same ends begins in this entry. Never when the one before it did: by that they differ.
    #[inline(always)]
    const fn opened_next(&self, now: u64) -> u32 {
        if now as u32 == self.opened { self.opened.wrapping_add(1) } else { now as u32 }
    }

    /// Becomes the entry of the connection that was [pending](Self::begun_anew_by), if `decision`, of the policy of `generation`,
    /// accepts its SYN, `first`. Otherwise this flow continues, and nothing is pending.
    ///
    /// Another processor may have recorded that SYN again meanwhile, with other fields: the entry remembers what was judged.
    #[inline(always)]
    pub fn begin_anew(&mut self, first: First, decision: Decision, generation: u32, now: u64) {
        if !decision.accepts() {
            self.pending_first = 0;
            return;
        }
        *self = Self {
            last_seen: now,
            decision: decision.word(),
            generation,
            status: Self::new_status(flags::SYN),
            first,
            pending_first: 0,
            pending_length: 0,
            packets: [1, 0],
            bytes: [u64::from(self.pending_length), 0],
            sent: [self.pending_syn, 0],
            acknowledged: [0, 0],
            opened: self.opened_next(now),
            pending_syn: 0,
        };
    }
}
