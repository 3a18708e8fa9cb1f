//! What a receiver takes is what is judged: frames whose bytes say one thing to who reads to the end of the frame, and
//! another to who stops at the end of the packet, through each program. Nearly all of these meet rules that accept
//! everything: what is dropped is dropped because nobody could judge it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sg_check::KernelEngine;
use sg_common::verdict::Reason;
use sg_kernel::{Datapath, Program};
use sg_tests::packet::{ACK, SYN, TCP, UDP, ethernet, ip, tcp};

use crate::support::runs::{PASSES, Test, dropped, judged};

pub(crate) const TESTS: &[Test] = &[
    ("nothing_behind_the_end_is_a_header", nothing_behind_the_end_is_a_header),
    ("a_length_of_zero_is_no_length", a_length_of_zero_is_no_length),
    ("a_first_fragment_holds_all_headers", a_first_fragment_holds_all_headers),
    ("a_chain_that_is_not_finished_is_none", a_chain_that_is_not_finished_is_none),
    ("nothing_of_a_datagram_comes_twice", nothing_of_a_datagram_comes_twice),
    ("fragments_that_nobody_can_put_together", fragments_that_nobody_can_put_together),
    ("an_error_quotes_nothing_behind_its_end", an_error_quotes_nothing_behind_its_end),
    ("neighbour_discovery_comes_whole", neighbour_discovery_comes_whole),
    ("a_guest_hides_nothing_in_fragments", a_guest_hides_nothing_in_fragments),
    ("udp_lite_and_dccp_have_ports", udp_lite_and_dccp_have_ports),
];

const PROGRAMS: [Program; 3] = [Program::Ingress, Program::Egress, Program::Xdp];

const MALFORMED: (bool, Reason) = dropped(Reason::Malformed);

const FRAGMENT: u8 = 44;
const OPTIONS: u8 = 60;

const REMOTE4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const LOCAL4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const REMOTE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LOCAL6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 5);

/// A NIC with these inbound and outbound rules.
fn nic(rules: &str) -> Datapath {
    let text = format!(
        "groups: {{ g: {{ inner_access: drop, {rules} }} }}\n\
         nics: [{{ device: nic, role: host, addresses: [{LOCAL4}, \"{LOCAL6}\"], groups: [g] }}]"
    );
    judged(KernelEngine::datapath().unwrap(), &text).1
}

fn open() -> Datapath {
    nic("ingress: [{ protocol: all }], egress: [{ protocol: all }]")
}

/// An IPv4 packet whose length ends it after `bytes` of what it carries; all of that is in the frame.
fn v4(protocol: u8, carried: &[u8], bytes: usize) -> Vec<u8> {
    let mut frame = ethernet([[0; 6]; 2], &ip([REMOTE4, LOCAL4].map(IpAddr::V4), protocol, 64, carried));
    frame[16..18].copy_from_slice(&(20 + bytes as u16).to_be_bytes());
    frame
}

/// The same in IPv6.
fn v6(next: u8, carried: &[u8], bytes: usize) -> Vec<u8> {
    let mut frame = ethernet([[0; 6]; 2], &ip([REMOTE6, LOCAL6].map(IpAddr::V6), next, 255, carried));
    frame[18..20].copy_from_slice(&(bytes as u16).to_be_bytes());
    frame
}

/// A fragment with `bytes` at `offset`, in both families.
fn fragments(identification: u16, protocol: u8, offset: u16, more: bool, bytes: &[u8]) -> [Vec<u8>; 2] {
    let mut frame = v4(protocol, bytes, bytes.len());
    frame[18..20].copy_from_slice(&identification.to_be_bytes());
    frame[20..22].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    let carried = [&header(protocol, offset, more, identification)[..], bytes].concat();
    [frame, v6(FRAGMENT, &carried, carried.len())]
}

/// A fragment header.
fn header(next: u8, offset: u16, more: bool, identification: u16) -> [u8; 8] {
    let [a, b] = (offset | u16::from(more)).to_be_bytes();
    let [c, d] = identification.to_be_bytes();
    [next, 0, a, b, 0, 0, c, d]
}

/// Destination options that say nothing.
const fn options(next: u8) -> [u8; 8] {
    [next, 0, 1, 4, 0, 0, 0, 0]
}

