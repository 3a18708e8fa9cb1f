//! Single events for somebody who watches now: what a watcher wants to see, and the form of an event in the ring.
//!
//! Nobody watching costs one load and one branch for each new flow and each packet that does not pass, and nothing else. A
//! [`Watch`] ends by itself, so a watcher that was killed costs nothing either. It must never read a clock or a map. The datapath
//! calls it, and the reader of the ring.

use crate::{
    flow::{Direction, FlowEntry, FlowKey, PortsProtoNic},
    packet::{Address, Family, Packet},
    verdict::Decision,
};

/// The maximum number of bytes of a packet in an event.
pub const CAPTURE: usize = 128;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    /// The first packet of a flow was accepted.
    Opened = 0,
    /// A packet was dropped or rejected, the first of its name, see [`crate::denied`].
    DeniedFirst = 1,
    /// Any other packet that was dropped or rejected.
    Denied = 2,
    /// A flow is no longer accepted.
    Revoked = 3,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Opened, Self::DeniedFirst, Self::Denied, Self::Revoked];

    /// The bit of the kind in [`Watch::kinds`].
    #[inline(always)]
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// What a watcher wants to see. Zero in a field: whatever it is. 64 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Watch {
    /// Until when, in jiffies.
    pub until: u64,
    /// Bits of [`EventKind`].
    pub kinds: u32,
    /// The slot of the NIC, plus one.
    pub nic: u32,
    /// The prefix of the remote address, of the family [`Self::family`].
    pub remote: [u64; 2],
    /// Its mask.
    pub mask: [u64; 2],
    /// The [`Family`] of the prefix, plus one.
    pub family: u8,
    /// The [`Direction`], plus one.
    pub direction: u8,
    /// 1 if verdicts must be drop, 2 reject, 3 accept.
    pub verdict: u8,
    /// Whether the protocol must be [`Self::protocol`].
    pub has_protocol: u8,
    /// The protocol's number.
    pub protocol: u8,
    /// Bytes of each packet to capture, [`CAPTURE`] at most.
    pub capture: u8,
    /// The port of either end.
    pub port: u16,
    /// Until when the last values of flows that are replaced go to their ring, in jiffies: independent of the rest.
    pub flows_until: u64,
}

impl Watch {
    /// Whether anybody watches.
    #[inline(always)]
    #[must_use]
    pub const fn is_on(&self, now: u64) -> bool {
        self.until.wrapping_sub(now).cast_signed() > 0
    }

    /// Whether somebody wants the last values of flows that are replaced.
    #[inline(always)]
    #[must_use]
    pub const fn wants_flows(&self, now: u64) -> bool {
        self.flows_until.wrapping_sub(now).cast_signed() > 0
    }

    /// Whether it wants to see the event.
    #[inline(always)]
    #[must_use]
    pub const fn admits(&self, kind: EventKind, event: &Event) -> bool {
        let (l4, family) = (event.key.l4, event.key.l4.family());
        let verdict = match event.decision {
            decision if decision & Decision::ACCEPT != 0 => 3,
            decision if decision & Decision::REJECT != 0 => 2,
            _ => 1,
        };
        let differs = (event.key.remote_high ^ self.remote[0]) & self.mask[0]
            | (event.key.remote_low ^ self.remote[1]) & self.mask[1];
        self.kinds & kind.bit() != 0
            && (self.nic == 0 || self.nic == l4.nic() as u32 + 1)
            && (self.direction == 0 || self.direction == event.direction + 1)
            && (self.verdict == 0 || self.verdict == verdict)
            && (self.has_protocol == 0 || self.protocol == l4.protocol())
            && (self.family == 0 || self.family == family as u8 + 1 && differs == 0)
            && (self.port == 0 || self.port == l4.remote_port() || self.port == l4.local_port())
    }
}

/// An event. 80 bytes, no padding, integers only; the captured bytes of the packet follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Event {
    /// Nanoseconds since the host started, without sleep (`CLOCK_MONOTONIC`).
    pub at: u64,
    /// The packet's ends. Of ICMP, the type and code stand in place of the local port.
    pub key: FlowKey,
    /// The [`Decision`].
    pub decision: u64,
    /// The generation of the policy.
    pub generation: u32,
    /// Length of the frame in bytes.
    pub length: u32,
    /// An [`EventKind`].
    pub kind: u8,
    /// The [`Direction`] of the packet; of a revoked flow, that of its first.
    pub direction: u8,
    /// Bits of the TCP header: FIN, SYN, RST, PSH, ACK, URG.
    pub tcp_flags: u8,
    /// Bytes that were captured.
    pub captured: u8,
    /// Whether the packet was parsed: if not, it has no addresses.
    pub is_parsed: u8,
    /// Whether the NIC's device has no Ethernet header.
    pub is_layer_3: u8,
    /// Zero.
    pub spare: [u8; 2],
}

