//! The generator makes what it says: valid, repeatable, aimed.

use sg_common::verdict::{Reason, Verdict};
use sg_oracle::Oracle;
use sg_tests::generate::Generator;

use crate::support::runs::Test;

pub(crate) const TESTS: &[Test] = &[
    ("the_same_seed_gives_the_same", the_same_seed_gives_the_same),
    ("probes_meet_rules", probes_meet_rules),
];

fn the_same_seed_gives_the_same() {
    for seed in 0..20 {
        let (mut one, mut other) = (Generator::new(seed), Generator::new(seed));
        let (policy, same) = (one.policy(), other.policy());
        assert_eq!(policy, same);
        assert_eq!(one.probes(&policy, 50), other.probes(&same, 50));
    }
}

/// A differential test whose packets all meet the default proves nothing.
fn probes_meet_rules() {
    let (mut all, mut by_rule, mut accepted) = (0_u32, 0_u32, 0_u32);
    let mut reasons = std::collections::BTreeMap::<_, u32>::new();
    for seed in 0..1_000 {
        let mut generator = Generator::new(seed);
        let policy = generator.policy();
        let probes = generator.probes(&policy, 100);
        assert_eq!(probes.len(), 100);
        let mut oracle = Oracle::new(&policy);
        for probe in &probes {
            let result = oracle.judge(probe);
            all += 1;
            by_rule += u32::from(result.reason == Reason::Rule);
            accepted += u32::from(result.verdict == Verdict::Accept);
            *reasons.entry(result.reason).or_default() += 1;
        }
    }
    println!("{all} probes: {by_rule} by a rule, {accepted} accepted; {reasons:?}");
    assert!(by_rule * 100 >= all * 60, "only {by_rule} of {all} probes are decided by a rule");
    assert!((30..=70).contains(&(accepted * 100 / all)), "{accepted} of {all} probes are accepted");
    for reason in [Reason::IntraGroup, Reason::Default, Reason::Dhcp, Reason::AntiSpoofing] {
        assert!(reasons.get(&reason).is_some_and(|&count| count * 200 > all), "{reason:?}: {reasons:?}");
    }
}
