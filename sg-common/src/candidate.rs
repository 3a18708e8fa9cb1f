//! What a candidate policy would decide, beside what was decided: how decisions are counted, and how packets that the two judge
//! differently are named. A verdict never depends on it. This file must never read a clock or a map. Called by the programs and by
//! the agent.
//!
//! ```text
//! decision on a new flow, or on a live one of an older generation ─► Asked: NIC, direction, now, then, counter of the candidate
//! now and then differ                                             ─► Differing: what rules match of the packet, but its source port
//! ```

use crate::{
    flow::Direction,
    image::{Dimension, Keys},
    packet::Family,
    verdict::{Decision, Verdict},
};

/// The word of a verdict, in two bits.
#[inline(always)]
const fn bits(decision: Decision) -> u64 {
    // A decision is never two of these.
    decision.rejects() as u64 * 2 + (!decision.accepts() && !decision.rejects()) as u64
}

/// The verdict of a word of two bits.
const fn verdict(bits: u64) -> Verdict {
    match bits & 3 {
        0 => Verdict::Accept,
        1 => Verdict::Drop,
        _ => Verdict::Reject,
    }
}

/// The NIC and the packet about which a candidate is asked, in a word: bit 0 is the direction, bit 1 the family, bits 32 to 47 the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Slot of the NIC.
    pub slot: u16,
    /// Direction of the packet that starts the flow.
    pub direction: Direction,
    /// Its family.
    pub family: Family,
}

impl Scope {
    /// The packed word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        (self.slot as u64) << 32 | (self.family as u64) << 1 | self.direction as u64
    }

    /// Decodes [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u64) -> Self {
        let family = if word & 2 == 0 { Family::V4 } else { Family::V6 };
        Self { slot: (word >> 32) as u16, direction: Direction::of(word & 1), family }
    }
}

/// The name by which a decision is counted: bits 0 to 31 the counter of the candidate, 32 to 47 the NIC's slot, bit 48 the direction,
/// bits 49 and 50 the verdict of the policy in force, 51 and 52 that of the candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Asked(u64);

impl Asked {
    const SLOT: u32 = 32;
    const DIRECTION: u32 = 48;
    const NOW: u32 = 49;
    const THEN: u32 = 51;
    /// The counter of what has no room for a name of its own.
    const NO_COUNTER: u64 = 0xffff_ffff;

    /// A decision `now`, where the candidate's is `then`.
    #[inline(always)]
    #[must_use]
    pub const fn new(scope: Scope, now: Decision, then: Decision) -> Self {
        Self(
            then.number() as u64
                | (scope.slot as u64) << Self::SLOT
                | (scope.direction as u64) << Self::DIRECTION
                | bits(now) << Self::NOW
                | bits(then) << Self::THEN,
        )
    }

    /// The same without the counter: for when there is no room left. The agent makes an entry for each before the first packet.
    #[inline(always)]
    #[must_use]
    pub const fn without_counter(self) -> Self {
        Self(self.0 | Self::NO_COUNTER)
    }

    /// All names without a counter of a NIC.
    pub fn without_counters(slot: u16) -> impl Iterator<Item = Self> {
        [Direction::Ingress, Direction::Egress].into_iter().flat_map(move |direction| {
            (0..9).map(move |pair| {
                let base = (u64::from(slot)) << Self::SLOT | (direction as u64) << Self::DIRECTION;
                Self(base | (pair / 3) << Self::NOW | (pair % 3) << Self::THEN | Self::NO_COUNTER)
            })
        })
    }

    /// The packed word.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Decodes [`Self::word`].
    #[must_use]
    pub const fn of(word: u64) -> Self {
        Self(word)
    }

    /// The counter of the candidate's rule or default; `None` if it is not known.
    #[must_use]
    pub const fn counter(self) -> Option<u32> {
        if self.0 & Self::NO_COUNTER == Self::NO_COUNTER { None } else { Some(self.0 as u32) }
    }

    /// The NIC.
    #[must_use]
    pub const fn slot(self) -> u16 {
        (self.0 >> Self::SLOT) as u16
    }

    /// The direction.
    #[must_use]
    pub const fn direction(self) -> Direction {
        Direction::of(self.0 >> Self::DIRECTION & 1)
    }

    /// The verdict of the policy in force.
    #[must_use]
    pub const fn now(self) -> Verdict {
        verdict(self.0 >> Self::NOW)
    }

    /// The verdict of the candidate.
    #[must_use]
    pub const fn then(self) -> Verdict {
        verdict(self.0 >> Self::THEN)
    }

    /// Whether the two verdicts differ.
    #[inline(always)]
    #[must_use]
    pub const fn differs(self) -> bool {
        (self.0 >> Self::NOW ^ self.0 >> Self::THEN) & 3 != 0
    }
}