fn udp(ports: [u16; 2], length: u16) -> Vec<u8> {
    [ports[0], ports[1], length, 0].map(u16::to_be_bytes).concat()
}

/// Runs the frame through a program, which at XDP says nothing but whether it passes.
#[track_caller]
fn meets(datapath: &mut Datapath, program: Program, frame: &[u8], wanted: (bool, Reason)) {
    let outcome = datapath.run(program, frame, 1).unwrap();
    let reason = outcome.decision.map(|decision| decision.reason().unwrap());
    let wanted = (wanted.0, if program == Program::Xdp { None } else { Some(wanted.1) });
    assert_eq!((outcome.passed, reason), wanted, "{program:?}: {frame:02x?}");
}

fn nothing_behind_the_end_is_a_header() {
    let icmp = [8, 0, 0, 0, 0, 7, 0, 1];
    for program in PROGRAMS {
        let mut datapath = open();
        for (protocol, header, least) in [
            (TCP, tcp([40_000, 80], [1, 0], SYN), 20),
            (UDP, udp([9, 53], 8), 8),
            (1, icmp.to_vec(), 8),
            (58, icmp.to_vec(), 8),
            (132, vec![0; 12], 12),
        ] {
            for bytes in 0..=header.len() {
                let mut wanted = [if bytes < least { MALFORMED } else { PASSES }; 2];
                match protocol {
                    1 => wanted[1] = PASSES,
                    58 => wanted[0] = PASSES,
                    _ => {}
                }
                // As long as the shortest frame of Ethernet at least.
                let carried = [&header[..], &[0; 26]].concat();
                meets(&mut datapath, program, &v4(protocol, &carried, bytes), wanted[0]);
                meets(&mut datapath, program, &v6(protocol, &carried, bytes), wanted[1]);
                let behind = [&options(protocol), &carried[..]].concat();
                meets(&mut datapath, program, &v6(OPTIONS, &behind, 8 + bytes), wanted[1]);
            }
        }
        // TCP's own header is not longer than the packet.
        let mut long = tcp([40_000, 80], [1, 0], ACK);
        long[12] = 6 << 4;
        long.extend([1; 4]);
        for (bytes, wanted) in [(20, MALFORMED), (23, MALFORMED), (24, PASSES)] {
            meets(&mut datapath, program, &v4(TCP, &long, bytes), wanted);
            meets(&mut datapath, program, &v6(TCP, &long, bytes), wanted);
        }
        // A packet that is longer than its frame never arrives anywhere.
        meets(&mut datapath, program, &v4(UDP, &udp([9, 53], 8), 9), MALFORMED);
        meets(&mut datapath, program, &v6(UDP, &udp([9, 53], 8), 9), MALFORMED);
    }
}

/// Nothing here is a large packet: the kernel would say so.
fn a_length_of_zero_is_no_length() {
    for program in PROGRAMS {
        let mut datapath = open();
        let segment = tcp([40_000, 80], [1, 0], SYN);
        let mut zero = v4(TCP, &segment, 0);
        zero[16..18].fill(0);
        meets(&mut datapath, program, &zero, MALFORMED);
        meets(&mut datapath, program, &v6(TCP, &segment, 0), MALFORMED);
        // A jumbo payload option, as kernels write it before large packets.
        let jumbo = [&[TCP, 0, 0xc2, 4, 0, 1, 0, 0], &segment[..]].concat();
        meets(&mut datapath, program, &v6(0, &jumbo, 0), MALFORMED);
        // Nothing comes next, and nothing is there.
        meets(&mut datapath, program, &v6(59, &[0; 8], 0), PASSES);
    }
}

/// Tiny fragments (RFC 1858), and half a header in front of its other half.
fn a_first_fragment_holds_all_headers() {
    let segment = [tcp([443, 7_777], [5_000, 0], SYN), vec![0; 12]].concat();
    for program in PROGRAMS {
        let mut datapath = open();
        for (at, wanted) in [(8, MALFORMED), (16, MALFORMED), (24, PASSES)] {
            let follows = if wanted.0 { PASSES } else { dropped(Reason::Fragment) };
            let first = fragments(at, TCP, 0, true, &segment[..at.into()]);
            let rest = fragments(at, TCP, at, false, &segment[at.into()..]);
            for (first, rest) in first.iter().zip(&rest) {
                meets(&mut datapath, program, first, wanted);
                meets(&mut datapath, program, rest, follows);
                // The rest of the header behind its end is none of it.
                let mut padded = first.clone();
                padded.extend(&segment[at.into()..]);
                if !wanted.0 {
                    meets(&mut datapath, program, &padded, wanted);
                }
            }
        }
        for protocol in [33, 132] {
            for (first, wanted) in [(8, MALFORMED), (16, PASSES)] {
                let number = u16::from(protocol) << 8 | first;
                for frame in fragments(number, protocol, 0, true, &[7; 16][..first.into()]) {
                    meets(&mut datapath, program, &frame, wanted);
                }
            }
        }
    }
}

