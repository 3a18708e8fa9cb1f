//! NICs whose device is a tunnel: the program reads a packet from where the kernel says that the network header is, and what it
//! is from what the kernel says, too. A test run has an Ethernet header in front, as what IPsec decrypted in place has.

use sg_check::{CompiledNic, KernelEngine};
use sg_common::{
    event::{CAPTURE, Watch},
    flow::Direction,
    verdict::Reason,
};
use sg_kernel::{Datapath, Program};
use sg_model::{DeviceFacts, HeaderNumbers, Policy};
use sg_probe::{Probe, ProbeParts};

use crate::support::runs::{PASSES, Test, dropped, expect, judging, segment_to};

pub(crate) const TESTS: &[Test] = &[
    ("are_read_without_an_ethernet_header", are_read_without_an_ethernet_header),
    ("of_guests_have_no_ethernet_address", of_guests_have_no_ethernet_address),
    ("differ_from_other_devices_in_this_only", differ_from_other_devices_in_this_only),
    ("are_told_from_others_in_events", are_told_from_others_in_events),
];

const SYN: u8 = 2;

fn policy(document: &str) -> Policy {
    let facts = DeviceFacts { is_layer_3: true, ..DeviceFacts::default() };
    let mut policy = sg_document::parse("tunnel", document.as_bytes()).unwrap().policy;
    policy.set_device_facts(|_| facts.clone());
    policy
}

fn judged(document: &str) -> Datapath {
    let policy = policy(document);
    let mut datapath = KernelEngine::datapath().unwrap();
    datapath.publish(0, &CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image).unwrap();
    datapath.stand_in(0).unwrap();
    datapath
}

const HOST: &str = "
groups: { g: { inner_access: drop, ingress: [{ protocol: tcp, ports: 80 }] } }
nics: [{ device: tun0, addresses: [10.0.0.5, \"2001:db8::5\"], groups: [g] }]
";

fn six(port: u16) -> Vec<u8> {
    let tcp = segment_to(port, SYN, 40_000).split_off(34);
    let mut frame = vec![0; 12];
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
    for address in ["2001:db8::1", "2001:db8::5"] {
        frame.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    frame.extend(tcp);
    frame
}

fn are_read_without_an_ethernet_header() {
    let mut datapath = judged(HOST);
    let mut of_another_family = segment_to(80, SYN, 40_001);
    of_another_family[14] = 0x65;
    let mut truncated = segment_to(80, SYN, 40_002);
    truncated.truncate(14 + 39);
    for (kind, frame, outcome) in [
        ("IPv4", segment_to(80, SYN, 40_000), PASSES),
        ("IPv4, closed", segment_to(81, SYN, 40_000), dropped(Reason::Default)),
        ("IPv6", six(80), PASSES),
        ("IPv6, closed", six(81), dropped(Reason::Default)),
        ("IPv4 that says it is not", of_another_family, dropped(Reason::Malformed)),
        ("IPv4, truncated", truncated, dropped(Reason::Malformed)),
    ] {
        println!("{kind}");
        expect(&mut datapath, Program::Ingress, &frame, outcome);
    }
    // What the kernel says is neither, whatever the bytes look like; a tunnel has neither tags nor ARP.
    for kind in [0x0806_u16, 0x8100, 0x8847, 0x88cc] {
        let mut frame = segment_to(80, SYN, 40_003);
        frame[12..14].copy_from_slice(&kind.to_be_bytes());
        for program in [Program::Ingress, Program::Egress] {
            expect(&mut datapath, program, &frame, dropped(Reason::NotIp));
        }
    }
    // At XDP, where no program is attached to one, nothing passes.
    assert!(!datapath.run(Program::Xdp, &segment_to(80, SYN, 40_004), 1).unwrap().passed);
}

fn of_guests_have_no_ethernet_address() {
    let mut datapath = judged(
        "
groups: { g: { inner_access: drop, egress: [{ protocol: all }] } }
nics:
  - device: tun0
    role: guest
    mac: 02:00:00:00:00:05
    addresses: [192.0.2.1]
    allowed_address_pairs: [{ address: 192.0.2.9, mac: 00:00:5e:00:01:07 }]
    groups: [g]
",
    );
    for (last, outcome) in [(1, PASSES), (9, PASSES), (2, dropped(Reason::AntiSpoofing))] {
        for mac in [[0; 6], [2, 0, 0, 0, 0, 5], [2, 0, 0, 0, 0, 66]] {
            let mut frame = segment_to(80, SYN, 40_000);
            frame[6..12].copy_from_slice(&mac);
            frame[29] = last;
            expect(&mut datapath, Program::Ingress, &frame, outcome);
        }
    }
}

/// What the program makes of probes, and that the same policy on other devices gives the same verdicts.
fn differ_from_other_devices_in_this_only() {
    let tunnel = policy(HOST);
    let wire = sg_document::parse("wire", HOST.as_bytes()).unwrap().policy;
    for (source, destination, port, accepted) in [
        ("192.0.2.1", "10.0.0.5", 80, true),
        ("192.0.2.1", "10.0.0.5", 81, false),
        ("2001:db8::1", "2001:db8::5", 80, true),
        ("2001:db8::1", "2001:db8::5", 81, false),
    ] {
        let probe = Probe::new(ProbeParts {
            nic: 0,
            direction: Direction::Ingress,
            protocol: 6,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            source_port: None,
            destination_port: Some(port),
            numbers: HeaderNumbers::NONE,
        })
        .unwrap();
        for policy in [&tunnel, &wire] {
            for kind in sg_check::EngineKind::ALL {
                let result = kind.start(policy).unwrap().check(&probe).unwrap();
                let accepts = result.verdict == sg_common::verdict::Verdict::Accept;
                assert_eq!(accepts, accepted, "{kind}: {probe}");
            }
        }
    }
}

/// Whoever watches packets is told whether their device has Ethernet headers: a file of packets says so.
fn are_told_from_others_in_events() {
    for (mut datapath, is_layer_3) in [(judged(HOST), 1), (judging("accept", "accept"), 0)] {
        let (mut events, until) = (datapath.events().unwrap(), datapath.now().unwrap() + 100_000);
        datapath.watcher().watch(&Watch {
            until,
            kinds: u32::MAX,
            capture: CAPTURE as u8,
            ..Watch::default()
        });
        let frame = segment_to(80, SYN, 40_000);
        expect(&mut datapath, Program::Ingress, &frame, PASSES);
        let mut seen = Vec::new();
        events.drain(8, |one| seen.push((one.event.is_layer_3, one.bytes.to_vec())));
        assert_eq!(seen, [(is_layer_3, frame)]);
    }
}
