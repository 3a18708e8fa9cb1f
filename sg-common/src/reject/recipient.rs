//! Who is told that a packet was rejected: its sender, where the NIC itself would have received the packet, and where the
//! sender is one host that is really there (RFC 1122 3.2.2, RFC 4443 2.4).
//!
//! Whoever forges a packet chooses whom the answer goes to, and in whose name it speaks. So each test here asks of the
//! packet's *ends*: the **local** one is the NIC, the **remote** one the other, whichever of them is the sender. It must
//! never read a map: which addresses are the NIC's own is the image's answer. Called by the datapath.

use crate::{
    flow::Direction,
    packet::{Address, Family, Frame, Icmp, Packet, Window as _},
};

/// Whether a packet like this one is answered at all. Nobody is told about a reset or an ICMP message other than an echo
/// request, about a later fragment, or about what was for many or from nobody.
#[inline(always)]
#[must_use]
pub const fn is_answered(packet: &Packet) -> bool {
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

/// Whether the address can be that of one interface of some network: no group, nobody, not everybody, and none that never
/// leaves a host.
#[inline(always)]
const fn is_one(family: Family, address: Address) -> bool {
    match family {
        // 0.0.0.0/8 is nobody, 127.0.0.0/8 the host itself (RFC 1122 3.2.1.3); 224.0.0.0 and above are groups, reserved, and
        // everybody.
        Family::V4 => !matches!(address.high >> 24, 0 | 127 | 224..),
        // ff00::/8 are groups; the upper 96 bits of nobody, of the host itself and of IPv4-compatible addresses are zero, and
        // IPv4-mapped ones are no addresses on a wire (RFC 4291 2.5.5).
        Family::V6 => {
            let is_embedded = address.high == 0 && matches!(address.low >> 32, 0 | 0xffff);
            !is_embedded && address.high >> 56 != 0xff
        }
    }
}

/// The end of `packet`, which goes in `direction`, that is the NIC.
#[inline(always)]
#[must_use]
pub const fn local(packet: &Packet, direction: Direction) -> Address {
    match direction {
        Direction::Ingress => packet.destination,
        Direction::Egress => packet.source,
    }
}

/// The other one.
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

    /// Of a packet without an Ethernet header: a tunnel has two ends.
    pub const TUNNEL: Self = Self { to: Self::NO_ETHERNET, from: Self::NO_ETHERNET };

    /// Reads them.
    #[inline(always)]
    pub fn read<F: Frame>(frame: &F) -> Option<Self> {
        let header = frame.window::<12>(0)?;
        let address = |at| u64::from(header.be16(at)) << 32 | u64::from(header.be32(at + 2));
        Some(Self { to: address(0), from: address(6) })
    }

    /// Whether the frame is from one interface to another one. What a group was sent, or is said to have sent, is nobody's to
    /// answer; and who has both addresses speaks with itself.
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

/// Who knows whether a frame is the NIC's, and not one that a switch did not know where else to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The kernel, which compared the frame with the device: it is.
    Own,
    /// The kernel: it is for somebody else, or for many.
    Other,
    /// Nobody but who knows the NIC's Ethernet address.
    Unknown,
}

impl Delivery {
    /// The one of a number that one was turned into.
    #[inline(always)]
    #[must_use]
    pub const fn of(number: u64) -> Self {
        match number {
            0 => Self::Own,
            1 => Self::Other,
            _ => Self::Unknown,
        }
    }

    /// Whether a frame that goes in `direction` is the NIC's. `mac` is the NIC's Ethernet address, zero where it is not known:
    /// then no frame is for it, and that one is from it must follow from its IP address.
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
