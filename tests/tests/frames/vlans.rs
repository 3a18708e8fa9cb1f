//! VLAN tags, packet by packet through the program in the kernel: what stands behind them is judged like anything else, and what
//! is remembered of it holds in its own network only. Over tc and XDP, both families.

use sg_common::{
    flow::FlowEntry,
    packet::{Family, Parsed, parse},
    verdict::Reason,
};
use sg_kernel::{Datapath, Program};
use sg_tests::packet::{ACK, RST, SYN, tcp, udp};

use crate::support::runs::{
    LOCAL6, PASSES, REMOTE, REMOTE6, Test, dropped, expect, inbound, ipv4, ipv6, judging, judging_nic,
    outbound, packet,
};

pub(crate) const TESTS: &[Test] = &[
    ("what_stands_behind_tags_is_judged", what_stands_behind_tags_is_judged),
    ("a_guest_sends_priorities_only", a_guest_sends_priorities_only),
    ("a_flow_is_of_its_network", a_flow_is_of_its_network),
    ("a_connection_is_of_its_network_to_its_end", a_connection_is_of_its_network_to_its_end),
    ("a_datagram_in_fragments_is_of_its_network", a_datagram_in_fragments_is_of_its_network),
    ("an_error_is_about_a_flow_of_its_network", an_error_is_about_a_flow_of_its_network),
    ("replies_belong_to_the_network_of_the_request", replies_belong_to_the_network_of_the_request),
    ("a_flow_is_listed_and_ended_in_its_network", a_flow_is_listed_and_ended_in_its_network),
];

/// A tag: its `EtherType`, and what it says.
type Tag = (u16, u16);
const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;

/// Networks, each with all the tags that are to name it.
const NETWORKS: [&[&[Tag]]; 7] = [
    &[&[], &[(Q, 0)], &[(Q, 0xe000)], &[(AD, 0), (Q, 0x2000)]],
    &[&[(Q, 5)], &[(Q, 0x6005)], &[(Q, 0), (Q, 5)], &[(Q, 5), (Q, 0)]],
    &[&[(Q, 6)]],
    &[&[(AD, 5)], &[(AD, 5), (Q, 0)]],
    &[&[(AD, 5), (Q, 5)]],
    &[&[(AD, 5), (Q, 6)], &[(AD, 0xa005), (Q, 0x1006)]],
    &[&[(Q, 5), (AD, 6)]],
];

fn tagged(frame: &[u8], tags: &[Tag]) -> Vec<u8> {
    let tags: Vec<u8> = tags
        .iter()
        .flat_map(|(kind, control)| [kind.to_be_bytes(), control.to_be_bytes()].concat())
        .collect();
    [&frame[..12], &tags, &frame[12..]].concat()
}

