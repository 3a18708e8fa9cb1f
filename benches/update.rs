//! The cost of a policy change of a NIC until packets meet it, by size: all of it compiled (`compile`), and one more member in a
//! large group (`member-join`).
//!
//! If an image is published whole, the kernel's wait is left out: packets meet an image when its slot is written; what follows is
//! a wait until none meets the one before, 4 to 15 ms for the caller (`publish/1`). If it is patched, as for one more member,
//! there is no wait, and nothing is left out.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]
#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

use std::time::Instant;

use sg_agent::{
    Enforcement as _,
    devices::{Devices, Found},
};
use sg_benches::{
    Rehearsal, listed, member, members,
    plan::Plan,
    policy,
    report::{Figure, Unit},
    sampling::Samples,
    valid,
};
use sg_check::CompiledNic;
use sg_compile::LARGEST_WORDS;
use sg_kernel::{Datapath, Limits, Options};
use sg_model::{GroupIndex, Policy, PolicyParts};

const LIMITS: Limits = Limits { nics: 4, flows: 1 << 12, counters: 1 << 18 };

/// ARPHRD number of Ethernet.
const ETHERNET: u16 = 1;

fn main() {
    let plan = Plan::from_env();
    let families = ["compile", "compile-rules", "compile-prefixes", "member-join"];
    if !families.iter().any(|family| plan.wants(family)) {
        return;
    }
    let bench = Bench { plan, datapath: datapath() };
    bench.compile(
        "compile-rules",
        |rules| policy(rules, 1),
        &[(100, "100", ""), (1_000, "1k", "compile/1k"), (10_000, "10k", ""), (100_000, "100k", "")],
    );
    bench.compile(
        "compile-prefixes",
        listed,
        &[(1_000, "1k", ""), (10_000, "10k", ""), (100_000, "100k", "compile/100k"), (1_000_000, "1m", "")],
    );
    for (count, size) in [(1_000, "1k"), (10_000, "10k"), (100_000, "100k")] {
        bench.member_join(count, size);
    }
}

fn datapath() -> Datapath {
    Datapath::load(&Options { limits: LIMITS, ..Options::default() }).unwrap_or_else(|error| {
        eprintln!("{error}");
        std::process::exit(1)
    })
}

struct Bench {
    plan: Plan,
    datapath: Datapath,
}

impl Bench {
    /// Figures of one family by size: the number, the end of the name, and another name of the same figure. The baseline of each
    /// is what it would be if the one before had grown as the size did.
    fn compile(&self, family: &str, policy: impl Fn(usize) -> Policy, sizes: &[(usize, &str, &str)]) {
        let mut before: Option<(usize, f64)> = None;
        for &(count, size, other) in sizes {
            let name = format!("{family}/{size}");
            if !self.plan.wants(family) && !self.plan.wants(other) {
                continue;
            }
            let policy = policy(count);
            let (mut all, mut alone) = (Samples::default(), Samples::default());
            for _ in 0..self.rounds(count) {
                let start = Instant::now();
                let compiled = match CompiledNic::new(&policy, &policy.nics()[0]) {
                    Ok(compiled) => compiled,
                    Err(error) => {
                        println!("{name} is left out: {error}");
                        return;
                    }
                };
                alone.push(microseconds(start));
                self.datapath.rehearse(&compiled.image).expect("an image can be filled");
                all.push(microseconds(start));
            }
            let figure = Figure::new(&name, all.least(), Unit::Microseconds).spread(all.spread());
            let linear = before.map(|(smaller, time)| time * count as f64 / smaller as f64);
            before = Some((count, all.least()));
            if self.plan.wants(&name) {
                save(&linear.map_or_else(|| figure.clone(), |linear| figure.clone().beside(linear)));
            }
            if !other.is_empty() && self.plan.wants(other) {
                let figure = Figure::new(other, all.least(), Unit::Microseconds);
                save(&figure.spread(all.spread()).beside(alone.least()));
            }
        }
    }

    /// A member joins a group of `count`, with the steps of an agent: the policy checked, what changed compiled, the catalog
    /// written, the image patched in the kernel. The baseline is all of it compiled.
    fn member_join(&self, count: usize, size: &str) {
        let name = format!("member-join/{size}");
        if !self.plan.wants(&name) {
            return;
        }
        let mut changed = members(count);
        let policy = valid(changed.clone());
        let mut anew = Samples::default();
        for _ in 0..self.rounds(count) {
            let start = Instant::now();
            let compiled = CompiledNic::new(&policy, &policy.nics()[0]).expect("the policy fits an image");
            anew.push(microseconds(start));
            drop(compiled);
        }
        let mut agent = Agent::new(&changed);
        let (mut all, mut checking) = (Samples::default(), Samples::default());
        let rounds = self.rounds(count);
        for round in 0..rounds as u32 {
            // Addresses that are no member yet lie beside the first one.
            let group = changed.members.get_mut(&GroupIndex(1)).expect("the group has members");
            group.push(member(0x00aa_0001 + round * 2_003));
            let parts = changed.clone();
            let start = Instant::now();
            let policy = valid(parts);
            checking.push(microseconds(start));
            agent.change(policy);
            all.push(microseconds(start));
        }
        assert_eq!(
            agent.rehearsal.patched(),
            rounds,
            "an image was published anew, which waits for the kernel"
        );
        println!("{name}: {:.0} µs of it check the policy", checking.least());
        save(&Figure::new(name, all.least(), Unit::Microseconds).spread(all.spread()).beside(anew.least()));
    }

    const fn rounds(&self, count: usize) -> usize {
        if count >= 100_000 { self.plan.rounds(12, 4) } else { self.plan.rounds(60, 15) }
    }
}

/// An agent that publishes and patches images, and has no devices.
struct Agent {
    rehearsal: Rehearsal,
    _directory: tempfile::TempDir,
}

impl Agent {
    fn new(parts: &PolicyParts) -> Self {
        let found = |index| Found { index, link_type: ETHERNET, ..Found::default() };
        let devices: Devices =
            (1..).zip(&parts.nics).map(|(index, nic)| (nic.device.clone(), found(index))).collect();
        // The agent keeps its catalog in `/run`, which is memory.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let directory = directory.expect("a directory");
        let catalog = directory.path().join("catalog.json");
        let rehearsal = Rehearsal::over(datapath(), devices, LIMITS, catalog, LARGEST_WORDS);
        let mut agent = Self { rehearsal, _directory: directory };
        agent.change(valid(parts.clone()));
        agent
    }

    fn change(&mut self, policy: Policy) {
        self.rehearsal.prepare(policy).expect("nothing refuses it");
        let enforced = self.rehearsal.enforce().expect("nobody refuses anything");
        assert_eq!(enforced.published, 1, "the NIC has another image");
    }
}

fn microseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

fn save(figure: &Figure) {
    figure.record().expect("a figure can be written");
}
