//! Arguments and results of the program's global functions, packed into words.
//!
//! A global function is one that the verifier checks once by its signature. It takes numbers and pointers and returns a number
//! (`btf_prepare_func_args`, kernel/bpf/btf.c), so everything else goes through a word of this file. Each word is a type, with a
//! constructor and a reader for every field; `sg-common/tests/packed.rs` holds the layouts. `sg-ebpf/src/subprograms.rs` lists
//! the functions and their words. No map holds such a word, so a layout may change without a new [`abi`](crate::abi) version.
//!
//! A result that may be a [`Decision`] keeps bit 63 clear otherwise: that bit marks decisions. It must never decide anything.

mod flow;
mod frame;

pub use self::{
    flow::{FlowLookup, InsertArgs, LookupArgs, LookupResult, RevalidateArgs, RingStep, Takeover},
    frame::{FrameWord, ParseResult},
};
use crate::{
    event::EventKind,
    flow::Direction,
    verdict::{Decision, Reason},
};

/// Bit 0: the [`Direction`].
const DIRECTION: u64 = 1;

/// The NIC and direction of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowScope {
    /// Slot of the NIC.
    pub slot: u16,
    /// Direction of the packet.
    pub direction: Direction,
}

impl FlowScope {
    const SLOT: u32 = 32;

    /// Bit 0 is the direction, bits 32 to 47 are the slot.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        (self.slot as u64) << Self::SLOT | self.direction as u64
    }

    /// Decodes [`Self::word`].
    #[inline(always)]
    #[must_use]
    pub const fn of(word: u64) -> Self {
        Self { slot: (word >> Self::SLOT) as u16, direction: Direction::of(word & DIRECTION) }
    }
}

/// Defines what every packed word has.
macro_rules! packed {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The packed word.
            #[inline(always)]
            #[must_use]
            pub const fn word(self) -> u64 {
                self.0
            }

            /// Decodes [`Self::word`].
            #[inline(always)]
            #[must_use]
            pub const fn of(word: u64) -> Self {
                Self(word)
            }
        }
    )*};
}
use packed;

packed! {
    /// The NIC of a packet that does not pass: a [`FlowScope`]; bit 1: it has none.
    DeniedScope,
    /// What an event is about: a [`FlowScope`]; bits 8 to 15 are the [`EventKind`].
    EventArgs,
    /// The packet to check for an exception: a [`FlowScope`]; bit 1: the server is one of the NIC's; bits 8 to 15 are the offset
    /// of the IP header.
    ExceptionArgs,
    /// Whether a packet is an exception.
    ExceptionResult,
    /// The claim to read: bit 1: that of a neighbour advertisement; otherwise that of ARP, in the direction of bit 0.
    ClaimKind,
    /// The decision that a later fragment follows, or the number of a [`Reason`].
    FollowResult,
}

impl DeniedScope {
    /// A packet of no NIC.
    pub const HOST: Self = Self(2);

    /// A packet of a NIC.
    #[inline(always)]
    #[must_use]
    pub const fn of_nic(scope: FlowScope) -> Self {
        Self(scope.word())
    }

    /// The scope; `None` for a packet of no NIC.
    #[inline(always)]
    #[must_use]
    pub const fn nic(self) -> Option<FlowScope> {
        if self.0 & Self::HOST.0 == 0 { Some(FlowScope::of(self.0)) } else { None }
    }
}

impl EventArgs {
    const KIND: u32 = 8;

    /// An event of this kind, of a packet in this scope.
    #[inline(always)]
    #[must_use]
    pub const fn new(kind: EventKind, scope: FlowScope) -> Self {
        Self(scope.word() | (kind as u64) << Self::KIND)
    }

    /// What happened.
    #[inline(always)]
    #[must_use]
    pub const fn kind(self) -> EventKind {
        match (self.0 >> Self::KIND) as u8 {
            0 => EventKind::Opened,
            1 => EventKind::DeniedFirst,
            2 => EventKind::Denied,
            _ => EventKind::Revoked,
        }
    }

    /// The scope.
    #[inline(always)]
    #[must_use]
    pub const fn scope(self) -> FlowScope {
        FlowScope::of(self.0)
    }
}

impl ExceptionArgs {
    const TRUSTED: u64 = 2;
    const NETWORK: u32 = 8;

    /// A packet of this scope, whose IP header is at `network`.
    #[inline(always)]
    #[must_use]
    pub const fn new(scope: FlowScope, network: usize) -> Self {
        Self(scope.word() | (network as u64) << Self::NETWORK)
    }

    /// The same packet, to a DHCP server of the NIC.
    #[inline(always)]
    #[must_use]
    pub const fn trusted(self) -> Self {
        Self(self.0 | Self::TRUSTED)
    }

    /// The scope.
    #[inline(always)]
    #[must_use]
    pub const fn scope(self) -> FlowScope {
        FlowScope::of(self.0)
    }

    /// Offset of the IP header: below 256.
    #[inline(always)]
    #[must_use]
    pub const fn network(self) -> usize {
        (self.0 as u32 >> Self::NETWORK) as usize & 0xff
    }

    /// Whether the server is one of the NIC's.
    #[inline(always)]
    #[must_use]
    pub const fn is_trusted(self) -> bool {
        self.0 & Self::TRUSTED != 0
    }
}

impl ExceptionResult {
    /// The packet needs a rule.
    pub const MISS: Self = Self(0);
    /// DHCP.
    pub const DHCP: Self = Self(1);
    /// Neighbour, router or multicast listener discovery.
    pub const DISCOVERY: Self = Self(2);
    /// DHCP to a single server, which must be one of the NIC's.
    pub const TO_A_SERVER: Self = Self(3);
    /// Parts of the message lie outside the linear part of the buffer.
    pub const UNREAD: Self = Self(4);
}

impl ClaimKind {
    /// That of a neighbour advertisement.
    pub const ADVERTISEMENT: Self = Self(2);

    /// That of ARP in this direction.
    #[inline(always)]
    #[must_use]
    pub const fn arp(direction: Direction) -> Self {
        Self(direction as u64)
    }

    /// The direction of ARP.
    #[inline(always)]
    #[must_use]
    pub const fn direction(self) -> Direction {
        Direction::of(self.0)
    }
}

impl FollowResult {
    /// Encodes a result.
    #[inline(always)]
    #[must_use]
    pub const fn from_result(result: Result<Decision, Reason>) -> Self {
        match result {
            Ok(decision) => Self(decision.word()),
            Err(reason) => Self(reason as u64),
        }
    }

    /// Decodes a result.
    ///
    /// # Errors
    /// The reason why the fragment follows no first one.
    #[inline(always)]
    pub const fn result(self) -> Result<Decision, Reason> {
        const OVERLAP: u64 = Reason::FragmentOverlap as u64;
        const FAULT: u64 = Reason::ImageFault as u64;
        match Decision::from_word(self.0) {
            Some(decision) => Ok(decision),
            None if self.0 == OVERLAP => Err(Reason::FragmentOverlap),
            None if self.0 == FAULT => Err(Reason::ImageFault),
            None => Err(Reason::Fragment),
        }
    }
}
