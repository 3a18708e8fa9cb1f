//! The operation that adds rules to a group, of both directions at once.
//!
//! It says which rules are there already, and what becomes of those; `rule_check` checks each rule by itself. What a duplicate is, is an
//! argument of the operation: every API calls it through `Service` and says it.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};
use sg_api_types::{Authorize, Duplicates, Sameness};
use sg_records::{Direction, Group, Rule, RuleSpec};

use super::{
    Field, Operation, Refusal, Tx,
    quota::{group_references, more_rules},
    rule_check::{Strictness, checked},
    rules::{Identity, count, put_each},
};

/// A rule of a request to add rules, as the group has it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorized {
    /// The rule.
    pub rule: Rule,
    /// Whether the request added it.
    pub is_new: bool,
}

/// The same as [`Authorize`]; it tells which rules are new.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct AddRules(pub Authorize);

impl Operation for Authorize {
    /// The rules, new and existing, in the order of the request.
    type Output = Vec<Rule>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<Rule>, Refusal> {
        Ok(add(self, tx)?.into_iter().map(|authorized| authorized.rule).collect())
    }
}

impl Operation for AddRules {
    /// In the order of the request. Of the rules of a request that are the same, the first one is new.
    type Output = Vec<Authorized>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<Authorized>, Refusal> {
        add(&self.0, tx)
    }
}

/// Where the rule of a request is to be found.
enum Found {
    /// In the group.
    There(Box<Rule>),
    /// Among the new ones, at this place.
    New(usize),
}

fn add(request: &Authorize, tx: &mut Tx) -> Result<Vec<Authorized>, Refusal> {
    let Authorize { group, direction, rules, duplicates, same } = request;
    let group = Group::clone(tx.find_group(group)?);
    count(rules.len(), u64::from(tx.settings().quotas.rules_per_operation))?;
    let mut wanted: Vec<(Direction, RuleSpec)> = Vec::with_capacity(rules.len());
    for rule in rules {
        let Some(direction) = rule.direction.or(*direction) else {
            let allowed = "ingress or egress, of each rule or of the request".to_owned();
            return Err(Refusal::Missing { field: Field::Direction, allowed });
        };
        wanted.push((direction, checked(tx, &group, &rule.spec, Strictness::Cloud)?));
    }
    let identity = |direction, spec: &RuleSpec| (direction, of(*same, spec));
    let mut there: HashMap<_, Vec<Arc<Rule>>> = HashMap::new();
    for rule in tx.rules_of(&group.id) {
        there.entry(identity(rule.direction, &rule.spec)).or_default().push(Arc::clone(rule));
    }
    // By identity, the place in the request and that among the new ones.
    let mut seen: HashMap<_, (usize, Option<usize>)> = HashMap::new();
    let (mut found, mut new) = (Vec::with_capacity(wanted.len()), Vec::new());
    for (place, (direction, spec)) in wanted.into_iter().enumerate() {
        let own = identity(direction, &spec);
        if let Some((first, at)) = seen.get(&own) {
            let does_the_same = || rules.get(*first).is_some_and(|first| does_the_same(&first.spec, &spec));
            if *duplicates != Duplicates::Ignore || !does_the_same() {
                return Err(Refusal::Repeated { first: first + 1, second: place + 1 });
            }
            if let Some(at) = at {
                found.push((Found::New(*at), false));
                continue;
            }
        }
        let there = there.get(&own).map(Vec::as_slice).unwrap_or_default();
        let hinders = |rule: &&Arc<Rule>| match duplicates {
            Duplicates::Existing => false,
            Duplicates::Ignore => !does_the_same(&rule.spec, &spec),
            Duplicates::Refuse => true,
        };
        if let Some(rule) = there.iter().find(hinders) {
            return Err(Refusal::DuplicateRule { rule: rule.id.clone() });
        }
        if let Some(rule) = there.last() {
            seen.insert(own, (place, None));
            found.push((Found::There(Box::new(Rule::clone(rule))), false));
        } else {
            seen.insert(own, (place, Some(new.len())));
            found.push((Found::New(new.len()), true));
            new.push((direction, spec));
        }
    }
    let made = put_each(tx, &group.id, new);
    more_rules(tx, &group.id)?;
    group_references(tx, &group)?;
    let authorized = found.into_iter().filter_map(|(found, is_new)| {
        let rule = match found {
            Found::There(rule) => *rule,
            Found::New(at) => made.get(at)?.clone(),
        };
        Some(Authorized { rule, is_new })
    });
    Ok(authorized.collect())
}

/// Whether two rules that are the same may stand for each other. Left out beside a rule that allows what it denies, or beside one that
/// is disabled, a rule would be missing without a word.
fn does_the_same(one: &RuleSpec, other: &RuleSpec) -> bool {
    (one.action, one.enabled) == (other.action, other.enabled)
}

/// What tells a rule from others.
fn of(same: Sameness, spec: &RuleSpec) -> Identity {
    match same {
        Sameness::Rule => Identity::of(spec),
        Sameness::Packets => Identity::of_packets(spec),
    }
}
