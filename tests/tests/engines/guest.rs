//! What a guest may say of itself, packet by packet through the program in the kernel; and what a NIC may have and do at
//! most.

use sg_check::KernelEngine;
use sg_common::{abi::reason_counter, flow::Direction, verdict::Reason};
use sg_kernel::{Datapath, FlowOptions, Limits, Options, Program};

use crate::{
    adversarial::{ACK, LOCAL, PASSES, REMOTE, SYN, dropped, expect, inbound, ipv4, outbound, tcp},
    programs::{Test, judged},
};

pub(crate) const TESTS: &[Test] = &[
    ("sends_from_its_own_addresses", sends_from_its_own_addresses),
    ("asks_its_neighbours_as_itself", asks_its_neighbours_as_itself),
    ("advertises_itself", advertises_itself),
    ("is_no_server", is_no_server),
    ("looks_for_an_address", looks_for_an_address),
    ("without_a_known_ethernet_address", without_a_known_ethernet_address),
    ("strict_about_the_middle_of_connections", strict_about_the_middle_of_connections),
    ("no_more_flows_than_its_share", no_more_flows_than_its_share),
    ("flows_live_as_long_as_was_said", flows_live_as_long_as_was_said),
    ("flows_that_made_room_are_counted", flows_that_made_room_are_counted),
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

fn udp(ports: [u16; 2]) -> Vec<u8> {
    [&ports[0].to_be_bytes()[..], &ports[1].to_be_bytes(), &[0, 8, 0, 0]].concat()
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

pub(crate) fn ipv6(next: u8, hop_limit: u8, [from, to]: [&str; 2], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    frame.extend((payload.len() as u16).to_be_bytes());
    frame.extend([next, hop_limit]);
    for address in [from, to] {
        frame.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    frame.extend(payload);
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
    let answer = from(FOREIGN, outbound(6, &tcp([80, 40_000], [5_000, 1_001], SYN | ACK)));
    expect(&mut datapath, Program::Egress, &inbound(6, &tcp([40_000, 80], [1_000, 0], SYN)), PASSES);
    expect(&mut datapath, SENDS, &answer, SPOOFED);
    expect(&mut datapath, SENDS, &from(OWN, answer), PASSES);
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
    let offer = from(OWN, ipv4(17, [LOCAL, [255; 4]], &udp([67, 68])));
    expect(&mut datapath, SENDS, &offer, rogue);
    let advertise = ipv6(17, 64, ["fe80::ff:fe00:5", "fe80::1"], &udp([547, 546]));
    expect(&mut datapath, SENDS, &from(OWN, advertise), rogue);
    let router =
        ipv6(58, 255, ["fe80::ff:fe00:5", "ff02::1"], &[134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(&mut datapath, SENDS, &from(OWN, router), rogue);
    // Not as the answer to a question that the rules let in either.
    let question = ipv4(17, [REMOTE, LOCAL], &udp([68, 67]));
    expect(&mut datapath, Program::Egress, &question, PASSES);
    expect(&mut datapath, SENDS, &from(OWN, ipv4(17, [LOCAL, REMOTE], &udp([67, 68]))), rogue);
}

/// A message of a DHCP client, or of a server, of BOOTP in a UDP packet; who asks has `has`.
fn bootp(ports: [u16; 2], operation: u8, has: [u8; 4]) -> Vec<u8> {
    let mut message = [&[operation, 1, 6, 0, 0, 0, 0, 7, 0, 0, 0, 0][..], &has].concat();
    message.resize(28, 0);
    message.extend(OWN);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, operation, 255]);
    let mut datagram = udp(ports);
    datagram[4..6].copy_from_slice(&(8 + message.len() as u16).to_be_bytes());
    [datagram, message].concat()
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

fn strict_about_the_middle_of_connections() {
    let strict = "mid_stream: strict\ngroups: { g: { inner_access: drop, ingress: [{ protocol: all }] } }\n\
                  nics: [{ device: nic, addresses: [10.0.0.5], groups: [g] }]";
    let mid_stream = dropped(Reason::MidStream);
    let mut datapath = judged(KernelEngine::datapath().unwrap(), strict).1;
    let data = inbound(6, &tcp([40_000, 80], [1_001, 5_001], ACK));
    expect(&mut datapath, Program::Ingress, &data, mid_stream);
    // Nor does an answer to nothing open a connection.
    expect(
        &mut datapath,
        Program::Egress,
        &outbound(6, &tcp([80, 40_000], [5_000, 1_001], SYN | ACK)),
        mid_stream,
    );
    expect(&mut datapath, Program::Ingress, &inbound(6, &tcp([40_000, 80], [1_000, 0], SYN)), PASSES);
    expect(&mut datapath, Program::Ingress, &data, PASSES);
    // UDP has no beginning.
    expect(&mut datapath, Program::Ingress, &inbound(17, &udp([40_000, 53])), PASSES);
    let loose = strict.replace("strict", "loose");
    let mut datapath = judged(KernelEngine::datapath().unwrap(), &loose).1;
    expect(&mut datapath, Program::Ingress, &data, PASSES);
}

const OPEN: &str = "groups: { g: { inner_access: drop, ingress: [{ protocol: all }], egress: [{ action: drop, protocol: all }] } }\n\
                    nics: [{ device: nic, addresses: [10.0.0.5], groups: [g] }]";

fn with(flows: FlowOptions) -> Datapath {
    let limits = Limits { nics: 4, flows: 1 << 12, counters: 1 << 10 };
    judged(Datapath::load(&Options { limits, flows, ..Options::default() }).unwrap(), OPEN).1
}

fn question(port: u16) -> Vec<u8> {
    inbound(6, &tcp([port, 80], [1_000, 0], SYN))
}

fn answer(port: u16) -> Vec<u8> {
    outbound(6, &tcp([80, port], [5_000, 1_001], SYN | ACK))
}

fn no_more_flows_than_its_share() {
    const SHARE: u16 = 10;
    let mut datapath = with(FlowOptions { per_nic: SHARE.into(), ..FlowOptions::default() });
    let over = reason_counter(0, Direction::Egress, Reason::FlowQuota);
    let talk = |datapath: &mut Datapath, ports: std::ops::Range<u16>| {
        let [before, after] = [false, true].map(|talks| {
            for port in ports.clone().filter(|_| talks) {
                expect(datapath, Program::Ingress, &question(port), PASSES);
                // Without a place among the answered it stays among the others, and goes on.
                expect(datapath, Program::Egress, &answer(port), PASSES);
            }
            datapath.counters(&[over]).unwrap()[0].packets
        });
        after - before
    };
    assert_eq!(talk(&mut datapath, 1_000..1_000 + SHARE), 0);
    assert_eq!(talk(&mut datapath, 2_000..2_005), 5);
    // The sweep counts what is there: who ends makes room.
    for (key, _) in datapath.flows().unwrap() {
        datapath.forget_flow(&key).unwrap();
    }
    datapath.sweep().unwrap();
    assert_eq!(talk(&mut datapath, 3_000..3_000 + SHARE), 0);
    datapath.sweep().unwrap();
    assert_eq!(talk(&mut datapath, 4_000..4_001), 1);
}

fn flows_live_as_long_as_was_said() {
    let mut timeouts = FlowOptions::default().timeouts;
    timeouts[0] = 1;
    let mut datapath = with(FlowOptions { timeouts, ..FlowOptions::default() });
    expect(&mut datapath, Program::Ingress, &question(1_000), PASSES);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert!(!datapath.run(Program::Egress, &answer(1_000), 1).unwrap().passed);
    assert_eq!(datapath.sweep().unwrap(), 1);
}

fn flows_that_made_room_are_counted() {
    use sg_common::abi::flows::{ESTABLISHED, EVICTED, HALF_OPEN};
    let mut datapath = with(FlowOptions::default());
    let flows = |datapath: &Datapath| {
        let counters = datapath.counters(&[EVICTED, ESTABLISHED, HALF_OPEN]).unwrap();
        counters.into_iter().map(|counter| counter.packets).collect::<Vec<_>>()
    };
    for port in 1_000..1_100 {
        expect(&mut datapath, Program::Ingress, &question(port), PASSES);
    }
    for port in 1_000..1_030 {
        expect(&mut datapath, Program::Egress, &answer(port), PASSES);
    }
    datapath.sweep().unwrap();
    assert_eq!(flows(&datapath), [0, 30, 70]);
    for port in 2_000..12_000 {
        expect(&mut datapath, Program::Ingress, &question(port), PASSES);
    }
    // The only NIC has all there is.
    datapath.sweep().unwrap();
    assert_eq!(flows(&datapath), [10_070 - 1_536, 30, 1_536]);
}
