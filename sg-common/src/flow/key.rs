//! Flow keys, and the keys of policy lookups.

use super::{Direction, First};
use crate::{
    image::{Fields, Keys, service_key},
    packet::{Address, Family, Icmp, Packet, Vlan, is_icmp},
};

/// The key of a flow: NIC, network, protocol and both ends, ordered remote before local, so that both directions have the same
/// key. 48 bytes, no padding, integers only: the kernel hashes them as fast as 40 (`jhash2`, include/linux/jhash.h, takes three
/// words at a time, and up to three at the end).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKey {
    /// The remote address, upper half, see [`Address`].
    pub remote_high: u64,
    /// The remote address, lower half.
    pub remote_low: u64,
    /// The local address, upper half, see [`Address`].
    pub local_high: u64,
    /// The local address, lower half.
    pub local_low: u64,
    /// Ports, protocol, family and NIC.
    pub l4: PortsProtoNic,
    /// The [`Vlan`], as a word.
    pub vlan: u64,
}

/// The table of a flow, by the length of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// [`FlowKeyV4`]: IPv4 without a VLAN tag, like most flows.
    Narrow,
    /// [`FlowKey`].
    Wide,
}

/// Ports, NIC, protocol and family of a flow, from the lowest bit: the remote port and the local port in host order (16 bits
/// each), the NIC's slot (16: no flow of one NIC ever serves another), the protocol's IANA number (8), the [`Family`] as a number
/// (8).
///
/// One word rather than fields: the kernel hashes a key right after it was written, and a load of what was stored in parts waits
/// until all of them have arrived.
///
/// TCP, UDP, SCTP, DCCP and UDP-Lite have ports. An ICMP echo has its identifier as the remote port and, as the local port, 1 if
/// the NIC's owner sends the request and 0 if it sends the reply: a reply belongs to the flow of its request, a request in the
/// other direction does not. Other protocols have zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct PortsProtoNic(u64);

impl PortsProtoNic {
    /// The packed word.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Decodes [`Self::word`].
    #[must_use]
    pub const fn of(word: u64) -> Self {
        Self(word)
    }

    /// Packs the parts; `ports` are the remote and the local one.
    #[inline(always)]
    #[must_use]
    pub const fn new((remote, local): (u16, u16), nic: u16, protocol: u8, family: Family) -> Self {
        Self(
            remote as u64
                | (local as u64) << 16
                | (nic as u64) << 32
                | (protocol as u64) << 48
                | (family as u64) << 56,
        )
    }

    /// The remote port, in host order.
    #[inline(always)]
    #[must_use]
    pub const fn remote_port(self) -> u16 {
        self.0 as u16
    }

    /// The local port, in host order.
    #[inline(always)]
    #[must_use]
    pub const fn local_port(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The NIC's slot.
    #[inline(always)]
    #[must_use]
    pub const fn nic(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// The protocol's IANA number.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(self) -> u8 {
        (self.0 >> 48) as u8
    }

    /// The address family.
    #[inline(always)]
    #[must_use]
    pub const fn family(self) -> Family {
        Family::of(self.0 >> 56)
    }
}

impl FlowKey {
    /// The key of the packet's flow; `None` if such packets have no flow (ICMP other than echo) and are judged one by one.
    #[must_use]
    pub fn of(nic: u16, direction: Direction, packet: &Packet) -> Option<Self> {
        let mut key = Self::default();
        key.name(nic, direction, packet, packet.icmp()).then_some(key)
    }

    /// Fills in the key of the flow of `packet`, whose [`Packet::icmp`] is `icmp`. Returns false if it has none.
    #[inline(always)]
    pub fn name(&mut self, nic: u16, direction: Direction, packet: &Packet, icmp: Option<Icmp>) -> bool {
        let Packet { source, destination, source_port, l4_selector, identifier, vlan, .. } = packet;
        let l4 = |ports| PortsProtoNic::new(ports, nic, packet.protocol, packet.family);
        self.vlan = u64::from(vlan.word());
        match (icmp, direction) {
            (None, Direction::Ingress) => {
                self.write(source, destination, l4((*source_port, *l4_selector)));
            }
            (None, Direction::Egress) => {
                one_branch();
                self.write(destination, source, l4((*l4_selector, *source_port)));
                // Also prevents writes through pointers that a branch selects.
                one_branch();
            }
            (Some(echo @ (Icmp::EchoRequest | Icmp::EchoReply)), _) => {
                let asks = if echo == Icmp::EchoRequest { direction } else { direction.reversed() };
                let (remote, local) = ends(direction, source, destination);
                self.write(remote, local, l4((*identifier, asks as u16)));
            }
            (Some(Icmp::Error | Icmp::Other), _) => return false,
        }
        true
    }

