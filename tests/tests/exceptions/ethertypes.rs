//! Frames that are not IP through the programs in the kernel: what the policy names passes, both ways and at every hook, and
//! nothing else does.

use sg_check::KernelEngine;
use sg_common::{
    abi::{Counter, reason_counter},
    flow::Direction,
    verdict::Reason,
};
use sg_kernel::{Datapath, Program};

use crate::support::runs::{Test, judged, segment_to};

pub(crate) const TESTS: &[Test] = &[
    ("frames_pass_both_ways_and_no_others", frames_pass_both_ways_and_no_others),
    ("without_names_none_passes", without_names_none_passes),
    ("the_spanning_tree_is_llc", the_spanning_tree_is_llc),
    ("a_priority_is_looked_through_and_a_network_is_not", a_priority_is_looked_through_and_a_network_is_not),
    ("a_guarded_guest_sends_as_itself", a_guarded_guest_sends_as_itself),
    ("what_is_ip_is_judged_as_before", what_is_ip_is_judged_as_before),
];

const GROUPS: &str =
    "groups: { g: { inner_access: drop, ingress: [], egress: [{ action: drop, protocol: all }] } }\n";
const NAMES: &str = "ethertypes: [lldp, eapol, lacp, stp, ptp, 0x8915, 0xffff, 0x0600]";
const HOST: &str = "addresses: [10.0.0.5]";
const GUEST: &str = "role: guest, addresses: [10.0.0.5], anti_spoofing: false";

const OWN: [u8; 6] = [2, 0, 0, 0, 0, 5];
const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 7];
const FOREIGN: [u8; 6] = [2, 0, 0, 0, 0, 66];

const PASSES: Option<Reason> = Some(Reason::NamedFrame);
const NOT_IP: Option<Reason> = Some(Reason::NotIp);

/// A datapath with a NIC that accepts nothing; `nic` is what else is said of it.
fn closed(nic: &str) -> Datapath {
    let text = format!("{GROUPS}nics: [{{ device: nic, {nic}, groups: [g] }}]");
    judged(KernelEngine::datapath().unwrap(), &text).1
}

/// A frame to all bridges: what stands before the payload, and the payload, which is padded.
fn frame(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = [&[1, 0x80, 0xc2, 0, 0, 0x0e][..], &OWN, header, payload].concat();
    frame.resize(frame.len().max(60), 0);
    frame
}

fn of(ethertype: u16) -> Vec<u8> {
    frame(&ethertype.to_be_bytes(), &[7; 46])
}

/// Of the spanning tree: a configuration message of 35 bytes behind its LLC header.
fn spanning_tree() -> Vec<u8> {
    frame(&[0, 38], &[&[0x42, 0x42, 3][..], &[0; 35]].concat())
}

/// Which reason the one frame was counted under, once and with its bytes, of the direction in which it goes. A rule's or
/// default's is none.
#[track_caller]
fn reason(datapath: &mut Datapath, program: Program, direction: Direction, frame: &[u8]) -> Option<Reason> {
    let numbers = Reason::ALL.map(|reason| reason_counter(0, direction, reason));
    datapath.reset_counters(&numbers).unwrap();
    let outcome = datapath.run(program, frame, 1).unwrap();
    let counters = datapath.counters(&numbers).unwrap();
    let moved: Vec<_> =
        Reason::ALL.into_iter().zip(counters).filter(|(_, counter)| counter.packets > 0).collect();
    let &[(reason, counter)] = moved.as_slice() else {
        assert!(moved.is_empty(), "{moved:?}");
        return None;
    };
    assert_eq!(counter, Counter { packets: 1, bytes: frame.len() as u64 }, "{reason:?}");
    let passes = matches!(reason, Reason::NamedFrame | Reason::Arp);
    assert_eq!(outcome.passed, passes, "{program:?}: {reason:?}");
    if program != Program::Xdp {
        let decision = outcome.decision.expect("a decision is recorded");
        assert_eq!((decision.accepts(), decision.reason()), (passes, Ok(reason)));
    }
    Some(reason)
}

/// Each hook with the direction of what it sees, for a NIC of the host and for one of a guest.
const HOOKS: [(&str, &[(Program, Direction)]); 2] = [
    (
        HOST,
        &[
            (Program::Ingress, Direction::Ingress),
            (Program::Xdp, Direction::Ingress),
            (Program::Egress, Direction::Egress),
        ],
    ),
    (GUEST, &[(Program::Ingress, Direction::Egress), (Program::Egress, Direction::Ingress)]),
];

