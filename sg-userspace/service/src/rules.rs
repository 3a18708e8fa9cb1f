//! Operations on rules that are there: modify, revoke; and what tells rules apart.
//!
//! They check quotas and duplicates; `rule_check` checks each rule by itself, and `authorize` adds rules. Every API calls them through `Service`.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sg_api_types::{ModifyRule, Revoke};
use sg_records::{
    Action, Direction, Group, GroupId, Id as _, Match, NicType, OnlyFamily, Remote, Rule, RuleId, RuleSpec,
};
use sg_store::Key;

use super::{
    Field, Operation, Quota, Refusal, Tx,
    quota::rules_of_nics,
    rule_check::{Strictness, checked},
};

/// Checks how many rules a request is about.
pub(super) fn count(found: usize, allowed: u64) -> Result<(), Refusal> {
    if found == 0 {
        return Err(Refusal::NothingToChange);
    }
    Quota::RulesPerOperation.check("this request", found as u64, allowed)
}

/// Creates rules of one direction from checked specifications.
pub(super) fn put_rules(
    tx: &mut Tx,
    group: &GroupId,
    direction: Direction,
    specs: Vec<RuleSpec>,
) -> Vec<Rule> {
    put_each(tx, group, specs.into_iter().map(|spec| (direction, spec)).collect())
}

/// Creates rules of both directions from checked specifications, in their order.
pub(super) fn put_each(tx: &mut Tx, group: &GroupId, specs: Vec<(Direction, RuleSpec)>) -> Vec<Rule> {
    if specs.is_empty() {
        return Vec::new();
    }
    let first = tx.serials(specs.len());
    let mut rules = Vec::with_capacity(specs.len());
    for (serial, (direction, spec)) in (first..).zip(specs) {
        let rule = Rule {
            id: RuleId::random(),
            group: group.clone(),
            direction,
            serial,
            created: tx.now(),
            updated: tx.now(),
            spec,
        };
        tx.put(rule.clone());
        rules.push(rule);
    }
    rules
}

/// The identity of a rule: every field except its name, its description, and whether it is enabled. A family that another field has
/// says nothing, and every address of a family is one remote, however it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    action: Action,
    priority: u8,
    matches: Match,
    nic_type: NicType,
}

impl Identity {
    /// The identity of a rule.
    #[must_use]
    pub fn of(spec: &RuleSpec) -> Self {
        let RuleSpec { action, priority, matches, nic_type, enabled: _, name: _, description: _ } = spec;
        let matches = of_one_spelling(matches.clone());
        Self { action: *action, priority: *priority, matches, nic_type: *nic_type }
    }

    /// The identity of the packets of a rule, whatever happens to them.
    pub(super) fn of_packets(spec: &RuleSpec) -> Self {
        Self { action: Action::default(), priority: 0, ..Self::of(spec) }
    }
}

/// The same packets, where they can be written in two ways: without a family.
fn of_one_spelling(matches: Match) -> Match {
    let Some(only) = matches.family else { return matches };
    let remote = match (&matches.remote, only) {
        (Remote::Any, OnlyFamily::Ipv4) => Remote::Net(Ipv4Net::default().into()),
        (Remote::Any, OnlyFamily::Ipv6) => Remote::Net(Ipv6Net::default().into()),
        (remote, _) => remote.clone(),
    };
    let of_service = matches.conditions().service.family().is_some();
    let is_said = of_service || matches.local.is_some() || matches!(remote, Remote::Net(_));
    Match { remote, family: Some(only).filter(|_| !is_said), ..matches }
}

/// Checks that a change keeps the kind of the remote, and ports from becoming a list or the other way round.
fn keeps_kinds(change: &ModifyRule, old: &Match) -> Result<(), Refusal> {
    let changes_kind = |field| Err(Refusal::ChangesKind { field });
    if let Some(remote) = &change.remote
        && kind_of(remote, change.family.or(old.family)) != kind_of(&old.remote, old.family)
    {
        return changes_kind(Field::Remote);
    }
    if let Some(ports) = &change.ports
        && ports.list().is_some() != old.ports.list().is_some()
        && !old.ports.is_any()
    {
        return changes_kind(Field::Ports);
    }
    Ok(())
}

fn kind_of(remote: &Remote, family: Option<OnlyFamily>) -> u8 {
    match (remote, family) {
        (Remote::Any, None) => 0,
        (Remote::Any, Some(OnlyFamily::Ipv4)) | (Remote::Net(IpNet::V4(_)), _) => 1,
        (Remote::Any, Some(OnlyFamily::Ipv6)) | (Remote::Net(IpNet::V6(_)), _) => 2,
        (Remote::Group(_), _) => 3,
        (Remote::PrefixList(_), _) => 4,
    }
}

