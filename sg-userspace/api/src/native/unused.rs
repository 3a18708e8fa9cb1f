//! Rules, and when they were used on this host: joins the rules of a store or a document with their last hits. It must never read
//! a counter. The routes of rules and of lint call it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sg_api_types::{Age, ListedRule};
use sg_inspect::{
    InspectError,
    last_hits::{Owner, Used},
};
use sg_records::{GroupId, Rule, RuleId};
use sg_service::{Finding, FindingKind, Scope, Severity, State, group_name, group_of};

use super::{Native, error::Failed, in_force::device};

/// For how long a rule decided no packet, for lint to find it, unless the request says otherwise.
const UNUSED: Age = Age::of_seconds(7 * 24 * 3600);

/// When the rules of a group were used.
#[derive(Debug)]
pub(super) struct UsedRules {
    rules: BTreeMap<String, Used>,
    at: Timestamp,
}

impl UsedRules {
    /// Whether a rule was observed and decided no packet for so long.
    pub(super) fn is_unused(&self, rule: &Rule, age: Age) -> bool {
        self.rules.get(rule.id.as_str()).is_some_and(|used| used.idle(self.at) >= age.duration())
    }

    /// The rule with what is known of its use.
    pub(super) fn listed(&self, rule: Rule) -> ListedRule {
        let used = self.rules.get(rule.id.as_str());
        let last_hit = used.and_then(|used| used.last_hit);
        ListedRule { last_hit, observed_since: used.map(|used| used.since), rule }
    }
}

/// When the rules of a stored group were used. Without `unused`, a host where that cannot be found out lists rules all the same.
pub(super) fn of_group(native: &Native, group: &GroupId, unused: Option<Age>) -> Result<UsedRules, Failed> {
    let look = match native.hits.look(|name| group_name(name) == group.as_str(), |_| false) {
        Ok(look) => look,
        Err(error) if unused.is_some() => return Err(error.into()),
        Err(_) => return Ok(UsedRules { rules: BTreeMap::new(), at: Timestamp::now() }),
    };
    let used = look.rows.into_iter().filter_map(|row| match row.owner {
        Owner::Rule { rule, group: _, direction: _ } => Some((rule, row.used?)),
        Owner::IntraGroup { .. } | Owner::Default { .. } => None,
    });
    let mut rules = BTreeMap::new();
    for (rule, used) in used {
        together(&mut rules, rule, used);
    }
    Ok(UsedRules { rules, at: look.at })
}

/// What lint finds about the use of rules in `scope`, except of those that `others` say never decide. Without a store, groups and
/// rules have their names in the document.
pub(super) fn findings(
    native: &Native,
    state: Option<&State>,
    scope: &Scope,
    age: Option<Age>,
    others: &[Finding],
) -> Result<Vec<Finding>, Failed> {
    let in_force = native.hits.in_force();
    let catalog = &in_force.catalog;
    // The groups by their names in the policy; `None`: all.
    let wanted: Option<BTreeSet<String>> = match (scope, state) {
        (Scope::All, _) => None,
        (Scope::Group(group), Some(state)) => {
            let id = &state.find_group(group)?.id;
            let names = catalog.numbers.groups.iter().map(|known| &known.name);
            Some(names.filter(|name| group_name(name) == id.as_str()).cloned().collect())
        }
        (Scope::Group(group), None) => {
            if !catalog.numbers.groups.iter().any(|known| known.name == *group) {
                return Err(Failed::Missing { what: "group", name: group.clone() });
            }
            Some([group.clone()].into())
        }
        (Scope::Nic(nic), _) => {
            let device = device(native, nic.clone())?;
            let Some(nic) = catalog.nic(&device) else {
                return match state {
                    // It is stored, and not in force yet.
                    Some(_) => Ok(Vec::new()),
                    None => Err(Failed::NoNic { nic: device }),
                };
            };
            Some(nic.groups.iter().cloned().collect())
        }
    };
    let look = match native.hits.look(|name| wanted.as_ref().is_none_or(|all| all.contains(name)), |_| false)
    {
        Ok(look) => look,
        // Lint is about rules, too, that are not in force.
        Err(InspectError::Nothing) => return Ok(Vec::new()),
        Err(error) if state.is_some() => {
            tracing::warn!("lint does not know which rules are unused: {error}");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error.into()),
    };
    // Who never decides is not used for that reason.
    let is_known = |kind: FindingKind| matches!(kind, FindingKind::Shadowed | FindingKind::Redundant);
    let known: BTreeSet<&RuleId> =
        others.iter().filter(|other| is_known(other.kind)).map(|other| &other.rule).collect();
    let limit = age.unwrap_or(UNUSED).duration();
    let mut rules = BTreeMap::new();
    for row in look.rows {
        if let (Owner::Rule { group, direction, rule }, Some(used)) = (row.owner, row.used) {
            let group = if state.is_some() { group_of(&group) } else { GroupId::from(group) };
            together(&mut rules, (group, direction, rule), used);
        }
    }
    let findings = rules.into_iter().filter_map(|((group, _, rule), used)| {
        let rule = RuleId::from(rule);
        let idle = used.idle(look.at);
        let message = message(&used, idle);
        let is_wanted = idle >= limit && !known.contains(&rule);
        let (severity, kind) = (Severity::Low, FindingKind::Unused);
        is_wanted.then_some(Finding { severity, kind, rule, group, by: Vec::new(), message })
    });
    Ok(findings.collect())
}

/// Adds when a rule was used, which is in force in several parts of its group: what one of them did, the rule did.
fn together<K: Ord>(rules: &mut BTreeMap<K, Used>, rule: K, used: Used) {
    let known = rules.entry(rule).or_insert(used);
    known.since = known.since.min(used.since);
    known.last_hit = known.last_hit.max(used.last_hit);
}

/// For how long nothing came, in words.
fn message(used: &Used, idle: SignedDuration) -> String {
    let window = window(idle);
    match used.last_hit {
        None => format!("no packet in the {window} observed"),
        Some(last) => format!("no packet for {window}, the last one at {last:.0}"),
    }
}

/// A duration in its largest unit.
fn window(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (number, unit) = [(86_400, "day"), (3_600, "hour"), (60, "minute")]
        .into_iter()
        .find(|(length, _)| seconds >= *length)
        .map_or((seconds, "second"), |(length, unit)| (seconds / length, unit));
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_how_long_it_looked() {
        let since: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let day = SignedDuration::from_hours(24);
        let never = Used { since, last_hit: None };
        assert_eq!(message(&never, day * 12 + day / 2), "no packet in the 12 days observed");
        assert_eq!(message(&never, SignedDuration::from_secs(3_700)), "no packet in the 1 hour observed");
        let long_ago = Used { since, last_hit: Some(since + day) };
        assert_eq!(
            message(&long_ago, day * 40),
            "no packet for 40 days, the last one at 2026-01-02T00:00:00Z"
        );
    }
}
