//! The table of `sg_common::exceptions`, row by row, and every row with one condition not met.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::net::IpAddr;

use sg_common::{
    exceptions::passes,
    flow::Direction::{self, Egress, Ingress},
    packet::{Address, Family, Packet},
    verdict::Reason,
};

const LINK_LOCAL: &str = "fe80::1";
const GLOBAL: &str = "2001:db8::1";

fn packet(source: &str, destination: &str, protocol: u8) -> Packet {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let family = if address(source).is_ipv4() { Family::V4 } else { Family::V6 };
    let (source, destination) = (Address::from(address(source)), Address::from(address(destination)));
    Packet { family, protocol, source, destination, hop_limit: 64, ..Packet::EMPTY }
}

fn icmpv6(kind: u8, hop_limit: u8, source: &str) -> Packet {
    Packet { detail: u16::from(kind) << 8, hop_limit, ..packet(source, "ff02::1", 58) }
}

fn udp(ports: (u16, u16), source: &str, destination: &str) -> Packet {
    Packet { source_port: ports.0, detail: ports.1, ..packet(source, destination, 17) }
}

#[track_caller]
fn check(what: &str, packet: &Packet, direction: Direction, own: bool, wanted: Option<Reason>) {
    assert_eq!(passes(packet, direction, || own), wanted, "{what}, {direction:?}, own: {own}");
}

#[test]
fn neighbour_discovery_passes_with_a_hop_limit_of_255_only() {
    let nd = Some(Reason::NeighbourDiscovery);
    for (kind, ways) in [
        (133, &[Egress][..]),
        (134, &[Ingress][..]),
        (135, &[Ingress, Egress][..]),
        (136, &[Ingress, Egress][..]),
    ] {
        for direction in [Ingress, Egress] {
            for source in [LINK_LOCAL, GLOBAL, "::"] {
                let wanted = if ways.contains(&direction) { nd } else { None };
                check(&format!("type {kind}"), &icmpv6(kind, 255, source), direction, false, wanted);
                for hop_limit in [0, 1, 64, 254] {
                    let routed = icmpv6(kind, hop_limit, source);
                    check(&format!("type {kind}, hop limit {hop_limit}"), &routed, direction, true, None);
                }
            }
        }
    }
}

#[test]
fn listener_discovery_passes_with_a_hop_limit_of_1_and_a_source_of_the_link() {
    let nd = Some(Reason::NeighbourDiscovery);
    for (kind, way, unspecified) in
        [(130, Ingress, false), (131, Egress, true), (132, Egress, true), (143, Egress, true)]
    {
        let what = format!("type {kind}");
        check(&what, &icmpv6(kind, 1, LINK_LOCAL), way, false, nd);
        check(&what, &icmpv6(kind, 1, "::"), way, false, nd.filter(|_| unspecified));
        check(&what, &icmpv6(kind, 1, LINK_LOCAL), way.reversed(), true, None);
        check(&what, &icmpv6(kind, 1, GLOBAL), way, true, None);
        check(&what, &icmpv6(kind, 1, "fec0::1"), way, true, None);
        for hop_limit in [0, 2, 254, 255] {
            check(&what, &icmpv6(kind, hop_limit, LINK_LOCAL), way, true, None);
        }
    }
}

#[test]
fn no_other_message_passes() {
    for kind in (0..=255).filter(|kind| !matches!(kind, 130..=136 | 143)) {
        for hop_limit in [1, 255] {
            for direction in [Ingress, Egress] {
                check(&format!("type {kind}"), &icmpv6(kind, hop_limit, LINK_LOCAL), direction, true, None);
            }
        }
    }
    // ICMPv6 numbers mean nothing over IPv4, nor in a protocol that is not ICMPv6. A redirect (137) never passes.
    let over_ipv4 = Packet { family: Family::V4, ..icmpv6(135, 255, LINK_LOCAL) };
    let icmp = Packet { protocol: 1, ..icmpv6(135, 255, LINK_LOCAL) };
    for packet in [over_ipv4, icmp] {
        check("not ICMPv6", &packet, Ingress, true, None);
    }
}

