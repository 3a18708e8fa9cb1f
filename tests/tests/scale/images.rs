//! Publishing: many images at once, and images that change their size class while others do not.

use sg_check::{CompiledNic, KernelEngine};
use sg_common::{image::CLASS_WORDS, verdict::Reason};
use sg_compile::Image;
use sg_kernel::{Datapath, Program};

use crate::support::runs::{Test, segment_to};

pub(crate) const TESTS: &[Test] = &[
    ("many_are_published_at_once", many_are_published_at_once),
    ("what_became_of_each_is_told", what_became_of_each_is_told),
    ("classes_change_beside_each_other", classes_change_beside_each_other),
];

/// NICs of a change; more than threads wait at a time.
const NICS: u16 = 150;

/// An image that accepts one port from everywhere, and many more from elsewhere: `prefixes` make it large.
fn image(port: u16, prefixes: u32) -> Image {
    let elsewhere: Vec<String> =
        (0..prefixes).map(|number| format!("172.{}.{}.0/25", 16 + number / 256, number % 256)).collect();
    let text = format!(
        "prefix_lists: {{ elsewhere: [{}] }}\n\
         groups: {{ g: {{ inner_access: drop, ingress: [\n\
           {{ protocol: tcp, ports: {port}, remote: any }},\n\
           {{ protocol: udp, remote: {{ prefix_list: elsewhere }} }},\n\
         ] }} }}\n\
         nics: [{{ device: nic, addresses: [10.0.0.5], groups: [g] }}]",
        elsewhere.join(", ")
    );
    let policy = sg_document::parse("images", text.as_bytes()).unwrap().policy;
    CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image
}

fn class(image: &Image) -> usize {
    CLASS_WORDS.iter().position(|&size| image.words().len() <= size).unwrap()
}

/// Whether the NIC of `slot` accepts `port` and nothing beside it.
fn meets(datapath: &mut Datapath, slot: u16, port: u16) {
    datapath.stand_in(slot).unwrap();
    for (asked, passes) in [(port, true), (port - 1, false), (port + 1, false)] {
        let outcome = datapath.run(Program::Ingress, &segment_to(asked, 0x02, 40_000), 1).unwrap();
        let reason = outcome.decision.unwrap().reason().unwrap();
        assert_eq!(outcome.passed, passes, "slot {slot} about port {asked}: {reason:?}");
    }
    datapath.forget_flows(slot).unwrap();
}

fn many_are_published_at_once() {
    let mut datapath = KernelEngine::datapath().unwrap();
    for round in 0..3 {
        let port = |slot: u16| 1_000 * (round + 1) + 3 * slot;
        let images: Vec<Image> = (0..NICS).map(|slot| image(port(slot), 0)).collect();
        let images: Vec<(u16, &Image)> = (0..).zip(&images).collect();
        assert!(datapath.publish_all(&images).iter().all(Result::is_ok));
        for slot in 0..NICS {
            meets(&mut datapath, slot, port(slot));
        }
    }
}

fn what_became_of_each_is_told() {
    let mut datapath = KernelEngine::datapath().unwrap();
    let (one, other) = (image(80, 0), image(90, 0));
    // There are 4,096 slots.
    let results = datapath.publish_all(&[(1, &one), (5_000, &one), (2, &other)]);
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert!(results[1].as_ref().unwrap_err().to_string().contains("5000"));
    meets(&mut datapath, 1, 80);
    meets(&mut datapath, 2, 90);
    datapath.stand_in(0).unwrap();
    let outcome = datapath.run(Program::Ingress, &segment_to(80, 0x02, 40_000), 1).unwrap();
    assert_eq!(outcome.decision.unwrap().reason(), Ok(Reason::NoImage));
}

fn classes_change_beside_each_other() {
    let mut datapath = KernelEngine::datapath().unwrap();
    let sizes = [(0, 0), (3_000, 1)];
    for (prefixes, expected) in sizes {
        assert_eq!(class(&image(80, prefixes)), expected, "{prefixes} prefixes");
    }
    // Each NIC goes through all changes of its size, beside NICs that are elsewhere on the same way.
    let way = [0, 3_000, 3_000, 0, 0];
    for (step, port) in (0..way.len()).zip((100..).step_by(100)) {
        let images: Vec<Image> =
            (0..12).map(|slot| image(port + 3 * slot as u16, way[(slot + step) % way.len()])).collect();
        let images: Vec<(u16, &Image)> = (0..).zip(&images).collect();
        assert!(datapath.publish_all(&images).iter().all(Result::is_ok));
        for slot in 0..12 {
            meets(&mut datapath, slot, port + 3 * slot);
        }
    }
    // What is withdrawn is in no class any more.
    for slot in 0..12 {
        datapath.withdraw(slot).unwrap();
        datapath.stand_in(slot).unwrap();
        let outcome = datapath.run(Program::Ingress, &segment_to(80, 0x02, 40_000), 1).unwrap();
        assert_eq!(outcome.decision.unwrap().reason(), Ok(Reason::NoImage));
    }
}
