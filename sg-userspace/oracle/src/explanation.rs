//! Why a packet gets its verdict: what was evaluated before, and which later rules match too.

use sg_model::{GroupIndex, RuleIndex};
use sg_probe::{CheckResult, Probe};

use super::{Mismatch, Oracle, matching};

/// A step that was evaluated and did not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The remote is not a member of a group with inner access.
    NoMember(GroupIndex),
    /// The rule does not match.
    NoMatch(RuleIndex, Mismatch),
}

/// A result and the steps that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub result: CheckResult,
    /// The steps evaluated before, in order. Empty if the packet never reached the groups (DHCP, anti-spoofing).
    pub evaluated: Vec<Step>,
    /// Later rules that match the packet too: for this packet they are shadowed.
    pub shadowed: Vec<RuleIndex>,
}

impl Oracle<'_> {
    /// The verdict on `probe`, and why.
    #[must_use]
    pub fn explain(&mut self, probe: &Probe) -> Explanation {
        let result = self.judge(probe);
        let mut explanation = Explanation { result, evaluated: Vec::new(), shadowed: Vec::new() };
        let policy = self.policy();
        let Some(nic) = policy.nics().get(probe.nic()) else { return explanation };
        if super::judge::before_rules(nic, probe).is_some() {
            return explanation;
        }
        let order = self.order(probe.nic(), nic, probe.direction());
        let mut decided = false;
        for (group, members) in &order.intra_groups {
            if members.contains(probe.remote()) {
                decided = true;
                break;
            }
            explanation.evaluated.push(Step::NoMember(*group));
        }
        for (index, rule, named) in &order.rules {
            match matching::mismatch(policy, rule, named.as_deref(), probe) {
                None if decided => explanation.shadowed.push(*index),
                None => decided = true,
                Some(_) if decided => {}
                Some(mismatch) => explanation.evaluated.push(Step::NoMatch(*index, mismatch)),
            }
        }
        explanation
    }
}