impl Event {
    /// Fills in the ends of a packet of NIC `slot`.
    #[inline(always)]
    pub fn name(&mut self, slot: u16, direction: Direction, packet: &Packet) {
        let (source, destination) = (&packet.source, &packet.destination);
        let ports = (packet.source_port, packet.l4_selector);
        match direction {
            Direction::Ingress => self.write(source, destination, ports, slot, packet),
            Direction::Egress => self.write(destination, source, (ports.1, ports.0), slot, packet),
        }
        self.key.vlan = u64::from(packet.vlan.word());
        self.tcp_flags = packet.tcp_flags;
        self.is_parsed = 1;
    }

    #[inline(always)]
    const fn write(
        &mut self,
        remote: &Address,
        local: &Address,
        ports: (u16, u16),
        slot: u16,
        packet: &Packet,
    ) {
        self.key.remote_high = remote.high;
        self.key.remote_low = remote.low;
        self.key.local_high = local.high;
        self.key.local_low = local.low;
        self.key.l4 = PortsProtoNic::new(ports, slot, packet.protocol, packet.family);
    }

    /// A packet of NIC `slot` that could not be parsed.
    #[inline(always)]
    pub const fn name_unparsed(&mut self, slot: u16) {
        self.key.remote_high = 0;
        self.key.remote_low = 0;
        self.key.local_high = 0;
        self.key.local_low = 0;
        self.key.l4 = PortsProtoNic::new((0, 0), slot, 0, Family::V4);
        self.key.vlan = 0;
        self.tcp_flags = 0;
        self.is_parsed = 0;
    }
}

/// The last values of a flow whose entry was replaced or evicted by the program. 128 bytes, no padding, integers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ReplacedFlow {
    /// The flow.
    pub key: FlowKey,
    /// Its entry.
    pub entry: FlowEntry,
}

const _: () =
    assert!(size_of::<Watch>() == 64 && size_of::<Event>() == 80 && size_of::<ReplacedFlow>() == 128);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Reason, Verdict};

    fn event() -> Event {
        let packet = Packet {
            source: Address { high: 0x0a00_0001, low: 0 },
            destination: Address { high: 0x0a00_0102, low: 0 },
            source_port: 40_000,
            l4_selector: 443,
            protocol: 6,
            tcp_flags: 2,
            ..Packet::EMPTY
        };
        let mut event = Event {
            decision: Decision::new(Verdict::Drop, Reason::Rule, 7).word(),
            direction: Direction::Ingress as u8,
            ..Event::default()
        };
        event.name(3, Direction::Ingress, &packet);
        event
    }

    #[test]
    fn a_watch_ends_by_itself() {
        let watch = Watch { until: 100, flows_until: 50, ..Watch::default() };
        assert!(watch.is_on(99) && !watch.is_on(100) && !watch.is_on(1 << 40));
        assert!(watch.wants_flows(49) && !watch.wants_flows(50));
        assert!(!Watch::default().is_on(1));
    }

    #[test]
    fn each_field_of_a_watch_is_a_condition() {
        let kinds = EventKind::Denied.bit();
        let any = Watch { kinds, ..Watch::default() };
        let prefix = Watch { family: 1, remote: [0x0a00_0000, 0], mask: [0xffff_ff00, 0], ..any };
        let fits = [
            any,
            Watch { nic: 4, ..any },
            Watch { direction: 1, ..any },
            Watch { verdict: 1, ..any },
            Watch { has_protocol: 1, protocol: 6, ..any },
            Watch { port: 443, ..any },
            Watch { port: 40_000, ..any },
            prefix,
        ];
        for watch in fits {
            assert!(watch.admits(EventKind::Denied, &event()), "{watch:?}");
        }
        let others = [
            Watch { kinds: EventKind::Opened.bit(), ..any },
            Watch { nic: 3, ..any },
            Watch { direction: 2, ..any },
            Watch { verdict: 2, ..any },
            Watch { verdict: 3, ..any },
            Watch { has_protocol: 1, protocol: 0, ..any },
            Watch { port: 80, ..any },
            Watch { remote: [0x0a00_0100, 0], ..prefix },
            Watch { family: 2, ..prefix },
        ];
        for watch in others {
            assert!(!watch.admits(EventKind::Denied, &event()), "{watch:?}");
        }
    }

    #[test]
    fn an_event_names_the_remote_end_first() {
        let there = event();
        assert_eq!((there.key.l4.remote_port(), there.key.l4.local_port()), (40_000, 443));
        assert_eq!((there.key.remote_high, there.key.l4.nic(), there.tcp_flags), (0x0a00_0001, 3, 2));
        let mut unparsed = there;
        unparsed.name_unparsed(9);
        assert_eq!((unparsed.key.remote_high, unparsed.key.l4.nic(), unparsed.is_parsed), (0, 9, 0));
    }
}
