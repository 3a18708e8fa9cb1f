//! The operation that imports a file of rules into a group. It must never overwrite a rule: rules that exist are skipped, and
//! invalid rows are skipped and reported.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sg_api_types::{ImportReport, ImportRow, Imported};
use sg_model::text;
use sg_records::{Direction, Group};
use utoipa::ToSchema;

use super::RuleFile;
use crate::{
    Identity, Operation, Refusal, Tx,
    quota::{group_references, more_rules},
    refusal::excerpt,
    rule_check::{Strictness, checked},
    rules::put_rules,
};

/// Adds the rules of a file to a group. Rules that the group already has, and invalid rows, are skipped and reported.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ImportRules {
    /// Id or name of the group.
    pub group: String,
    pub file: RuleFile,
}

impl Operation for ImportRules {
    type Output = ImportReport;

    fn run(&self, tx: &mut Tx) -> Result<ImportReport, Refusal> {
        let group = Group::clone(tx.find_group(&self.group)?);
        let most = tx.settings().quotas.rules_per_import as usize;
        let there = tx.rules_of(&group.id).map(|rule| (rule.direction, Identity::of(&rule.spec)));
        let mut there: HashSet<(Direction, Identity)> = there.collect();
        let named = tx.rules_of(&group.id).map(|rule| rule.spec.name.clone());
        let mut looks: HashMap<String, String> =
            named.map(|name| (text::look(&name).into_owned(), name)).collect();
        let mut rows = Vec::with_capacity(self.file.permissions.len());
        for (place, row) in self.file.permissions.iter().enumerate() {
            let mut report = ImportRow {
                row: place + 1,
                direction: None,
                rule: None,
                outcome: Imported::Refused,
                reason: String::new(),
            };
            match row.read() {
                Err(reason) => report.reason = reason,
                Ok((direction, _)) if place >= most => {
                    report.direction = Some(direction);
                    report.reason = format!("a file may hold {most} rules (rules_per_import)");
                }
                Ok((direction, spec)) => {
                    report.direction = Some(direction);
                    match checked(tx, &group, &spec, Strictness::Cloud) {
                        Err(refusal) => {
                            report.reason = refusal.to_string();
                            report.rule = Some(spec);
                        }
                        Ok(spec) if there.contains(&(direction, Identity::of(&spec))) => {
                            report.outcome = Imported::Exists;
                            "the group already has this rule".clone_into(&mut report.reason);
                            report.rule = Some(spec);
                        }
                        Ok(spec)
                            if let Some(other) = looks.get(&*text::look(&spec.name))
                                && *other != spec.name =>
                        {
                            let (name, other) = (excerpt(&spec.name), excerpt(other));
                            report.reason =
                                format!("name {name:?}: it looks like {other:?}, the name of another rule");
                            report.rule = Some(spec);
                        }
                        Ok(spec) => {
                            there.insert((direction, Identity::of(&spec)));
                            looks.insert(text::look(&spec.name).into_owned(), spec.name.clone());
                            put_rules(tx, &group.id, direction, vec![spec.clone()]);
                            report.outcome = Imported::Added;
                            report.rule = Some(spec);
                        }
                    }
                }
            }
            rows.push(report);
        }
        more_rules(tx, &group.id)?;
        group_references(tx, &group)?;
        let added = rows.iter().filter(|row| row.outcome == Imported::Added).count();
        Ok(ImportReport { skipped: rows.len() - added, added, rows })
    }
}
