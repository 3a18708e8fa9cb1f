//! The steps that decide the packets of a NIC, in the order in which they are evaluated, with their counts and last hits. The
//! model has the order; this file must never have one of its own. The native API calls it.

use std::collections::{BTreeSet, HashMap};

use sg_agent::InForce;
use sg_api_types::{Age, Count, EffectiveNic, EffectiveStep, StepKind};
use sg_model::{Action, GroupIndex, Names, Nic, Policy, Rule, whole_group};
use sg_records::Direction;

use crate::{
    InspectError,
    last_hits::{LastHits, Look, Owner, Row},
    stats::count,
};

/// The view of a NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// In order of evaluation.
    InOrder,
    /// Group after group, as written, with disabled rules.
    ByGroup,
}

/// What decides the packets of NIC `device`, or of all NICs. With `unused`, only rules that decided no packet for so long.
///
/// # Errors
/// If there is no such NIC, nothing is in force yet, or the counters cannot be read.
pub fn show(
    hits: &LastHits,
    device: Option<&str>,
    view: View,
    unused: Option<Age>,
) -> Result<Vec<EffectiveNic>, InspectError> {
    let in_force = hits.in_force();
    let policy = in_force.policy.as_deref().ok_or(InspectError::Nothing)?;
    let wanted = |nic: &&Nic| device.is_none_or(|device| nic.device == device);
    let groups: BTreeSet<&str> = policy
        .nics()
        .iter()
        .filter(wanted)
        .flat_map(|nic| nic.groups.iter().map(|&group| policy.group(group).name.as_str()))
        .collect();
    let look =
        hits.look(|group| groups.contains(group), |name| device.is_none_or(|device| device == name))?;
    // The policy may have changed meanwhile: the one whose counters were read counts.
    let policy = look.in_force.policy.as_deref().ok_or(InspectError::Nothing)?;
    let nics: Vec<&Nic> = policy.nics().iter().filter(wanted).collect();
    if let (Some(device), []) = (device, &nics[..]) {
        return Err(InspectError::no_nic(device, policy.nics().iter().map(|nic| nic.device.as_str())));
    }
    let steps = Steps::new(policy, &look);
    Ok(nics.into_iter().map(|nic| steps.of(nic, &look.in_force, view, unused)).collect())
}

/// Makes the steps of NICs.
struct Steps<'a> {
    policy: &'a Policy,
    rows: HashMap<&'a Owner, &'a Row>,
    look: &'a Look,
}

impl<'a> Steps<'a> {
    fn new(policy: &'a Policy, look: &'a Look) -> Self {
        Self { policy, rows: look.rows.iter().map(|row| (&row.owner, row)).collect(), look }
    }

    fn of(&self, nic: &Nic, in_force: &InForce, view: View, unused: Option<Age>) -> EffectiveNic {
        let mut steps = match view {
            View::InOrder => self.in_order(nic),
            View::ByGroup => self.by_group(nic),
        };
        if let Some(age) = unused {
            steps.retain(|step| step.stage == StepKind::Rule && self.is_unused(step, age));
        }
        let record = in_force.catalog.nic(&nic.device);
        EffectiveNic {
            device: nic.device.clone(),
            id: None,
            attached: record.is_some_and(|record| record.ifindex.is_some()),
            generation: record.map_or(0, |record| record.generation),
            groups: nic
                .groups
                .iter()
                .map(|&group| whole_group(&self.policy.group(group).name).to_owned())
                .collect(),
            steps,
        }
    }

    fn is_unused(&self, step: &EffectiveStep, age: Age) -> bool {
        let Some(since) = step.observed_since else { return false };
        let used = crate::last_hits::Used { since, last_hit: step.last_hit };
        used.idle(self.look.at) >= age.duration()
    }

    fn in_order(&self, nic: &Nic) -> Vec<EffectiveStep> {
        let mut steps = Vec::new();
        for direction in Direction::ALL {
            let effective = self.policy.effective(nic, direction.into());
            steps.extend(effective.intra_groups.into_iter().map(|group| self.members(group)));
            steps.extend(
                effective.rules.into_iter().map(|(index, rule)| self.rule(index.group, direction, rule)),
            );
            steps.push(self.default(nic, direction, effective.default));
        }
        steps
    }

    fn by_group(&self, nic: &Nic) -> Vec<EffectiveStep> {
        let mut steps = Vec::new();
        for &index in &nic.groups {
            let group = self.policy.group(index);
            steps.extend(group.inner_access.then(|| self.members(index)));
            for direction in Direction::ALL {
                let rules = group.rules(direction.into()).iter();
                steps.extend(rules.map(|rule| self.rule(index, direction, rule)));
            }
        }
        steps
            .extend(Direction::ALL.map(|direction| {
                self.default(nic, direction, self.policy.default_of(nic, direction.into()))
            }));
        steps
    }

    fn members(&self, group: GroupIndex) -> EffectiveStep {
        let group = self.policy.group(group).name.clone();
        let owner = Owner::IntraGroup { group: group.clone() };
        let whole = whole_group(&group).to_owned();
        let matches = format!("members of group:{whole}");
        let step = self.step(&owner, Direction::Ingress, StepKind::IntraGroup, Action::Accept, matches);
        EffectiveStep { group: Some(whole), ..step }
    }

    fn rule(&self, group: GroupIndex, direction: Direction, rule: &Rule) -> EffectiveStep {
        let Rule { id, enabled, action, priority, matches, description: _ } = rule;
        let group = self.policy.group(group).name.clone();
        let whole = whole_group(&group).to_owned();
        let owner = Owner::Rule { group, direction, rule: id.clone() };
        let matches = matches.map(&mut Names(self.policy.parts())).to_string();
        let step = self.step(&owner, direction, StepKind::Rule, *action, matches);
        EffectiveStep {
            group: Some(whole),
            rule: Some(id.clone()),
            priority: Some(priority.get()),
            enabled: *enabled,
            ..step
        }
    }

    fn default(&self, nic: &Nic, direction: Direction, action: Action) -> EffectiveStep {
        let owner = Owner::Default { device: nic.device.clone(), direction };
        self.step(&owner, direction, StepKind::Default, action, "everything else".to_owned())
    }

    fn step(
        &self,
        owner: &Owner,
        direction: Direction,
        stage: StepKind,
        action: Action,
        matches: String,
    ) -> EffectiveStep {
        let row = self.rows.get(owner);
        let used = row.and_then(|row| row.used);
        EffectiveStep {
            direction,
            stage,
            group: None,
            rule: None,
            action,
            priority: None,
            matches,
            enabled: true,
            count: row.map_or(Count::default(), |row| count(row.counter)),
            last_hit: used.and_then(|used| used.last_hit),
            observed_since: used.map(|used| used.since),
        }
    }
}

#[cfg(test)]
mod tests;
