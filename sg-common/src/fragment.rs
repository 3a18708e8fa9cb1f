//! Fragments of a datagram: the first one has the ports and is judged, the later ones follow it.
//!
//! They follow in order only. A fragment that arrives before its predecessor, or that overlaps another one, including exact
//! duplicates and a second first fragment, is dropped: receivers differ in how they reassemble those, and the result would be a
//! datagram that nobody judged. Linux and the routers on the way send fragments in order; losing one loses the datagram anyway.
//! Like `flow`, this is a pure function of the entry and the packet, and must never look at rules.
//!
//! A fragment by itself is checked by the parser, see [`crate::packet`].

use crate::{
    clock::elapsed,
    flow::Direction,
    packet::{Family, Packet, Part},
    verdict::{Decision, Reason},
};

/// Timeout for the next fragment of a datagram, in seconds: that of Linux (`IP_FRAG_TIME` and `IPV6_FRAG_TIMEOUT`,
/// include/net/ip.h and ipv6.h), and more than any sender takes.
pub const TIMEOUT_SECONDS: u32 = 30;

/// The key of a datagram: the NIC, the network, the ends and the sender's identification. 48 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    /// The source address, upper half, see [`crate::packet::Address`].
    pub source_high: u64,
    /// The source address, lower half.
    pub source_low: u64,
    /// The destination address, upper half, see [`crate::packet::Address`].
    pub destination_high: u64,
    /// The destination address, lower half.
    pub destination_low: u64,
    /// The identification: RFC 791 3.1, RFC 8200 4.5.
    pub identification: u32,
    /// The NIC's slot.
    pub nic: u16,
    /// IPv4: the protocol (RFC 791 3.2). IPv6: 0, the identification alone names the datagram.
    pub protocol: u8,
    /// Bit 0 the [`Direction`], bit 1 the [`Family`].
    pub way: u8,
    /// The [`Vlan`](crate::packet::Vlan), as a word.
    pub vlan: u64,
}

impl FragmentKey {
    /// The key of the datagram of which `packet` is a fragment.
    #[inline(always)]
    #[must_use]
    pub const fn of(nic: u16, direction: Direction, packet: &Packet) -> Self {
        Self {
            source_high: packet.source.high,
            source_low: packet.source.low,
            destination_high: packet.destination.high,
            destination_low: packet.destination.low,
            identification: packet.identification,
            nic,
            protocol: match packet.family {
                Family::V4 => packet.protocol,
                Family::V6 => 0,
            },
            way: direction as u8 | (packet.family as u8) << 1,
            vlan: packet.vlan.word() as u64,
        }
    }
}

/// Entry of a datagram whose first fragment was accepted. 24 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentEntry {
    /// The [`Decision`] on the first fragment.
    pub decision: u64,
    /// Time of the last fragment that passed, in jiffies.
    pub last_seen: u64,
    /// The generation of the policy that judged it in the lower half, [`Self::next`] in the upper one. One word: if two CPUs
    /// accept the same fragment at once, the second sees that the first did.
    pub progress: u64,
}

/// [`FragmentEntry::next`] of a complete datagram: every further fragment would repeat something.
pub const COMPLETE: u32 = u32::MAX;

impl FragmentEntry {
    /// The entry after the first fragment, which was accepted.
    #[inline(always)]
    #[must_use]
    pub const fn open(packet: &Packet, decision: Decision, generation: u32, now: u64) -> Self {
        let progress = progress(generation, packet.fragment_end());
        Self { decision: decision.word(), last_seen: now, progress }
    }

    /// Required offset of the next fragment in the datagram's payload, in bytes. [`COMPLETE`] after the last.
    #[inline(always)]
    #[must_use]
    pub const fn next(&self) -> u32 {
        (self.progress >> 32) as u32
    }

    /// Whether a first fragment may begin another datagram with the same key. Not while fragments of this one may follow: the
    /// sender does not reuse its number so soon, unless this one was complete. Not even if those would be dropped because an
    /// older policy judged the first: the receiver still has that one.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self, timeout: u32, now: u64) -> bool {
        self.next() == COMPLETE || self.is_expired(timeout, now)
    }

    #[inline(always)]
    const fn is_expired(&self, timeout: u32, now: u64) -> bool {
        elapsed(now, self.last_seen) > timeout as u64
    }

    /// Judges the next fragment. `generation` is that of the current policy, `timeout` is in jiffies. `exchange` is a
    /// compare-and-swap of a word: it gets the expected and the new value, and returns whether it wrote.
    ///
    /// # Errors
    /// The reason why the fragment does not follow what was accepted.
    #[inline(always)]
    pub fn follow(
        &mut self,
        packet: &Packet,
        generation: u32,
        timeout: u32,
        now: u64,
        exchange: impl FnOnce(&mut u64, u64, u64) -> bool,
    ) -> Result<Decision, Reason> {
        let before = self.progress;
        let next = (before >> 32) as u32;
        if before as u32 != generation || self.is_expired(timeout, now) {
            return Err(Reason::Fragment);
        }
        if packet.offset < next {
            return Err(Reason::FragmentOverlap);
        }
        if packet.offset > next {
            return Err(Reason::Fragment);
        }
        let is_last = packet.part as u8 == Part::Last as u8;
        let after = progress(generation, if is_last { COMPLETE } else { packet.fragment_end() });
        if !exchange(&mut self.progress, before, after) {
            return Err(Reason::FragmentOverlap);
        }
        self.last_seen = now;
        Decision::from_word(self.decision).ok_or(Reason::ImageFault)
    }

    /// Becomes `next`, the entry of another datagram with the same key that begins now, if this one [is over](Self::is_over).
    /// Returns false if it is not, or if another CPU was faster; see [`Self::follow`] for `exchange`.
    #[inline(always)]
    pub fn begin_anew(
        &mut self,
        next: &Self,
        timeout: u32,
        exchange: impl FnOnce(&mut u64, u64, u64) -> bool,
    ) -> bool {
        // Read once: the datagram that is over must be the one exchanged, and not another that has just begun. The exchanged word
        // changes, whatever the two datagrams have in common.
        let (progress, last_seen) = (self.progress, self.last_seen);
        if elapsed(next.last_seen, last_seen) > u64::from(timeout) {
            if !exchange(&mut self.last_seen, last_seen, next.last_seen) {
                return false;
            }
            self.progress = next.progress;
        } else {
            if (progress >> 32) as u32 != COMPLETE || !exchange(&mut self.progress, progress, next.progress) {
                return false;
            }
            self.last_seen = next.last_seen;
        }
        // A fragment that follows meanwhile gets the decision of the previous datagram, whose first fragment was accepted too.
        self.decision = next.decision;
        true
    }
}

#[inline(always)]
const fn progress(generation: u32, next: u32) -> u64 {
    (next as u64) << 32 | generation as u64
}

const _: () = {
    assert!(size_of::<FragmentKey>() == 48);
    assert!(size_of::<FragmentEntry>() == 24);
};
