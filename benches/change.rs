//! The cost of changing one rule of a large host, all but the kernel: a group that three of 200 NICs hold gets a rule, or loses
//! it again, among 1,000 groups with 100,000 rules.
//!
//! * `change/check`: a valid policy from its parts
//! * `change/prepare`: everything that can refuse it; what changed is compiled
//! * `change/enforce`: the catalog is written; system calls are left out
//! * `publish/N`: as many images in the kernel, which returns when no packet meets the old ones (as root)

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]

use std::{
    hint::black_box,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use ipnet::{IpNet, Ipv4Net};
use sg_agent::Enforcement as _;
use sg_benches::{AgentDouble, Of, Plan, Timing, Unit, host, policy};
use sg_check::CompiledNic;
use sg_compile::Image;
use sg_kernel::{Datapath, Limits, Options};
use sg_model::{Match, Policy, PolicyParts, Priority, Remote, Rule};

const NICS: usize = 200;
const RULES: usize = 100;

const LIMITS: Limits = Limits { nics: 256, flows: 1 << 18, counters: 1 << 18, denied: 0 };

/// The host with and without a rule, and an agent without a kernel.
struct Scene {
    parts: [PolicyParts; 2],
    agent: AgentDouble,
    changes: usize,
}

impl Scene {
    fn new() -> Self {
        let (parts, shared) = host(NICS, RULES);
        let mut more = parts.clone();
        let rule = more.groups[shared.0].ingress[0].clone();
        let remote = Remote::Net(IpNet::V4(Ipv4Net::from(Ipv4Addr::new(192, 0, 2, 1))));
        let matches = Match { remote, ..rule.matches };
        let rule = Rule { id: "sgr-added".to_owned(), matches, priority: Priority::FIRST, ..rule };
        more.groups[shared.0].ingress.push(rule);
        let limits = Limits { nics: 256, counters: 1 << 18, ..Limits::default() };
        let devices = parts.nics.iter().map(|nic| nic.device.clone());
        let agent = AgentDouble::new(devices, limits, None);
        let mut scene = Self { parts: [parts, more], agent, changes: 0 };
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

    /// Makes the change; returns the time to prepare and to enforce, and the number of published images.
    fn change(&mut self) -> (Duration, Duration, usize) {
        let policy = self.next();
        let start = Instant::now();
        self.agent.prepare(policy).expect("nothing refuses it");
        let (prepared, start) = (start.elapsed(), Instant::now());
        let enforced = self.agent.enforce().expect("nobody refuses anything");
        (prepared, start.elapsed(), enforced.published)
    }
}

fn main() {
    let Some(plan) = Plan::from_env(&["change", "publish"]) else { return };
    let mut timing = Timing::new(plan);
    if timing.plan.wants("change") {
        change(&mut timing);
    }
    if timing.plan.wants("publish") {
        match Datapath::load(&Options { limits: LIMITS, ..Options::default() }) {
            Ok(mut datapath) => [1, 50, 200].map(|count| publish(&mut timing, &mut datapath, count)),
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(1)
            }
        };
    }
}

fn change(timing: &mut Timing) {
    let mut scene = Scene::new();
    assert_eq!(scene.change().2, 3, "three NICs hold the group");
    timing.take("change/check", Unit::Microseconds, Of::Least, |iterations| {
        let parts = scene.parts[0].clone();
        (0..iterations)
            .map(|_| {
                let parts = parts.clone();
                let start = Instant::now();
                drop(black_box(Policy::new(parts)));
                start.elapsed()
            })
            .sum()
    });
    timing.take("change/prepare", Unit::Microseconds, Of::Least, |iterations| {
        (0..iterations).map(|_| scene.change().0).sum()
    });
    timing.take("change/enforce", Unit::Microseconds, Of::Least, |iterations| {
        (0..iterations).map(|_| scene.change().1).sum()
    });
}

fn publish(timing: &mut Timing, datapath: &mut Datapath, count: u16) {
    let policy = policy(RULES, 1);
    let nic = CompiledNic::new(&policy, &policy.nics()[0]).expect("the policy fits an image");
    let images: Vec<(u16, &Image)> = (0..count).map(|slot| (slot, &nic.image)).collect();
    timing.take(&format!("publish/{count}"), Unit::Microseconds, Of::Median, |iterations| {
        let start = Instant::now();
        for _ in 0..iterations {
            let results = datapath.publish_all(&images);
            assert!(results.iter().all(Result::is_ok), "an image can be published");
        }
        start.elapsed()
    });
}