#[test]
fn dhcp_passes_between_a_client_here_and_a_server_there() {
    let dhcp = Some(Reason::Dhcp);
    let servers = "ff02::1:2";
    for (what, direction, ports, source, destination, own, wanted) in [
        ("discover", Egress, (68, 67), "0.0.0.0", "255.255.255.255", false, dhcp),
        ("discover of one server", Egress, (68, 67), "0.0.0.0", "10.0.0.1", false, None),
        ("renew", Egress, (68, 67), "10.0.0.5", "10.0.0.1", true, dhcp),
        ("a stranger's renew", Egress, (68, 67), "10.0.0.5", "10.0.0.1", false, None),
        ("offer to all", Ingress, (67, 68), "10.0.0.1", "255.255.255.255", false, dhcp),
        ("offer to the NIC", Ingress, (67, 68), "10.0.0.1", "10.0.0.5", true, dhcp),
        ("offer to another", Ingress, (67, 68), "10.0.0.1", "10.0.0.5", false, None),
        ("offer to the subnet", Ingress, (67, 68), "10.0.0.1", "10.0.0.255", false, None),
        ("no server here", Egress, (67, 68), "10.0.0.5", "255.255.255.255", true, None),
        ("no client there", Ingress, (68, 67), "0.0.0.0", "255.255.255.255", true, None),
        ("another client port", Egress, (1068, 67), "0.0.0.0", "255.255.255.255", true, None),
        ("another server port", Egress, (68, 53), "0.0.0.0", "255.255.255.255", true, None),
        ("another source port", Ingress, (53, 68), "10.0.0.1", "10.0.0.5", true, None),
        ("another port here", Ingress, (67, 22), "10.0.0.1", "10.0.0.5", true, None),
        ("relay to relay", Egress, (67, 67), "10.0.0.5", "10.0.0.1", true, None),
        ("solicit", Egress, (546, 547), LINK_LOCAL, servers, false, dhcp),
        ("solicit from afar", Egress, (546, 547), GLOBAL, servers, true, None),
        ("solicit to one", Egress, (546, 547), LINK_LOCAL, LINK_LOCAL, true, None),
        ("solicit to others", Egress, (546, 547), LINK_LOCAL, "ff02::1:3", true, None),
        ("solicit to the site", Egress, (546, 547), LINK_LOCAL, "ff05::1:2", true, None),
        ("advertise", Ingress, (547, 546), LINK_LOCAL, "fe80::5", false, dhcp),
        ("advertise from afar", Ingress, (547, 546), GLOBAL, "fe80::5", true, None),
        ("advertise to a global address", Ingress, (547, 546), LINK_LOCAL, GLOBAL, true, None),
        ("no DHCPv6 server here", Egress, (547, 546), LINK_LOCAL, "fe80::5", true, None),
        ("no DHCPv6 client there", Ingress, (546, 547), LINK_LOCAL, servers, true, None),
        ("DHCPv4 ports over IPv6", Egress, (68, 67), LINK_LOCAL, servers, true, None),
        ("DHCPv6 ports over IPv4", Egress, (546, 547), "0.0.0.0", "255.255.255.255", true, None),
        ("a wrong port", Egress, (546, 548), LINK_LOCAL, servers, true, None),
        ("a wrong client port", Ingress, (547, 547), LINK_LOCAL, "fe80::5", true, None),
    ] {
        let datagram = udp(ports, source, destination);
        check(what, &datagram, direction, own, wanted);
        check(what, &Packet { protocol: 6, ..datagram }, direction, true, None);
    }
}

#[test]
fn whether_an_address_is_own_is_asked_only_where_it_counts() {
    let never = || -> bool { panic!("asked") };
    let discover = udp((68, 67), "0.0.0.0", "255.255.255.255");
    assert_eq!(passes(&discover, Egress, never), Some(Reason::Dhcp));
    for packet in [
        udp((40_000, 53), "10.0.0.5", "10.0.0.1"),
        packet("10.0.0.5", "10.0.0.1", 6),
        icmpv6(128, 64, GLOBAL),
    ] {
        assert_eq!(passes(&packet, Egress, never), None);
    }
}
