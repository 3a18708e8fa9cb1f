//! Who gets a reject: the sender of the rejected packet, if the NIC itself would have received the packet, and if the sender is
//! one host that really exists (RFC 1122 3.2.2, RFC 4443 2.4).
//!
//! Whoever forges a packet chooses the receiver of the reject, and its claimed sender. So each test here is about the packet's
//! ends: the **local** one is the NIC, the **remote** one the other, whichever of them is the sender. It must never read a map:
//! the image decides which addresses are the NIC's own. Called by the datapath.

use crate::{
    flow::Direction,
    packet::{Address, Family, Frame, Icmp, Packet, Window as _},
};

/// Whether such a packet gets a reject at all. None is sent for a reset or an ICMP message other than an echo request, for a
/// later fragment, or for a packet to many receivers or from no valid sender.
#[inline(always)]
#[must_use]
pub const fn gets_reject(packet: &Packet) -> bool {
    let is_last_word = match packet.icmp() {
        Some(Icmp::EchoRequest) => false,
        Some(_) => true,
        None => packet.is_reset(),
    };
    !is_last_word
        && !packet.is_later_fragment()
        && is_one(packet.family, packet.source)
        && is_one(packet.family, packet.destination)
}

/// Whether the address can be that of one interface of some network: not multicast, unspecified, broadcast, or loopback.
#[inline(always)]
const fn is_one(family: Family, address: Address) -> bool {
    match family {
        // 0.0.0.0/8 is unspecified, 127.0.0.0/8 the host itself (RFC 1122 3.2.1.3); 224.0.0.0 and above are multicast, reserved,
        // and broadcast.
        Family::V4 => !matches!(address.high >> 24, 0 | 127 | 224..),
        // ff00::/8 is multicast; the upper 96 bits of the unspecified, the loopback and IPv4-compatible addresses are zero, and
        // IPv4-mapped ones are no addresses on a wire (RFC 4291 2.5.5).
        Family::V6 => {
            let is_embedded = address.high == 0 && matches!(address.low >> 32, 0 | 0xffff);
            !is_embedded && address.high >> 56 != 0xff
        }
    }
}

/// The local address of `packet`, which goes in `direction`.
#[inline(always)]
#[must_use]
pub const fn local(packet: &Packet, direction: Direction) -> Address {
    match direction {
        Direction::Ingress => packet.destination,
        Direction::Egress => packet.source,
    }
}

/// Its remote address.
#[inline(always)]
#[must_use]
pub const fn remote(packet: &Packet, direction: Direction) -> Address {
    local(packet, direction.reversed())
}

/// The Ethernet addresses of a frame, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    to: u64,
    from: u64,
}

impl Link {
    /// No Ethernet address has this bit.
    const NO_ETHERNET: u64 = 1 << 63;

    /// For a packet without an Ethernet header: a tunnel has two ends.
    pub const TUNNEL: Self = Self { to: Self::NO_ETHERNET, from: Self::NO_ETHERNET };

    /// Reads them from the Ethernet header.
    #[inline(always)]
    pub fn read<F: Frame>(frame: &F) -> Option<Self> {
        let header = frame.window::<12>(0)?;
        let address = |at| u64::from(header.be16(at)) << 32 | u64::from(header.be32(at + 2));
        Some(Self { to: address(0), from: address(6) })
    }

    /// Whether the frame is from one interface to another one. A frame to a group, or one that claims to be from a group, gets no
    /// reply; a frame with two equal addresses is from the interface to itself.
    #[inline(always)]
    #[must_use]
    pub const fn is_between_two(self) -> bool {
        const GROUP: u64 = 1 << 40;
        self.from & Self::NO_ETHERNET != 0
            || (self.to | self.from) & GROUP == 0 && self.from != self.to && self.from != 0
    }

    /// That of the NIC, as far as the frame says.
    #[inline(always)]
    #[must_use]
    pub const fn local(self, direction: Direction) -> u64 {
        match direction {
            Direction::Ingress => self.to,
            Direction::Egress => self.from,
        }
    }
}

/// What is known about whether a frame is addressed to the NIC, and was not just flooded by a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The kernel compared the address with the device's: it is.
    Own,
    /// The kernel compared it: it is for somebody else, or for many.
    Other,
    /// Only the NIC's Ethernet address can tell.
    Unknown,
}

impl Delivery {
    /// Decodes the number of a variant.
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u64) -> Self {
        match number {
            0 => Self::Own,
            1 => Self::Other,
            _ => Self::Unknown,
        }
    }

    /// Whether a frame in `direction` is the NIC's. `mac` is the NIC's Ethernet address, zero if unknown: then no frame is for
    /// it, and its IP address must show that a frame is from it.
    #[inline(always)]
    #[must_use]
    pub const fn is_own(self, link: Link, direction: Direction, mac: u64) -> bool {
        match (self, direction) {
            (Self::Own, _) => true,
            (Self::Other, _) => false,
            (Self::Unknown, Direction::Egress) if mac == 0 => true,
            (Self::Unknown, _) => mac != 0 && link.local(direction) == mac,
        }
    }
}
