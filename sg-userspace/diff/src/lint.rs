//! Lint of rules that are valid: those that decide no packet, those without which every packet would be judged alike, and inbound
//! those that let many addresses in. It is exact, and it must never look at how rules are written but at the packets that they
//! match. `sg-service`, the API and `sgctl` call it.

use std::{mem, time::Instant};

use foldhash::{HashMap, HashMapExt as _};
use sg_model::{Action, Direction, Family, GroupIndex, Nic, Policy, Precedence};

use super::{
    compare::is_alike,
    decider::{By, Deciders},
    finding::{Finding, Instead, What},
    open::open,
    rest::{Bounds, Exhausted},
    ruled::Ruled,
    set::Sets,
};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The groups of the NIC as some NIC may have them among others: only what holds there, too. No rule is dispensable for certain.
    Groups,
    /// The NIC.
    Nic,
}

/// The most bytes for what is remembered about one rule.
const MEMORY: usize = 64 << 20;

/// Looks at the rules that a NIC has.
///
/// What is found can all be done together: without any of the rules that are covered or dispensable, every packet is judged alike.
#[must_use]
pub fn lint<'a>(policy: &'a Policy, nic: &Nic, scope: Scope, until: Instant) -> Vec<Finding<'a>> {
    let mut findings = Vec::new();
    // The rest is for what is open.
    let now = Instant::now();
    let until_open = now + until.saturating_duration_since(now) * 3 / 4;
    let families = [Family::V4, Family::V6];
    let mut sets = families.map(|_| Sets::new());
    let mut deciders = families.map(|family| Deciders::new(policy, family));
    for direction in [Direction::Ingress, Direction::Egress] {
        let mut lists = Vec::new();
        for ((family, sets), deciders) in families.into_iter().zip(&mut sets).zip(&mut deciders) {
            lists.push(Ruled::new(deciders.of(nic, direction, sets), family, sets));
        }
        let effective = policy.effective(nic, direction);
        let (mut rules, mut places) = (Vec::new(), HashMap::new());
        for (index, rule) in effective.rules {
            let by = By::Rule { group: &policy.group(index.group).name, rule: &rule.id };
            rules.push((by, rule.action));
            places.insert(by, index);
        }
        let mut found = Vec::new();
        // Of two that are alike, the later one is for nothing.
        let steps: &[Step] = if scope == Scope::Nic { &[covered, dispensable] } else { &[covered] };
        for step in steps {
            let mut next = Vec::new();
            // First, no rule takes so long that there is no time for the others; what is left is for those that need more.
            for share in [64, 4] {
                rules.retain(|&(by, action)| {
                    let now = Instant::now();
                    let left = until_open.saturating_duration_since(now);
                    let what = step(&mut lists, by, Bounds { until: now + left / share, memory: MEMORY });
                    let is_pending = what.is_err();
                    match what {
                        Ok(None) => next.push((by, action)),
                        Ok(Some(what)) => found.push((by, action, what)),
                        Err(Exhausted) => {}
                    }
                    is_pending
                });
            }
            found.extend(rules.drain(..).map(|(by, action)| (by, action, What::Undecided)));
            rules = next;
        }
        if direction == Direction::Ingress {
            let open = open(&mut lists, Bounds { until, memory: MEMORY });
            found.extend(open.into_iter().map(|(by, what)| (by, Action::Accept, what)));
        }
        findings.extend(found.into_iter().filter_map(|(by, action, what)| {
            let By::Rule { group, rule } = by else { return None };
            Some(Finding { direction, group, rule, index: *places.get(&by)?, action, what })
        }));
    }
    findings
}