/// Over every network, with tags that name it, and all others that are sent then; `same` says whether those name it, too.
fn over_pairs(mut test: impl FnMut(&[Tag], &[Tag], bool)) {
    for (number, network) in NETWORKS.iter().enumerate() {
        for (other_number, other) in NETWORKS.iter().enumerate() {
            other.iter().for_each(|others| test(network[0], others, number == other_number));
        }
    }
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
const RECEIVED: [Program; 2] = [Program::Ingress, Program::Xdp];

#[track_caller]
fn passes(datapath: &mut Datapath, program: Program, frame: &[u8]) -> bool {
    datapath.run(program, frame, 1).unwrap().passed
}

fn what_stands_behind_tags_is_judged() {
    for (action, passes) in [("accept", true), ("drop", false)] {
        let mut datapath = judging(action, action);
        let frame = inbound(6, &tcp([40_000, 80], [1, 0], SYN));
        for tags in NETWORKS.concat() {
            expect(&mut datapath, Program::Ingress, &tagged(&frame, tags), (passes, Reason::Rule));
        }
        let three = tagged(&frame, &[(AD, 1), (Q, 2), (Q, 3)]);
        expect(&mut datapath, Program::Ingress, &three, dropped(Reason::NotIp));
    }
}

fn a_guest_sends_priorities_only() {
    let (_, mut datapath) = judging_nic("accept", "accept", "role: guest");
    // What the device of a guest receives is the guest's outbound.
    let frame = outbound(6, &tcp([40_000, 80], [1, 0], SYN));
    for (number, network) in NETWORKS.iter().enumerate() {
        let wanted = if number == 0 { PASSES } else { dropped(Reason::VlanTag) };
        for tags in *network {
            expect(&mut datapath, Program::Ingress, &tagged(&frame, tags), wanted);
        }
    }
}

/// Replies to a request of the NIC pass in the network of the request only, and nobody may send one.
fn a_flow_is_of_its_network() {
    let mut datapath = judging("drop", "accept");
    for family in FAMILIES {
        let question = packet(family, false, 17, &udp([40_000, 53], b"?"));
        let reply = packet(family, true, 17, &udp([53, 40_000], b"!"));
        for received in RECEIVED {
            over_pairs(|tags, others, same| {
                datapath.forget_flows(0).unwrap();
                assert!(passes(&mut datapath, Program::Egress, &tagged(&question, tags)));
                let found = passes(&mut datapath, received, &tagged(&reply, others));
                assert_eq!(found, same, "{tags:x?} {others:x?} {family:?} {received:?}");
            });
        }
    }
}

/// Of a connection that has ended it is remembered, in its network, that the client opened it.
fn a_connection_is_of_its_network_to_its_end() {
    let mut datapath = judging("accept", "drop");
    for family in FAMILIES {
        let segment = |inbound, numbers, flags| {
            let ports = if inbound { [40_000, 80] } else { [80, 40_000] };
            packet(family, inbound, 6, &tcp(ports, numbers, flags))
        };
        let exchange = [
            (Program::Ingress, segment(true, [1_000, 0], SYN)),
            (Program::Egress, segment(false, [5_000, 1_001], SYN | ACK)),
            (Program::Ingress, segment(true, [1_001, 5_001], ACK)),
        ];
        let more = segment(false, [5_001, 1_001], ACK);
        let reset = segment(true, [1_001, 5_001], RST);
        over_pairs(|tags, others, same| {
            // Of other networks those with as many tags are enough.
            if !same && others.len() != tags.len() {
                return;
            }
            datapath.forget_flows(0).unwrap();
            for (program, frame) in &exchange {
                assert!(passes(&mut datapath, *program, &tagged(frame, tags)));
            }
            assert_eq!(
                passes(&mut datapath, Program::Egress, &tagged(&more, others)),
                same,
                "{tags:x?} {others:x?}"
            );
            assert!(passes(&mut datapath, Program::Ingress, &tagged(&reset, tags)));
            let (key, entry) = datapath.flows().unwrap()[0];
            let last_seen = entry.last_seen.wrapping_sub(1 << 16);
            datapath.enter_flows([(key, FlowEntry { last_seen, ..entry })]).unwrap();
            assert_eq!(datapath.age().unwrap(), 1);
            assert_eq!(
                passes(&mut datapath, Program::Egress, &tagged(&more, others)),
                same,
                "{tags:x?} {others:x?}"
            );
        });
    }
}

/// A fragment of a datagram to port 53.
fn fragment(family: Family, first: bool) -> Vec<u8> {
    let payload = if first { udp([40_000, 53], &[0; 8]) } else { vec![0; 16] };
    match family {
        Family::V4 => {
            let mut frame = inbound(17, &payload);
            frame[20..22].copy_from_slice(if first { &[0x20, 0] } else { &[0, 2] });
            frame
        }
        Family::V6 => {
            let header = [17, 0, 0, if first { 1 } else { 16 }, 0, 0, 0, 9];
            packet(family, true, 44, &[&header[..], &payload].concat())
        }
    }
}

fn a_datagram_in_fragments_is_of_its_network() {
    for family in FAMILIES {
        for received in RECEIVED {
            let mut datapath = judging("accept", "accept");
            over_pairs(|tags, others, same| {
                let [first, rest] = [true, false].map(|first| fragment(family, first));
                assert!(passes(&mut datapath, received, &tagged(&first, tags)));
                let found = passes(&mut datapath, received, &tagged(&rest, others));
                assert_eq!(found, same, "{tags:x?} {others:x?} {family:?} {received:?}");
                // The datagram is complete then, and its number may be used again.
                assert_ne!(passes(&mut datapath, received, &tagged(&rest, tags)), same);
            });
        }
    }
}

fn an_error_is_about_a_flow_of_its_network() {
    let mut datapath = judging("drop", "accept");
    for family in FAMILIES {
        let question = packet(family, false, 17, &udp([40_000, 53], b"?"));
        let (protocol, kind) = if family == Family::V4 { (1, 3) } else { (58, 1) };
        let error =
            packet(family, true, protocol, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], &question[14..]].concat());
        for received in RECEIVED {
            over_pairs(|tags, others, same| {
                datapath.forget_flows(0).unwrap();
                assert!(passes(&mut datapath, Program::Egress, &tagged(&question, tags)));
                let found = passes(&mut datapath, received, &tagged(&error, others));
                assert_eq!(found, same, "{tags:x?} {others:x?} {family:?} {received:?}");
            });
        }
    }
}