/// The whole connection to a closed port: the first fragment ends in its chain, the second begins with the rest of it.
fn a_chain_that_is_not_finished_is_none() {
    let lie = [&options(58)[..], &[135, 0, 0, 0, 0, 0, 0, 0], &[0; 16]].concat();
    for program in PROGRAMS {
        let mut datapath = open();
        for behind in [&[][..], &lie] {
            for next in [OPTIONS, 43, TCP, UDP, 47, 58, 59] {
                let carried = [&header(OPTIONS, 0, true, 1)[..], &options(next), behind].concat();
                meets(&mut datapath, program, &v6(FRAGMENT, &carried, 16), MALFORMED);
                let rest =
                    [&header(OPTIONS, 8, false, 1)[..], &options(TCP), &tcp([1, 22], [1, 0], SYN)].concat();
                meets(&mut datapath, program, &v6(FRAGMENT, &rest, rest.len()), dropped(Reason::Fragment));
            }
            // The same whole.
            for next in [OPTIONS, 43, FRAGMENT] {
                let carried = [&options(next)[..], behind].concat();
                meets(&mut datapath, program, &v6(OPTIONS, &carried, 8), MALFORMED);
                meets(&mut datapath, program, &v6(next, behind, 0), MALFORMED);
            }
        }
        // Hop-by-hop options anywhere but in front.
        let carried = [&options(0)[..], &options(UDP), &udp([9, 53], 8)].concat();
        meets(&mut datapath, program, &v6(OPTIONS, &carried, carried.len()), MALFORMED);
        meets(&mut datapath, program, &v6(0, &options(59), 8), PASSES);
        // A fragment in a fragment, atomic or not; one that is whole passes.
        for more in [false, true] {
            let inner = [&header(UDP, 0, more, 5)[..], &udp([9, 53], 8)].concat();
            for outer in [false, true] {
                let carried = [&header(FRAGMENT, 0, outer, 6)[..], &inner].concat();
                meets(&mut datapath, program, &v6(FRAGMENT, &carried, carried.len()), MALFORMED);
            }
        }
        let atomic = [&header(UDP, 0, false, 5)[..], &udp([9, 53], 8)].concat();
        meets(&mut datapath, program, &v6(FRAGMENT, &atomic, 16), PASSES);
        meets(&mut datapath, program, &v6(FRAGMENT, &atomic, 16), PASSES);
    }
}

fn nothing_of_a_datagram_comes_twice() {
    const OVERLAP: (bool, Reason) = dropped(Reason::FragmentOverlap);
    let first = [udp([9, 53], 48), vec![1; 8]].concat();
    let other = [udp([9, 54], 48), vec![2; 16]].concat();
    for program in PROGRAMS {
        for family in 0..2 {
            let mut datapath = open();
            let mut run = |(offset, more, bytes): (u16, bool, &[u8]), wanted| {
                let frame = &fragments(3, UDP, offset, more, bytes)[family];
                meets(&mut datapath, program, frame, wanted);
            };
            run((0, true, &first), PASSES);
            run((0, true, &first), OVERLAP);
            run((0, true, &other), OVERLAP);
            run((8, true, &[3; 16]), OVERLAP);
            run((16, true, &[3; 16]), PASSES);
            run((16, true, &[3; 16]), OVERLAP);
            run((24, false, &[3; 16]), OVERLAP);
            run((0, true, &first), OVERLAP);
            run((32, false, &[3; 16]), PASSES);
            run((32, false, &[3; 16]), OVERLAP);
            run((48, false, &[3; 16]), OVERLAP);
            // The sender comes round to the number again.
            run((0, true, &other), PASSES);
            run((0, true, &first), OVERLAP);
            run((24, false, &[4; 5]), PASSES);
        }
    }
}

