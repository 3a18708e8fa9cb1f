//! The words of the flow tables: lookups, inserts, the places of half-open flows, and takeovers. Called by the flow tables of the
//! datapath.

use super::{DIRECTION, packed};
use crate::{
    flow::{Direction, First},
    verdict::{Decision, Verdict},
};

packed! {
    /// Arguments of a flow lookup. Bit 0 is the direction of the packet; bit 2: it is an ICMP error about the flow; bit 3: the
    /// flow was judged for this packet.
    LookupArgs,
    /// Result of a flow lookup: the flow's decision, or a [`FlowLookup`] with its [`First`] packet as a word and `either` in bit 1.
    LookupResult,
    /// Arguments of a revalidation: the [`First`] packet, as a word; bit 2: the packet at hand is an ICMP error about the flow.
    RevalidateArgs,
    /// Arguments of an insert. Bit 0 is the direction of the packet; bit 1: the rules of both directions must accept; bit 4: the
    /// flow has an entry; bit 5: a closed connection opens again; from bit 6 on: its [`First`] packet, as a word;
    /// bit 32: an entry is replaced.
    InsertArgs,
    /// Where a half-open flow goes next, or what became of it.
    RingStep,
}

// Bits that the words of flow lookups share.
const EITHER: u64 = 2;
const ERROR: u64 = 4;
const JUDGED: u64 = 8;
const HAS_ENTRY: u64 = 16;
const REOPENS: u64 = 32;
const REPLACES: u64 = 1 << 32;
const FIRST: u32 = 6;

#[inline(always)]
const fn bit(is_set: bool, bit: u64) -> u64 {
    if is_set { bit } else { 0 }
}

impl LookupArgs {
    /// A packet in `direction`; with `error`, an ICMP error about the flow; with `judged`, the flow was revalidated for this
    /// packet and is not stale.
    #[inline(always)]
    #[must_use]
    pub const fn new(direction: Direction, error: bool, judged: bool) -> Self {
        Self(bit(error, ERROR) | bit(judged, JUDGED) | direction as u64)
    }

    /// The direction.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> Direction {
        Direction::of(self.0 & DIRECTION)
    }

    /// Whether the packet is an ICMP error about the flow.
    #[inline(always)]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    /// Whether the flow was judged for this packet.
    #[inline(always)]
    #[must_use]
    pub const fn is_judged(self) -> bool {
        self.0 & JUDGED != 0
    }
}

impl RevalidateArgs {
    /// The flow was judged by this first packet; with `error`, for an ICMP error about the flow.
    #[inline(always)]
    #[must_use]
    pub const fn new(first: First, error: bool) -> Self {
        Self(bit(error, ERROR) | first.word())
    }

    /// The first packet.
    #[inline(always)]
    #[must_use]
    pub const fn first(self) -> First {
        First::from_word(self.0)
    }

    /// Whether it was judged for an ICMP error about the flow.
    #[inline(always)]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }
}

impl InsertArgs {
    /// A packet in `direction` opens a flow. With `either`, the rules of both directions must accept it, see
    /// [`EITHER_WAY`](crate::flow::flags::EITHER_WAY). With `has_entry`, there is an entry to update.
    #[inline(always)]
    #[must_use]
    pub const fn open(direction: Direction, has_entry: bool, either: bool) -> Self {
        Self(bit(has_entry, HAS_ENTRY) | bit(either, EITHER) | direction as u64)
    }

    /// A packet in `direction` opens a closed connection again, whose first packet was `first`.
    #[inline(always)]
    #[must_use]
    pub const fn reopen(direction: Direction, first: First, either: bool) -> Self {
        Self(REOPENS | first.word() << FIRST | bit(either, EITHER) | direction as u64)
    }

    /// The direction.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> Direction {
        Direction::of(self.0 & DIRECTION)
    }

    /// Whether there is an entry to update.
    #[inline(always)]
    #[must_use]
    pub const fn has_entry(self) -> bool {
        self.0 & HAS_ENTRY != 0
    }

    /// The same, and an entry that is there is replaced.
    #[inline(always)]
    #[must_use]
    pub const fn replacing(self) -> Self {
        Self(self.0 | REPLACES)
    }

    /// Whether an entry that is there is replaced.
    #[inline(always)]
    #[must_use]
    pub const fn is_replacing(self) -> bool {
        self.0 & REPLACES != 0
    }

    /// Whether the rules of both directions must accept the flow.
    #[inline(always)]
    #[must_use]
    pub const fn is_either(self) -> bool {
        self.0 & EITHER != 0
    }

    /// The first packet, if a closed connection opens again.
    #[inline(always)]
    #[must_use]
    pub const fn reopened(self) -> Option<First> {
        if self.0 & REOPENS == 0 { None } else { Some(First::from_word(self.0 >> FIRST)) }
    }
}