/// A DHCP exchange, and who may be told where the NIC is.
fn replies_belong_to_the_network_of_the_request() {
    let bootp = |ports, operation| {
        let mut message = [&[operation, 1, 6, 0, 0, 0, 0, 7][..], &[0; 20], &[2, 0, 0, 0, 0, 5]].concat();
        message.resize(236, 0);
        message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, operation, 255]);
        udp(ports, &message)
    };
    let discover = ipv4(17, [[0; 4], [255; 4]], &bootp([68, 67], 1));
    let offer = ipv4(17, [REMOTE, [10, 0, 0, 99]], &bootp([67, 68], 2));
    let target = LOCAL6.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let neighbour = |kind, ends| ipv6(58, 255, ends, &[&[kind, 0, 0, 0, 0, 0, 0, 0][..], &target].concat());
    let solicits = neighbour(135, [REMOTE6, "ff02::1:ff00:5"]);
    let advertises = neighbour(136, [LOCAL6, REMOTE6]);
    let mut datapath = judging("drop", "drop");
    for received in RECEIVED {
        for (question, reply, asks, replies) in [
            (&discover, &offer, Program::Egress, received),
            (&solicits, &advertises, received, Program::Egress),
        ] {
            for (number, network) in NETWORKS.iter().enumerate() {
                datapath.forget_flows(0).unwrap();
                assert!(passes(&mut datapath, asks, &tagged(question, network[0])));
                // What is open stays open for longer than this takes.
                for (other_number, other) in NETWORKS.iter().enumerate() {
                    for others in *other {
                        let found = passes(&mut datapath, replies, &tagged(reply, others));
                        assert_eq!(found, number == other_number, "{network:x?} {others:x?} {received:?}");
                    }
                }
            }
        }
    }
}

fn a_flow_is_listed_and_ended_in_its_network() {
    for family in FAMILIES {
        let mut datapath = judging("accept", "accept");
        let question = packet(family, true, 17, &udp([40_000, 53], b"?"));
        let networks: Vec<_> = NETWORKS.iter().map(|network| network[0]).collect();
        for tags in &networks {
            assert!(passes(&mut datapath, Program::Ingress, &tagged(&question, tags)));
        }
        let mut listed: Vec<_> =
            datapath.flows().unwrap().iter().map(|(key, _)| key.network().to_string()).collect();
        listed.sort();
        let mut named: Vec<_> = networks
            .iter()
            .map(|tags| match parse(&&tagged(&question, tags)[..]) {
                Parsed::Packet(packet) => packet.vlan.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        named.sort();
        assert_eq!(listed, named);
        for left in (0..networks.len()).rev() {
            let (key, _) = datapath.flows().unwrap()[0];
            datapath.forget_flow(&key).unwrap();
            let flows = datapath.flows().unwrap();
            assert!(flows.len() == left && flows.iter().all(|(other, _)| *other != key));
        }
    }
}
