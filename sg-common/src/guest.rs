//! The addresses that a guest claims below IP, and what no guest may send: with anti-spoofing, a guest sends only from its own
//! addresses, advertises only those to its neighbours, and is neither router nor DHCP server. The order is Neutron's
//! (`neutron/agent/linux/iptables_firewall.py`).
//!
//! The image decides which addresses are the guest's own; this module reads what it claims. Called by the datapath and by the
//! image engine of `sgctl check`.

use crate::{
    flow::Direction,
    image::flags,
    packet::{Address, Family, Frame, Packet, Window as _, ethertype, protocol},
};

/// The sender that an ARP packet claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Claim {
    /// The protocol address. Unspecified in a probe for a free address (RFC 5227 2.1.1).
    pub address: Address,
    /// The Ethernet address, as a number.
    pub mac: u64,
}

/// The source Ethernet address of a frame, as a number.
#[inline(always)]
pub fn sender<F: Frame>(frame: &F) -> Option<u64> {
    let header = frame.window::<12>(0)?;
    Some(mac(header, 6))
}

/// The sender of the ARP packet at `offset` (RFC 826). `None` unless it is a request or reply about IPv4 over Ethernet, followed
/// by nothing but the padding of a short frame, which must be zero in packets that the NIC sends.
#[inline(always)]
pub fn arp<F: Frame>(frame: &F, offset: usize, direction: Direction) -> Option<Claim> {
    const ETHERNET: u16 = 1;
    const LENGTHS: u16 = 0x0604;
    const LENGTH: usize = 28;
    /// IEEE 802.3: at least 46 bytes of payload. Some count the four bytes of the check sequence too, such as the user network of
    /// QEMU (`arp_input` of libslirp), and some devices leave that in the frame (`rx-fcs`).
    const PADDED: usize = 46 + 4;
    let arp = frame.window::<LENGTH>(offset)?;
    let kind = (arp.be16(0), arp.be16(2), arp.be16(4));
    if kind != (ETHERNET, ethertype::IPV4, LENGTHS) || !matches!(arp.be16(6), 1 | 2) {
        return None;
    }
    let length = frame.length();
    if length > offset + PADDED {
        return None;
    }
    if matches!(direction, Direction::Egress) && !is_padding(frame, offset + LENGTH, length) {
        return None;
    }
    Some(Claim { mac: mac(arp, 8), address: Address { high: u64::from(arp.be32(14)), low: 0 } })
}

/// Whether the bytes from `at` pad a frame of `length` bytes: zeros, as many as the frame lacks, with or without a stripped tag.
#[inline(always)]
fn is_padding<F: Frame>(frame: &F, at: usize, length: usize) -> bool {
    const BEHIND_A_TAG: usize = 14;
    const WHOLE: usize = 18;
    if length == at {
        return true;
    }
    let Some(first) = frame.window::<BEHIND_A_TAG>(at) else { return false };
    let zeroes = first.be64(0) == 0 && first.be32(8) == 0 && first.be16(12) == 0;
    if length == at + WHOLE {
        let rest = frame.window::<4>(at + BEHIND_A_TAG);
        return zeroes && rest.is_some_and(|rest| rest.be32(0) == 0);
    }
    zeroes && length == at + BEHIND_A_TAG
}

/// The target address of a neighbour advertisement (RFC 4861 4.4); its ICMP header is at `offset`, and the packet ends at `end`.
#[inline(always)]
pub fn advertised<F: Frame>(frame: &F, offset: usize, end: usize) -> Option<Address> {
    const LENGTH: usize = 24;
    if offset + LENGTH > end {
        return None;
    }
    let icmp = frame.window::<LENGTH>(offset)?;
    Some(Address { high: icmp.be64(8), low: icmp.be64(16) })
}

#[inline(always)]
fn mac<W: crate::packet::Window>(window: W, offset: usize) -> u64 {
    u64::from(window.be16(offset)) << 32 | u64::from(window.be32(offset + 2))
}

/// Whether `packet` is a neighbour advertisement.
#[inline(always)]
#[must_use]
pub const fn is_advertisement(packet: &Packet) -> bool {
    is_icmp6(packet, 136)
}

/// Whether `packet` is one that only a router or a DHCP server sends.
#[inline(always)]
#[must_use]
pub const fn is_server(packet: &Packet) -> bool {
    let ports = (packet.source_port, packet.l4_selector);
    let dhcp = match packet.family {
        Family::V4 => matches!(ports, (67, 68)),
        Family::V6 => matches!(ports, (547, 546)),
    };
    packet.protocol == protocol::UDP && dhcp || is_icmp6(packet, 134)
}

/// Whether the sender of `packet`, which is no allowed address pair, may still look for its neighbours and for an address: its
/// address is link-local, and the policy does not know the NIC's. `nic_flags` are those of [`crate::image::flags`].
///
/// The unspecified address is among the pairs, so that its sender's Ethernet address is checked; but it allows no more than this.
#[inline(always)]
#[must_use]
pub const fn may_solicit(packet: &Packet, nic_flags: u32) -> bool {
    matches!(packet.family, Family::V6) && packet.source.is_link_local() && nic_flags & flags::MAC == 0
}

