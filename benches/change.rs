//! What it costs to change one rule of a large host, all but the kernel: a group that three of 200 NICs hold gets a
//! rule, or loses it again, among 1,000 groups with 100,000 rules.
//!
//! * `change/check`: a valid policy of its parts
//! * `change/prepare`: everything that can refuse it; what changed is compiled
//! * `change/enforce`: the catalog is written; asking the kernel is left out

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    cell::RefCell,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ipnet::{IpNet, Ipv4Net};
use sg_benches::host;
use sg_userspace::{
    agent::{
        Enforcement as _, Rehearsal,
        devices::{Devices, Found},
    },
    compile::LARGEST_WORDS,
    kernel::Limits,
    model::{Policy, PolicyParts, Priority, Remote, Rule},
};

const NICS: usize = 200;
const RULES: usize = 100;

/// ARPHRD number of Ethernet.
const ETHERNET: u16 = 1;

/// The host with and without a rule, and an agent that never meets a kernel.
struct Scene {
    parts: [PolicyParts; 2],
    rehearsal: Rehearsal,
    changes: usize,
    _directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let (parts, shared) = host(NICS, RULES);
        let mut more = parts.clone();
        let rule = more.groups[shared.0].ingress[0].clone();
        let remote = Remote::Net(IpNet::V4(Ipv4Net::from(Ipv4Addr::new(192, 0, 2, 1))));
        let rule = Rule { id: "sgr-added".to_owned(), remote, priority: Priority::FIRST, ..rule };
        more.groups[shared.0].ingress.push(rule);
        let devices: Devices = (1..)
            .zip(&parts.nics)
            .map(|(index, nic)| {
                let found = Found { index, link_type: ETHERNET, addresses: Vec::new() };
                (nic.device.clone(), found)
            })
            .collect();
        // The agent keeps its catalog in `/run`, which is memory.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.expect("a directory");
        let limits = Limits { nics: 256, counters: 1 << 18, ..Limits::default() };
        let rehearsal = Rehearsal::new(devices, limits, directory.path().join("catalog.json"), LARGEST_WORDS);
        let mut scene = Self { parts: [parts, more], rehearsal, changes: 0, _directory: directory };
        let start = Instant::now();
        assert_eq!(scene.change().2, NICS, "everything is new");
        println!("the whole host at once: {} ms", start.elapsed().as_millis());
        scene
    }

    fn next(&mut self) -> Policy {
        let parts = self.parts[self.changes % 2].clone();
        self.changes += 1;
        Policy::new(parts).expect("the parts are valid")
    }

    /// Makes the change; returns how long it took to prepare and to enforce, and how many images were published.
    fn change(&mut self) -> (Duration, Duration, usize) {
        let policy = self.next();
        let start = Instant::now();
        self.rehearsal.prepare(policy).expect("nothing refuses it");
        let (prepared, start) = (start.elapsed(), Instant::now());
        let enforced = self.rehearsal.enforce().expect("nobody refuses anything");
        (prepared, start.elapsed(), enforced.published)
    }
}

fn change(criterion: &mut Criterion) {
    let scene = RefCell::new(Scene::new());
    let sum = |iterations: u64, part: fn((Duration, Duration, usize)) -> Duration| {
        (0..iterations).map(|_| part(scene.borrow_mut().change())).sum()
    };
    assert_eq!(scene.borrow_mut().change().2, 3, "three NICs hold the group");
    let mut group = criterion.benchmark_group("change");
    group.sample_size(10);
    group.bench_function("check", |bencher| {
        let parts = scene.borrow().parts[0].clone();
        bencher.iter_batched(|| parts.clone(), Policy::new, BatchSize::PerIteration);
    });
    group.bench_function("prepare", |bencher| {
        bencher.iter_custom(|iterations| sum(iterations, |(prepare, ..)| prepare));
    });
    group.bench_function("enforce", |bencher| {
        bencher.iter_custom(|iterations| sum(iterations, |(_, enforce, _)| enforce));
    });
    group.finish();
}

criterion_group!(benches, change);
criterion_main!(benches);