fn fragments_that_nobody_can_put_together() {
    let first = [udp([9, 53], 48), vec![1; 9]].concat();
    for program in PROGRAMS {
        let mut datapath = open();
        for (number, offset, more, bytes, wanted) in [
            (1, 0, true, &first[..17], MALFORMED),
            (1, 0, true, &first[..15], MALFORMED),
            (1, 0, true, &first[..16], PASSES),
            (1, 16, true, &[1; 7], MALFORMED),
            (1, 16, false, &[], MALFORMED),
            (1, 16, true, &[], MALFORMED),
            (1, 16, false, &[1; 7], PASSES),
            (2, 0xfff8, false, &[1; 8], MALFORMED),
            (2, 0xfff8, false, &[1; 16], MALFORMED),
            (2, 0xfff0, false, &[1; 16], MALFORMED),
        ] {
            for frame in fragments(number, UDP, offset, more, bytes) {
                meets(&mut datapath, program, &frame, wanted);
            }
        }
        // An end behind the frame's.
        for mut frame in fragments(4, UDP, 0, true, &first[..16]) {
            frame.truncate(frame.len() - 8);
            meets(&mut datapath, program, &frame, MALFORMED);
        }
    }
}

/// A flow that this NIC opened, and errors about it that end before they say so.
fn an_error_quotes_nothing_behind_its_end() {
    const RELATED: (bool, Reason) = (true, Reason::IcmpError);
    const DROPPED: (bool, Reason) = dropped(Reason::Rule);
    let swapped = |mut frame: Vec<u8>, from: usize, length: usize| {
        frame[from..from + 2 * length].rotate_left(length);
        frame
    };
    for program in [Program::Ingress, Program::Xdp] {
        let mut datapath = nic("ingress: [{ action: drop, protocol: all }], egress: [{ protocol: all }]");
        let sent4 = swapped(v4(UDP, &udp([4_000, 53], 8), 8), 26, 4);
        let sent6 = swapped(v6(UDP, &udp([4_000, 53], 8), 8), 22, 16);
        for frame in [&sent4, &sent6] {
            meets(&mut datapath, Program::Egress, frame, PASSES);
        }
        let about4 = [&[3, 4, 0, 0, 0, 0, 5, 0], &sent4[14..], &[0; 16]].concat();
        let about6 = [&[2, 0, 0, 0, 0, 0, 5, 0], &sent6[14..], &[0; 16]].concat();
        for bytes in 8..=28 + 8 {
            let wanted = if bytes < 8 + 28 { DROPPED } else { RELATED };
            meets(&mut datapath, program, &v4(1, &about4, bytes), wanted);
            let wanted = if bytes + 20 < 8 + 48 { DROPPED } else { RELATED };
            meets(&mut datapath, program, &v6(58, &about6, bytes + 20), wanted);
        }
        // The packet that it quotes says that it ends before.
        let (mut short4, mut short6) = (about4.clone(), about6.clone());
        short4[8 + 3] = 27;
        short6[8 + 5] = 7;
        meets(&mut datapath, program, &v4(1, &short4, 36), DROPPED);
        meets(&mut datapath, program, &v6(58, &short6, 56), DROPPED);
    }
}

/// RFC 6980: who gets neighbour discovery in fragments ignores it, so it is no exception from the rules.
fn neighbour_discovery_comes_whole() {
    let solicitation = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &LOCAL6.octets()].concat();
    for program in PROGRAMS {
        let mut datapath =
            nic("ingress: [{ action: drop, protocol: all }], egress: [{ action: drop, protocol: all }]");
        let whole = v6(58, &solicitation, 24);
        meets(&mut datapath, program, &whole, (true, Reason::NeighbourDiscovery));
        let [_, first] = fragments(1, 58, 0, true, &solicitation);
        meets(&mut datapath, program, &first, dropped(Reason::Rule));
        let [_, rest] = fragments(1, 58, 24, false, b"anything that somebody wants to say");
        meets(&mut datapath, program, &rest, dropped(Reason::Fragment));
        let atomic = [&header(58, 0, false, 1)[..], &solicitation].concat();
        meets(&mut datapath, program, &v6(FRAGMENT, &atomic, atomic.len()), dropped(Reason::Rule));
        // Its end is the packet's.
        meets(&mut datapath, program, &v6(58, &solicitation, 7), MALFORMED);
    }
}

