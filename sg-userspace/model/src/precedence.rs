//! Precedence: the order of everything that can decide a packet of one NIC and one direction. The first step that decides wins.
//!
//! 1. Inbound only: the members of the NIC's basic groups with inner access.
//! 2. The rules of the NIC's groups, in the order of [`Precedence`].
//! 3. The default: inbound is dropped; outbound is accepted for basic groups and dropped for enterprise and closed ones. What is
//!    dropped may be rejected instead, see [`Unmatched`](super::Unmatched).

use super::{Action, Direction, GroupIndex, Nic, Policy, Precedence, Rule, RuleIndex};

/// Everything that can decide about a packet of one NIC and one direction, in order of evaluation.
#[derive(Clone, Debug)]
pub struct Effective<'a> {
    /// The groups whose members are accepted before any rule is evaluated.
    pub intra_groups: Vec<GroupIndex>,
    /// The enabled rules, each with its place in the policy.
    pub rules: Vec<(RuleIndex, &'a Rule)>,
    /// The verdict if no group and no rule matches.
    pub default: Action,
}

impl Policy {
    /// What decides about packets of `nic` in `direction`.
    #[must_use]
    pub fn effective(&self, nic: &Nic, direction: Direction) -> Effective<'_> {
        let intra_groups = match direction {
            Direction::Ingress => {
                nic.groups.iter().copied().filter(|&group| self.group(group).inner_access).collect()
            }
            Direction::Egress => Vec::new(),
        };
        let mut rules: Vec<(usize, RuleIndex, &Rule)> = nic
            .groups
            .iter()
            .enumerate()
            .flat_map(|(place, &group)| {
                let rules = self.group(group).rules(direction).iter().enumerate();
                rules.map(move |(position, rule)| (place, RuleIndex { group, direction, position }, rule))
            })
            .filter(|(_, _, rule)| rule.enabled)
            .collect();
        // A stable sort keeps the order of groups, then that of the document, where keys are equal. The key is one number,
        // computed once per rule: many rules do not fit the cache.
        rules.sort_by_cached_key(|&(place, _, rule)| {
            let place = match nic.precedence {
                Precedence::Sequence => place as u64,
                Precedence::Merged => 0,
            };
            place << 16 | u64::from(rule.priority.get()) << 8 | rule.action as u64
        });
        let rules = rules.into_iter().map(|(_, index, rule)| (index, rule)).collect();
        Effective { intra_groups, rules, default: self.default_of(nic, direction) }
    }

    /// The verdict on packets of `nic` in `direction` that no group and no rule matches.
    #[must_use]
    pub fn default_of(&self, nic: &Nic, direction: Direction) -> Action {
        let is_open = nic.groups.iter().all(|&group| self.group(group).kind.is_open());
        match direction {
            Direction::Egress if is_open => Action::Accept,
            Direction::Ingress | Direction::Egress => nic.default.into(),
        }
    }
}
