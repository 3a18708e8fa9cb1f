//! The words of parsing: a packet, and a frame with its flow. Called by the datapath's parser.

use super::{FlowLookup, LookupResult, packed};
use crate::{
    packet::{Family, Payload},
    verdict::{Decision, Reason},
};

packed! {
    /// Result of parsing an IP packet: zero, or the number of a [`Reason`].
    ParseResult,
    /// A parsed frame: the decision of its flow, or its payload and the result of the flow lookup.
    ///
    /// Bits 0 to 2 are the kind, or in bit 0 the family if bit 3 (IP) is set; bit 4: the packet has a flow; bits 8 to 31 are the
    /// offset of the payload; bits 32 to 62 are a [`LookupResult`].
    FrameWord,
}

impl ParseResult {
    /// The packet was parsed.
    pub const READ: Self = Self(0);
    /// Its headers contradict themselves, or lie outside the linear part of the buffer.
    pub const MALFORMED: Self = Self(Reason::Malformed as u64);
    /// It has more headers than are walked.
    pub const TOO_MANY_HEADERS: Self = Self(Reason::TooManyHeaders as u64);

    /// Encodes a result.
    #[inline(always)]
    #[must_use]
    pub const fn from_result(result: Result<(), Reason>) -> Self {
        match result {
            Ok(()) => Self::READ,
            Err(reason) => Self(reason as u64),
        }
    }
}

impl FrameWord {
    /// Nothing could be read.
    pub const MALFORMED: Self = Self(0);
    /// The packet has more headers than are walked.
    pub const TOO_MANY_HEADERS: Self = Self(3);
    const ARP: u64 = 1;
    const NOT_IP: u64 = 2;
    const KIND: u64 = 7;
    const IP: u64 = 8;
    const HAS_FLOW: u64 = 16;
    const OFFSET: u32 = 8;
    const LOOKUP: u32 = 32;

    /// A frame with this payload.
    #[inline(always)]
    #[must_use]
    pub const fn from_payload(payload: Payload) -> Self {
        Self(match payload {
            Payload::Ip(family, offset) => Self::IP | family as u64 | (offset as u64) << Self::OFFSET,
            Payload::Arp(offset) => Self::ARP | (offset as u64) << Self::OFFSET,
            Payload::Refused(Reason::NotIp) => Self::NOT_IP,
            Payload::Refused(Reason::TooManyHeaders) => Self::TOO_MANY_HEADERS.0,
            Payload::Refused(_) => Self::MALFORMED.0,
        })
    }

    /// A packet of a flow that decides it.
    #[inline(always)]
    #[must_use]
    pub const fn from_decision(decision: Decision) -> Self {
        Self(decision.word())
    }

    /// The same frame, whose packet has a flow.
    #[inline(always)]
    #[must_use]
    pub const fn with_flow(self) -> Self {
        Self(self.0 | Self::HAS_FLOW)
    }

    /// The same frame, whose packet has a flow that was looked up with a `result` that is no decision.
    #[inline(always)]
    #[must_use]
    pub const fn with_lookup(self, result: LookupResult) -> Self {
        Self(self.with_flow().0 | result.word() << Self::LOOKUP)
    }

    /// Decision on the packet's flow. If there is one, nothing else needs checking.
    #[inline(always)]
    #[must_use]
    pub const fn decision(self) -> Option<Decision> {
        Decision::from_word(self.0)
    }

    /// The payload that the Ethernet header announces, or, without one, the kernel.
    #[inline(always)]
    pub const fn payload(self) -> Payload {
        let offset = self.network();
        if self.0 & Self::IP != 0 {
            return Payload::Ip(Family::of(self.0 & 1), offset);
        }
        match self.0 & Self::KIND {
            Self::ARP => Payload::Arp(offset),
            Self::NOT_IP => Payload::Refused(Reason::NotIp),
            3 => Payload::Refused(Reason::TooManyHeaders),
            _ => Payload::Refused(Reason::Malformed),
        }
    }

    /// Offset of the payload.
    #[inline(always)]
    #[must_use]
    pub const fn network(self) -> usize {
        (self.0 as u32 >> Self::OFFSET) as usize
    }

    /// Whether the payload is IP, of a frame that is not decided.
    #[inline(always)]
    #[must_use]
    pub const fn announces_ip(self) -> bool {
        self.0 & Self::IP != 0
    }

    /// Whether the frame holds a parsed IP packet.
    #[inline(always)]
    #[must_use]
    pub const fn is_ip(self) -> bool {
        // Only IP packets have a decision.
        self.decision().is_some() || self.announces_ip()
    }

    /// Whether the packet belongs to a flow.
    #[inline(always)]
    #[must_use]
    pub const fn has_flow(self) -> bool {
        self.0 & Self::HAS_FLOW != 0
    }

    /// Result of the flow lookup, or `None` if a full lookup is required.
    #[inline(always)]
    #[must_use]
    pub const fn lookup(self) -> Option<FlowLookup> {
        let result = LookupResult::of(self.0 >> Self::LOOKUP);
        if result.word() == LookupResult::AGAIN.word() { None } else { Some(result.decode()) }
    }
}
