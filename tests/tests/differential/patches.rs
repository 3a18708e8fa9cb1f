//! Images that were patched, against the oracle: chains of changes of members and prefix lists, of which each image is the
//! one before with a patch, in user space and in the kernel.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use fastrand::Rng;
use ipnet::IpNet;
use sg_check::{CompiledNic, Engine, EngineKind, ImageEngine, KernelEngine};
use sg_common::image::CLASS_WORDS;
use sg_compile::{ImageOptions, LARGEST_WORDS, Patchable, compile};
use sg_kernel::{Datapath, Limits, Options, Program};
use sg_model::{Addresses, Decider, GroupIndex, Nic, Policy, PolicyParts};
use sg_oracle::Oracle;
use sg_probe::Probe;
use sg_tests::generate::Generator;

use super::engines::Size;
use crate::support::runs::{AskedOf, COMPARED, Test, segment_to};

pub(crate) const ASKED: &[AskedOf] = &[("agrees_after_patches", COMPARED, agrees)];

pub(crate) const TESTS: &[Test] = &[
    ("a_flow_is_judged_again_after_a_patch", a_flow_is_judged_again_after_a_patch),
    ("no_flow_outlives_a_member_while_packets_come", no_flow_outlives_a_member_while_packets_come),
    ("an_image_that_is_not_there_is_not_patched", an_image_that_is_not_there_is_not_patched),
];

const OPTIONS: ImageOptions = ImageOptions { generation: 1, counters: 0, budget_words: LARGEST_WORDS };

/// Changes of a policy.
const CHANGES: u32 = 5;

/// A NIC's image, and who has which number in it.
struct Published {
    patchable: Patchable,
    deciders: Vec<Decider>,
    generation: u32,
}

/// The number of a decider: each keeps its own.
fn number(deciders: &mut Vec<Decider>, decider: Decider) -> u32 {
    let known = deciders.iter().position(|&known| known == decider);
    known.unwrap_or_else(|| {
        deciders.push(decider);
        deciders.len() - 1
    }) as u32
}

impl Published {
    fn new(policy: &Policy, nic: &Nic) -> Self {
        let mut deciders = Vec::new();
        let image = compile(policy, nic, &OPTIONS, &mut |decider| number(&mut deciders, decider)).unwrap();
        Self { patchable: Patchable::new(image), deciders, generation: 1 }
    }

    /// Makes it what it is to be after a change. Whether a patch did.
    fn change(
        &mut self,
        policies: (&Policy, &Policy),
        nic: &Nic,
        (slot, datapath): (u16, &mut Option<Datapath>),
    ) -> bool {
        let deciders = &mut self.deciders;
        self.generation += 1;
        let number = &mut |decider| number(deciders, decider);
        let Some(mut patch) = self.patchable.patch(policies, nic, &OPTIONS, number) else {
            let mut image = compile(policies.1, nic, &OPTIONS, number).unwrap();
            image.set_generation(self.generation);
            if let Some(datapath) = datapath {
                datapath.publish(slot, &image).unwrap();
            }
            self.patchable = Patchable::new(image);
            return false;
        };
        patch.set_generation(self.generation);
        self.patchable.apply(&patch);
        if let Some(datapath) = datapath {
            assert!(datapath.patch(slot, &patch).unwrap(), "slot {slot} has another image");
        }
        true
    }

    fn compiled(&self) -> CompiledNic {
        CompiledNic { image: self.patchable.image().clone(), deciders: self.deciders.clone() }
    }
}

/// Members and prefixes come and go, where probes come from.
fn change(parts: &mut PolicyParts, random: &mut Rng, probes: &[Probe]) {
    for _ in 0..random.usize(1..4) {
        let address = probes[random.usize(..probes.len())].remote();
        let members = parts.members.entry(GroupIndex(random.usize(..parts.groups.len()))).or_default();
        match random.choice(&mut parts.prefix_lists) {
            Some((_, list)) if random.bool() => {
                let mut entries: Vec<Addresses> = list.entries().collect();
                if random.bool() && !entries.is_empty() {
                    entries.swap_remove(random.usize(..entries.len()));
                    *list = entries.into_iter().collect();
                } else {
                    let most = if address.is_ipv4() { 32 } else { 128 };
                    let length = if random.bool() { most } else { random.u8(..=most) };
                    list.push(IpNet::new(address, length).unwrap().trunc());
                }
            }
            _ if random.bool() && !members.is_empty() => {
                members.swap_remove(random.usize(..members.len()));
            }
            _ => members.push(address),
        }
    }
}

