//! Parses a frame from its Ethernet header, and provides frames in user space. Unreadable frames yield a [`Reason`].

use super::{
    ETHERNET, Family, Frame, Packet, Tag, Vlan, Window, ethertype, network,
    vlan::{MAX_VLAN_TAGS, TAG},
};
use crate::verdict::Reason;

/// The payload that an Ethernet header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Payload {
    /// An IP packet at this offset of the frame; [`network`] parses it.
    Ip(Family, usize),
    /// An ARP packet at this offset of the frame.
    Arp(usize),
    /// Anything else, with the reason to refuse it.
    Refused(Reason),
}

/// Parses the Ethernet header with up to two VLAN tags: their payload is judged like any other, in the network that they name.
#[inline(always)]
pub fn ethernet<F: Frame>(frame: &F) -> (Payload, Vlan) {
    let (mut vlan, mut most) = (Vlan::NONE, MAX_VLAN_TAGS);
    if let Some(tag) = frame.tag() {
        vlan = vlan.behind(tag);
        most = most.saturating_sub(1);
    }
    let mut tags = 0;
    while tags <= most {
        let offset = ETHERNET + tags * TAG;
        // The two bytes before the payload tell its kind.
        let Some(kind) = frame.window::<2>(offset - 2) else {
            return (Payload::Refused(Reason::Malformed), vlan);
        };
        match kind.be16(0) {
            ethertype::IPV4 => return (Payload::Ip(Family::V4, offset), vlan),
            ethertype::IPV6 => return (Payload::Ip(Family::V6, offset), vlan),
            ethertype::ARP => return (Payload::Arp(offset), vlan),
            kind @ (ethertype::VLAN | ethertype::SERVICE_VLAN) => {
                let Some(control) = frame.window::<2>(offset) else {
                    return (Payload::Refused(Reason::Malformed), vlan);
                };
                vlan = vlan.behind(Tag { kind, control: control.be16(0) });
                tags += 1;
            }
            _ => return (Payload::Refused(Reason::NotIp), vlan),
        }
    }
    (Payload::Refused(Reason::NotIp), vlan)
}

/// The payload at this offset of the buffer, if the kernel announces it, by EtherType, rather than an Ethernet header: a packet
/// of a tunnel. The header that follows must be of that family. No such device speaks ARP.
#[inline(always)]
pub const fn announced(kind: u16, offset: usize) -> Payload {
    match kind {
        ethertype::IPV4 => Payload::Ip(Family::V4, offset),
        ethertype::IPV6 => Payload::Ip(Family::V6, offset),
        _ => Payload::Refused(Reason::NotIp),
    }
}

/// Result of parsing a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Parsed {
    /// An IP packet.
    Packet(Packet),
    /// ARP, which is not filtered.
    Arp,
    /// Unreadable, with the reason.
    Refused(Reason),
}

/// Parses a frame: [`ethernet`], then [`network`].
pub fn parse<F: Frame>(frame: &F) -> Parsed {
    let (payload, vlan) = ethernet(frame);
    match payload {
        Payload::Ip(family, offset) => {
            let mut packet = Packet { vlan, ..Packet::EMPTY };
            match network(frame, family, offset, None, &mut packet) {
                Ok(()) => Parsed::Packet(packet),
                Err(reason) => Parsed::Refused(reason),
            }
        }
        Payload::Arp(_) => Parsed::Arp,
        Payload::Refused(reason) => Parsed::Refused(reason),
    }
}

/// A frame in user space.
impl Frame for &[u8] {
    type Window<const N: usize> = Bytes<N>;

    fn length(&self) -> usize {
        self.len()
    }

    fn is_large(&self) -> bool {
        false
    }

    fn tag(&self) -> Option<Tag> {
        None
    }

    fn window<const N: usize>(&self, offset: usize) -> Option<Bytes<N>> {
        let bytes = self.get(offset..)?.first_chunk::<N>()?;
        Some(Bytes(*bytes))
    }
}

/// `N` bytes, copied.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<const N: usize>([u8; N]);

impl<const N: usize> Bytes<N> {
    fn take<const M: usize>(self, offset: usize) -> [u8; M] {
        let mut taken = [0; M];
        for (index, byte) in taken.iter_mut().enumerate() {
            *byte = self.0.get(offset + index).copied().unwrap_or(0);
        }
        taken
    }
}

impl<const N: usize> Window for Bytes<N> {
    fn byte(self, offset: usize) -> u8 {
        self.take::<1>(offset)[0]
    }
    fn be16(self, offset: usize) -> u16 {
        u16::from_be_bytes(self.take(offset))
    }
    fn be32(self, offset: usize) -> u32 {
        u32::from_be_bytes(self.take(offset))
    }
    fn be64(self, offset: usize) -> u64 {
        u64::from_be_bytes(self.take(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_has_no_ethernet_header_the_kernel_says_what_it_is() {
        assert_eq!(announced(ethertype::IPV4, 0), Payload::Ip(Family::V4, 0));
        assert_eq!(announced(ethertype::IPV6, ETHERNET), Payload::Ip(Family::V6, ETHERNET));
        for kind in [ethertype::ARP, ethertype::VLAN, ethertype::SERVICE_VLAN, 0x8847, 0] {
            assert_eq!(announced(kind, 0), Payload::Refused(Reason::NotIp), "{kind:#x}");
        }
    }

    #[test]
    fn esp_is_known_by_its_protocol_or_the_port_that_carries_it() {
        let esp = Packet { protocol: 50, ..Packet::EMPTY };
        let carried = Packet { protocol: 17, source_port: 40_000, l4_selector: 4500, ..Packet::EMPTY };
        for packet in [esp, carried, Packet { source_port: 4500, l4_selector: 40_000, ..carried }] {
            assert!(packet.is_esp(), "{packet:?}");
        }
        for packet in [Packet { protocol: 6, ..carried }, Packet { l4_selector: 500, ..carried }] {
            assert!(!packet.is_esp(), "{packet:?}");
        }
    }
}
