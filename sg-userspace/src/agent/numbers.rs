//! Assigns counter numbers.
//!
//! ```text
//! 0        64           64 + slot * 64              64 + nics * 64
//! | host   | NIC slot 0 | NIC slot 1 | …           | rules and groups, one number each
//! ```
//!
//! A rule is identified by its group, direction and id, the entry of a group's members by the group: each keeps its number, and
//! so its counts, over any change of its neighbours. A vacant number is reused only when no unused one is left, longest vacant
//! first: a flow accepted under the old policy may continue to count there for a while. This file must never touch the kernel: it
//! determines which numbers must be reset, `reconcile` resets them.

use std::collections::VecDeque;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};
use sg_common::abi::{HOST_COUNTERS, NIC_COUNTERS, reason_counter};
use sg_common::verdict::Reason;

use super::{AgentError, Outcome, shared::Shared};
use crate::model::{Decider, Direction, Group, Policy, Rule};

/// The first counter of NIC `slot`.
#[must_use]
pub fn nic_block(slot: u16) -> u32 {
    HOST_COUNTERS + u32::from(slot) * NIC_COUNTERS
}

/// The first counter of rules.
fn first_rule(nics: u32) -> u32 {
    HOST_COUNTERS + nics * NIC_COUNTERS
}

/// A rule and its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleNumber {
    /// Unique within a direction of its group.
    pub id: String,
    /// The action, for readers of counters without the policy.
    pub action: Outcome,
    /// The number of its counter.
    pub number: u32,
}

/// A group and its numbers.
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
    /// The rules of one direction.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[RuleNumber] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// All assigned numbers, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// The groups of the policy in force.
    pub groups: Vec<Shared<GroupNumbers>>,
    /// Vacant numbers, longest vacant first.
    vacant: VecDeque<u32>,
    /// How many numbers were ever assigned; those after them are unused.
    used: u32,
}

/// The numbers for another policy.
#[derive(Debug)]
pub(super) struct Renumbered {
    pub(super) numbers: Numbers,
    /// Reused numbers: to be reset before the first packet counts there.
    pub(super) reused: Vec<u32>,
}

/// What has a number, within a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Owner<'a> {
    Members,
    Rule(Direction, &'a str),
}

impl GroupNumbers {
    fn owners(&self) -> HashMap<Owner<'_>, u32> {
        let rules = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|direction| {
            self.rules(direction).iter().map(move |rule| (Owner::Rule(direction, &rule.id), rule.number))
        });
        rules.chain(self.intra_group.map(|number| (Owner::Members, number))).collect()
    }

    /// Whether these are the numbers of `group`, which has the same name.
    fn fit(&self, group: &Group) -> bool {
        let alike = |direction| {
            let (numbers, rules) = (self.rules(direction), group.rules(direction));
            numbers.len() == rules.len()
                && numbers
                    .iter()
                    .zip(rules)
                    .all(|(number, rule)| number.id == rule.id && number.action == Outcome::from(rule.action))
        };
        self.intra_group.is_some() == group.inner_access
            && alike(Direction::Ingress)
            && alike(Direction::Egress)
    }
}

/// The owners of a group's numbers.
fn owners(group: &Group) -> impl Iterator<Item = Owner<'_>> {
    let rules = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|direction| {
        group.rules(direction).iter().map(move |rule| Owner::Rule(direction, &rule.id))
    });
    rules.chain(group.inner_access.then_some(Owner::Members))
}

