//! Rules that never decide a packet: an earlier rule of the same group matches all that they match. That holds on every NIC and in
//! every order of groups, because a group's rules keep their own order.

use std::collections::BTreeMap;

use sg_model::{Direction, GroupIndex, JoinedLists, Policy, Reach, Rule, RuleIndex};

use super::{
    error::{Instead, Notice},
    words::Excerpt,
};

/// The work of comparing rules that a document is worth, in prefixes and ranges looked at: some ten milliseconds.
const MOST_WORK: usize = 1_000_000;

/// The rules that never decide, each with its notice.
pub(super) fn shadowed(policy: &Policy) -> Vec<(RuleIndex, Notice)> {
    let (mut found, mut work) = (Vec::new(), Some(MOST_WORK));
    let lists = JoinedLists::of(policy);
    for group in (0..policy.groups().len()).map(GroupIndex) {
        for direction in [Direction::Ingress, Direction::Egress] {
            of_group(policy, &lists, (group, direction), &mut work, &mut found);
        }
    }
    found
}

fn of_group(
    policy: &Policy,
    lists: &JoinedLists<'_>,
    (group, direction): (GroupIndex, Direction),
    work: &mut Option<usize>,
    found: &mut Vec<(RuleIndex, Notice)>,
) {
    let rules = policy.group(group).rules(direction).iter().enumerate().filter(|(_, rule)| rule.enabled);
    let mut rules: Vec<(usize, &Rule)> = rules.collect();
    // See the model's precedence.
    rules.sort_by_key(|(_, rule)| (rule.priority, rule.action));
    // Only rules for the same protocol can cover one another, or one for every protocol.
    let mut before: BTreeMap<Option<u8>, Vec<(&Rule, Reach<'_>)>> = BTreeMap::new();
    for (position, rule) in rules {
        let reach = Reach::of(lists, &rule.matches);
        let own = reach.protocol();
        let candidates = before.get(&None).into_iter().chain(own.and_then(|_| before.get(&own))).flatten();
        for (first, other) in candidates {
            let Some(left) = *work else { return };
            *work = left.checked_sub(other.work(&reach));
            if work.is_none() {
                found.push((RuleIndex { group, direction, position }, Notice::NotAllCompared));
                return;
            }
            if other.covers(&reach) {
                let does = match (first.action, rule.action) {
                    (first, own) if first == own => Instead::Same,
                    (first, own) if first.accepts() == own.accepts() => Instead::Neither,
                    _ => Instead::Opposite,
                };
                let notice = Notice::NeverDecides { by: Excerpt::of(&first.id), does };
                found.push((RuleIndex { group, direction, position }, notice));
                break;
            }
        }
        before.entry(own).or_default().push((rule, reach));
    }
}
