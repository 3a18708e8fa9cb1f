//! Makes the rules of a group those of another, usually of an earlier copy.
//!
//! Rules that cannot exist in the group are left out and reported. The native API calls it through `Service`.

use std::collections::{BTreeMap, BTreeSet};

use sg_api_types::{LeftOut, RestoreRules, Restored};
use sg_records::{Direction, Group, Remote, Rule, RuleSpec};
use sg_store::Key;

use super::{
    Identity, Operation, Refusal, Tx,
    quota::{group_references, more_rules, rules_of_nics},
    rule_check::{Strictness, checked},
    rules::put_rules,
};

type Said = (Direction, Identity);

impl Operation for RestoreRules {
    type Output = Restored;

    fn run(&self, tx: &mut Tx) -> Result<Restored, Refusal> {
        let group = Group::clone(tx.find_group(&self.group)?);
        let from = Group::clone(tx.find_group(&self.from)?);
        if group.id == from.id {
            return Err(Refusal::NothingToChange);
        }
        let between = |networks| Refusal::OtherNetwork {
            what: tx.called_group(&group).to_string(),
            with: tx.called_group(&from).to_string(),
            networks,
        };
        if group.region != from.region {
            return Err(between("regions"));
        }
        if group.vpc.is_some() != from.vpc.is_some() {
            return Err(between("network types"));
        }
        let said = |rule: &Rule| (rule.direction, Identity::of(&rule.spec));
        // A document may have the same rule twice: this has all of them.
        let here: Vec<(Said, Rule)> =
            tx.rules_of(&group.id).map(|rule| (said(rule), Rule::clone(rule))).collect();
        let there: BTreeSet<&Said> = here.iter().map(|(said, _)| said).collect();
        let mut wanted: BTreeMap<Said, Rule> = BTreeMap::new();
        let mut restored = Restored { added: Vec::new(), removed: Vec::new(), kept: 0, skipped: Vec::new() };
        let others: Vec<Rule> = tx.rules_of(&from.id).map(|rule| Rule::clone(rule)).collect();
        for mut rule in others {
            // A copy that names itself stands for a group that names itself.
            if rule.spec.matches.remote == Remote::Group(from.id.clone()) {
                rule.spec.matches.remote = Remote::Group(group.id.clone());
            }
            match checked(tx, &group, &rule.spec, Strictness::Document) {
                Ok(spec) => {
                    let rule = Rule { spec, ..rule };
                    wanted.insert(said(&rule), rule);
                }
                Err(refusal) => restored.skipped.push(LeftOut { rule: rule.id, reason: refusal.to_string() }),
            }
        }
        if self.complete {
            for (_, rule) in here.iter().filter(|(said, _)| !wanted.contains_key(said)) {
                tx.delete(Key::Rule(rule.id.clone()));
                restored.removed.push(rule.clone());
            }
        }
        restored.kept = wanted.keys().filter(|said| there.contains(said)).count();
        for direction in Direction::ALL {
            let new = wanted.iter().filter(|(said, _)| said.0 == direction && !there.contains(said));
            let mut new: Vec<&Rule> = new.map(|(_, rule)| rule).collect();
            new.sort_by_key(|rule| rule.serial);
            let specs: Vec<RuleSpec> = new.into_iter().map(|rule| rule.spec.clone()).collect();
            restored.added.extend(put_rules(tx, &group.id, direction, specs));
        }
        let is_more = restored.added.len() > restored.removed.len();
        let check = if is_more { more_rules } else { rules_of_nics };
        check(tx, &group.id)?;
        group_references(tx, &group)?;
        Ok(restored)
    }
}