    #[inline(always)]
    fn write(&mut self, remote: &Address, local: &Address, l4: PortsProtoNic) {
        self.remote_high = remote.high;
        self.remote_low = remote.low;
        self.local_high = local.high;
        self.local_low = local.low;
        self.l4 = l4;
    }

    /// The network of the flow.
    #[must_use]
    pub const fn network(&self) -> Vlan {
        Vlan::of(self.vlan as u32)
    }

    /// The width of the flow's key.
    #[inline(always)]
    #[must_use]
    pub const fn width(&self) -> Width {
        match self.l4.family() {
            Family::V4 if self.vlan == 0 => Width::Narrow,
            Family::V4 | Family::V6 => Width::Wide,
        }
    }

    /// The fields of the flow's first packet, of which the entry remembers `first`, for revalidation.
    #[inline(always)]
    #[must_use]
    pub fn original(&self, first: First) -> Fields {
        let Self { l4, .. } = *self;
        let family = l4.family();
        let (source_port, l4_selector) = if is_icmp(family, l4.protocol()) {
            let echo_request = match family {
                Family::V4 => 8 << 8,
                Family::V6 => 128 << 8,
            };
            (0, echo_request)
        } else {
            // The same swap: the source and destination of an inbound packet are the remote and local ends.
            ends(first.direction(), l4.remote_port(), l4.local_port())
        };
        Fields {
            remote: Address { high: self.remote_high, low: self.remote_low },
            local: Address { high: self.local_high, low: self.local_low },
            service: service_key(l4.protocol(), l4_selector),
            source_port,
            dscp: first.dscp(),
        }
    }
}

/// A [`FlowKey`] of IPv4 without a VLAN tag, for tables of its own: the kernel hashes 16 bytes in half the time of 48. 16 bytes,
/// no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct FlowKeyV4 {
    /// The remote address.
    pub remote: u32,
    /// The local address.
    pub local: u32,
    /// Ports, protocol, family and NIC.
    pub l4: PortsProtoNic,
}

impl FlowKeyV4 {
    /// The narrow form of a key; meaningless unless that is [`Width::Narrow`].
    #[inline(always)]
    #[must_use]
    pub const fn of(key: &FlowKey) -> Self {
        Self { remote: key.remote_high as u32, local: key.local_high as u32, l4: key.l4 }
    }

    /// The key of the packet's flow, as [`FlowKey::name`] builds it. Meaningless unless `packet` is IPv4 without a VLAN tag, and
    /// not ICMP.
    #[inline(always)]
    #[must_use]
    pub fn named(nic: u16, direction: Direction, packet: &Packet) -> Self {
        let source = (packet.source.high as u32, packet.source_port);
        let destination = (packet.destination.high as u32, packet.l4_selector);
        let ((remote, remote_port), (local, local_port)) = ends(direction, source, destination);
        Self {
            remote,
            local,
            l4: PortsProtoNic::new((remote_port, local_port), nic, packet.protocol, Family::V4),
        }
    }

    /// The wide form of the key.
    #[inline(always)]
    #[must_use]
    pub const fn widened(&self) -> FlowKey {
        FlowKey {
            remote_high: self.remote as u64,
            remote_low: 0,
            local_high: self.local as u64,
            local_low: 0,
            l4: self.l4,
            vlan: 0,
        }
    }
}

const _: () = assert!(size_of::<FlowKey>() == 48 && size_of::<FlowKeyV4>() == 16);

/// (source, destination) to (remote, local), and back: the same swap.
#[inline(always)]
fn ends<T>(direction: Direction, source: T, destination: T) -> (T, T) {
    match direction {
        Direction::Ingress => (source, destination),
        Direction::Egress => {
            one_branch();
            (destination, source)
        }
    }
}

/// Keeps the compiler from selecting each value with a branch of its own, which it does for eBPF if both sides are cheap. Acts as
/// code that may read and write any memory.
#[inline(always)]
fn one_branch() {
    core::hint::black_box(());
}

/// The fields by which rules match `packet`.
#[inline(always)]
#[must_use]
pub fn packet_fields(direction: Direction, packet: &Packet) -> Fields {
    let (remote, local) = ends(direction, &packet.source, &packet.destination);
    Fields {
        remote: *remote,
        local: *local,
        service: service_key(packet.protocol, packet.l4_selector),
        source_port: packet.source_port,
        dscp: packet.ip.dscp,
    }
}

/// The keys of a policy lookup for `packet`, for hosts: the datapath fills those that it has.
#[must_use]
pub fn packet_keys(direction: Direction, packet: &Packet) -> Keys {
    Keys::of(&packet_fields(direction, packet))
}
