//! What a guest may say of itself, packet by packet through the program in the kernel.

use sg_check::KernelEngine;
use sg_common::verdict::Reason;
use sg_kernel::{Datapath, Program};
use sg_tests::packet::{ACK, SYN, tcp, udp};

use crate::support::runs::{
    LOCAL, PASSES, REMOTE, Test, dropped, expect, inbound, ipv4, ipv6, judged, outbound,
};

pub(crate) const TESTS: &[Test] = &[
    ("sends_from_its_own_addresses", sends_from_its_own_addresses),
    ("asks_its_neighbours_as_itself", asks_its_neighbours_as_itself),
    ("advertises_itself", advertises_itself),
    ("is_no_server", is_no_server),
    ("looks_for_an_address", looks_for_an_address),
    ("without_a_known_ethernet_address", without_a_known_ethernet_address),
];

/// The Ethernet addresses of the guest, of its virtual router, and of somebody else.
const OWN: [u8; 6] = [2, 0, 0, 0, 0, 5];
const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 7];
const FOREIGN: [u8; 6] = [2, 0, 0, 0, 0, 66];

const DOCUMENT: &str = "
groups: { g: { inner_access: drop, ingress: [{ protocol: all }], egress: [{ protocol: all }] } }
nics:
  - device: tap0
    role: guest
    mac: 02:00:00:00:00:05
    addresses: [10.0.0.5, \"2001:db8::5\"]
    allowed_address_pairs: [10.0.1.0/24, { address: 10.0.0.9, mac: 00:00:5e:00:01:07 }]
    groups: [g]
";

fn guest() -> Datapath {
    judged(KernelEngine::datapath().unwrap(), DOCUMENT).1
}

/// What the host end of a guest's NIC receives is what the guest sends.
const SENDS: Program = Program::Ingress;

const SPOOFED: (bool, Reason) = dropped(Reason::AntiSpoofing);
const ARP: (bool, Reason) = (true, Reason::Arp);
const DISCOVERY: (bool, Reason) = (true, Reason::NeighbourDiscovery);
const DHCP: (bool, Reason) = (true, Reason::Dhcp);
const NEIGHBOUR: (bool, Reason) = dropped(Reason::NeighbourSpoofing);

fn from(mac: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    frame[6..12].copy_from_slice(&mac);
    frame
}

fn syn_from(address: [u8; 4]) -> Vec<u8> {
    ipv4(6, [address, REMOTE], &tcp([40_000, 80], [1, 0], SYN))
}

fn arp(sender: [u8; 6], address: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0xff; 12];
    frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend(sender);
    frame.extend(address);
    frame.extend([0; 6]);
    frame.extend([10, 0, 0, 1]);
    frame
}

/// A neighbour message about `target`.
fn neighbour(kind: u8, ends: [&str; 2], target: &str) -> Vec<u8> {
    let target = target.parse::<std::net::Ipv6Addr>().unwrap().octets();
    ipv6(58, 255, ends, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target].concat())
}

fn sends_from_its_own_addresses() {
    let mut datapath = guest();
    for (mac, address, outcome) in [
        (OWN, [10, 0, 0, 5], PASSES),
        (OWN, [10, 0, 1, 77], PASSES),
        (VIRTUAL, [10, 0, 0, 9], PASSES),
        (OWN, [10, 0, 0, 9], SPOOFED),
        (VIRTUAL, [10, 0, 0, 5], SPOOFED),
        (FOREIGN, [10, 0, 0, 5], SPOOFED),
        (OWN, [10, 0, 0, 6], SPOOFED),
        (OWN, [10, 0, 2, 0], SPOOFED),
        (OWN, [0, 0, 0, 0], SPOOFED),
    ] {
        expect(&mut datapath, SENDS, &from(mac, syn_from(address)), outcome);
    }
    // Not where it would belong to a flow either.
    let reply = from(FOREIGN, outbound(6, &tcp([80, 40_000], [5_000, 1_001], SYN | ACK)));
    expect(&mut datapath, Program::Egress, &inbound(6, &tcp([40_000, 80], [1_000, 0], SYN)), PASSES);
    expect(&mut datapath, SENDS, &reply, SPOOFED);
    expect(&mut datapath, SENDS, &from(OWN, reply), PASSES);
}

fn asks_its_neighbours_as_itself() {
    let mut datapath = guest();
    for (ethernet, sender, address, outcome) in [
        (OWN, OWN, [10, 0, 0, 5], ARP),
        (VIRTUAL, VIRTUAL, [10, 0, 0, 9], ARP),
        // A probe: is this address free?
        (OWN, OWN, [0, 0, 0, 0], ARP),
        (OWN, OWN, [10, 0, 0, 1], NEIGHBOUR),
        (OWN, OWN, [10, 0, 0, 9], NEIGHBOUR),
        (OWN, FOREIGN, [10, 0, 0, 5], NEIGHBOUR),
        (FOREIGN, FOREIGN, [10, 0, 0, 5], NEIGHBOUR),
        (FOREIGN, FOREIGN, [0, 0, 0, 0], NEIGHBOUR),
    ] {
        expect(&mut datapath, SENDS, &from(ethernet, arp(sender, address)), outcome);
    }
    let whole = from(OWN, arp(OWN, [10, 0, 0, 5]));
    expect(&mut datapath, SENDS, &whole[..whole.len() - 1], dropped(Reason::Malformed));
    // What comes to it is not its claim.
    expect(&mut datapath, Program::Egress, &from(FOREIGN, arp(FOREIGN, [10, 0, 0, 1])), ARP);
}

