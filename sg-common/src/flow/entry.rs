//! The flow entry, and what it decides about a packet. Several CPUs may write an entry at once: its fields are words that are
//! written whole. A race can lose a count, a sequence number, or a bit of the status, which two processors change at once: then a
//! connection is known for another time than it should be. It cannot lose a verdict, nor who opened a flow.

use super::{Direction, First, FlowKey, PortsProtoNic, State, Timeouts, flags, timeout_index};
use crate::{
    clock::elapsed,
    packet::{Packet, protocol, tcp},
    verdict::Decision,
};

/// Entry of a flow. 80 bytes, no padding, integers only. ADR 19 lists what it has room for, and why it is not shorter.
///
/// Only [`Self::decision`] says whether the flow is revoked, and only [`Self::first`] who opened it: words that are written whole
/// and never changed bit by bit, so a race cannot lose either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowEntry {
    /// Time of the last packet that passed, in jiffies.
    pub last_seen: u64,
    /// The [`Decision`] that accepted or revoked the flow. Bits 42 to 62 are zero: room for marks that a policy makes when it judges
    /// a flow.
    pub decision: u64,
    /// The generation of the policy that judged the flow last.
    pub generation: u32,
    /// Bits of [`flags`], and above them the [`State`], see [`Self::state`].
    pub status: u8,
    /// The first packet, by which the flow is judged again.
    pub first: First,
    /// The same of a SYN that requests another connection between the same ends and has no reply yet, see [`First::pending`];
    /// zero if there is none. Written whole, as [`Self::first`] is.
    pub pending_first: u8,
    /// Length in bytes of the frame of [`Self::pending_syn`], 255 if it was longer.
    pub pending_length: u8,
    /// Packets: of the side that opened the flow, and of the other side.
    pub packets: [u64; 2],
    /// Bytes, likewise, including Ethernet headers.
    pub bytes: [u64; 2],
    /// TCP: the next sequence number of each side, likewise.
    pub sent: [u32; 2],
    /// TCP: the sequence number that each side expects next, likewise.
    pub acknowledged: [u32; 2],
    /// Time of the first packet that passed: the lower half of jiffies.
    pub opened: u32,
    /// With [`Self::PENDING`]: the number that a reply to that SYN acknowledges.
    pub pending_syn: u32,
}

/// What an entry decides about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// The flow's decision, as a word. The packet must be [recorded](FlowEntry::observe).
    Passes(u64),
    /// The flow's decision, as a word, with nothing to record.
    Decided(u64),
    /// The policy must judge the flow by this first packet; if true, also by the same packet in the other direction.
    Stale(First, bool),
    /// The packet is an ICMP error about a live flow.
    Related,
    /// The policy must judge the packet: it requests a new connection, or is an error about a revoked flow.
    NeedsPolicy,
    /// The packet belongs to no known connection: the flow's SYN has no reply yet, and this packet is none.
    Miss,
}

/// Index of the side that opened the flow, in [`FlowEntry::packets`] and the like.
pub(super) const OPENER: usize = 0;
/// Index of the other side.
pub(super) const OTHER: usize = 1;

/// Flags that keep a flow off the fast path. So does a decision that does not accept it.
const UNUSUAL: u8 = flags::FIN_ORIGINAL | flags::FIN_REPLY;

/// Bits of [`FlowEntry::status`] that are the state.
const STATE: u8 = 3 << STATE_SHIFT;
const STATE_SHIFT: u32 = 6;

impl FlowEntry {
    /// TCP: bit of [`Self::pending_first`]. It is not among the bits of the status, where another processor that changes the state
    /// could lose it: the reply would then be part of the old connection, and be judged by its direction.
    pub const PENDING: u8 = 2;