#[inline(always)]
const fn is_icmp6(packet: &Packet, kind: u16) -> bool {
    matches!(packet.family, Family::V6)
        && packet.protocol == protocol::ICMPV6
        && packet.l4_selector >> 8 == kind
        && !packet.is_later_fragment()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Part;

    const FRAME: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 5, 8, 6, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 6, 10, 0, 0, 5, 0, 0, 0, 0, 0, 0, 10, 0, 0, 9,
    ];

    #[test]
    fn an_arp_packet_names_its_sender_twice() {
        assert_eq!(sender(&&FRAME[..]), Some(0x0200_0000_0005));
        let claim = Claim { address: Address { high: 0x0a00_0005, low: 0 }, mac: 0x0200_0000_0006 };
        for direction in [Direction::Ingress, Direction::Egress] {
            assert_eq!(arp(&&FRAME[..], 14, direction), Some(claim));
        }
    }

    #[test]
    fn a_truncated_message_or_one_of_another_network_claims_nothing() {
        for length in 0..FRAME.len() {
            assert_eq!(arp(&&FRAME[..length], 14, Direction::Ingress), None);
        }
        for at in 14..21 {
            let mut frame = FRAME;
            frame[at] ^= 1;
            assert_eq!(arp(&&frame[..], 14, Direction::Ingress), None, "byte {at}");
        }
        for operation in (0..=25).filter(|operation| !matches!(operation, 1 | 2)) {
            let mut frame = FRAME;
            frame[21] = operation;
            assert_eq!(arp(&&frame[..], 14, Direction::Ingress), None, "operation {operation}");
        }
    }

    #[test]
    fn nothing_but_padding_stands_behind_arp() {
        use Direction::{Egress, Ingress};
        let mut frame = FRAME.to_vec();
        for length in FRAME.len()..70 {
            frame.resize(length, 0);
            // 56: a frame whose tag was stripped.
            let padded = matches!(length, 42 | 56 | 60);
            assert_eq!(arp(&&frame[..], 14, Ingress).is_some(), length <= 64, "{length}");
            assert_eq!(arp(&&frame[..], 14, Egress).is_some(), padded, "{length}");
            for at in (42..length).filter(|_| length <= 64) {
                frame[at] = 1;
                assert!(arp(&&frame[..], 14, Ingress).is_some(), "what others pad with is their affair");
                assert_eq!(arp(&&frame[..], 14, Egress), None, "{length}, {at}");
                frame[at] = 0;
            }
        }
        // A frame with a VLAN tag is longer by the tag.
        let tagged = [&FRAME[..12], &[0x81, 0, 0, 7], &FRAME[12..], &[0; 18]].concat();
        assert!(arp(&&tagged[..], 18, Egress).is_some());
        assert_eq!(arp(&&[&tagged[..], &[0]].concat()[..], 18, Egress), None);
    }

    #[test]
    fn servers_are_known_by_what_only_they_send() {
        let v4 = Packet { protocol: protocol::UDP, source_port: 67, l4_selector: 68, ..Packet::EMPTY };
        let v6 = Packet { family: Family::V6, source_port: 547, l4_selector: 546, ..v4 };
        let router =
            Packet { family: Family::V6, protocol: protocol::ICMPV6, l4_selector: 134 << 8, ..Packet::EMPTY };
        for packet in [v4, v6, router] {
            assert!(is_server(&packet), "{packet:?}");
        }
        for packet in [
            Packet { source_port: 68, l4_selector: 67, ..v4 },
            Packet { family: Family::V6, ..v4 },
            Packet { family: Family::V4, ..v6 },
            Packet { protocol: protocol::TCP, ..v4 },
            Packet { protocol: protocol::TCP, ..v6 },
            Packet { family: Family::V4, ..router },
            Packet { protocol: protocol::UDP, ..router },
            Packet { l4_selector: 133 << 8, ..router },
            Packet { part: Part::Middle, l4_selector: 0, ..router },
        ] {
            assert!(!is_server(&packet), "{packet:?}");
        }
        let advertisement = Packet { l4_selector: 136 << 8, ..router };
        assert!(is_advertisement(&advertisement) && !is_server(&advertisement));
        assert!(!is_advertisement(&router));
        for part in [Part::First, Part::Middle, Part::Last] {
            let is_first = part == Part::First;
            assert_eq!(is_advertisement(&Packet { part, ..advertisement }), is_first, "{part:?}");
        }
    }

    #[test]
    fn an_advertisement_speaks_of_its_target_where_it_has_one() {
        let target = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5];
        let frame = [&[0xee; 54][..], &[136, 0, 0, 0, 0x60, 0, 0, 0], &target, &[0xee; 8]].concat();
        let address = Address { high: 0x2001_0db8_0000_0001, low: 0x0002_0003_0004_0005 };
        for end in 54..=frame.len() {
            assert_eq!(advertised(&&frame[..], 54, end), (end >= 78).then_some(address), "ends at {end}");
        }
        for length in 0..78 {
            assert_eq!(advertised(&&frame[..length], 54, 78), None, "{length} bytes");
        }
    }

    #[test]
    fn who_has_an_address_of_the_link_that_nobody_wrote_down_may_ask() {
        let link_local = Address { high: 0xfe80 << 48, low: 1 };
        let packet = Packet { family: Family::V6, source: link_local, ..Packet::EMPTY };
        for (packet, nic_flags, may) in [
            (packet, 0, true),
            (packet, flags::ANTI_SPOOFING | flags::GUEST, true),
            (packet, flags::MAC, false),
            (packet, flags::ANTI_SPOOFING | flags::MAC, false),
            (Packet { source: Address { high: 0x2001_0db8 << 32, low: 1 }, ..packet }, 0, false),
            (Packet { source: Address::default(), ..packet }, 0, false),
            (
                Packet { family: Family::V4, source: Address { high: 0xfe80_0001, low: 0 }, ..packet },
                0,
                false,
            ),
        ] {
            assert_eq!(may_solicit(&packet, nic_flags), may, "{packet:?}, {nic_flags}");
        }
    }
}