impl Operation for ModifyRule {
    type Output = Rule;

    fn run(&self, tx: &mut Tx) -> Result<Rule, Refusal> {
        let group = self.group.as_ref().map(|group| tx.find_group(group)).transpose()?;
        let group = group.map(|group| group.id.clone());
        let mut rule = Rule::clone(tx.find_rule(&self.rule, group.as_ref())?);
        belongs(&rule, group.as_ref(), self.direction)?;
        if self.changes_nothing() {
            return Err(Refusal::NothingToChange);
        }
        let owner = Group::clone(tx.find_group(rule.group.as_str())?);
        keeps_kinds(self, &rule.spec.matches)?;
        let spec = self.apply(rule.spec.clone());
        let strictness = if owner.label.owner.is_some() { Strictness::Document } else { Strictness::Cloud };
        let spec = checked(tx, &owner, &spec, strictness)?;
        if spec == rule.spec {
            return Ok(rule);
        }
        let identity = Identity::of(&spec);
        if identity != Identity::of(&rule.spec)
            && let Some(other) = tx.rules_of(&owner.id).find(|other| {
                other.id != rule.id
                    && other.direction == rule.direction
                    && Identity::of(&other.spec) == identity
            })
        {
            return Err(Refusal::DuplicateRule { rule: other.id.clone() });
        }
        rule.spec = spec;
        let rule = tx.dated(rule);
        tx.put(rule.clone());
        rules_of_nics(tx, &owner.id)?;
        Ok(rule)
    }
}

/// Checks that a rule is in the group and direction of the request.
fn belongs(rule: &Rule, group: Option<&GroupId>, direction: Option<Direction>) -> Result<(), Refusal> {
    let other = |of| Err(Refusal::OtherRule { rule: rule.id.clone(), of });
    match (group, direction) {
        (Some(group), _) if rule.group != *group => other(format!("in group {group}")),
        (_, Some(direction)) if rule.direction != direction => other(format!("of direction {direction}")),
        _ => Ok(()),
    }
}

impl Operation for Revoke {
    type Output = Vec<RuleId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<RuleId>, Refusal> {
        let group = tx.find_group(&self.group)?.id.clone();
        count(self.rules.len(), u64::MAX)?;
        let mut revoked: Vec<RuleId> = Vec::with_capacity(self.rules.len());
        for text in &self.rules {
            let rule = tx.find_rule(text, Some(&group))?;
            belongs(rule, Some(&group), self.direction)?;
            if let Some(first) = revoked.iter().position(|other| *other == rule.id) {
                return Err(Refusal::Repeated { first: first + 1, second: revoked.len() + 1 });
            }
            revoked.push(rule.id.clone());
        }
        for rule in &revoked {
            tx.delete(Key::Rule(rule.clone()));
        }
        Ok(revoked)
    }
}

/// Whether a remote names a group or a list, which may have addresses of both families.
const fn names_addresses(remote: &Remote) -> bool {
    matches!(remote, Remote::Group(_) | Remote::PrefixList(_))
}

/// Deletes the rules of a group that match given ones. If none match, nothing changes. One that names a group or a list and has no
/// family matches rules of any.
#[derive(Clone, Debug)]
pub struct RevokeMatching {
    /// Id or name of the group.
    pub group: String,
    /// Direction of the rules.
    pub direction: Direction,
    /// The rules to match. With `true`, the priority must match, too; with `false`, any priority matches.
    pub rules: Vec<(RuleSpec, bool)>,
}

impl Operation for RevokeMatching {
    type Output = Vec<RuleId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<RuleId>, Refusal> {
        let group = Group::clone(tx.find_group(&self.group)?);
        count(self.rules.len(), u64::from(tx.settings().quotas.rules_per_operation))?;
        let mut revoked = Vec::new();
        for (spec, with_priority) in &self.rules {
            let wanted = checked(tx, &group, spec, Strictness::Document)?;
            let same = |rule: &Rule| {
                let priority = if *with_priority { rule.spec.priority } else { wanted.priority };
                let mut rule_as_wanted = Identity { priority, ..Identity::of(&rule.spec) };
                // Who revokes by fields and cannot say a family means the rules of every one.
                if names_addresses(&wanted.matches.remote) && wanted.matches.family.is_none() {
                    rule_as_wanted.matches.family = None;
                }
                rule.direction == self.direction && rule_as_wanted == Identity::of(&wanted)
            };
            revoked.extend(tx.rules_of(&group.id).filter(|rule| same(rule)).map(|rule| rule.id.clone()));
        }
        revoked.sort_unstable();
        revoked.dedup();
        for rule in &revoked {
            tx.delete(Key::Rule(rule.clone()));
        }
        Ok(revoked)
    }
}
