//! Fragments of a datagram: the first one has the ports and is judged, the later ones follow it.
//!
//! They follow in order only. A fragment that comes before its predecessor, or that overlaps another one, exact duplicates
//! and a second first fragment included, is dropped: receivers differ in what they put together from those, and it would be
//! a datagram that nobody judged. Linux and the routers on the way send fragments in order; who loses one loses the datagram
//! anyway. Like `flow`, this is a pure function of the entry and the packet, and must never look at rules.
//!
//! A fragment by itself is checked where it is read, see [`crate::packet`].

use crate::{
    clock::elapsed,
    flow::Direction,
    packet::{Family, Packet, Part},
    verdict::{Decision, Reason},
};

/// How long a datagram may wait for its next fragment, in seconds: what Linux gives it (`IP_FRAG_TIME` and
/// `IPV6_FRAG_TIMEOUT`, include/net/ip.h and ipv6.h), and more than any sender takes.
pub const TIMEOUT_SECONDS: u32 = 30;

/// What names a datagram on its way: the NIC, the network, the ends and the sender's number for it. 48 bytes, no padding,
/// integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FragmentKey {
    /// Who sent it, see [`crate::packet::Address`].
    pub source_high: u64,
    /// Who sent it, see [`crate::packet::Address`].
    pub source_low: u64,
    /// Whom it is for, see [`crate::packet::Address`].
    pub destination_high: u64,
    /// Whom it is for, see [`crate::packet::Address`].
    pub destination_low: u64,
    /// RFC 791 3.1, RFC 8200 4.5.
    pub identification: u32,
    /// The NIC's slot.
    pub nic: u16,
    /// IPv4: the protocol (RFC 791 3.2). IPv6: 0, the number alone names the datagram.
    pub protocol: u8,
    /// Bit 0 the [`Direction`], bit 1 the [`Family`].
    pub way: u8,
    /// The [`Vlan`](crate::packet::Vlan), as a word.
    pub vlan: u64,
}

impl FragmentKey {
    /// That of the datagram which `packet` is a fragment of.
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

/// What is remembered of a datagram of which a fragment was accepted. 24 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentEntry {
    /// The [`Decision`] about the first fragment.
    pub decision: u64,
    /// When the last fragment passed, in jiffies.
    pub last_seen: u64,
    /// The generation of the policy that judged it in the lower half, [`Self::next`] in the upper one. One word: of two processors
    /// that take the same fragment at once, the second sees that the first did.
    pub progress: u64,
}

/// [`FragmentEntry::next`] of a datagram that is complete: everything else of it would repeat something.
pub const COMPLETE: u32 = u32::MAX;

impl FragmentEntry {
    /// After the first fragment, which was accepted.
    #[inline(always)]
    #[must_use]
    pub const fn open(packet: &Packet, decision: Decision, generation: u32, now: u64) -> Self {
        let progress = progress(generation, packet.fragment_end());
        Self { decision: decision.word(), last_seen: now, progress }
    }

    /// Where the next fragment must begin, in bytes from the start of the datagram's payload. [`COMPLETE`] after the last.
    #[inline(always)]
    #[must_use]
    pub const fn next(&self) -> u32 {
        (self.progress >> 32) as u32
    }

    /// Whether a first fragment may begin a datagram in its place. Not while others of this one may come: the sender did
    /// not use its number again so soon, unless that was complete. Not even where those would be dropped, since an older
    /// policy judged the first: the receiver still has that one.
    #[inline(always)]
    #[must_use]
    pub const fn is_over(&self, timeout: u32, now: u64) -> bool {
        self.next() == COMPLETE || self.is_expired(timeout, now)
    }

    #[inline(always)]
    const fn is_expired(&self, timeout: u32, now: u64) -> bool {
        elapsed(now, self.last_seen) > timeout as u64
    }

    /// Takes the next fragment. `generation` is that of the policy in force, `timeout` in jiffies. `exchange` puts a word into the
    /// place of another one, which it is told, and says whether that was still there.
    ///
    /// # Errors
    /// Why it does not follow what was accepted.
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

    /// Becomes `next`, the entry of another datagram of the same name that begins now, where this one [is over](Self::is_over).
    /// False where it is not, as when somebody else was faster; see [`Self::follow`] for `exchange`.
    #[inline(always)]
    pub fn begin_anew(
        &mut self,
        next: &Self,
        timeout: u32,
        exchange: impl FnOnce(&mut u64, u64, u64) -> bool,
    ) -> bool {
        // Read once: what is over must be what is exchanged, and not somebody else's that just began. What is exchanged changes,
        // whatever the two datagrams have in common.
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
        // Whoever follows in between does as the datagram before, of which a first fragment was accepted, too.
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
