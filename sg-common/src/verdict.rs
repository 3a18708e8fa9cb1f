//! Accept, drop or reject, and the reason.
//!
//! Every packet leaves the datapath with exactly one [`Decision`]; the same type is the leaf of a policy image, the decision that
//! a flow stores, and the result of `sgctl check`. Nothing here decides; called by everyone.

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The packet goes on.
    Accept,
    /// The packet is dropped silently.
    Drop,
    /// The packet is dropped, and its sender is told, see [`crate::reject`].
    Reject,
}

impl Verdict {
    /// The word that users write and read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

/// Reason of a verdict. The discriminants are ABI: they are part of decisions and index counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// A rule of a group matched.
    Rule = 1,
    /// The remote is a member of a basic group of this NIC that accepts traffic between its members.
    IntraGroup = 2,
    /// No rule matched: the default of the direction and group type.
    Default = 3,
    /// An ICMP error about an accepted flow.
    IcmpError = 4,
    /// ARP, which is not filtered.
    Arp = 5,
    /// IPv6 neighbour discovery or multicast listener discovery of the link.
    NeighbourDiscovery = 6,
    /// DHCP for the NIC's own address.
    Dhcp = 7,
    /// The source of an outbound packet is not an address of the NIC.
    AntiSpoofing = 8,
    /// The frame ends before its headers do, or a header contradicts itself.
    Malformed = 9,
    /// Neither IPv4, IPv6 nor ARP, nor named by the policy.
    NotIp = 10,
    /// A fragment that does not follow an accepted first one in order: it carries no ports to judge.
    Fragment = 11,
    /// More IPv6 extension headers than are walked.
    TooManyHeaders = 12,
    /// The device has no NIC in the agent's table.
    NoNic = 13,
    /// The NIC has no policy image yet.
    NoImage = 14,
    /// The image was written for another version of the program.
    ImageVersion = 15,
    /// The image is corrupt: its walk led nowhere.
    ImageFault = 16,
    /// Not a verdict: the flow table was full, and the packet was judged without storing its flow.
    FlowTableFull = 17,
    /// A fragment that repeats bytes of its datagram, or replaces them.
    FragmentOverlap = 18,
    /// A guest sent a frame with a VLAN tag: it may send in its own network only.
    VlanTag = 19,
    /// A guest impersonates a neighbour: an ARP packet or a neighbour advertisement from, or about, an address that is not its
    /// own.
    NeighbourSpoofing = 20,
    /// A guest replies as a DHCP server or advertises itself as a router.
    RogueServer = 21,
    /// A TCP packet of no known flow that opens none, under a policy that is strict about that.
    MidStream = 22,
    /// Not a verdict: the NIC has reached its flow quota, and the packet was judged without storing its flow.
    FlowQuota = 23,
    /// Not a verdict: a reject was sent for a rejected packet.
    RejectSent = 24,
    /// Not a verdict: no reject was sent for a rejected packet, because of the rate limit.
    RejectRateLimited = 25,
    /// A mid-stream TCP packet of an unknown connection. The rules of its own direction accept it and those of the other do not,
    /// and the takeover period is over.
    NotTakenOver = 26,
    /// Not a verdict: a half-open flow of the NIC was evicted for a newer one. Counts flows, in the direction of their first
    /// packets.
    HalfOpenEvicted = 27,
    /// An inbound packet from an address of the NIC itself: nobody else sends from there.
    OwnSource = 28,
    /// A packet that IPsec delivers: the packet that carried it on the wire has been judged.
    Decrypted = 29,
    /// A frame that is not IP, of an EtherType that the policy names.
    NamedFrame = 30,
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 30] = [
        Self::Rule,
        Self::IntraGroup,
        Self::Default,
        Self::IcmpError,
        Self::Arp,
        Self::NeighbourDiscovery,
        Self::Dhcp,
        Self::AntiSpoofing,
        Self::Malformed,
        Self::NotIp,
        Self::Fragment,
        Self::TooManyHeaders,
        Self::NoNic,
        Self::NoImage,
        Self::ImageVersion,
        Self::ImageFault,
        Self::FlowTableFull,
        Self::FragmentOverlap,
        Self::VlanTag,
        Self::NeighbourSpoofing,
        Self::RogueServer,
        Self::MidStream,
        Self::FlowQuota,
        Self::RejectSent,
        Self::RejectRateLimited,
        Self::NotTakenOver,
        Self::HalfOpenEvicted,
        Self::OwnSource,
        Self::Decrypted,
        Self::NamedFrame,
    ];

    /// The word that users read in `sgctl check` and `sgctl stats`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::IntraGroup => "intra-group",
            Self::Default => "default",
            Self::IcmpError => "icmp-error",
            Self::Arp => "arp",
            Self::NeighbourDiscovery => "neighbour-discovery",
            Self::Dhcp => "dhcp",
            Self::AntiSpoofing => "anti-spoofing",
            Self::Malformed => "malformed",
            Self::NotIp => "not-ip",
            Self::Fragment => "fragment",
            Self::TooManyHeaders => "too-many-headers",
            Self::NoNic => "no-nic",
            Self::NoImage => "no-image",
            Self::ImageVersion => "image-version",
            Self::ImageFault => "image-fault",
            Self::FlowTableFull => "flow-table-full",
            Self::FragmentOverlap => "fragment-overlap",
            Self::VlanTag => "vlan-tag",
            Self::NeighbourSpoofing => "neighbour-spoofing",
            Self::RogueServer => "rogue-server",
            Self::MidStream => "mid-stream",
            Self::FlowQuota => "flow-quota",
            Self::RejectSent => "reject-sent",
            Self::RejectRateLimited => "reject-rate-limited",
            Self::NotTakenOver => "not-taken-over",
            Self::HalfOpenEvicted => "half-open-evicted",
            Self::OwnSource => "own-source",
            Self::Decrypted => "decrypted",
            Self::NamedFrame => "ethertype",
        }
    }
}