/// Runs `check` at each hook, over NICs that name what [`NAMES`] says.
fn at_each_hook(mut check: impl FnMut(&mut dyn FnMut(&[u8]) -> Option<Reason>)) {
    for (nic, hooks) in HOOKS {
        let mut datapath = closed(&format!("{nic}, {NAMES}"));
        for &(program, direction) in hooks {
            println!("{nic}: {}", program.name());
            check(&mut |frame| reason(&mut datapath, program, direction, frame));
        }
    }
}

fn frames_pass_both_ways_and_no_others() {
    at_each_hook(|sees| {
        for ethertype in [0x88cc, 0x888e, 0x8809, 0x88f7, 0x8915, 0xffff, 0x0600] {
            assert_eq!(sees(&of(ethertype)), PASSES, "{ethertype:#x}");
            // No more of it is needed, nor looked at.
            assert_eq!(sees(&of(ethertype)[..15]), PASSES, "{ethertype:#x}");
        }
        assert_eq!(sees(&spanning_tree()), PASSES);
        // Neighbours of those, what carries IP, what stands for the spanning tree in an image, and no number at all.
        for ethertype in [
            0x88cb, 0x88cd, 0x888d, 0x8808, 0x88f6, 0x8914, 0xfffe, 0x0601, 0x05ff, 0x8847, 0x8864, 0x88e5,
            0x9100, 0x0042, 0x4242, 0x0001, 0,
        ] {
            assert_eq!(sees(&of(ethertype)), NOT_IP, "{ethertype:#x}");
        }
    });
}

fn without_names_none_passes() {
    for (nic, hooks) in HOOKS {
        let mut datapath = closed(nic);
        for &(program, direction) in hooks {
            for frame in [of(0x88cc), of(0x888e), of(0x8809), of(0x88f7), of(0x8915), of(0), spanning_tree()]
            {
                assert_eq!(reason(&mut datapath, program, direction, &frame), NOT_IP, "{frame:02x?}");
            }
        }
        // Nor do others than the one that is named.
        let mut datapath = closed(&format!("{nic}, ethertypes: [lldp]"));
        for &(program, direction) in hooks {
            assert_eq!(reason(&mut datapath, program, direction, &of(0x88cc)), PASSES);
            for frame in [of(0x888e), of(0), spanning_tree()] {
                assert_eq!(reason(&mut datapath, program, direction, &frame), NOT_IP, "{frame:02x?}");
            }
        }
    }
}

fn the_spanning_tree_is_llc() {
    let llc = |length: u16, header: [u8; 3]| frame(&length.to_be_bytes(), &[&header[..], &[0; 43]].concat());
    at_each_hook(|sees| {
        assert_eq!(sees(&llc(38, [0x42, 0x42, 3])), PASSES);
        assert_eq!(sees(&llc(3, [0x42, 0x42, 3])), PASSES);
        assert_eq!(sees(&spanning_tree()[..52]), PASSES, "not padded");
        for (what, frame) in [
            ("another source", llc(38, [0x42, 0x43, 3])),
            ("another destination", llc(38, [0x43, 0x42, 3])),
            ("another control", llc(38, [0x42, 0x42, 0xf3])),
            ("SNAP, as Cisco's", llc(38, [0xaa, 0xaa, 3])),
            ("too short for its header", llc(2, [0x42, 0x42, 3])),
            ("longer than the frame", llc(47, [0x42, 0x42, 3])),
            ("a length that truncates the padding's twin", llc(0, [0x42, 0x42, 3])),
            ("truncated in its header", spanning_tree()[..16].to_vec()),
            ("truncated behind its header", spanning_tree()[..17].to_vec()),
        ] {
            assert_eq!(sees(&frame), NOT_IP, "{what}");
        }
    });
}

/// `frame` behind a tag.
fn tagged(frame: &[u8], kind: u16, tag: u16) -> Vec<u8> {
    [&frame[..12], &kind.to_be_bytes(), &tag.to_be_bytes(), &frame[12..]].concat()
}

