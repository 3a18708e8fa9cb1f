//! Which packets are of one flow, and what becomes of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use proptest::prelude::*;
use sg_common::{
    flow::{
        DEFAULT_TIMEOUTS_SECONDS, Direction, First, FlowEntry, FlowKey, FlowKeyV4, PortsProtoNic, State,
        Width, flags, opens, packet_fields, timeout_index,
    },
    image::Fields,
    packet::{Address, Family, Icmp, IpFields, Packet, Tag, Vlan, ethertype, has_ports, is_icmp},
    verdict::{Decision, Reason, Verdict},
};

const ACCEPT: Decision = Decision::new(Verdict::Accept, Reason::Rule, 9);
const DROP: Decision = Decision::new(Verdict::Drop, Reason::Default, 3);

/// Packets as the parser makes them: ports where there are ports, types where there is ICMP, else zeroes.
fn packet() -> impl Strategy<Value = Packet> {
    let number = prop_oneof![Just(6_u8), Just(17), Just(132), Just(1), Just(58), any::<u8>()];
    let kind = prop_oneof![Just(8_u8), Just(0), Just(128), Just(129), any::<u8>()];
    let code = prop_oneof![4 => Just(0_u8), 1 => any::<u8>()];
    let ends = prop::array::uniform4(prop_oneof![any::<u64>(), 0..3_u64]);
    (any::<bool>(), number, ends, prop::array::uniform3(any::<u16>()), kind, code, vlan()).prop_map(
        |(wide, protocol, ends, [source_port, destination_port, identifier], kind, code, vlan)| {
            let family = if wide { Family::V6 } else { Family::V4 };
            let address = |high: u64, low| match family {
                Family::V4 => Address { high: high & 0xffff_ffff, low: 0 },
                Family::V6 => Address { high, low },
            };
            let packet = Packet {
                family,
                protocol,
                source: address(ends[0], ends[1]),
                destination: address(ends[2], ends[3]),
                vlan,
                ..Packet::EMPTY
            };
            if has_ports(protocol) {
                Packet { source_port, l4_selector: destination_port, ..packet }
            } else if is_icmp(family, protocol) {
                Packet { l4_selector: u16::from_be_bytes([kind, code]), identifier, ..packet }
            } else {
                packet
            }
        },
    )
}

/// Networks of no tag, one and two.
fn vlan() -> impl Strategy<Value = Vlan> {
    let tag = (any::<bool>(), prop_oneof![Just(0), any::<u16>()]).prop_map(|(outer, control)| Tag {
        kind: if outer { ethertype::SERVICE_VLAN } else { ethertype::VLAN },
        control,
    });
    prop::collection::vec(tag, 0..3)
        .prop_map(|tags| tags.iter().fold(Vlan::NONE, |vlan, &tag| vlan.behind(tag)))
}

fn direction() -> impl Strategy<Value = Direction> {
    any::<bool>().prop_map(|egress| if egress { Direction::Egress } else { Direction::Ingress })
}

/// The same packet from the other end.
fn from_the_other_end(packet: &Packet) -> Packet {
    let swapped = Packet { source: packet.destination, destination: packet.source, ..*packet };
    if has_ports(packet.protocol) {
        Packet { source_port: packet.l4_selector, l4_selector: packet.source_port, ..swapped }
    } else {
        swapped
    }
}

fn with_type(packet: &Packet, kind: u8) -> Packet {
    Packet { l4_selector: u16::from_be_bytes([kind, packet.l4_selector as u8]), ..*packet }
}

