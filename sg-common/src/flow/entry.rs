//! What is remembered of a flow, and what that says of a packet. The entry may be written by several processors at a time: its
//! fields are words that are written whole. A count or a number can be lost between two of them, a verdict cannot.

use super::{Direction, FlowKey, PortsProtoNic, State, Timeouts, flags, timeout_index};
use crate::{
    clock::elapsed,
    packet::{Packet, protocol, tcp},
    verdict::Decision,
};

/// What is remembered of a flow. 80 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowEntry {
    /// When the last packet passed, in jiffies.
    pub last_seen: u64,
    /// When the first packet passed: the lower half of jiffies.
    pub opened: u32,
    /// With [`flags::PENDING`]: the number that the answer to that SYN acknowledges.
    pub pending_syn: u32,
    /// The [`Decision`] that accepted the flow, or that cut it.
    pub decision: u64,
    /// Packets, of the end that opened the flow and of the other.
    pub packets: [u64; 2],
    /// Bytes, likewise, with Ethernet headers.
    pub bytes: [u64; 2],
    /// TCP: the number that the next byte of each end will have, likewise.
    pub sent: [u32; 2],
    /// TCP: the number that each end expects next, likewise.
    pub acknowledged: [u32; 2],
    /// The generation of the policy that judged the flow last.
    pub generation: u32,
    /// [`State`] as a number.
    pub state: u8,
    /// The [`Direction`] of the first packet, as a number.
    pub direction: u8,
    /// See [`flags`].
    pub flags: u8,
    /// Bytes of the frame of [`Self::pending_syn`], 255 where it was longer.
    pub pending_length: u8,
}

/// What an entry says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// What was decided about the flow, as a word. The packet is to be [noted](FlowEntry::observe).
    Passes(u64),
    /// The same, where there is nothing to note.
    Decided(u64),
    /// The policy must say first what it thinks of a packet that goes this way and begins the flow; where this is true, of one
    /// that goes the other way, too.
    Stale(Direction, bool),
    /// The packet is an error about a flow that lives.
    Error,
    /// The packet must meet the policy: it asks for a new connection, or is an error about a flow that was cut.
    Meets,
    /// The packet is of no connection that is known: what a SYN has asked for was not answered yet, and this is no answer.
    Stranger,
}

/// The end that opened a flow, as a place in [`FlowEntry::packets`] and the like.
pub(super) const OPENER: usize = 0;
/// The other end.
pub(super) const OTHER: usize = 1;

/// What only some flows have and few packets meet.
const UNUSUAL: u8 = flags::FIN_ORIGINAL | flags::FIN_REPLY | flags::REVOKED | flags::PENDING;

impl FlowEntry {
    /// The entry of a flow whose first packet, `length` bytes long and going in `direction`, was just accepted.
    #[inline(always)]
    #[must_use]
    pub fn open(
        packet: &Packet,
        direction: Direction,
        decision: Decision,
        generation: u32,
        length: u64,
        now: u64,
    ) -> Self {
        Self {
            last_seen: now,
            opened: now as u32,
            pending_syn: 0,
            decision: decision.word(),
            packets: [1, 0],
            bytes: [length, 0],
            sent: [packet.sequence_end(), 0],
            acknowledged: [packet.acknowledgement, 0],
            generation,
            state: State::New as u8,
            direction: direction as u8,
            flags: if packet.is_syn() { flags::SYN } else { 0 },
            pending_length: 0,
        }
    }

    /// Makes it one of a connection that had ended for all that was seen, and whose first packet went in `first`. Where `packet`
    /// carries data it goes on.
    #[inline(always)]
    pub fn reopen(&mut self, packet: &Packet, first: Direction) {
        let goes_on = packet.has_data() && !packet.is_reset();
        self.state = if goes_on { State::Established as u8 } else { State::Closing as u8 };
        if self.direction != first as u8 {
            self.direction = first as u8;
            self.packets = [0, self.packets[OPENER]];
            self.bytes = [0, self.bytes[OPENER]];
            self.sent = [0, self.sent[OPENER]];
            self.acknowledged = [0, self.acknowledged[OPENER]];
        }
    }

    /// The direction of the first packet.
    #[inline(always)]
    #[must_use]
    pub const fn direction(&self) -> Direction {
        Direction::of(self.direction as u64)
    }