    /// The entry of a flow whose first packet, `length` bytes long and going in `direction`, has just been accepted.
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
            decision: decision.word(),
            generation,
            status: Self::new_status(if packet.is_syn() { flags::SYN } else { 0 }),
            first: First::of(packet, direction),
            pending_first: 0,
            pending_length: 0,
            packets: [1, 0],
            bytes: [length, 0],
            sent: [packet.sequence_end(), 0],
            acknowledged: [packet.acknowledgement, 0],
            opened: now as u32,
            pending_syn: 0,
        }
    }

    /// The status of a half-open flow with these flags.
    pub(super) const fn new_status(flags: u8) -> u8 {
        (State::New as u8) << STATE_SHIFT | flags
    }

    /// Turns it into the entry of a connection that had closed, and whose first packet was `first`. If `packet` carries data, the
    /// connection continues.
    #[inline(always)]
    pub fn reopen(&mut self, packet: &Packet, first: First) {
        let goes_on = packet.has_data() && !packet.is_reset();
        self.set_state(if goes_on { State::Established } else { State::Closing });
        if !first.goes(self.direction()) {
            self.packets = [0, self.packets[OPENER]];
            self.bytes = [0, self.bytes[OPENER]];
            self.sent = [0, self.sent[OPENER]];
            self.acknowledged = [0, self.acknowledged[OPENER]];
        }
        self.first = first;
    }

    /// The [`State`] as a number: nobody else's, because other programs may write an entry.
    #[inline(always)]
    #[must_use]
    pub const fn state(&self) -> u8 {
        self.status >> STATE_SHIFT
    }

    /// Bits of [`flags`].
    #[inline(always)]
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.status & !STATE
    }

    #[inline(always)]
    pub(super) const fn is(&self, state: State) -> bool {
        self.state() == state as u8
    }

    /// Sets the state.
    #[inline(always)]
    pub const fn set_state(&mut self, state: State) {
        self.status = self.status & !STATE | (state as u8) << STATE_SHIFT;
    }

    /// The entry with another state.
    #[must_use]
    pub const fn with_state(mut self, state: State) -> Self {
        self.set_state(state);
        self
    }

    /// The direction of the first packet.
    #[inline(always)]
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.first.direction()
    }

    /// Whether a packet in `direction` is of the side that opened the flow.
    #[inline(always)]
    pub(super) const fn is_of_opener(&self, direction: Direction) -> bool {
        self.first.goes(direction)
    }

    /// Whether the policy has revoked this flow. The entry stays while either side keeps trying: without it, the next packet of
    /// the side that may open flows would open this one anew, in the other direction.
    #[inline(always)]
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        !matches!(Decision::from_word(self.decision), Some(decision) if decision.accepts())
    }

    /// Whether the flow has been idle for so long that it is unknown from now on. `now` in jiffies.
    ///
    /// No received packet makes this happen sooner: a closed connection is known for as long as an established one (RFC 9293
    /// 3.5.2: the receiver may not accept the reset), and so is a flow that was revoked while half-open, and a connection that
    /// was first seen mid-stream.
    #[inline(always)]
    #[must_use]
    pub fn is_expired(&self, l4: PortsProtoNic, timeouts: &Timeouts, now: u64) -> bool {
        let (family, number) = (l4.family(), l4.protocol());
        let silent = elapsed(now, self.last_seen);
        let known = |state: State| u64::from(timeouts[timeout_index(family, number, state as u8) & 7]);
        let state = if self.is(State::New) { State::New } else { State::Established };
        if silent <= known(state) {
            return false;
        }
        let is_mid_stream = number == protocol::TCP && self.status & flags::SYN == 0;
        silent > known(State::Established) || !self.is_revoked() && !is_mid_stream
    }

    /// Whether this is a SYN without a reply.
    #[inline(always)]
    pub(super) const fn is_half_open(&self) -> bool {
        self.status & flags::SYN != 0 && self.packets[OTHER] == 0
    }

    /// Whether the flow is established and was active within the timeout of half-open flows. If such a flow is among the
    /// half-open ones because its NIC has reached its flow quota, new flows are evicted before it.
    #[inline(always)]
    #[must_use]
    pub fn is_in_use(&self, key: &FlowKey, timeouts: &Timeouts, now: u64) -> bool {
        let index = timeout_index(key.l4.family(), key.l4.protocol(), State::New as u8);
        self.is(State::Established) && elapsed(now, self.last_seen) <= u64::from(timeouts[index & 7])
    }

    /// Whether this is a closed connection whose last packets have had time to pass.
    #[must_use]
    pub fn is_closed(&self, key: &FlowKey, timeouts: &Timeouts, now: u64) -> bool {
        let index = timeout_index(key.l4.family(), key.l4.protocol(), State::Closing as u8);
        key.l4.protocol() == protocol::TCP
            && self.is(State::Closing)
            && !self.is_revoked()
            && elapsed(now, self.last_seen) > u64::from(timeouts[index & 7])
    }

    /// Whether the policy must judge the flow again before a packet passes. A revoked flow is always judged again by a new
    /// policy, whatever `revalidate` is: it may be accepted again. So is a closed connection: packets after the close are not
    /// part of what was accepted.
    #[inline(always)]
    #[must_use]
    pub const fn is_stale(&self, generation: u32, revalidate: bool) -> bool {
        self.generation != generation && (revalidate || self.is_revoked() || self.is(State::Closing))
    }

    /// Records the decision of the policy of `generation` on this flow.
    #[inline(always)]
    pub fn revalidate(&mut self, decision: Decision, generation: u32) {
        // Who finds the generation finds the decision: another processor must not pass a packet by the old decision as if it
        // were the new policy's. LLVM would swap the two; x86 does not.
        self.decision = decision.word();
        core::hint::black_box(());
        self.generation = generation;
    }

    /// Records a packet that is dropped because its flow was revoked. A flow that is no TCP connection stays known while a side
    /// keeps sending, because only time tells who opened it. For a TCP connection, a dropped packet does not change the time
    /// either.
    #[inline(always)]
    pub fn note_revoked(&mut self, packet: &Packet, now: u64) {
        if self.is_revoked() && packet.protocol != protocol::TCP {
            self.see(now);
        }
    }

    /// Whether `packet` can take the fast path: it belongs to an established flow and changes only counters and sequence numbers,
    /// whatever its direction. Unless the flow is stale, only [`Self::note`] remains to be called.
    #[inline(always)]
    #[must_use]
    pub const fn is_usual(&self, packet: &Packet) -> bool {
        self.is_plain(packet, State::Established)
    }

    /// As [`Self::is_usual`], for a half-open flow and a `packet` in `direction` that is no reply.
    #[inline(always)]
    #[must_use]
    pub const fn is_usual_question(&self, packet: &Packet, direction: Direction) -> bool {
        self.is_plain(packet, State::New) && self.is_of_opener(direction)
    }

    #[inline(always)]
    const fn is_plain(&self, packet: &Packet, state: State) -> bool {
        packet.tcp_flags & (tcp::SYN | tcp::FIN | tcp::RST) == 0
            && self.status & (STATE | UNUSUAL) == (state as u8) << STATE_SHIFT
    }

    /// Whether this flow leaves `packet`, which goes in `direction`, to the policy: it asks for a new connection.
    #[inline(always)]
    const fn leaves_to_policy(&self, packet: &Packet, direction: Direction) -> bool {
        packet.requests_connection() && !self.is_opened_at_once(direction)
    }

    /// Whether all that [`Self::find`] would say of `packet`, which goes in `direction`, is that it meets the policy, if the flow
    /// is not stale.
    #[inline(always)]
    #[must_use]
    pub const fn only_leaves_to_policy(&self, packet: &Packet, direction: Direction) -> bool {
        self.leaves_to_policy(packet, direction) && !self.is_revoked()
    }

    /// Records a fast-path packet, `length` bytes long and going in `direction`.
    #[inline(always)]
    pub fn note(&mut self, packet: &Packet, direction: Direction, length: u64, now: u64) {
        self.see(now);
        if self.is_of_opener(direction) {
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

    /// One jiffy is finer than any timeout; not dirtying the cache line needlessly helps many CPUs.
    #[inline(always)]
    fn see(&mut self, now: u64) {
        if self.last_seen != now {
            self.last_seen = now;
        }
    }

    /// Decision of the entry on any packet of its flow, under the policy of `generation`; with `error`, the packet is an ICMP
    /// error about the flow. A dropped packet changes no state, and the time only as in [`Self::note_revoked`].
    ///
    /// With `judged`, the flow was judged for this packet and is not stale, whatever another CPU, which may use another policy,
    /// writes meanwhile.
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
            if !error && let Some(first) = self.begun_anew_by(packet, direction) {
                return Found::Stale(first, false);
            }
            if self.is_stale(generation, revalidate) {
                return Found::Stale(self.first, self.status & flags::EITHER_WAY != 0);
            }
        }
        if error {
            return if self.is_revoked() { Found::NeedsPolicy } else { Found::Related };
        }
        self.note_revoked(packet, now);
        if self.leaves_to_policy(packet, direction) {
            return Found::NeedsPolicy;
        }
        let decision = self.decision;
        if self.is_revoked() {
            return Found::Decided(decision);
        }
        if self.awaits_reply(packet, direction) {
            // Without data it may tell the SYN's sender of an older connection (RFC 9293 3.5.1), and carries no data of that.
            return if packet.has_data() { Found::Miss } else { Found::Decided(decision) };
        }
        Found::Passes(decision)
    }

    /// Records a packet of this flow that passes, `length` bytes long and going in `direction`.
    #[inline(always)]
    pub fn observe(&mut self, packet: &Packet, direction: Direction, length: u64, now: u64) {
        self.see(now);
        if self.is_of_opener(direction) {
            self.track::<OPENER>(packet, length);
        } else {
            self.track::<OTHER>(packet, length);
        }
    }

    /// Records a packet of the side `OWN`.
    #[inline(always)]
    fn track<const OWN: usize>(&mut self, packet: &Packet, length: u64) {
        self.packets[OWN] += 1;
        self.bytes[OWN] += length;
        // A reply, unless the packet ended the flow.
        if OWN == OTHER && self.is(State::New) && !packet.is_reset() {
            self.set_state(State::Established);
        }
        if packet.protocol == protocol::TCP {
            self.update_tcp_state::<OWN>(packet);
        }
    }
}

const _: () = assert!(size_of::<FlowEntry>() == 80);