/// A number that is no reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownReason(
    /// The number found.
    pub u8,
);

impl TryFrom<u8> for Reason {
    type Error = UnknownReason;

    fn try_from(number: u8) -> Result<Self, UnknownReason> {
        let index = usize::from(number).wrapping_sub(1);
        Self::ALL.get(index).copied().ok_or(UnknownReason(number))
    }
}

/// A verdict with its reason and the number of the counter that records it, packed into one word that fits a leaf of an image, a
/// field of a flow and two words of a socket buffer.
///
/// ```text
/// bit 63      41       40        32                0
///     1 … reject | accept | reason  | counter number |
/// ```
///
/// Bit 63 is always set: it tells a decision from a reference to a node of an image. Neither bit 41 nor bit 40: drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(transparent)]
#[must_use = "a decision that is not acted on lets every packet pass"]
pub struct Decision(u64);

impl Decision {
    const MARK: u64 = 1 << 63;
    pub(crate) const ACCEPT: u64 = 1 << 40;
    pub(crate) const REJECT: u64 = 1 << 41;
    const REASON_SHIFT: u32 = 32;

    /// Packs a decision. `number` is an index into the counters.
    #[inline(always)]
    pub const fn new(verdict: Verdict, reason: Reason, number: u32) -> Self {
        let verdict = match verdict {
            Verdict::Accept => Self::ACCEPT,
            Verdict::Drop => 0,
            Verdict::Reject => Self::REJECT,
        };
        Self(Self::MARK | verdict | (reason as u64) << Self::REASON_SHIFT | number as u64)
    }

    /// Decodes the decision in `word`; `None` if the word is something else.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Option<Self> {
        if word & Self::MARK == 0 { None } else { Some(Self(word)) }
    }

    /// The word to store.
    #[inline(always)]
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Whether the packet goes on.
    #[inline(always)]
    #[must_use]
    pub const fn accepts(self) -> bool {
        self.0 & Self::ACCEPT != 0
    }

    /// Whether the packet is dropped and its sender is told.
    #[inline(always)]
    #[must_use]
    pub const fn rejects(self) -> bool {
        self.0 & (Self::ACCEPT | Self::REJECT) == Self::REJECT
    }

    /// Accept, drop or reject.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        if self.accepts() {
            Verdict::Accept
        } else if self.rejects() {
            Verdict::Reject
        } else {
            Verdict::Drop
        }
    }

    /// The number of the reason, see [`Reason`].
    #[inline(always)]
    #[must_use]
    pub const fn reason_number(self) -> u8 {
        (self.0 >> Self::REASON_SHIFT) as u8
    }

    /// The reason.
    ///
    /// # Errors
    /// The word was not written by this version of the project.
    pub fn reason(self) -> Result<Reason, UnknownReason> {
        Reason::try_from(self.reason_number())
    }

    /// The index of the counter that records this decision.
    #[inline(always)]
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_keeps_its_parts() {
        for verdict in [Verdict::Accept, Verdict::Drop, Verdict::Reject] {
            for reason in Reason::ALL {
                let decision = Decision::new(verdict, reason, 0xdead_beef);
                assert_eq!(Decision::from_word(decision.word()), Some(decision));
                assert_eq!(
                    (decision.verdict(), decision.reason(), decision.number()),
                    (verdict, Ok(reason), 0xdead_beef)
                );
            }
        }
    }

    #[test]
    fn reasons_are_numbered_in_order_and_named_apart() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index + 1);
            assert_eq!(Reason::try_from(reason as u8), Ok(reason));
            assert_eq!(Reason::ALL.iter().filter(|other| other.name() == reason.name()).count(), 1);
        }
        // A direction of a NIC has 32 counters.
        assert!(Reason::ALL.len() < 32);
        for unknown in [0, Reason::ALL.len() as u8 + 1, 255] {
            assert_eq!(Reason::try_from(unknown), Err(UnknownReason(unknown)));
        }
    }
}