/// Looks at all rules of a policy: each group by itself, and each NIC. Of a group that several NICs have, only what holds on each of
/// them is found.
#[must_use]
pub fn lint_all(policy: &Policy, until: Instant) -> Vec<Finding<'_>> {
    let mut findings = Vec::new();
    for index in (0..policy.groups().len()).map(GroupIndex) {
        let alone = Nic { precedence: Precedence::Merged, ..Nic::new("", [index]) };
        findings.extend(lint(policy, &alone, Scope::Groups, until));
    }
    let is_of = |finding: &Finding<'_>, other: &Finding<'_>| {
        (finding.direction, finding.group, finding.rule) == (other.direction, other.group, other.rule)
    };
    // A rule that decides nothing on one NIC and is not needed on another is not needed.
    let is_weaker = |what: &What<'_>, than: &What<'_>| match (what, than) {
        (What::Covered(_) | What::Dispensable(_), What::Dispensable(_)) => true,
        _ => mem::discriminant(what) == mem::discriminant(than),
    };
    let mut kinds: Vec<(&Nic, Vec<Finding<'_>>)> = Vec::new();
    for nic in policy.nics() {
        if !kinds.iter().any(|(known, _)| is_alike(Some(known), Some(nic))) {
            kinds.push((nic, lint(policy, nic, Scope::Nic, until)));
        }
    }
    let mut more: Vec<Finding<'_>> = Vec::new();
    for finding in kinds.iter().flat_map(|(_, found)| found) {
        let has_group = |nic: &Nic| nic.groups.iter().any(|index| policy.group(*index).name == finding.group);
        let is_everywhere = kinds.iter().filter(|(nic, _)| has_group(nic)).all(|(_, found)| {
            found.iter().any(|other| is_of(finding, other) && is_weaker(&other.what, &finding.what))
        });
        if is_everywhere && !findings.iter().chain(&more).any(|known| is_of(finding, known)) {
            more.push(finding.clone());
        }
    }
    findings.extend(more);
    findings
}

/// Looks at one rule in both families.
type Step = for<'a> fn(&mut [Ruled<'_, 'a>], By<'a>, Bounds) -> Result<Option<What<'a>>, Exhausted>;

/// Whether a rule decides nothing.
fn covered<'a>(
    lists: &mut [Ruled<'_, 'a>],
    by: By<'a>,
    bounds: Bounds,
) -> Result<Option<What<'a>>, Exhausted> {
    let mut is_anything = false;
    for list in lists.iter_mut() {
        let Some(place) = list.place(by) else { continue };
        is_anything = true;
        if list.decides(place, bounds)? {
            return Ok(None);
        }
    }
    // Where it is in no list, no packet can have what it matches: a list without entries, a group without members.
    if !is_anything {
        return Ok(None);
    }
    let mut found = Vec::new();
    for list in lists.iter_mut() {
        if let Some(place) = list.place(by) {
            match list.covering(place) {
                Some(one) => found.push(one),
                // That it is covered is known, whoever does it.
                None => found.extend(list.instead_of(place, bounds).unwrap_or_default()),
            }
            list.leave_out(place);
        }
    }
    Ok(Some(What::Covered(once(found))))
}

/// Whether everything is judged alike without a rule that decides something.
fn dispensable<'a>(
    lists: &mut [Ruled<'_, 'a>],
    by: By<'a>,
    bounds: Bounds,
) -> Result<Option<What<'a>>, Exhausted> {
    let mut found = Vec::new();
    for list in lists.iter_mut() {
        let Some(place) = list.place(by) else { continue };
        // It is to hold whether what was found before is removed, too, or stays.
        if list.with_all(|list| list.without(place, bounds))?.is_none() {
            return Ok(None);
        }
        match list.without(place, bounds)? {
            Some(instead) => found.extend(instead),
            None => return Ok(None),
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    for list in lists {
        if let Some(place) = list.place(by) {
            list.leave_out(place);
        }
    }
    Ok(Some(What::Dispensable(once(found))))
}

/// Each once, in order.
fn once(found: Vec<Instead<'_>>) -> Vec<Instead<'_>> {
    let mut each: Vec<Instead<'_>> = Vec::new();
    for one in found {
        if !each.contains(&one) {
            each.push(one);
        }
    }
    each
}