    /// Whether the policy cut this flow.
    #[inline(always)]
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.flags & flags::REVOKED != 0
    }

    /// Whether the flow has been silent for so long that it is not known any more. `now` in jiffies.
    ///
    /// Nothing that is received makes this come sooner: a connection that has ended is known for as long as an established one
    /// (RFC 9293 3.5.2: a reset may be none to its receiver), and so is a flow that was cut before it was answered, and a
    /// connection that was seen from its middle.
    #[inline(always)]
    #[must_use]
    pub fn is_expired(&self, l4: PortsProtoNic, timeouts: &Timeouts, now: u64) -> bool {
        let (family, number) = (l4.family(), l4.protocol());
        let silent = elapsed(now, self.last_seen);
        let known = |state: State| u64::from(timeouts[timeout_index(family, number, state as u8) & 7]);
        let state = if self.state == State::New as u8 { State::New } else { State::Established };
        if silent <= known(state) {
            return false;
        }
        let is_mid_stream = number == protocol::TCP && self.flags & flags::SYN == 0;
        silent > known(State::Established) || !self.is_revoked() && !is_mid_stream
    }

    /// Whether this is a SYN that nothing came back for.
    #[inline(always)]
    pub(super) const fn is_half_open(&self) -> bool {
        self.flags & flags::SYN != 0 && self.packets[OTHER] == 0
    }

    /// Whether the flow was answered and heard of within the time that one without an answer may be silent. Where such a flow
    /// stands among the half-open ones, because its NIC has its share of the others, new ones make room before it does.
    #[inline(always)]
    #[must_use]
    pub fn is_in_use(&self, key: &FlowKey, timeouts: &Timeouts, now: u64) -> bool {
        let index = timeout_index(key.l4.family(), key.l4.protocol(), State::New as u8);
        self.state == State::Established as u8
            && elapsed(now, self.last_seen) <= u64::from(timeouts[index & 7])
    }

    /// Whether this is a connection that has ended, and whose last packets have had the time to pass.
    #[must_use]
    pub fn is_closed(&self, key: &FlowKey, timeouts: &Timeouts, now: u64) -> bool {
        let index = timeout_index(key.l4.family(), key.l4.protocol(), State::Closing as u8);
        key.l4.protocol() == protocol::TCP
            && self.state == State::Closing as u8
            && !self.is_revoked()
            && elapsed(now, self.last_seen) > u64::from(timeouts[index & 7])
    }

    /// Whether the policy must be asked again before a packet passes. A flow that was cut always asks a new policy, whatever
    /// `revalidate` says: it may have been accepted again. So does a connection that has ended: what comes after its end is
    /// no part of what was accepted.
    #[inline(always)]
    #[must_use]
    pub const fn is_stale(&self, generation: u32, revalidate: bool) -> bool {
        self.generation != generation
            && (revalidate || self.is_revoked() || self.state == State::Closing as u8)
    }

    /// Notes what the policy of `generation` says of this flow.
    #[inline(always)]
    pub fn revalidate(&mut self, decision: Decision, generation: u32) {
        self.generation = generation;
        self.decision = decision.word();
        if decision.accepts() {
            self.flags &= !flags::REVOKED;
        } else {
            self.flags |= flags::REVOKED;
        }
    }

    /// Notes a packet that is dropped because its flow was cut. A flow that is no TCP connection stays known while an end goes on
    /// sending, since nothing but time tells who opened it. Of a TCP connection a dropped packet does not change the time either.
    #[inline(always)]
    pub fn note_revoked(&mut self, packet: &Packet, now: u64) {
        if self.is_revoked() && packet.protocol != protocol::TCP {
            self.see(now);
        }
    }

    /// Whether `packet` is what most packets are: of a flow that was answered, and changing nothing of it but counts and
    /// numbers, whatever way it goes. [`Self::note`] is all that is left to do then, unless the flow is stale.
    #[inline(always)]
    #[must_use]
    pub const fn is_usual(&self, packet: &Packet) -> bool {
        self.is_plain(packet) && self.state == State::Established as u8
    }

    /// The same of a flow that was not answered yet, where `packet`, which goes in `direction`, is no answer.
    #[inline(always)]
    #[must_use]
    pub const fn is_usual_question(&self, packet: &Packet, direction: Direction) -> bool {
        self.is_plain(packet) && self.state == State::New as u8 && self.direction == direction as u8
    }

    #[inline(always)]
    const fn is_plain(&self, packet: &Packet) -> bool {
        packet.tcp_flags & (tcp::SYN | tcp::FIN | tcp::RST) == 0 && self.flags & UNUSUAL == 0
    }

    /// Whether this flow leaves `packet`, which goes in `direction`, to the policy: it asks for a new connection.
    #[inline(always)]
    const fn leaves_to_policy(&self, packet: &Packet, direction: Direction) -> bool {
        packet.asks_anew() && !self.is_opened_at_once(direction)
    }

    /// Whether all that [`Self::find`] would say of `packet`, which goes in `direction`, is that it meets the policy, if the flow
    /// is not stale.
    #[inline(always)]
    #[must_use]
    pub const fn only_leaves_to_policy(&self, packet: &Packet, direction: Direction) -> bool {
        self.leaves_to_policy(packet, direction) && !self.is_revoked()
    }

    /// Notes a usual packet, `length` bytes long and going in `direction`.
    #[inline(always)]
    pub fn note(&mut self, packet: &Packet, direction: Direction, length: u64, now: u64) {
        self.see(now);
        if direction as u8 == self.direction {
            self.note_of::<OPENER>(packet, length);
        } else {
            self.note_of::<OTHER>(packet, length);
        }
    }

    #[inline(always)]
    fn note_of<const OWN: usize>(&mut self, packet: &Packet, length: u64) {
        self.packets[OWN] += 1;
        self.bytes[OWN] += length;
        if packet.protocol == protocol::TCP {
            self.follow::<OWN>(packet, self.packets[OWN] == 1);
        }
    }

    /// One jiffy is finer than any timeout; not dirtying the line for nothing is what many CPUs want.
    #[inline(always)]
    fn see(&mut self, now: u64) {
        if self.last_seen != now {
            self.last_seen = now;
        }
    }

    /// What the entry says of any packet of its flow, under the policy of `generation`; `error`: the packet is an ICMP error
    /// about the flow. A packet that is dropped changes no state, and time only as [`Self::note_revoked`] says.
    ///
    /// Where the flow was `judged` for this packet it is not stale, whatever another processor, which may have another policy
    /// before it, says of it meanwhile.
    #[inline(always)]
    pub fn find(
        &mut self,
        packet: &Packet,
        direction: Direction,
        (error, judged): (bool, bool),
        (generation, revalidate): (u32, bool),
        now: u64,
    ) -> Found {
        if !judged {
            if !error && self.is_begun_anew_by(packet, direction) {
                return Found::Stale(direction.reversed(), false);
            }
            if self.is_stale(generation, revalidate) {
                return Found::Stale(self.direction(), self.flags & flags::EITHER_WAY != 0);
            }
        }
        if error {
            return if self.is_revoked() { Found::Meets } else { Found::Error };
        }
        self.note_revoked(packet, now);
        if self.leaves_to_policy(packet, direction) {
            return Found::Meets;
        }
        let decision = self.decision;
        if self.is_revoked() {
            return Found::Decided(decision);
        }
        if self.waits_for_an_answer(packet, direction) {
            // Without data it may tell the end that asked of an older connection (RFC 9293 3.5.1), and carries nothing of it.
            return if packet.has_data() { Found::Stranger } else { Found::Decided(decision) };
        }
        Found::Passes(decision)
    }

    /// Notes a packet of this flow that passes, `length` bytes long and going in `direction`.
    #[inline(always)]
    pub fn observe(&mut self, packet: &Packet, direction: Direction, length: u64, now: u64) {
        self.see(now);
        if direction as u8 == self.direction {
            self.track::<OPENER>(packet, length);
        } else {
            self.track::<OTHER>(packet, length);
        }
    }

    /// Notes a packet of the end `OWN`.
    #[inline(always)]
    fn track<const OWN: usize>(&mut self, packet: &Packet, length: u64) {
        self.packets[OWN] += 1;
        self.bytes[OWN] += length;
        // An answer, unless the packet ended the flow.
        if OWN == OTHER && self.state == State::New as u8 && !packet.is_reset() {
            self.state = State::Established as u8;
        }
        if packet.protocol == protocol::TCP {
            self.update_tcp_state::<OWN>(packet);
        }
    }
}

const _: () = assert!(size_of::<FlowEntry>() == 80);
