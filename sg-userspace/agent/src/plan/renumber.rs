//! Assigns counter numbers to the rules and groups of the next policy.
//!
//! Each keeps its number, and so its counts, over any change of its neighbours. A vacant number is reused only when no unused one
//! is left, longest vacant first: a flow accepted under the old policy may continue to count there for a while. This file must
//! never touch the kernel: it determines which numbers must be reset, `apply` resets them. Called by `prepare`.

use std::collections::VecDeque;

use foldhash::HashMap;
use sg_model::{Direction, Group, Policy, Rule};

use crate::{
    error::AgentError,
    host::{
        numbers::{GroupNumbers, Numbers, Outcome, RuleNumber, first_rule},
        shared::Shared,
    },
};

/// The numbers for another policy.
#[derive(Debug)]
pub(crate) struct Renumbered {
    pub(crate) numbers: Numbers,
    /// Reused numbers: to be reset before the first packet counts there.
    pub(crate) reused: Vec<u32>,
}

/// What has a number, within a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Owner<'a> {
    Members,
    Rule(Direction, &'a str),
}

/// The numbers of a group, by their owners.
fn numbers_of(group: &GroupNumbers) -> HashMap<Owner<'_>, u32> {
    let rules = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|direction| {
        group.rules(direction).iter().map(move |rule| (Owner::Rule(direction, &rule.id), rule.number))
    });
    rules.chain(group.intra_group.map(|number| (Owner::Members, number))).collect()
}

/// Whether `known` are the numbers of `group`, which has the same name.
fn fit(known: &GroupNumbers, group: &Group) -> bool {
    let alike = |direction| {
        let (numbers, rules) = (known.rules(direction), group.rules(direction));
        numbers.len() == rules.len()
            && numbers
                .iter()
                .zip(rules)
                .all(|(number, rule)| number.id == rule.id && number.action == Outcome::from(rule.action))
    };
    known.intra_group.is_some() == group.inner_access && alike(Direction::Ingress) && alike(Direction::Egress)
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

/// The numbers for `policy`: owners in `old` keep theirs. `nics` and `counters` are the limits the maps were created with. With
/// `goes_back`, what is vacant from now on is not reused yet: packets may be judged by `old` again.
pub(crate) fn renumber(
    old: &Numbers,
    policy: &Policy,
    (nics, counters): (u32, u32),
    goes_back: bool,
) -> Result<Renumbered, AgentError> {
    // Two passes: first those that keep their number, so that a number is known to be vacant before it is reused.
    let mut left: HashMap<&str, &Shared<GroupNumbers>> =
        old.groups.iter().map(|group| (group.name.as_str(), group)).collect();
    let mut vacant = Vec::new();
    let before: Vec<Before<'_>> = policy
        .groups()
        .iter()
        .map(|group| match left.remove(group.name.as_str()) {
            Some(known) if fit(known, group) => Before::Same(known),
            known => {
                let known = known.map(|known| numbers_of(known)).unwrap_or_default();
                let mut left = known.clone();
                owners(group).for_each(|owner| _ = left.remove(&owner));
                vacant.extend(left.into_values());
                Before::Other(known)
            }
        })
        .collect();
    vacant.extend(left.into_values().flat_map(|gone| numbers_of(gone).into_values()));
    // Sorted, so that the same change gives the same numbers.
    vacant.sort_unstable();

    let mut allocator = Allocator {
        vacant: old.vacant.clone(),
        used: old.used,
        room: counters.saturating_sub(first_rule(nics)),
        first: first_rule(nics),
        reused: Vec::new(),
        wanting: 0,
    };
    let later = if goes_back { std::mem::take(&mut vacant) } else { Vec::new() };
    allocator.vacant.extend(vacant);
    let groups = policy.groups().iter().zip(before).map(|(group, before)| match before {
        Before::Same(known) => known.clone(),
        Before::Other(known) => allocator.group(group, &known).into(),
    });
    let groups = groups.collect();
    if allocator.wanting > 0 {
        let needed = counters as usize + allocator.wanting;
        return Err(AgentError::TooManyRules { needed, limit: counters });
    }
    let Allocator { mut vacant, used, reused, .. } = allocator;
    vacant.extend(later);
    Ok(Renumbered { numbers: Numbers { groups, vacant, used }, reused })
}

/// Assigns numbers.
struct Allocator {
    vacant: VecDeque<u32>,
    used: u32,
    room: u32,
    first: u32,
    reused: Vec<u32>,
    wanting: usize,
}

impl Allocator {
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
    use crate::samples::{group, policy};
    use sg_model::{Decider, GroupIndex, RuleIndex};

    /// Numbers with limits of two NICs and room for `rules` numbers.
    fn renumber(old: &Numbers, policy: &Policy, rules: u32) -> Result<Renumbered, AgentError> {
        super::renumber(old, policy, (2, first_rule(2) + rules), false)
    }

    fn ids(numbers: &Numbers, group: usize) -> Vec<(&str, u32)> {
        numbers.groups[group].ingress.iter().map(|rule| (rule.id.as_str(), rule.number)).collect()
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
    fn numbers_of_a_policy_that_may_come_back_are_not_reused() {
        let before =
            renumber(&Numbers::default(), &policy(vec![group("web", &["a", "b"])], &[]), 4).unwrap().numbers;
        let after = policy(vec![group("web", &["b", "c", "d"])], &[]);
        assert!(renumber(&before, &after, 4).is_ok(), "a's number is vacant");
        let refused = super::renumber(&before, &after, (2, first_rule(2) + 4), true).unwrap_err();
        assert!(matches!(refused, AgentError::TooManyRules { .. }), "{refused}");
        let fits = super::renumber(&before, &after, (2, first_rule(2) + 5), true).unwrap();
        assert_eq!((fits.reused, fits.numbers.vacant), (vec![], [192].into()));
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
