//! Who talks to whom over a NIC, the state of that talk, and its timeouts.
//!
//! Everything here is a pure function of the entry, the packet and `now`. The datapath calls it for every
//! packet, the agent's sweep for every entry. It must never look at rules: whether a flow may live is the
//! image's answer, this room only remembers it.
//!
//! | module | owns |
//! |---|---|
//! | `key` | what names a flow |
//! | `entry` | what is remembered of it, and what that says of a packet |
//! | `tcp` | the numbers of a connection: how it ends, and how another one of the same ends begins |
//! | `closed` | what is remembered of a connection that has ended, and who may take over one that nobody knows |
//! | `shares` | how the room of half-open flows is divided among NICs |

mod closed;
mod entry;
mod key;
mod shares;
mod tcp;

pub use closed::{AS_ESTABLISHED, Began, ClosedEntry, FOREVER, takes_over};
pub use entry::{FlowEntry, Found};
pub use key::{FlowKey, FlowKeyV4, PortsProtoNic, Width, packet_keys};
pub use shares::{Shares, common_tickets, own_tickets, ticket_counts};

use crate::packet::{Family, Icmp, Packet, has_ports, is_icmp, protocol};

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
    /// TCP: a reset, or a FIN from both ends that the other acknowledged.
    Closing = 2,
}

/// Bits of [`FlowEntry::flags`].
pub mod flags {
    /// TCP: the end that opened the flow sent FIN, perhaps ahead of what goes before it.
    pub const FIN_ORIGINAL: u8 = 1;
    /// TCP: the other end did.
    pub const FIN_REPLY: u8 = 2;
    /// The policy no longer accepts the flow. The entry stays while either end keeps trying: without it the
    /// next packet of the end that may speak first would open the flow anew, the other way round.
    pub const REVOKED: u8 = 4;
    /// TCP: the flow began with a SYN.
    pub const SYN: u8 = 8;
    /// TCP: the flow was first seen in its middle, and the rules of both directions accepted it. Nobody can tell who opened it,
    /// so it lives while both do.
    pub const EITHER_WAY: u8 = 16;
    /// TCP: a SYN asked for another connection of the same ends, and was not answered yet, see
    /// [`FlowEntry::pending_syn`](super::FlowEntry::pending_syn).
    pub const PENDING: u8 = 32;
    /// TCP: that SYN went outbound.
    pub const PENDING_EGRESS: u8 = 64;
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
///
/// How long a flow is *known* is another question, see [`FlowEntry::is_expired`]: an end that was seen makes no connection
/// unknown.
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

/// Whether an accepted packet opens a flow, so that its answers pass. Of ICMP only an echo request
/// does: the other messages answer, or stand alone.
#[inline(always)]
#[must_use]
pub const fn opens(packet: &Packet) -> bool {
    matches!(packet.icmp(), None | Some(Icmp::EchoRequest))
}

const _: () = {
    assert!(size_of::<FlowKey>() == 48 && size_of::<FlowKeyV4>() == 16);
    assert!(has_ports(protocol::TCP));
};