fn advertises_itself() {
    const ALL: &str = "ff02::1";
    const LINK_LOCAL: &str = "fe80::ff:fe00:5";
    let mut datapath = guest();
    for (mac, ends, target, outcome) in [
        (OWN, ["2001:db8::5", ALL], "2001:db8::5", DISCOVERY),
        (OWN, [LINK_LOCAL, ALL], LINK_LOCAL, DISCOVERY),
        (OWN, ["2001:db8::5", ALL], "2001:db8::1", NEIGHBOUR),
        (OWN, ["2001:db8::1", ALL], "2001:db8::1", SPOOFED),
        (OWN, ["fe80::1", ALL], "fe80::1", SPOOFED),
        (FOREIGN, ["2001:db8::5", ALL], "2001:db8::5", SPOOFED),
    ] {
        expect(&mut datapath, SENDS, &from(mac, neighbour(136, ends, target)), outcome);
    }
    // Questions, and that whether an address is free.
    for (mac, source, outcome) in [
        (OWN, "2001:db8::5", DISCOVERY),
        (OWN, "::", DISCOVERY),
        (FOREIGN, "::", SPOOFED),
        (OWN, "fe80::1", SPOOFED),
    ] {
        let question = neighbour(135, [source, "ff02::1:ff00:1"], "2001:db8::1");
        expect(&mut datapath, SENDS, &from(mac, question), outcome);
    }
}

fn is_no_server() {
    let mut datapath = guest();
    let rogue = dropped(Reason::RogueServer);
    let offer = from(OWN, ipv4(17, [LOCAL, [255; 4]], &udp([67, 68], &[])));
    expect(&mut datapath, SENDS, &offer, rogue);
    let advertise = ipv6(17, 64, ["fe80::ff:fe00:5", "fe80::1"], &udp([547, 546], &[]));
    expect(&mut datapath, SENDS, &from(OWN, advertise), rogue);
    let router =
        ipv6(58, 255, ["fe80::ff:fe00:5", "ff02::1"], &[134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(&mut datapath, SENDS, &from(OWN, router), rogue);
    // Not as the reply to a request that the rules let in either.
    let question = ipv4(17, [REMOTE, LOCAL], &udp([68, 67], &[]));
    expect(&mut datapath, Program::Egress, &question, PASSES);
    expect(&mut datapath, SENDS, &from(OWN, ipv4(17, [LOCAL, REMOTE], &udp([67, 68], &[]))), rogue);
}

/// A message of a DHCP client, or of a server, of BOOTP in a UDP packet; who asks has `has`.
fn bootp(ports: [u16; 2], operation: u8, has: [u8; 4]) -> Vec<u8> {
    let mut message = [&[operation, 1, 6, 0, 0, 0, 0, 7, 0, 0, 0, 0][..], &has].concat();
    message.resize(28, 0);
    message.extend(OWN);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, operation, 255]);
    udp(ports, &message)
}

fn looks_for_an_address() {
    let mut datapath = guest();
    let discover = ipv4(17, [[0; 4], [255; 4]], &bootp([68, 67], 1, [0; 4]));
    expect(&mut datapath, SENDS, &from(OWN, discover.clone()), DHCP);
    expect(&mut datapath, SENDS, &from(FOREIGN, discover), SPOOFED);
    let offer = ipv4(17, [REMOTE, [10, 0, 0, 99]], &bootp([67, 68], 2, [0; 4]));
    expect(&mut datapath, Program::Egress, &offer, DHCP);
    // One server, of its link; one that is anywhere is for the rules.
    let renew = |to| ipv4(17, [LOCAL, to], &bootp([68, 67], 1, LOCAL));
    expect(&mut datapath, SENDS, &from(OWN, renew([169, 254, 0, 1])), DHCP);
    expect(&mut datapath, SENDS, &from(OWN, renew([198, 51, 100, 7])), PASSES);
    let solicit = |source| {
        let message =
            [&[2, 34, 2, 35, 0, 26, 0, 0][..], &[1, 0, 0, 7, 0, 1, 0, 10, 0, 3, 0, 1], &OWN].concat();
        ipv6(17, 1, [source, "ff02::1:2"], &message)
    };
    expect(&mut datapath, SENDS, &from(OWN, solicit("fe80::ff:fe00:5")), DHCP);
    expect(&mut datapath, SENDS, &from(OWN, solicit("fe80::1")), SPOOFED);
    let report = ipv6(58, 1, ["::", "ff02::16"], &[143, 0, 0, 0, 0, 0, 0, 0]);
    expect(&mut datapath, SENDS, &from(OWN, report), DISCOVERY);
}

/// Then Ethernet addresses say nothing, and a link-local address that nobody wrote down may look for its neighbours.
fn without_a_known_ethernet_address() {
    let text = DOCUMENT.replace("    mac: 02:00:00:00:00:05\n", "");
    let mut datapath = judged(KernelEngine::datapath().unwrap(), &text).1;
    expect(&mut datapath, SENDS, &from(FOREIGN, syn_from(LOCAL)), PASSES);
    expect(&mut datapath, SENDS, &from(FOREIGN, syn_from([10, 0, 0, 6])), SPOOFED);
    expect(&mut datapath, SENDS, &from(FOREIGN, arp(FOREIGN, LOCAL)), ARP);
    expect(&mut datapath, SENDS, &from(FOREIGN, arp(FOREIGN, [10, 0, 0, 1])), NEIGHBOUR);
    let question = neighbour(135, ["fe80::77", "ff02::1:ff00:1"], "2001:db8::1");
    expect(&mut datapath, SENDS, &from(FOREIGN, question), DISCOVERY);
    let ping = ipv6(58, 64, ["fe80::77", "ff02::1"], &[128, 0, 0, 0, 0, 0, 0, 0]);
    expect(&mut datapath, SENDS, &from(FOREIGN, ping), SPOOFED);
}
