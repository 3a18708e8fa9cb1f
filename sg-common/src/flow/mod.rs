//! Flows of a NIC: their keys, state and timeouts.
//!
//! Everything here is a pure function of the entry, the packet and `now`. The datapath calls it for every packet, the agent's
//! ageing pass for every entry. It must never look at rules: the image decides whether a flow may live, this module only
//! remembers it.
//!
//! | module | owns |
//! |---|---|
//! | `key` | flow keys |
//! | `entry` | the flow entry, and what it decides about a packet |
//! | `first` | what is remembered of a flow's first packet beside the key |
//! | `tcp` | sequence numbers: how a connection closes, and how another one with the same ends begins |
//! | `closed` | closed connections, and the takeover of unknown ones |
//! | `shares` | how the room for half-open flows is divided among NICs |

mod closed;
mod entry;
mod first;
mod key;
mod shares;
mod tcp;

pub use closed::{AS_ESTABLISHED, Began, ClosedEntry, FOREVER, takes_over};
pub use entry::{FlowEntry, Found};
pub use first::First;
pub use key::{FlowKey, FlowKeyV4, PortsProtoNic, Width, packet_fields, packet_keys};
pub use shares::{Shares, common_tickets, own_tickets, ticket_counts};

use crate::packet::{Family, Icmp, Packet, has_ports, is_icmp, protocol};

/// Direction of a packet, as seen by the owner of the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Direction {
    /// Towards the owner.
    Ingress = 0,
    /// From the owner.
    Egress = 1,
}

impl Direction {
    /// Decodes the number of [`Self::Ingress`] or [`Self::Egress`].
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u64) -> Self {
        if number == Self::Ingress as u64 { Self::Ingress } else { Self::Egress }
    }

    /// The word that users write and read.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The opposite direction.
    #[inline(always)]
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Ingress => Self::Egress,
            Self::Egress => Self::Ingress,
        }
    }
}

/// State of a flow. ABI: the two highest bits of [`FlowEntry::status`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Packets in one direction only: half-open.
    New = 0,
    /// Packets in both directions.
    Established = 1,
    /// TCP: after a reset, or after a FIN from each side that the other has acknowledged.
    Closing = 2,
}

/// Bits of [`FlowEntry::status`], below those of the state. Bits 2 and 5 have no meaning yet.
pub mod flags {
    /// TCP: the side that opened the flow sent FIN, perhaps ahead of earlier data.
    pub const FIN_ORIGINAL: u8 = 1;
    /// TCP: the other side sent FIN.
    pub const FIN_REPLY: u8 = 2;
    /// TCP: the flow began with a SYN.
    pub const SYN: u8 = 8;
    /// TCP: the flow was first seen mid-stream, and the rules of both directions accepted it. It is unknown who opened it, so it
    /// lives while both do.
    pub const EITHER_WAY: u8 = 16;
}

/// Timeouts in jiffies, indexed by [`timeout_index`].
pub type Timeouts = [u32; 8];

/// Default idle timeouts in seconds, as documented by Alibaba Cloud and Huawei Cloud: TCP 910 s established and 3 s closing; UDP
/// 30 s one way and 180 s both ways; ICMP 30 s.
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

/// Maximum timeout, five days: in jiffies it fits half of 32 bits at any clock rate.
pub const LONGEST_TIMEOUT_SECONDS: u32 = 432_000;

/// Index of a flow's timeout in [`Timeouts`]: TCP new, established, closing; UDP new, established; ICMP; other protocols new,
/// established.
///
/// How long a flow is *known* is another matter, see [`FlowEntry::is_expired`]: a close that was seen makes no connection
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

/// Whether an accepted packet opens a flow, so that its replies pass. Of ICMP only an echo request does: the other messages are
/// replies, or stand alone.
#[inline(always)]
#[must_use]
pub const fn opens(packet: &Packet) -> bool {
    matches!(packet.icmp(), None | Some(Icmp::EchoRequest))
}

const _: () = assert!(has_ports(protocol::TCP));