fn agrees(engine: EngineKind) {
    let Size { policies, probes } = Size::from_environment();
    let mut datapath = (engine == EngineKind::Kernel).then(|| KernelEngine::datapath().unwrap());
    let (mut patched, mut whole, mut agreed) = (0, 0, 0);
    for seed in 0..policies / 10 {
        let (mut generator, mut random) = (Generator::new(seed), Rng::with_seed(seed));
        let mut parts = generator.parts();
        let mut policy = Policy::new(parts.clone()).unwrap();
        let mut published: Vec<Published> =
            policy.nics().iter().map(|nic| Published::new(&policy, nic)).collect();
        if let Some(datapath) = &mut datapath {
            for (slot, nic) in (0..).zip(&published) {
                datapath.publish(slot, nic.patchable.image()).unwrap();
            }
        }
        for step in 0..CHANGES {
            let aimed = generator.probes(&policy, 20);
            if aimed.is_empty() {
                break;
            }
            change(&mut parts, &mut random, &aimed);
            let after = Policy::new(parts.clone()).unwrap();
            for ((slot, nic), published) in (0..).zip(after.nics()).zip(&mut published) {
                let done = published.change((&policy, &after), nic, (slot, &mut datapath));
                *(if done { &mut patched } else { &mut whole }) += 1;
            }
            policy = after;
            let compiled = published.iter().map(Published::compiled).collect();
            let asked: Vec<Probe> = aimed.into_iter().chain(generator.probes(&policy, probes / 2)).collect();
            let mut oracle = Oracle::new(&policy);
            let mut compare = |engine: &mut dyn Engine| {
                for probe in &asked {
                    let (expected, found) = (oracle.judge(probe), engine.check(probe).unwrap());
                    assert_eq!(found, expected, "seed {seed}, change {step}: {probe:?}");
                }
            };
            agreed += asked.len();
            datapath = match datapath.take() {
                None => {
                    compare(&mut ImageEngine::of(&policy, compiled));
                    None
                }
                Some(datapath) => {
                    let mut engine = KernelEngine::of(datapath, &policy, compiled);
                    compare(&mut engine);
                    Some(engine.into_datapath())
                }
            };
        }
    }
    println!("{engine}: {patched} patches, {whole} images anew, {agreed} probes agreed on");
    assert!(patched > 4 * whole, "{patched} patches, {whole} images anew: this tests little");
}

