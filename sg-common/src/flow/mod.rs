//! Who talks to whom over a NIC, the state of that talk, and its timeouts.
//!
//! Everything here is a pure function of the entry, the packet and `now`. The datapath calls it for every
//! packet, the agent's sweep for every entry. It must never look at rules: whether a flow may live is the
//! image's answer, this file only remembers it.

mod key;

pub use key::{FlowKey, NarrowKey, Talk, packet_keys};

use crate::{
    clock::elapsed,
    packet::{Family, Icmp, Packet, has_ports, is_icmp, protocol, tcp},
    verdict::Decision,
};

/// As seen by the owner of the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// Towards the owner.
    Ingress = 0,
    /// From the owner.
    Egress = 1,
}

impl Direction {
    /// The direction of a number that [`Self::Ingress`] or [`Self::Egress`] was turned into.
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u64) -> Self {
        if number == Self::Ingress as u64 { Self::Ingress } else { Self::Egress }
    }

    /// The other one.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

/// How far a flow has come. ABI: [`FlowEntry::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Packets went one way only.
    New = 0,
    /// Packets went both ways.
    Established = 1,
    /// TCP: a reset, or a FIN from both ends.
    Closing = 2,
}

/// Bits of [`FlowEntry::flags`].
pub mod flags {
    /// TCP: the end that opened the flow sent FIN.
    pub const FIN_ORIGINAL: u8 = 1;
    /// TCP: the other end sent FIN.
    pub const FIN_REPLY: u8 = 2;
    /// The policy no longer accepts the flow. The entry stays while either end keeps trying: without it the
    /// next packet of the end that may speak first would open the flow anew, the other way round.
    pub const CUT: u8 = 4;
    /// TCP: the flow began with a SYN.
    pub const SYN: u8 = 8;
}

/// What is remembered of a flow. 80 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FlowEntry {
    /// When the last packet passed, in jiffies.
    pub last_seen: u64,
    /// When the first packet passed, in jiffies.
    pub opened: u64,
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
    /// Zero.
    pub pad: u8,
}

/// Timeouts in jiffies, by what [`timeout_index`] says.
pub type Timeouts = [u32; 8];

/// How long a flow may be silent, in seconds. Defaults are Alibaba Cloud's and Huawei Cloud's documented ones:
/// TCP 910 s established and 3 s closing; UDP 30 s one way and 180 s both ways; ICMP 30 s.
pub const DEFAULT_TIMEOUTS_SECONDS: Timeouts = [30, 910, 3, 30, 180, 30, 30, 180];

/// The names of [`Timeouts`], in their order.
pub const TIMEOUT_NAMES: [&str; 8] = [
    "tcp-new",
    "tcp-established",
    "tcp-closing",
    "udp-new",
    "udp-established",
    "icmp",
    "other-new",
    "other-established",
];

/// The longest timeout, five days: in jiffies it fits half of 32 bits at any rate of the clock.
pub const LONGEST_TIMEOUT_SECONDS: u32 = 432_000;

/// Which of [`Timeouts`] holds for a flow: TCP new, established, closing; UDP new, established; ICMP; other
/// protocols new, established.
#[inline(always)]
#[must_use]
pub const fn timeout_index(family: Family, number: u8, state: u8) -> usize {
    if number == protocol::TCP {
        let state = state as usize;
        return if state > 2 { 2 } else { state };
    }
    let both_ways = (state != State::New as u8) as usize;
    if number == protocol::UDP {
        3 + both_ways
    } else if is_icmp(family, number) {
        5
    } else {
        6 + both_ways
    }
}

/// The end that opened a flow, as a place in [`FlowEntry::packets`] and the like.
const OPENER: usize = 0;
/// The other end.
const OTHER: usize = 1;

impl FlowEntry {
    /// The entry of a flow whose first packet, `length` bytes long, was just accepted.
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
            opened: now,
            decision: decision.word(),
            packets: [1, 0],
            bytes: [length, 0],
            sent: [packet.sequence_end(), 0],
            acknowledged: [packet.acknowledgement, 0],
            generation,
            state: State::New as u8,
            direction: direction as u8,
            flags: if packet.is_syn() { flags::SYN } else { 0 },
            pad: 0,
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
    pub const fn is_cut(&self) -> bool {
        self.flags & flags::CUT != 0
    }

    /// Whether a connection that was opened in `direction` is on its way, so that another SYN in that direction
    /// is the same one again.
    #[inline(always)]
    #[must_use]
    pub const fn is_live_from(&self, direction: Direction) -> bool {
        !self.is_cut() && self.direction == direction as u8 && self.state != State::Closing as u8
    }

    /// Whether the flow has been silent for too long. `now` in jiffies.
    #[inline(always)]
    #[must_use]
    pub fn is_expired(&self, key: &FlowKey, timeouts: &Timeouts, now: u64) -> bool {
        let timeout = timeouts[timeout_index(key.talk.family(), key.talk.protocol(), self.state) & 7];
        elapsed(now, self.last_seen) > u64::from(timeout)
    }