fn a_priority_is_looked_through_and_a_network_is_not() {
    at_each_hook(|sees| {
        for inside in [of(0x88cc), of(0x8915), spanning_tree()] {
            for kind in [0x8100, 0x88a8] {
                for tag in [0, 0xe000, 0x1000] {
                    assert_eq!(sees(&tagged(&inside, kind, tag)), PASSES, "{kind:#x} {tag:#x}");
                }
                for tag in [1, 7, 0xefff] {
                    assert_eq!(sees(&tagged(&inside, kind, tag)), NOT_IP, "{kind:#x} {tag:#x}");
                }
            }
            let twice = tagged(&tagged(&inside, 0x8100, 0), 0x88a8, 0xe000);
            assert_eq!(sees(&twice), PASSES);
            assert_eq!(sees(&tagged(&twice, 0x8100, 0)), NOT_IP, "three");
            for tags in [[0, 7], [7, 0]] {
                let twice = tagged(&tagged(&inside, 0x8100, tags[1]), 0x8100, tags[0]);
                assert_eq!(sees(&twice), NOT_IP, "{tags:?}");
            }
        }
        assert_eq!(sees(&tagged(&of(0x88cd), 0x8100, 0)), NOT_IP);
        // A truncated tag names nothing, and neither does what would stand behind it.
        for length in 15..18 {
            assert_eq!(sees(&tagged(&of(0x88cc), 0x8100, 0)[..length]), Some(Reason::Malformed), "{length}");
        }
    });
}

fn from(mac: [u8; 6], mut frame: Vec<u8>) -> Vec<u8> {
    frame[6..12].copy_from_slice(&mac);
    frame
}

fn a_guarded_guest_sends_as_itself() {
    const PAIRS: &str = "allowed_address_pairs: [{ address: 10.0.0.9, mac: 00:00:5e:00:01:07 }]";
    let spoofed = Some(Reason::AntiSpoofing);
    let nic = |mac: &str| closed(&format!("role: guest, addresses: [10.0.0.5], {PAIRS}, {mac}{NAMES}"));
    let mut datapath = nic("mac: 02:00:00:00:00:05, ");
    let sends =
        |datapath: &mut Datapath, frame: &[u8]| reason(datapath, Program::Ingress, Direction::Egress, frame);
    for named in [of(0x88cc), of(0x888e), spanning_tree()] {
        for (mac, outcome) in [(OWN, PASSES), (VIRTUAL, PASSES), (FOREIGN, spoofed), ([0; 6], spoofed)] {
            assert_eq!(sends(&mut datapath, &from(mac, named.clone())), outcome, "{mac:02x?}");
        }
        // What comes to it is not its claim.
        let received =
            reason(&mut datapath, Program::Egress, Direction::Ingress, &from(FOREIGN, named.clone()));
        assert_eq!(received, PASSES);
        for (mac, outcome) in [(OWN, PASSES), (FOREIGN, spoofed)] {
            assert_eq!(sends(&mut datapath, &from(mac, tagged(&named, 0x8100, 0xe000))), outcome);
        }
        assert_eq!(sends(&mut datapath, &from(OWN, tagged(&named, 0x8100, 7))), NOT_IP);
    }
    for mac in [OWN, FOREIGN] {
        assert_eq!(sends(&mut datapath, &from(mac, of(0x88cd))), NOT_IP, "{mac:02x?}");
    }
    // Where its Ethernet address is not known, it is not looked at, as of other packets.
    let mut datapath = nic("");
    for mac in [OWN, FOREIGN] {
        assert_eq!(sends(&mut datapath, &from(mac, of(0x88cc))), PASSES, "{mac:02x?}");
    }
}

/// Naming frames opens nothing for packets.
fn what_is_ip_is_judged_as_before() {
    let syn = segment_to(80, 2, 40_000);
    let mut six = syn.clone();
    six[12..14].copy_from_slice(&[0x86, 0xdd]);
    let mut arp = frame(&[8, 6], &[&[0, 1, 8, 0, 6, 4, 0, 1][..], &OWN, &[0; 14]].concat());
    at_each_hook(|sees| {
        assert_eq!(sees(&syn), None, "the default drops it");
        assert_eq!(sees(&syn[..53]), Some(Reason::Malformed));
        assert_eq!(sees(&six), Some(Reason::Malformed));
        assert_eq!(sees(&arp), Some(Reason::Arp));
        arp[15] = 2;
        assert_eq!(sees(&arp), Some(Reason::Malformed));
        arp[15] = 1;
    });
}
