//! Random policies, and probes aimed at the edges of their rules.
//!
//! The same seed gives the same policies and probes on every machine, so a seed is all that a report of a
//! failure needs. Random packets alone would almost never meet a rule: most probes are built to hit one, and
//! then moved by one field to a bound, one below or one above. This module must never judge a packet; the
//! engines do. Tests, benchmarks and fuzzers call it.

mod address;
mod aim;
mod families;
mod pick;
mod rules;
mod world;

use std::iter;

use fastrand::Rng;
use sg_model::{Direction, Policy, PolicyParts};
use sg_probe::Probe;

use aim::Aim;
pub use families::Shape;
use world::World;

/// A source of policies and probes.
#[derive(Clone, Debug)]
pub struct Generator {
    random: Rng,
}

impl Generator {
    /// A generator that will give what `seed` gives.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed) }
    }

    /// The parts of a policy: what a test may change before it makes a policy of them.
    #[must_use]
    pub fn parts(&mut self) -> PolicyParts {
        World::new(&mut self.random).parts(&mut self.random)
    }

    /// A policy.
    ///
    /// # Panics
    /// Where the generator made an invalid one, which is a defect of the generator.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a generator that makes invalid policies must be repaired, not handled"
    )]
    pub fn policy(&mut self) -> Policy {
        Policy::new(self.parts()).expect("generated parts are valid")
    }

    /// `count` probes of `policy`. None where the policy has no NIC.
    #[must_use]
    pub fn probes(&mut self, policy: &Policy, count: usize) -> Vec<Probe> {
        let random = &mut self.random;
        let effective: Vec<_> = policy
            .nics()
            .iter()
            .map(|nic| {
                [Direction::Ingress, Direction::Egress].map(|direction| policy.effective(nic, direction))
            })
            .collect();
        let probe = || {
            let position = random.usize(..effective.len());
            let direction = if random.bool() { Direction::Ingress } else { Direction::Egress };
            let rules = &effective[position][direction as usize].rules;
            let mut aim = match random.choice(rules) {
                Some(&(_, rule)) if random.u8(..100) < 94 => {
                    let mut aim = Aim::at_rule(random, policy, (position, direction), rule);
                    if random.bool() {
                        aim.nudge(random, policy, rule);
                    }
                    aim
                }
                _ => Aim::anywhere(random, policy, (position, direction)),
            };
            let nic = &policy.nics()[position];
            match random.u8(..100) {
                0..=2 => aim.ask_for_address(random, nic),
                3 | 4 => aim.come_from_itself(random, nic),
                _ => {}
            }
            aim.probe()
        };
        if effective.is_empty() {
            return Vec::new();
        }
        // No IPv6 packet is of the protocol of an extension header: such an aim is taken again.
        iter::repeat_with(probe).flatten().take(count).collect()
    }
}