/// Result of a lookup in the flow tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowLookup {
    /// There is no entry.
    Miss,
    /// The policy must judge the flow: its entry is from an older generation, or the flow begins anew. Holds the first packet, and
    /// whether the rules of both directions must accept.
    Stale(First, bool),
    /// As [`Self::Stale`], for a closed TCP connection. If the policy accepts the packet, the connection opens again.
    Closed(First, bool),
    /// The packet is an ICMP error about a live flow.
    Related,
    /// There is an entry, but the policy must judge the packet: it requests a new connection, or is an error about a revoked
    /// flow.
    NeedsPolicy,
    /// The flow's decision; the packet has been recorded.
    Hit(Decision),
    /// There is an invalid entry.
    Corrupt,
}

impl LookupResult {
    /// A full lookup is required.
    pub const AGAIN: Self = Self(0);
    /// [`FlowLookup::Miss`].
    pub const MISS: Self = Self(4);
    /// [`FlowLookup::NeedsPolicy`].
    pub const NEEDS_POLICY: Self = Self(8);
    /// [`FlowLookup::Related`].
    pub const RELATED: Self = Self(12);
    /// [`FlowLookup::Corrupt`].
    pub const CORRUPT: Self = Self(24);
    const STALE: u64 = 16;
    const CLOSED: u64 = 20;

    /// [`FlowLookup::Stale`].
    #[inline(always)]
    #[must_use]
    pub const fn stale(first: First, either: bool) -> Self {
        Self(Self::STALE | bit(either, EITHER) | first.word())
    }

    /// [`FlowLookup::Closed`].
    #[inline(always)]
    #[must_use]
    pub const fn closed(first: First, either: bool) -> Self {
        Self(Self::CLOSED | bit(either, EITHER) | first.word())
    }

    /// [`FlowLookup::Hit`].
    #[inline(always)]
    #[must_use]
    pub const fn hit(decision: Decision) -> Self {
        Self(decision.word())
    }

    /// The decision, if it is one.
    #[inline(always)]
    #[must_use]
    pub const fn decision(self) -> Option<Decision> {
        Decision::from_word(self.0)
    }

    /// What it means.
    #[inline(always)]
    #[must_use]
    pub const fn decode(self) -> FlowLookup {
        if let Some(decision) = self.decision() {
            return FlowLookup::Hit(decision);
        }
        let (first, either) = (First::from_word(self.0), self.0 & EITHER != 0);
        match Self(self.0 & !(First::WORD | EITHER)) {
            Self::MISS => FlowLookup::Miss,
            Self::NEEDS_POLICY => FlowLookup::NeedsPolicy,
            Self::RELATED => FlowLookup::Related,
            Self::CORRUPT => FlowLookup::Corrupt,
            Self(Self::CLOSED) => FlowLookup::Closed(first, either),
            _ => FlowLookup::Stale(first, either),
        }
    }
}

impl RingStep {
    /// To the common ring.
    pub const COMMON: Self = Self(0);
    /// To the ring of its own NIC.
    pub const OWN: Self = Self(1);
    /// To the ring of its own NIC, if the next place there is free.
    pub const OWN_IF_FREE: Self = Self(2);
    /// It has a place.
    pub const PLACED: Self = Self(3);
    /// There are no places.
    pub const NO_PLACES: Self = Self(4);
    /// There is no place for it: it must be evicted.
    pub const EVICTED: Self = Self(5);

    /// Whether it goes nowhere else.
    #[inline(always)]
    #[must_use]
    pub const fn is_last(self) -> bool {
        self.0 >= Self::PLACED.0
    }
}

/// How an unknown connection continues whose mid-stream packet the rules of one direction accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// By the rules of this direction alone.
    OneWay,
    /// The rules of the other direction accept it too.
    EitherWay,
    /// The other direction does not accept it, and it is too late for [`Self::OneWay`].
    Refused(Verdict),
}

impl Takeover {
    /// 0 and 1: dropped and rejected; 2: one way; 3: either way.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        match self {
            Self::Refused(Verdict::Reject) => 1,
            Self::Refused(_) => 0,
            Self::OneWay => 2,
            Self::EitherWay => 3,
        }
    }

    /// Decodes [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u64) -> Self {
        match word {
            1 => Self::Refused(Verdict::Reject),
            2 => Self::OneWay,
            3 => Self::EitherWay,
            _ => Self::Refused(Verdict::Drop),
        }
    }
}
