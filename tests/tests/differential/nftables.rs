//! Differential tests: random policies and sequences through both filters, and what each difference is.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use anyhow::{Result, bail, ensure};
use fastrand::Rng;
use sg_common::flow::Direction;
use sg_tests::lab::Lab;

use crate::{
    amount,
    differential::{
        judges::{self, Judges, Verdicts},
        kind::{self, Kind},
        policy::Policy,
        rig::Step,
        sequence,
    },
    support::suite::Suite,
};

const PACKETS: usize = 40;

pub(crate) fn tests(suite: &mut Suite) {
    suite.when("nftables_agrees", judges::missing(), nftables_agrees);
}

/// The other ends of policy number `n`: no flow of an earlier policy has them.
fn remotes(n: u16) -> Vec<IpAddr> {
    let [high, low] = n.to_be_bytes();
    let v4 = (1..=4).map(|last| IpAddr::from([10, high, low, last * 3]));
    let v6 = (1..=4).map(|last| IpAddr::from([0xfd06, n, 0, 0, 0, 0, 0, last * 3]));
    v4.chain(v6).collect()
}

fn nftables_agrees(lab: Lab) -> Result<()> {
    let mut judges: Option<Judges> = None;
    let mut explained = BTreeMap::<Kind, usize>::new();
    let mut unexplained = Vec::new();
    let (mut passed, mut packets) = (0, 0);
    for seed in 0..amount(20, 1_000_u16) {
        let mut random = Rng::with_seed(seed.into());
        let remotes = remotes(seed);
        let policy = Policy::random(&mut random, &remotes);
        let steps = sequence::random(&mut random, &remotes, PACKETS);
        let judges = match &mut judges {
            Some(judges) => {
                judges.apply(&policy)?;
                judges
            }
            none => none.insert(Judges::new(lab, &policy)?),
        };
        let verdicts = judges.judge(&steps)?;
        for number in 0..steps.len() {
            if verdicts[number].ours == verdicts[number].theirs {
                continue;
            }
            match kind::of(&steps, &verdicts, number) {
                Some(kind) => *explained.entry(kind).or_default() += 1,
                None => unexplained.push((seed, report(seed, &policy, &steps, &verdicts, number))),
            }
        }
        passed += verdicts.iter().filter(|verdicts| verdicts.theirs).count();
        packets += steps.len();
    }
    println!("{packets} packets, {passed} passed nftables; explained differences: {explained:?}");
    if let Some((_, first)) = unexplained.first() {
        let seeds: Vec<_> = unexplained.iter().map(|(seed, _)| seed).collect();
        bail!("nothing explains differences in seeds {seeds:?}, the first:\n{first}");
    }
    ensure!((20..=80).contains(&(passed * 100 / packets)), "{passed} of {packets} packets passed");
    Ok(())
}

/// All that is needed to see it again.
fn report(seed: u16, policy: &Policy, steps: &[Step], verdicts: &[Verdicts], number: usize) -> String {
    let mut text = format!(
        "seed {seed}: the filters differ about packet {number}, and nothing explains it\n{}\n{}\n",
        policy.document(),
        policy.telling_ruleset()
    );
    let flow = steps[number].packet.flow();
    for (place, (step, verdicts)) in steps.iter().zip(verdicts).enumerate().take(number + 1) {
        if step.packet.flow() == flow {
            let way = if step.direction == Direction::Ingress { "in " } else { "out" };
            let _ = writeln!(text, "{place:3} {way} {}: {verdicts:?}", step.packet);
        }
    }
    text
}
