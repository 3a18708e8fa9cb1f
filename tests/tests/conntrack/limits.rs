//! What a NIC may have and do at most: its share of flows, for how long they live, and whether a connection may begin in its
//! middle. Packet by packet through the program in the kernel.

use sg_check::KernelEngine;
use sg_common::{abi::reason_counter, flow::Direction, verdict::Reason};
use sg_kernel::{Datapath, FlowOptions, Limits, Options, Program};
use sg_tests::packet::{ACK, SYN, tcp, udp};

use crate::support::runs::{PASSES, Test, dropped, expect, inbound, judged, outbound};

pub(crate) const TESTS: &[Test] = &[
    ("strict_about_the_middle_of_connections", strict_about_the_middle_of_connections),
    ("no_more_flows_than_its_share", no_more_flows_than_its_share),
    ("flows_live_as_long_as_was_said", flows_live_as_long_as_was_said),
    ("flows_that_made_room_are_counted", flows_that_made_room_are_counted),
];

fn strict_about_the_middle_of_connections() {
    let strict = "mid_stream: strict\ngroups: { g: { inner_access: drop, ingress: [{ protocol: all }] } }\n\
                  nics: [{ device: nic, addresses: [10.0.0.5], groups: [g] }]";
    let mid_stream = dropped(Reason::MidStream);
    let mut datapath = judged(KernelEngine::datapath().unwrap(), strict).1;
    let data = inbound(6, &tcp([40_000, 80], [1_001, 5_001], ACK));
    expect(&mut datapath, Program::Ingress, &data, mid_stream);
    // Nor does a reply to nothing open a connection.
    expect(
        &mut datapath,
        Program::Egress,
        &outbound(6, &tcp([80, 40_000], [5_000, 1_001], SYN | ACK)),
        mid_stream,
    );
    expect(&mut datapath, Program::Ingress, &inbound(6, &tcp([40_000, 80], [1_000, 0], SYN)), PASSES);
    expect(&mut datapath, Program::Ingress, &data, PASSES);
    // UDP has no beginning.
    expect(&mut datapath, Program::Ingress, &inbound(17, &udp([40_000, 53], &[])), PASSES);
    let loose = strict.replace("strict", "loose");
    let mut datapath = judged(KernelEngine::datapath().unwrap(), &loose).1;
    expect(&mut datapath, Program::Ingress, &data, PASSES);
}

const OPEN: &str = "groups: { g: { inner_access: drop, ingress: [{ protocol: all }], egress: [{ action: drop, protocol: all }] } }\n\
                    nics: [{ device: nic, addresses: [10.0.0.5], groups: [g] }]";

fn with(flows: FlowOptions) -> Datapath {
    let limits = Limits { nics: 4, flows: 1 << 12, counters: 1 << 10, denied: 64 };
    judged(Datapath::load(&Options { limits, flows, ..Options::default() }).unwrap(), OPEN).1
}

fn question(port: u16) -> Vec<u8> {
    inbound(6, &tcp([port, 80], [1_000, 0], SYN))
}

fn reply(port: u16) -> Vec<u8> {
    outbound(6, &tcp([80, port], [5_000, 1_001], SYN | ACK))
}

fn no_more_flows_than_its_share() {
    const SHARE: u16 = 10;
    let mut datapath = with(FlowOptions { per_nic: SHARE.into(), ..FlowOptions::default() });
    let over = reason_counter(0, Direction::Egress, Reason::FlowQuota);
    let establish = |datapath: &mut Datapath, ports: std::ops::Range<u16>| {
        let [before, after] = [false, true].map(|replies| {
            for port in ports.clone().filter(|_| replies) {
                expect(datapath, Program::Ingress, &question(port), PASSES);
                // Without a place among the established it stays among the half-open, and goes on.
                expect(datapath, Program::Egress, &reply(port), PASSES);
            }
            datapath.counters(&[over]).unwrap()[0].packets
        });
        after - before
    };
    assert_eq!(establish(&mut datapath, 1_000..1_000 + SHARE), 0);
    assert_eq!(establish(&mut datapath, 2_000..2_005), 5);
    // Flow ageing counts what is there: who ends makes room.
    for (key, _) in datapath.flows().unwrap() {
        datapath.forget_flow(&key).unwrap();
    }
    datapath.age().unwrap();
    assert_eq!(establish(&mut datapath, 3_000..3_000 + SHARE), 0);
    datapath.age().unwrap();
    assert_eq!(establish(&mut datapath, 4_000..4_001), 1);
}

fn flows_live_as_long_as_was_said() {
    let mut timeouts = FlowOptions::default().timeouts;
    timeouts[0] = 1;
    let mut datapath = with(FlowOptions { timeouts, ..FlowOptions::default() });
    expect(&mut datapath, Program::Ingress, &question(1_000), PASSES);
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert!(!datapath.run(Program::Egress, &reply(1_000), 1).unwrap().passed);
    assert_eq!(datapath.age().unwrap(), 1);
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
        expect(&mut datapath, Program::Egress, &reply(port), PASSES);
    }
    datapath.age().unwrap();
    assert_eq!(flows(&datapath), [0, 30, 70]);
    for port in 2_000..12_000 {
        expect(&mut datapath, Program::Ingress, &question(port), PASSES);
    }
    // The only NIC has all there is.
    datapath.age().unwrap();
    assert_eq!(flows(&datapath), [10_070 - 1_536, 30, 1_536]);
}