/// The name of packets that the candidate judges differently. Everything that rules match is in it but the source port, which most
/// clients draw for each connection. 40 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct DifferingKey {
    /// The remote address, upper half, see [`Address`](crate::packet::Address).
    pub remote_high: u64,
    /// Its lower half.
    pub remote_low: u64,
    /// The local address, upper half.
    pub local_high: u64,
    /// Its lower half.
    pub local_low: u64,
    /// See [`crate::image::service_key`]; above it the DSCP, in six bits.
    pub service: u32,
    /// Slot of the NIC.
    pub nic: u16,
    /// Bit 0 the direction, bit 1 the family, bits 2 and 3 the verdict of the policy in force, 4 and 5 that of the candidate.
    pub marks: u16,
}

impl DifferingKey {
    const DSCP: u32 = 24;

    /// The name of a packet with these keys.
    #[inline(always)]
    #[must_use]
    pub const fn of(scope: Scope, keys: &Keys, asked: Asked) -> Self {
        Self {
            remote_high: keys.get(Dimension::RemoteHigh),
            remote_low: keys.get(Dimension::RemoteLow),
            local_high: keys.get(Dimension::LocalHigh),
            local_low: keys.get(Dimension::LocalLow),
            service: (keys.get(Dimension::Service) | keys.get(Dimension::Dscp) << Self::DSCP) as u32,
            nic: scope.slot,
            marks: (scope.word() & 3 | (asked.word() >> Asked::NOW & 15) << 2) as u16,
        }
    }

    /// The direction.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        Direction::of(self.marks as u64 & 1)
    }

    /// The family.
    #[must_use]
    pub const fn family(&self) -> Family {
        if self.marks & 2 == 0 { Family::V4 } else { Family::V6 }
    }

    /// The verdict of the policy in force, and of the candidate.
    #[must_use]
    pub const fn verdicts(&self) -> (Verdict, Verdict) {
        (verdict(self.marks as u64 >> 2), verdict(self.marks as u64 >> 4))
    }

    /// The DSCP.
    #[must_use]
    pub const fn dscp(&self) -> u8 {
        (self.service >> Self::DSCP) as u8
    }

    /// The protocol.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        (self.service >> 16) as u8
    }

    /// The port that they were sent to, or their ICMP type and code.
    #[must_use]
    pub const fn selector(&self) -> u16 {
        self.service as u16
    }
}

/// What is known of packets with one name. 48 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DifferingEntry {
    /// How many. Added to atomically.
    pub packets: u64,
    /// Time of the first, in jiffies.
    pub first: u64,
    /// Time of the last.
    pub last: u64,
    /// The [`Decision`] of the policy in force on the last.
    pub now: u64,
    /// The candidate's.
    pub then: u64,
    /// The source port of the last; with [`Self::SEVERAL`], others had another one.
    pub source_port: u64,
}

impl DifferingEntry {
    /// Not all had the same source port.
    pub const SEVERAL: u64 = 1 << 16;

    /// The source port, if all had the same.
    #[must_use]
    pub const fn only_source_port(&self) -> Option<u16> {
        if self.source_port & Self::SEVERAL == 0 { Some(self.source_port as u16) } else { None }
    }
}

const _: () = assert!(size_of::<DifferingKey>() == 40 && size_of::<DifferingEntry>() == 48);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Reason;

    const VERDICTS: [Verdict; 3] = [Verdict::Accept, Verdict::Drop, Verdict::Reject];

    #[test]
    fn names_keep_their_parts_apart() {
        for (slot, direction, family) in [
            (0, Direction::Ingress, Family::V4),
            (0xabcd, Direction::Egress, Family::V6),
            (1, Direction::Egress, Family::V4),
        ] {
            let scope = Scope { slot, direction, family };
            assert_eq!(Scope::of(scope.word()), scope);
            for (now, then) in VERDICTS.iter().flat_map(|now| VERDICTS.map(|then| (*now, then))) {
                let decision = |verdict, number| Decision::new(verdict, Reason::Rule, number);
                let asked = Asked::new(scope, decision(now, 7), decision(then, 0x1234_5678));
                assert_eq!((asked.now(), asked.then(), asked.differs()), (now, then, now != then));
                assert_eq!((asked.slot(), asked.direction()), (slot, direction));
                assert_eq!(asked.counter(), Some(0x1234_5678));
                let without = asked.without_counter();
                assert_eq!((without.counter(), without.now(), without.then()), (None, now, then));
                assert!(Asked::without_counters(slot).any(|name| name == without));
                let mut keys = Keys::default();
                keys.set(Dimension::Service, 0x11_0035);
                keys.set(Dimension::Dscp, 46);
                let key = DifferingKey::of(scope, &keys, asked);
                assert_eq!((key.direction(), key.family(), key.verdicts()), (direction, family, (now, then)));
                assert_eq!((key.protocol(), key.selector(), key.dscp()), (0x11, 0x35, 46));
            }
        }
    }
}