/// A NIC that accepts port 80 of a group of so many members, and of 192.0.2.1 where that is one of them.
fn group_of(members: u32, asker: bool) -> Policy {
    let others = (0..members)
        .map(|number| format!("10.{}.{}.{}", 1 + number / 8192, number / 32 % 256, number % 32 * 8));
    let members: Vec<String> = asker.then(|| "192.0.2.1".to_owned()).into_iter().chain(others).collect();
    let text = format!(
        "members: {{ group: [{}] }}\n\
         groups: {{ group: {{}}, g: {{ ingress: [{{ protocol: tcp, ports: 80, remote: {{ group: group }} }}] }} }}\n\
         nics: [{{ device: nic, addresses: [10.0.0.5], groups: [g] }}]",
        members.join(", ")
    );
    sg_document::parse("patches", text.as_bytes()).unwrap().policy
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// What becomes of a segment of the asker's.
fn passes(datapath: &mut Datapath, flags: u8, source_port: u16) -> bool {
    datapath.run(Program::Ingress, &segment_to(80, flags, source_port), 1).unwrap().passed
}

fn a_flow_is_judged_again_after_a_patch() {
    // One image of each class but the largest.
    for members in [20, 3_000, 30_000] {
        let [without, with] = [false, true].map(|asker| group_of(members, asker));
        let mut datapath = KernelEngine::datapath().unwrap();
        let mut published = Published::new(&without, &without.nics()[0]);
        let words = published.patchable.image().words().len();
        println!("{members} members: {words} words of {CLASS_WORDS:?}");
        datapath.publish(0, published.patchable.image()).unwrap();
        datapath.stand_in(0).unwrap();
        let mut datapath = Some(datapath);
        assert!(!passes(datapath.as_mut().unwrap(), SYN, 40_000));
        for round in 0..20 {
            let change = |published: &mut Published,
                          before,
                          after: &Policy,
                          datapath: &mut Option<Datapath>| {
                assert!(published.change((before, after), &after.nics()[0], (0, datapath)), "round {round}");
            };
            change(&mut published, &without, &with, &mut datapath);
            let kernel = datapath.as_mut().unwrap();
            assert!(passes(kernel, SYN, 40_000) && passes(kernel, ACK, 40_000), "{members}, round {round}");
            change(&mut published, &with, &without, &mut datapath);
            let kernel = datapath.as_mut().unwrap();
            assert!(!passes(kernel, ACK, 40_000), "{members}, round {round}: the flow lives on");
            assert!(!passes(kernel, SYN, 40_001), "{members}, round {round}");
        }
    }
}

/// Maps that two loads of the programs have in common.
struct Pins(PathBuf);

impl Pins {
    fn load(&self) -> Datapath {
        let limits = Limits { nics: 4, flows: 1 << 10, counters: 1 << 10, denied: 64 };
        Datapath::load(&Options { pins: Some(self.0.clone()), limits, ..Options::default() }).unwrap()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Packets of the flow come without a pause while the patch is written: whichever they find of it, the first that comes when
/// it is written meets the end of the flow.
fn no_flow_outlives_a_member_while_packets_come() {
    const ROUNDS: u16 = 300;
    let pins = Pins(PathBuf::from(format!("/sys/fs/bpf/sg-patches-{}", std::process::id())));
    let (mut packets, mut agent) = (pins.load(), Some(pins.load()));
    let [without, with] = [false, true].map(|asker| group_of(20, asker));
    let mut published = Published::new(&without, &without.nics()[0]);
    agent.as_mut().unwrap().publish(0, published.patchable.image()).unwrap();
    packets.stand_in(0).unwrap();
    for round in 0..ROUNDS {
        assert!(published.change((&without, &with), &with.nics()[0], (0, &mut agent)));
        assert!(passes(&mut packets, SYN, 1_024 + round) && passes(&mut packets, ACK, 1_024 + round));
        let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let frame = segment_to(80, ACK, 1_024 + round);
        std::thread::scope(|scope| {
            let packets = &mut packets;
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    packets.run(Program::Ingress, &frame, 100).unwrap();
                    begun.store(true, Ordering::Relaxed);
                }
            });
            while !begun.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            assert!(published.change((&with, &without), &without.nics()[0], (0, &mut agent)));
            done.store(true, Ordering::Relaxed);
        });
        assert!(!passes(&mut packets, ACK, 1_024 + round), "round {round}: the flow lives on");
    }
}

fn an_image_that_is_not_there_is_not_patched() {
    let [without, with] = [false, true].map(|asker| group_of(20, asker));
    let mut datapath = KernelEngine::datapath().unwrap();
    let mut published = Published::new(&without, &without.nics()[0]);
    let number = &mut |decider| number(&mut published.deciders, decider);
    let mut patch = published.patchable.patch((&without, &with), &with.nics()[0], &OPTIONS, number).unwrap();
    patch.set_generation(2);
    assert!(!datapath.patch(0, &patch).unwrap(), "nothing is published");
    let image = published.patchable.image().clone();
    datapath.publish(0, &image.clone().with_generation(7)).unwrap();
    assert!(!datapath.patch(0, &patch).unwrap(), "of another generation");
    datapath.publish(0, &image).unwrap();
    assert!(datapath.patch(0, &patch).unwrap());
    assert!(!datapath.patch(0, &patch).unwrap(), "it has been patched");
    datapath.publish(0, &image).unwrap();
    datapath.withdraw(0).unwrap();
    assert!(!datapath.patch(0, &patch).unwrap(), "it has been withdrawn");
}