/// The reply of a DHCP server and an advertisement, behind a chain that a first fragment does not finish, and in pieces.
fn a_guest_hides_nothing_in_fragments() {
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 5];
    let text = format!(
        "groups: {{ g: {{ inner_access: drop, ingress: [{{ protocol: all }}], egress: [{{ protocol: all }}] }} }}\n\
         nics: [{{ device: tap0, role: guest, mac: \"02:00:00:00:00:05\", addresses: [\"{REMOTE6}\"], groups: [g] }}]"
    );
    let mut datapath = judged(KernelEngine::datapath().unwrap(), &text).1;
    // What the host end of a guest's NIC receives is what the guest sends.
    let mut sends = |next: u8, carried: &[u8], bytes: usize, wanted| {
        let mut frame = v6(next, carried, bytes);
        frame[6..12].copy_from_slice(&MAC);
        meets(&mut datapath, Program::Ingress, &frame, wanted);
    };
    let reply = udp([547, 546], 27);
    let whole = [&reply[..], b"rogue DHCPv6 reply."].concat();
    sends(UDP, &whole, whole.len(), dropped(Reason::RogueServer));
    let tiny = [&header(OPTIONS, 0, true, 9)[..], &options(OPTIONS)].concat();
    sends(FRAGMENT, &tiny, 16, MALFORMED);
    let rest = [&header(OPTIONS, 8, false, 9)[..], &options(UDP), &whole].concat();
    sends(FRAGMENT, &rest, rest.len(), dropped(Reason::Fragment));
    let first = [&header(OPTIONS, 0, true, 10)[..], &options(UDP), &reply].concat();
    sends(FRAGMENT, &first, first.len(), dropped(Reason::RogueServer));

    let advertises = |target: Ipv6Addr| [&[136, 0, 0, 0, 0, 0, 0, 0][..], &target.octets()].concat();
    let (own, router) = (advertises(REMOTE6), advertises(LOCAL6));
    // Nobody asked, so the rules decide.
    sends(58, &own, 24, PASSES);
    sends(58, &router, 24, dropped(Reason::NeighbourSpoofing));
    // What it speaks of is in the packet, and in the same fragment.
    for bytes in 8..24 {
        sends(58, &own, bytes, MALFORMED);
    }
    for (bytes, wanted) in [(8, MALFORMED), (16, MALFORMED), (24, dropped(Reason::NeighbourSpoofing))] {
        let first = [&header(58, 0, true, 11)[..], &router].concat();
        sends(FRAGMENT, &first, 8 + bytes, wanted);
    }
    let announces = [&header(58, 0, true, 12)[..], &[134, 0, 0, 0, 64, 0, 0, 9], &[0; 8]].concat();
    sends(FRAGMENT, &announces, announces.len(), dropped(Reason::RogueServer));
    let atomic = [&header(58, 0, false, 12)[..], &[134, 0, 0, 0, 64, 0, 0, 9], &[0; 8]].concat();
    sends(FRAGMENT, &atomic, atomic.len(), dropped(Reason::RogueServer));
}

fn udp_lite_and_dccp_have_ports() {
    for (protocol, bytes) in [(136, 8), (33, 12)] {
        for program in [Program::Ingress, Program::Xdp] {
            let mut datapath = nic(&format!(
                "ingress: [{{ protocol: {protocol}, ports: 53 }}], egress: [{{ action: drop, protocol: all }}]"
            ));
            let with = |ports| [udp(ports, 8), vec![0; bytes - 8]].concat();
            for (ports, wanted) in [([9, 54], dropped(Reason::Default)), ([9, 53], PASSES)] {
                meets(&mut datapath, program, &v4(protocol, &with(ports), bytes), wanted);
                meets(&mut datapath, program, &v6(protocol, &with(ports), bytes), wanted);
                meets(&mut datapath, program, &v4(protocol, &with(ports), bytes - 1), MALFORMED);
            }
            // A reply belongs to its flow, and to no other one.
            for (ports, wanted) in [([53, 9], PASSES), ([53, 10], dropped(Reason::Rule))] {
                let mut reply = v4(protocol, &with(ports), bytes);
                reply[26..34].rotate_left(4);
                meets(&mut datapath, Program::Egress, &reply, wanted);
            }
        }
    }
}