proptest! {
    #[test]
    fn both_directions_have_one_key(packet in packet(), direction in direction(), nic in any::<u16>()) {
        let Some(key) = FlowKey::of(nic, direction, &packet) else {
            prop_assert!(matches!(packet.icmp(), Some(Icmp::Error | Icmp::Other)));
            return Ok(());
        };
        prop_assert_eq!((key.l4.nic(), key.l4.protocol(), key.l4.family()), (nic, packet.protocol, packet.family));
        let is_narrow = packet.family == Family::V4 && packet.vlan.is_none();
        prop_assert_eq!(key.width(), if is_narrow { Width::Narrow } else { Width::Wide });
        if is_narrow {
            prop_assert_eq!(FlowKeyV4::of(&key).widened(), key);
            if packet.icmp().is_none() {
                prop_assert_eq!(FlowKeyV4::named(nic, direction, &packet).widened(), key);
            }
        }
        let back = from_the_other_end(&packet);
        let (question, reply) = if packet.family == Family::V4 { (8, 0) } else { (128, 129) };
        let back_key = match packet.icmp() {
            None => FlowKey::of(nic, direction.reversed(), &back),
            Some(Icmp::EchoRequest) => FlowKey::of(nic, direction.reversed(), &with_type(&back, reply)),
            Some(_) => FlowKey::of(nic, direction.reversed(), &with_type(&back, question)),
        };
        prop_assert_eq!(Some(key), back_key);
        // The same packet in another network, or of another NIC, is of another flow.
        let elsewhere = Packet { vlan: packet.vlan.behind(Tag { kind: ethertype::VLAN, control: 9 }), ..packet };
        prop_assert_ne!(Some(key), FlowKey::of(nic, direction, &elsewhere));
        prop_assert_ne!(Some(key), FlowKey::of(nic.wrapping_add(1), direction, &packet));
        if packet.icmp().is_some() {
            // A question the other way with the same identifier is a flow of its own.
            prop_assert_ne!(Some(key), FlowKey::of(nic, direction.reversed(), &back));
        }
    }

    #[test]
    fn a_flow_gives_back_what_its_first_packet_asked(packet in packet(), direction in direction()) {
        let code_is_zero = packet.l4_selector as u8 == 0;
        if packet.icmp().is_none() || packet.icmp() == Some(Icmp::EchoRequest) && code_is_zero {
            let key = FlowKey::of(1, direction, &packet).unwrap();
            let first = First::of(&packet, direction);
            prop_assert_eq!(key.original(first), packet_fields(direction, &packet));
        }
    }

    #[test]
    fn only_what_has_a_flow_and_asks_opens_one(packet in packet()) {
        prop_assert_eq!(opens(&packet), matches!(packet.icmp(), None | Some(Icmp::EchoRequest)));
        if opens(&packet) {
            prop_assert!(FlowKey::of(1, Direction::Ingress, &packet).is_some());
        }
    }

    #[test]
    fn a_flow_counts_every_packet_once_and_never_goes_back(
        steps in prop::collection::vec((direction(), any::<u8>(), 60..1500_u64), 0..40),
        opener in direction(),
    ) {
        let mut entry = FlowEntry::open(&Packet::EMPTY, opener, ACCEPT, 1, 60, 0);
        let mut counted = [[1, 0], [60, 0]];
        for (now, (way, tcp_flags, length)) in (1..).zip(steps) {
            let before = entry.state();
            entry.observe(&Packet { protocol: 6, tcp_flags, ..Packet::EMPTY }, way, length, now);
            let side = usize::from(way != opener);
            counted[0][side] += 1;
            counted[1][side] += length;
            prop_assert!(entry.state() >= before);
            prop_assert_eq!(entry.last_seen, now);
        }
        prop_assert_eq!([entry.packets, entry.bytes], counted);
        prop_assert_eq!((entry.opened, entry.direction(), entry.decision), (0, opener, ACCEPT.word()));
    }
}

#[test]
fn the_identifier_tells_echoes_apart() {
    for (family, protocol, question) in [(Family::V4, 1, 8), (Family::V6, 58, 128)] {
        let echo = Packet { family, protocol, l4_selector: question << 8, identifier: 5, ..Packet::EMPTY };
        let key = |packet: &Packet| FlowKey::of(1, Direction::Egress, packet);
        assert_ne!(key(&echo), key(&Packet { identifier: 6, ..echo }));
        assert_eq!(key(&echo).map(|key| (key.l4.remote_port(), key.l4.local_port())), Some((5, 1)));
        let inbound = FlowKey::of(1, Direction::Ingress, &echo);
        assert_eq!(inbound.map(|key| (key.l4.remote_port(), key.l4.local_port())), Some((5, 0)));
    }
}

#[test]
fn a_policy_is_asked_about_the_remote_end_first() {
    let (source, destination) = (Address { high: 1, low: 2 }, Address { high: 3, low: 4 });
    let datagram = Packet { family: Family::V6, protocol: 17, source, destination, ..Packet::EMPTY };
    let ip = IpFields { hop_limit: 64, dscp: 46 };
    let datagram = Packet { source_port: 40_000, l4_selector: 53, ip, ..datagram };
    // The protocol, and the port or ICMP's type and code in the lower 16 bits.
    let service = 0x0011_0035;
    for (direction, remote, local) in
        [(Direction::Ingress, source, destination), (Direction::Egress, destination, source)]
    {
        let wanted = Fields { remote, local, service, source_port: 40_000, dscp: 46 };
        assert_eq!(packet_fields(direction, &datagram), wanted);
        let key = FlowKey::of(1, direction, &datagram).unwrap();
        assert_eq!(key.original(First::of(&datagram, direction)), wanted);
        let echo = Packet { protocol: 58, l4_selector: 128 << 8, source_port: 0, identifier: 9, ..datagram };
        let wanted = Fields { service: 0x003a_8000, source_port: 0, ..wanted };
        assert_eq!(packet_fields(direction, &echo), wanted);
        let key = FlowKey::of(1, direction, &echo).unwrap();
        assert_eq!(key.original(First::of(&echo, direction)), wanted);
    }
}

/// The word stands in tables that outlive a program.
#[test]
fn ports_nic_protocol_and_family_are_one_word() {
    for (family, word) in [(Family::V4, 0x00de_9abc_5678_1234), (Family::V6, 0x01de_9abc_5678_1234)] {
        let ports = PortsProtoNic::new((0x1234, 0x5678), 0x9abc, 0xde, family);
        assert_eq!((ports.word(), PortsProtoNic::of(word)), (word, ports));
        assert_eq!((ports.remote_port(), ports.local_port(), ports.nic()), (0x1234, 0x5678, 0x9abc));
        assert_eq!((ports.protocol(), ports.family()), (0xde, family));
    }
}

