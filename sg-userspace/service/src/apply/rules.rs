//! Applies the rules of one group of a document. A rule whose content is unchanged keeps its id, whatever its name and position,
//! so its counters continue.
//!
//! It must never change rules that were added by hand. Called by `steps`.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
};

use sg_api_types::Happens;
use sg_model::{GroupIndex, Indices, PortListIndex, PrefixListIndex, Resolve};
use sg_records::{Direction, Group, GroupId, Ids, NicType, PortListId, PrefixListId, Rule, RuleSpec};
use sg_store::Key;

use super::plan::Plan;
use crate::{
    Kind, Refusal,
    rule_check::{Strictness, checked},
    rules::put_rules,
};

/// Makes the rules of a group those of the document.
pub(super) fn make(plan: &mut Plan<'_>, id: &GroupId, wanted: &sg_model::Group) -> Result<(), Refusal> {
    let Some(group) = plan.tx.group(id).map(|group| Group::clone(group)) else { return Ok(()) };
    for direction in Direction::ALL {
        // A rule without a name was added by hand.
        let there =
            plan.tx.rules_of(id).filter(|rule| rule.direction == direction && !rule.spec.name.is_empty());
        let mut left: Vec<Rule> = there.map(|rule| Rule::clone(rule)).collect();
        let mut specs: VecDeque<RuleSpec> = VecDeque::new();
        for rule in wanted.rules(direction.into()) {
            let spec = spec(plan, rule);
            specs.push_back(checked(plan.tx, &group, &spec, Strictness::Document)?);
        }
        // First rules with the same content, then those with the same name, then new ones.
        let mut by_spec: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, rule) in left.iter().enumerate() {
            by_spec.entry(said(&rule.spec)).or_default().push(place);
        }
        let mut taken = vec![false; left.len()];
        let mut rest = Vec::new();
        for spec in specs {
            let places = by_spec.get_mut(&said(&spec));
            let same_name =
                |places: &Vec<usize>| places.iter().position(|&place| left[place].spec.name == spec.name);
            let found = places.and_then(|places| {
                let at = same_name(places).or_else(|| (!places.is_empty()).then_some(0))?;
                Some(places.remove(at))
            });
            match found {
                Some(place) => {
                    taken[place] = true;
                    if left[place].spec != spec {
                        change(plan, &left[place], spec);
                    }
                }
                None => rest.push(spec),
            }
        }
        let mut new = Vec::new();
        for spec in rest {
            match (0..left.len()).find(|&place| !taken[place] && left[place].spec.name == spec.name) {
                Some(place) => {
                    taken[place] = true;
                    change(plan, &left[place], spec);
                }
                None => new.push(spec),
            }
        }
        let mut place = 0;
        left.retain(|_| {
            place += 1;
            !taken[place - 1]
        });
        for rule in left {
            plan.tx.delete(Key::Rule(rule.id.clone()));
            plan.note(
                Happens::Remove,
                Kind::Rule,
                rule.id.as_str(),
                &rule.spec.name,
                vec![summary(&rule.spec)],
            );
        }
        for rule in put_rules(plan.tx, id, direction, new) {
            plan.note(Happens::Add, Kind::Rule, rule.id.as_str(), &rule.spec.name, vec![summary(&rule.spec)]);
        }
    }
    Ok(())
}

fn change(plan: &mut Plan<'_>, rule: &Rule, spec: RuleSpec) {
    let detail = match (summary(&rule.spec), summary(&spec)) {
        (before, after) if before == after => format!("now called {:?}", spec.name),
        (before, after) => format!("{before} → {after}"),
    };
    plan.note(Happens::Change, Kind::Rule, rule.id.as_str(), &spec.name, vec![detail]);
    plan.tx.put(Rule { spec, ..rule.clone() });
}

/// The content of a rule, without its name.
fn said(spec: &RuleSpec) -> String {
    let nameless = RuleSpec { name: String::new(), ..spec.clone() };
    serde_json::to_string(&nameless).unwrap_or_default()
}

/// A rule in one line, without its texts.
fn summary(spec: &RuleSpec) -> String {
    let RuleSpec { action, priority, matches, nic_type: _, enabled, name: _, description: _ } = spec;
    let enabled = if *enabled { "" } else { " (not enabled)" };
    format!("{action} {priority} {matches}{enabled}")
}

/// The rule of a document, with ids in place of positions.
fn spec(plan: &Plan<'_>, rule: &sg_model::Rule) -> RuleSpec {
    let sg_model::Rule { id, enabled, action, priority, matches, description } = rule;
    RuleSpec {
        action: *action,
        priority: priority.get(),
        matches: matches.map(&mut ById(plan)),
        nic_type: NicType::Intranet,
        enabled: *enabled,
        name: id.clone(),
        description: description.clone().unwrap_or_default(),
    }
}

/// Finds the ids that a document's groups and lists got.
pub(super) struct ById<'p, 'a>(pub(super) &'p Plan<'a>);

impl Resolve<Indices, Ids> for ById<'_, '_> {
    type Error = Infallible;

    fn group(&mut self, group: &GroupIndex) -> Result<GroupId, Infallible> {
        Ok(self.0.groups[group.0].clone())
    }

    fn prefix_list(&mut self, list: &PrefixListIndex) -> Result<PrefixListId, Infallible> {
        Ok(self.0.prefix_lists[list.0].clone())
    }

    fn port_list(&mut self, list: &PortListIndex) -> Result<PortListId, Infallible> {
        Ok(self.0.port_lists[list.0].clone())
    }
}