/// What is known of a group that gets numbers.
enum Before<'a> {
    /// Everything in it has its number.
    Same(&'a Shared<GroupNumbers>),
    /// These had a number.
    Other(HashMap<Owner<'a>, u32>),
}

impl Numbers {
    /// The numbers for `policy`: existing owners keep theirs. `nics` and `counters` are the limits the maps were created with.
    pub(super) fn renumber(
        &self,
        policy: &Policy,
        nics: u32,
        counters: u32,
    ) -> Result<Renumbered, AgentError> {
        // Two passes: first those that keep their number, so that a number is known to be vacant before it is reused.
        let mut left: HashMap<&str, &Shared<GroupNumbers>> =
            self.groups.iter().map(|group| (group.name.as_str(), group)).collect();
        let mut vacant = Vec::new();
        let before: Vec<Before<'_>> = policy
            .groups()
            .iter()
            .map(|group| match left.remove(group.name.as_str()) {
                Some(known) if known.fit(group) => Before::Same(known),
                known => {
                    let known = known.map(|known| known.owners()).unwrap_or_default();
                    let mut left = known.clone();
                    owners(group).for_each(|owner| _ = left.remove(&owner));
                    vacant.extend(left.into_values());
                    Before::Other(known)
                }
            })
            .collect();
        vacant.extend(left.into_values().flat_map(|gone| gone.owners().into_values()));
        // Sorted, so that the same change gives the same numbers.
        vacant.sort_unstable();

        let mut giver = Giver {
            vacant: self.vacant.clone(),
            used: self.used,
            room: counters.saturating_sub(first_rule(nics)),
            first: first_rule(nics),
            reused: Vec::new(),
            wanting: 0,
        };
        giver.vacant.extend(vacant);
        let groups = policy.groups().iter().zip(before).map(|(group, before)| match before {
            Before::Same(known) => known.clone(),
            Before::Other(known) => giver.group(group, &known).into(),
        });
        let groups = groups.collect();
        if giver.wanting > 0 {
            let needed = counters as usize + giver.wanting;
            return Err(AgentError::TooManyRules { needed, limit: counters });
        }
        let Giver { vacant, used, reused, .. } = giver;
        Ok(Renumbered { numbers: Self { groups, vacant, used }, reused })
    }

    /// The counter of `decider` for packets of NIC `slot`. The policy must be the one that was numbered.
    pub(super) fn counter(&self, slot: u16, decider: Decider) -> u32 {
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

/// Assigns numbers.
struct Giver {
    vacant: VecDeque<u32>,
    used: u32,
    room: u32,
    first: u32,
    reused: Vec<u32>,
    wanting: usize,
}

impl Giver {
    /// Numbers for a group, of which `known` already have one.
    fn group<'a>(&mut self, group: &'a Group, known: &HashMap<Owner<'a>, u32>) -> GroupNumbers {
        let mut number = |owner: Owner<'a>| known.get(&owner).copied().unwrap_or_else(|| self.another());
        let mut rules = |direction| {
            let number = |rule: &'a Rule| RuleNumber {
                id: rule.id.clone(),
                action: rule.action.into(),
                number: number(Owner::Rule(direction, &rule.id)),
            };
            group.rules(direction).iter().map(number).collect()
        };
        let (ingress, egress) = (rules(Direction::Ingress), rules(Direction::Egress));
        let intra_group = group.inner_access.then(|| number(Owner::Members));
        GroupNumbers { name: group.name.clone(), intra_group, ingress, egress }
    }

    fn another(&mut self) -> u32 {
        if self.used < self.room {
            self.used += 1;
            return self.first + self.used - 1;
        }
        if let Some(number) = self.vacant.pop_front() {
            self.reused.push(number);
            return number;
        }
        self.wanting += 1;
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::plan::samples::{group, policy},
        model::{GroupIndex, RuleIndex},
    };

    /// Numbers with limits of two NICs and room for `rules` numbers.
    fn renumber(old: &Numbers, policy: &Policy, rules: u32) -> Result<Renumbered, AgentError> {
        old.renumber(policy, 2, first_rule(2) + rules)
    }

    fn ids(numbers: &Numbers, group: usize) -> Vec<(&str, u32)> {
        numbers.groups[group].ingress.iter().map(|rule| (rule.id.as_str(), rule.number)).collect()
    }

    #[test]
    fn blocks_do_not_overlap() {
        assert_eq!((nic_block(0), nic_block(1), first_rule(2)), (64, 128, 192));
    }

    #[test]
    fn a_rule_keeps_its_number_whatever_its_neighbours_do() {
        let before = policy(vec![group("web", &["a", "b", "c"])], &[]);
        let first = renumber(&Numbers::default(), &before, 100).unwrap().numbers;
        assert_eq!(ids(&first, 0), [("a", 192), ("b", 193), ("c", 194)]);

        let after = policy(vec![group("ops", &["x"]), group("web", &["c", "new", "a"])], &[]);
        let second = renumber(&first, &after, 100).unwrap();
        assert_eq!(ids(&second.numbers, 1), [("c", 194), ("new", 198), ("a", 192)]);
        assert_eq!(second.numbers.groups[1].intra_group, first.groups[0].intra_group);
        assert!(second.reused.is_empty(), "unused numbers come before vacant ones");
    }

    #[test]
    fn a_vacant_number_is_reused_only_when_none_is_unused_and_is_named() {
        let first =
            renumber(&Numbers::default(), &policy(vec![group("web", &["a", "b"])], &[]), 4).unwrap().numbers;
        let second = renumber(&first, &policy(vec![group("web", &["b", "c"])], &[]), 4).unwrap();
        assert!(second.reused.is_empty());
        let third = renumber(&second.numbers, &policy(vec![group("web", &["b", "c", "d"])], &[]), 4).unwrap();
        assert_eq!(third.reused, [192], "a's number");
        assert_eq!(ids(&third.numbers, 0), [("b", 193), ("c", 195), ("d", 192)]);
    }

    #[test]
    fn too_many_rules_are_refused_with_both_numbers() {
        let refused =
            renumber(&Numbers::default(), &policy(vec![group("web", &["a", "b", "c"])], &[]), 2).unwrap_err();
        assert!(
            matches!(refused, AgentError::TooManyRules { needed: 196, limit: 194 }),
            "three rules and the members: {refused}"
        );
    }

    #[test]
    fn every_decider_has_its_counter() {
        let policy = policy(vec![group("web", &["a", "b"])], &[]);
        let numbers = renumber(&Numbers::default(), &policy, 100).unwrap().numbers;
        let rule = RuleIndex { group: GroupIndex(0), direction: Direction::Ingress, position: 1 };
        assert_eq!(numbers.counter(1, Decider::Rule(rule)), 193);
        assert_eq!(numbers.counter(1, Decider::IntraGroup(GroupIndex(0))), 194);
        assert_eq!(numbers.counter(1, Decider::Default(Direction::Ingress)), 128 + 3);
        assert_eq!(numbers.counter(1, Decider::Default(Direction::Egress)), 128 + 32 + 3);
    }
}