#[test]
fn every_protocol_and_state_has_its_timeout() {
    let (v4, v6) = (Family::V4, Family::V6);
    for (family, protocol, seconds) in [
        (v4, 6, [30, 910, 3]),
        (v6, 6, [30, 910, 3]),
        (v4, 17, [30, 180, 180]),
        (v6, 17, [30, 180, 180]),
        (v4, 1, [30, 30, 30]),
        (v6, 58, [30, 30, 30]),
        // ICMP of the other family is any protocol.
        (v6, 1, [30, 180, 180]),
        (v4, 58, [30, 180, 180]),
        (v4, 47, [30, 180, 180]),
        (v6, 132, [30, 180, 180]),
    ] {
        for (state, wanted) in (0..).zip(seconds) {
            let index = timeout_index(family, protocol, state);
            assert_eq!(DEFAULT_TIMEOUTS_SECONDS[index], wanted, "{protocol} in state {state}");
        }
    }
    // The indices are ABI: the order of `Settings::timeouts`.
    let indices: Vec<usize> = [(6, 0), (6, 1), (6, 2), (17, 0), (17, 1), (1, 0), (47, 0), (47, 1)]
        .map(|(protocol, state)| timeout_index(v4, protocol, state))
        .to_vec();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6, 7]);
    for state in 0..=255 {
        for protocol in 0..=255 {
            assert!(timeout_index(v4, protocol, state) < 8 && timeout_index(v6, protocol, state) < 8);
        }
    }
}

#[test]
fn a_flow_expires_after_its_timeout_and_not_at_it() {
    let key = FlowKey { l4: PortsProtoNic::new((0, 0), 0, 17, Family::V4), ..FlowKey::default() };
    let timeouts = [0, 0, 0, 100, 200, 0, 0, 0];
    let entry = FlowEntry::open(&Packet::EMPTY, Direction::Ingress, ACCEPT, 1, 60, 1000);
    // Another processor may have recorded the flow a jiffy or more after our clock was read: that is no silence.
    for (now, expired) in
        [(1000, false), (1100, false), (1101, true), (999, false), (0, false), (u64::MAX, false)]
    {
        assert_eq!(entry.is_expired(key.l4, &timeouts, now), expired, "at {now}");
    }
    let both_ways = entry.with_state(State::Established);
    assert!(!both_ways.is_expired(key.l4, &timeouts, 1200) && both_ways.is_expired(key.l4, &timeouts, 1201));
    // Jiffies begin near their end (INITIAL_JIFFIES) and go round.
    let late = FlowEntry { last_seen: u64::MAX - 50, ..entry };
    assert!(!late.is_expired(key.l4, &timeouts, 49) && late.is_expired(key.l4, &timeouts, 50));
    let ahead = FlowEntry { last_seen: 3, ..entry };
    assert!(!ahead.is_expired(key.l4, &timeouts, u64::MAX - 2), "recorded after the clock went round");
    // A state that no version writes is read as some state, not out of bounds.
    let strange = FlowEntry { status: 255, ..entry };
    assert!(!strange.is_expired(key.l4, &timeouts, 1200) && strange.is_expired(key.l4, &timeouts, 1201));
}

#[test]
fn a_flow_is_stale_under_another_generation_if_flows_are_revalidated_or_it_was_revoked() {
    for (generation, revalidate, revoked, stale) in [
        (1, true, false, false),
        (1, true, true, false),
        (1, false, true, false),
        (2, true, false, true),
        (2, true, true, true),
        (2, false, false, false),
        (2, false, true, true),
        // Generations are names, not an order: a lower one is another one too.
        (0, true, false, true),
    ] {
        let mut entry = FlowEntry::open(&Packet::EMPTY, Direction::Ingress, ACCEPT, 1, 60, 0);
        if revoked {
            entry.revalidate(DROP, 1);
        }
        assert_eq!(
            entry.is_stale(generation, revalidate),
            stale,
            "generation {generation}, revalidate {revalidate}, revoked {revoked}"
        );
    }
}

#[test]
fn revalidation_revokes_and_restores() {
    let mut entry = FlowEntry::open(&Packet::EMPTY, Direction::Ingress, ACCEPT, 1, 60, 0);
    entry.status |= flags::FIN_REPLY;
    let state = entry;
    entry.revalidate(DROP, 2);
    assert!(entry.is_revoked());
    assert_eq!((entry.generation, entry.decision), (2, DROP.word()));
    assert_eq!(entry.flags(), flags::FIN_REPLY);
    entry.revalidate(DROP, 3);
    assert!(entry.is_revoked(), "revoked twice is revoked");
    entry.revalidate(ACCEPT, 4);
    assert_eq!(entry, FlowEntry { generation: 4, ..state }, "nothing else is touched");
}

#[test]
fn a_direction_reversed_twice_is_itself() {
    for direction in [Direction::Ingress, Direction::Egress] {
        assert_ne!(direction.reversed(), direction);
        assert_eq!(direction.reversed().reversed(), direction);
    }
}
