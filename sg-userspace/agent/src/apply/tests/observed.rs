//! What the agent reads about traffic before it gives numbers another meaning, with a fake kernel. It must never need root.

use sg_common::flow::{First, FlowKey};
use sg_kernel::{FlowPhase, FlowReport};

use super::{Bench, devices, web};
use crate::samples::{group, policy};

fn report() -> FlowReport {
    FlowReport {
        key: FlowKey::default(),
        phase: FlowPhase::End,
        is_first: false,
        decision: 0,
        generation: 1,
        status: 0,
        first: First::default(),
        opened: 0,
        last_seen: 0,
        packets: [1, 0],
        bytes: [60, 0],
    }
}

#[test]
fn reports_are_of_the_policy_before_whatever_fails() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.agent.observed();
    bench.apply(web(&["eth0"]), &there).unwrap();
    bench.agent.collect_denied().unwrap();
    bench.agent.take_meanwhile();

    // Another NIC takes a slot: its counters and flows get another meaning.
    for is_refused in [false, true] {
        if is_refused {
            bench.fake.refuses.lock().unwrap().insert("collect".to_owned());
        }
        bench.fake.reports.lock().unwrap().push(report());
        let before: Vec<String> = bench.agent.catalog.nics.iter().map(|nic| nic.device.clone()).collect();
        let more = if is_refused { &["eth0", "eth1", "eth2"][..] } else { &["eth0", "eth1"] };
        bench.apply(policy(vec![group("web", &["a"])], more), &there).unwrap();
        let meanwhile = bench.agent.take_meanwhile();
        let [found] = &meanwhile[..] else { panic!("{} readings", meanwhile.len()) };
        let named: Vec<String> = found.catalog.nics.iter().map(|nic| nic.device.clone()).collect();
        assert_eq!((named, found.flows.len(), found.at.now), (before, 1, 7));
    }

    // Nothing gets another meaning: nothing is read.
    bench.apply(policy(vec![group("web", &["a", "b"])], &["eth0", "eth1", "eth2"]), &there).unwrap();
    assert!(bench.agent.take_meanwhile().is_empty());
}
