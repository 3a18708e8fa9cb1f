//! The cost of a policy change of a NIC until packets meet it, by size: all of it compiled (`compile`), and one more member in a
//! large group (`member-join`).
//!
//! If an image is published whole, the kernel's wait is left out: packets meet an image when its slot is written; what follows is
//! a wait until none meets the one before, 4 to 15 ms for the caller (`publish/1`). If it is patched, as for one more member,
//! there is no wait, and nothing is left out.
//!
//! Not by criterion: a figure's baseline is taken in the same round, and a member that joined cannot join again.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to go on with")]
#![expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]

use std::time::Instant;

use sg_agent::Enforcement as _;
use sg_benches::{AgentDouble, Figure, Plan, Samples, Unit, listed, member, members, policy, valid};
use sg_check::CompiledNic;
use sg_kernel::{Datapath, Limits, Options};
use sg_model::{GroupIndex, Policy};

const LIMITS: Limits = Limits { nics: 4, flows: 1 << 12, counters: 1 << 18, denied: 64 };

fn main() {
    let families = ["compile", "compile-rules", "compile-prefixes", "member-join"];
    let Some(plan) = Plan::from_env(&families) else { return };
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
                self.datapath.fill_and_discard(&compiled.image).expect("an image can be filled");
                all.push(microseconds(start));
            }
            let figure = Figure::new(&name, all.least(), Unit::Microseconds).spread(all.spread());
            let linear = before.map(|(smaller, time)| time * count as f64 / smaller as f64);
            before = Some((count, all.least()));
            if !other.is_empty() {
                let figure = Figure { name: other.to_owned(), ..figure.clone() };
                self.plan.record(&figure.beside(alone.least()));
            }
            self.plan.record(&linear.map_or(figure.clone(), |linear| figure.beside(linear)));
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
        let devices = changed.nics.iter().map(|nic| nic.device.clone());
        let mut agent = AgentDouble::new(devices, LIMITS, Some(datapath()));
        change(&mut agent, policy);
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
            change(&mut agent, policy);
            all.push(microseconds(start));
        }
        assert_eq!(agent.patched(), rounds, "an image was published anew, which waits for the kernel");
        println!("{name}: {:.0} µs of it check the policy", checking.least());
        self.plan.record(
            &Figure::new(name, all.least(), Unit::Microseconds).spread(all.spread()).beside(anew.least()),
        );
    }

    const fn rounds(&self, count: usize) -> usize {
        if count >= 100_000 { self.plan.rounds(12, 4) } else { self.plan.rounds(60, 15) }
    }
}

fn change(agent: &mut AgentDouble, policy: Policy) {
    agent.prepare(policy).expect("nothing refuses it");
    let enforced = agent.enforce().expect("nobody refuses anything");
    assert_eq!(enforced.published, 1, "the NIC has another image");
}

fn microseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}
