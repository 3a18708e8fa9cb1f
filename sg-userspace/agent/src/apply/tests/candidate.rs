//! Candidates, over a fake kernel: what is published with a mark, and that what is put in force is what was observed.

use sg_common::image::{flags, header};
use sg_compile::Image;

use super::*;
use crate::apply::candidate::WantedCandidate;

impl Bench {
    /// Sets a candidate, and returns what the kernel was asked.
    fn set(&mut self, policy: Policy, devices: &Devices) -> Result<Vec<String>, AgentError> {
        self.fake.asked();
        let (text, name, owner) = (b"text".to_vec(), "document".to_owned(), "uid 0".to_owned());
        self.agent.set_candidate(WantedCandidate { policy, text, name, owner }, devices)?;
        Ok(self.settled(devices))
    }

    fn settled(&mut self, devices: &Devices) -> Vec<String> {
        let report = self.agent.resync(devices).unwrap();
        assert!(report.errors.is_empty(), "{report:?}");
        self.fake.asked()
    }

    /// The image in force, and whether it has a mark; and that of the candidate.
    fn images(&self, slot: u16) -> (Image, bool, Option<Image>) {
        let [in_force, candidates] = &*self.fake.images.lock().unwrap();
        let image = in_force[&slot].clone();
        let mark = image.words()[header::GENERATION_FLAGS] >> 32 & u64::from(flags::CANDIDATE) != 0;
        (image, mark, candidates.get(&slot).cloned())
    }
}

fn rules(ids: &[&str], devices: &[&str]) -> Policy {
    policy(vec![group("web", ids)], devices)
}

/// An image without what depends on when it is published.
fn content(image: &Image) -> Vec<u64> {
    let mut image = image.clone().with_generation(0);
    image.set_candidate(false);
    image.set_pending(0);
    image.words().to_vec()
}

#[test]
fn images_in_force_have_a_mark_as_long_as_there_is_one() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    let refused = bench.set(rules(&["b"], &["eth0"]), &there).unwrap_err();
    assert!(matches!(refused, AgentError::NothingBefore), "{refused}");
    bench.apply(rules(&["a"], &["eth0", "eth1"]), &there).unwrap();
    let before = content(&bench.images(0).0);
    let generation = bench.catalog().nics[0].generation;
    // It has one of the two NICs, and another that is not filtered.
    let asked = bench.set(rules(&["b"], &["eth0", "eth7"]), &there).unwrap();
    assert_eq!(asked, ["candidate of [0]", "publish 0"]);
    let (image, mark, candidate) = bench.images(0);
    assert!(mark && content(&image) == before, "it decides as before");
    assert_ne!(content(&candidate.unwrap()), before);
    assert_eq!(bench.catalog().nics[0].generation, generation + 1, "live flows are judged again");
    assert!(!bench.images(1).1);
    assert_eq!(bench.catalog().candidate.unwrap().owner, "uid 0");
    assert!(bench.agent.drop_candidate().unwrap());
    assert_eq!(bench.settled(&there), ["candidate of []", "publish 0"]);
    assert!(!bench.images(0).1 && bench.catalog().candidate.is_none());
    assert!(!bench.agent.drop_candidate().unwrap(), "there is none");
}

#[test]
fn what_is_put_in_force_is_what_was_observed() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2), ("eth1", 3)]);
    bench.apply(rules(&["a", "b"], &["eth0", "eth1"]), &there).unwrap();
    // A number becomes vacant on the way.
    bench.apply(rules(&["b", "c"], &["eth0", "eth1"]), &there).unwrap();
    let candidate = || rules(&["c", "d", "e"], &["eth0", "eth1"]);
    bench.set(candidate(), &there).unwrap();
    let observed: Vec<Vec<u64>> = (0..2).map(|slot| content(&bench.images(slot).2.unwrap())).collect();
    bench.apply(candidate(), &there).unwrap();
    let promoted = bench.agent.take_promoted().unwrap();
    assert_eq!(promoted.len(), 2);
    for (slot, observed) in (0..2).zip(&observed) {
        let (image, mark, candidate) = bench.images(slot);
        assert!(!mark && candidate.is_none());
        assert_eq!(&content(&image), observed, "NIC {slot}");
    }
    assert!(bench.agent.take_promoted().is_none() && bench.catalog().candidate.is_none());
}

#[test]
fn another_policy_in_force_makes_it_begin_anew() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    bench.set(rules(&["b"], &["eth0"]), &there).unwrap();
    assert!(!bench.agent.renew_candidate(&there).unwrap(), "nothing has changed");
    bench.apply(rules(&["a", "c"], &["eth0"]), &there).unwrap();
    assert!(bench.images(0).1, "the new image has the mark, too");
    bench.fake.asked();
    assert!(bench.agent.renew_candidate(&there).unwrap());
    assert_eq!(bench.settled(&there), ["candidate of [0]", "publish 0"], "live flows are judged once more");
    // Its rule has another number than the new one in force.
    let numbers = |rules: &[crate::host::numbers::RuleNumber]| -> Vec<u32> {
        rules.iter().map(|rule| rule.number).collect()
    };
    let in_force = numbers(&bench.agent.catalog.numbers.groups[0].ingress);
    let shown = bench.agent.candidate().unwrap();
    assert!(numbers(&shown.numbers.groups[0].ingress).iter().all(|number| !in_force.contains(number)));
}

#[test]
fn one_that_cannot_be_set_leaves_the_one_before() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    bench.set(rules(&["b"], &["eth0"]), &there).unwrap();
    let many: Vec<String> = (0..600).map(|number| format!("r{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = bench.set(rules(&many, &["eth0"]), &there).unwrap_err();
    assert!(matches!(refused, AgentError::TooManyRules { .. }), "{refused}");
    assert!(bench.agent.candidate().is_some() && bench.images(0).2.is_some());
    // The kernel refuses: there is none, and nothing has a mark.
    bench.fake.refuses.lock().unwrap().insert("candidate of [0]".to_owned());
    assert!(bench.set(rules(&["c"], &["eth0"]), &there).is_err());
    assert!(bench.agent.candidate().is_none());
}

#[test]
fn it_ends_with_its_agent_and_that_is_known_once() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    bench.set(rules(&["b"], &["eth0"]), &there).unwrap();
    let mut bench = bench.restart();
    assert_eq!(bench.agent.take_lost_candidate().unwrap().owner, "uid 0");
    let mut bench = bench.restart();
    assert!(bench.agent.take_lost_candidate().is_none());
}

#[test]
fn a_promotion_that_nobody_can_make_is_not_expected_later() {
    let mut bench = Bench::new();
    let there = devices(&[("eth0", 2)]);
    bench.apply(rules(&["a"], &["eth0"]), &there).unwrap();
    let refused = bench.agent.expect_promotion(true).unwrap_err();
    assert!(matches!(refused, AgentError::NoCandidate), "{refused}");
    bench.set(rules(&["b"], &["eth0"]), &there).unwrap();
    // It is no promotion, and no candidate is in its way.
    bench.apply(rules(&["c"], &["eth0"]), &there).unwrap();
    // A NIC that came since was not observed.
    bench.agent.expect_promotion(true).unwrap();
    let more = devices(&[("eth0", 2), ("eth1", 3)]);
    let refused = bench.agent.prepare(rules(&["b"], &["eth0", "eth1"]), &more).unwrap_err();
    assert!(matches!(&refused, AgentError::CandidateDiffers { device } if device == "eth1"), "{refused}");
}
