//! Counter numbers, and what each means.
//!
//! ```text
//! 0        64           64 + slot * 64              64 + nics * 64
//! | host   | NIC slot 0 | NIC slot 1 | …           | rules and groups, one number each
//! ```
//!
//! A rule is identified by its group, direction and id, the entry of a group's members by the group. This file must never assign a
//! number: the agent does (`plan/renumber`). The catalog holds the numbers; readers of counters look them up.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sg_common::{
    abi::{HOST_COUNTERS, NIC_COUNTERS, reason_counter},
    verdict::Reason,
};
use sg_model::{Action, Decider, Direction};

use super::shared::Shared;

/// The first counter of NIC `slot`.
#[must_use]
pub fn nic_block(slot: u16) -> u32 {
    HOST_COUNTERS + u32::from(slot) * NIC_COUNTERS
}

/// The first counter of rules, if there is room for `nics` NICs.
#[must_use]
pub(crate) fn first_rule(nics: u32) -> u32 {
    HOST_COUNTERS + nics * NIC_COUNTERS
}

/// A verdict, as files and users read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The packet passes.
    Accept,
    /// The packet is dropped silently.
    Drop,
    /// The packet is dropped, and its sender is told.
    Reject,
}

impl From<Action> for Outcome {
    fn from(action: Action) -> Self {
        match action {
            Action::Accept => Self::Accept,
            Action::Drop => Self::Drop,
            Action::Reject => Self::Reject,
        }
    }
}

impl Outcome {
    /// The word shown to users.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleNumber {
    /// Unique within a direction of its group.
    pub id: String,
    /// The action, for readers of counters without the policy.
    pub action: Outcome,
    /// The number of its counter.
    pub number: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNumbers {
    /// The name of the group.
    pub name: String,
    /// The counter of traffic between members, if the group accepts it.
    pub intra_group: Option<u32>,
    /// Its rules for packets towards the NIC's owner, as written.
    pub ingress: Vec<RuleNumber>,
    /// Its rules for packets from the NIC's owner, as written.
    pub egress: Vec<RuleNumber>,
}

impl GroupNumbers {
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[RuleNumber] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Everything of the group that has a counter, with its number: without a rule, the traffic between members.
    pub fn counted(&self) -> impl Iterator<Item = (Option<(Direction, &RuleNumber)>, u32)> {
        let rules = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|direction| {
            self.rules(direction).iter().map(move |rule| (Some((direction, rule)), rule.number))
        });
        self.intra_group.map(|number| (None, number)).into_iter().chain(rules)
    }
}

/// All assigned numbers, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// The groups of the policy in force.
    pub groups: Vec<Shared<GroupNumbers>>,
    /// Vacant numbers, longest vacant first.
    pub vacant: VecDeque<u32>,
    /// How many numbers were ever assigned; those after them are unused.
    pub used: u32,
}

impl Numbers {
    /// The counter of `decider` for packets of NIC `slot`. The policy must be the one that was numbered.
    #[must_use]
    pub fn counter(&self, slot: u16, decider: Decider) -> u32 {
        let found = match decider {
            Decider::Default(direction) => Some(reason_counter(nic_block(slot), direction, Reason::Default)),
            Decider::IntraGroup(group) => self.groups.get(group.0).and_then(|group| group.intra_group),
            Decider::Rule(rule) => self
                .groups
                .get(rule.group.0)
                .and_then(|group| group.rules(rule.direction).get(rule.position))
                .map(|rule| rule.number),
        };
        // Not the policy that was numbered: use a counter that nobody reads rather than that of another rule.
        found.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_overlap() {
        assert_eq!((nic_block(0), nic_block(1), first_rule(2)), (64, 128, 192));
    }
}