    /// Whether the policy must be asked again before a packet passes. A cut flow always asks a new policy,
    /// whatever `revalidate` says: it may have been accepted again.
    #[inline(always)]
    #[must_use]
    pub const fn is_stale(&self, generation: u32, revalidate: bool) -> bool {
        self.generation != generation && (revalidate || self.is_cut())
    }

    /// Notes what the policy of `generation` says of this flow.
    #[inline(always)]
    pub fn rejudge(&mut self, decision: Decision, generation: u32) {
        self.generation = generation;
        self.decision = decision.word();
        if decision.accepts() {
            self.flags &= !flags::CUT;
        } else {
            self.flags |= flags::CUT;
        }
    }

    /// Notes a packet of this flow that was seen, `length` bytes long and going in `direction`. Another processor may do the
    /// same at the same time: a count can be lost, a verdict cannot.
    #[inline(always)]
    pub fn observe(&mut self, packet: &Packet, direction: Direction, length: u64, now: u64) {
        // One jiffy is finer than any timeout; not dirtying the line for nothing is what many CPUs want.
        if self.last_seen != now {
            self.last_seen = now;
        }
        if direction as u8 == self.direction {
            self.hear::<OPENER>(packet, length);
        } else {
            self.hear::<OTHER>(packet, length);
            // An answer, unless the packet ended the flow.
            if self.state == State::New as u8 && !packet.is_reset() {
                self.state = State::Established as u8;
            }
        }
    }

    /// Notes a packet of the end `OWN`.
    #[inline(always)]
    fn hear<const OWN: usize>(&mut self, packet: &Packet, length: u64) {
        self.packets[OWN] += 1;
        self.bytes[OWN] += length;
        if packet.protocol == protocol::TCP {
            self.hear_tcp::<OWN>(packet);
        }
    }

    /// Follows a TCP connection.
    ///
    /// A reset or FIN ends the flow only where its number is the very next one, as an end demands of a reset
    /// (RFC 5961 3.2): who cannot see the connection would have to guess one number in 2³². Others pass, the ends are to
    /// judge them, and leave the state alone. What is believed about the next number moves on with packets that begin
    /// near it, so that no packet from nowhere can prepare a guess.
    #[inline(always)]
    fn hear_tcp<const OWN: usize>(&mut self, packet: &Packet) {
        // An end that was not heard before says its first number itself; only what it acknowledges can be checked.
        let unheard = OWN == OTHER && self.packets[OWN] == 1;
        if packet.tcp_flags & (tcp::RST | tcp::FIN) == 0 {
            return self.follow::<OWN>(packet, unheard);
        }
        let ends = self.is_next::<OWN>(packet, unheard);
        if packet.tcp_flags & tcp::RST != 0 {
            if ends {
                self.state = State::Closing as u8;
            }
            return;
        }
        self.follow::<OWN>(packet, unheard);
        if ends {
            self.flags |= if OWN == OTHER { flags::FIN_REPLY } else { flags::FIN_ORIGINAL };
            let both = flags::FIN_ORIGINAL | flags::FIN_REPLY;
            if self.flags & both == both {
                self.state = State::Closing as u8;
            }
        }
    }

    /// Notes the numbers of a packet, as far as they are believed.
    #[inline(always)]
    fn follow<const OWN: usize>(&mut self, packet: &Packet, unheard: bool) {
        // How far it begins ahead of what is known, modulo 2³²; then as wide as a register of eBPF.
        let ahead = packet.sequence.wrapping_sub(self.sent[OWN]).cast_signed() as isize;
        if unheard || (-NEAR..NEAR).contains(&ahead) {
            let length = packet.sequence_length();
            if unheard || ahead + length > 0 {
                self.sent[OWN] = packet.sequence.wrapping_add(length.cast_unsigned() as u32);
            }
            if packet.tcp_flags & tcp::ACK != 0 {
                self.acknowledged[OWN] = packet.acknowledgement;
            }
        }
    }

    /// Whether a packet of the end `OWN` begins with the very next number.
    #[inline(always)]
    fn is_next<const OWN: usize>(&self, packet: &Packet, unheard: bool) -> bool {
        let other = OWN ^ 1;
        if unheard {
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
        !self.is_cut()
            && self.flags & flags::SYN != 0
            && self.direction != direction as u8
            && self.state == State::New as u8
    }
}

/// How far from the next number of an end a packet may begin for its numbers to be believed: a burst of lost packets.
const NEAR: isize = 1 << 18;

/// Whether an accepted packet opens a flow, so that its answers pass. Of ICMP only an echo request
/// does: the other messages answer, or stand alone.
#[inline(always)]
#[must_use]
pub const fn opens(packet: &Packet) -> bool {
    matches!(packet.icmp(), None | Some(Icmp::EchoRequest))
}

const _: () = {
    assert!(size_of::<FlowKey>() == 40 && size_of::<NarrowKey>() == 16);
    assert!(size_of::<FlowEntry>() == 80);
    assert!(has_ports(protocol::TCP));
};
