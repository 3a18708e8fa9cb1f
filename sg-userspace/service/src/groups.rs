//! Operations on groups, and the default group for NICs that are registered without one.
//!
//! This file never changes which NICs hold a group: `membership` does. `template` says which rules new ones have. Every API calls it
//! through `Service`.

use std::{collections::BTreeSet, sync::Arc};

use sg_api_types::{CreateGroup, DeleteGroups, ModifyGroup};
use sg_records::{Group, GroupId, GroupType, Id as _, Label, Vpc, VpcId};
use sg_store::Key;

use super::{
    Field, Operation, Quota, Refusal, State, Tx,
    labels::{Wording, changed_as, label_as, region},
    quota::more_rules,
    rules::put_each,
    template,
};

impl Operation for CreateGroup {
    type Output = Group;

    fn run(&self, tx: &mut Tx) -> Result<Group, Refusal> {
        let (region, vpc) = place(tx, &self.region, self.vpc.as_deref())?;
        let kind = self.kind;
        let group = Group {
            id: GroupId::random(),
            region,
            vpc,
            label: label_as(tx, &self.label, Wording::of_group(kind))?,
            kind,
            inner_access: self.inner_access.unwrap_or(kind.is_open()),
            default: false,
        };
        check(&group)?;
        check_quota(tx, &group)?;
        let rules = template::rules_of(self.template, &group)?;
        tx.put(group.clone());
        put_each(tx, &group.id, rules);
        more_rules(tx, &group.id)?;
        Ok(group)
    }
}

/// Resolves the region and VPC of a new object.
pub(super) fn place(
    state: &State,
    wanted: &str,
    vpc: Option<&str>,
) -> Result<(String, Option<VpcId>), Refusal> {
    let Some(vpc) = vpc else { return Ok((region(wanted)?, None)) };
    let vpc: &Vpc = state.find_vpc(vpc)?;
    if !wanted.is_empty() && region(wanted)? != vpc.region {
        let hint = Some(vpc.region.clone());
        return Err(Refusal::NotFound {
            kind: super::Kind::Vpc,
            name: format!("{} in region {wanted}", vpc.id),
            hint,
        });
    }
    Ok((vpc.region.clone(), Some(vpc.id.clone())))
}

/// Checks that the fields of a group fit together.
pub(super) fn check(group: &Group) -> Result<(), Refusal> {
    match group.kind {
        kind if group.inner_access && !kind.is_open() => {
            Err(Refusal::EnterpriseInnerAccess { group: group.id.clone(), kind })
        }
        GroupType::Enterprise if group.vpc.is_none() => Err(Refusal::OtherNetwork {
            what: "an enterprise group".to_owned(),
            with: "the classic network".to_owned(),
            networks: "network types",
        }),
        GroupType::Basic | GroupType::Enterprise | GroupType::Closed => Ok(()),
    }
}

/// Checks how many groups the region of a new one has.
fn check_quota(state: &State, new: &Group) -> Result<(), Refusal> {
    let quotas = &state.settings().quotas;
    let is_closed = |group: &Group| group.kind == GroupType::Closed;
    let counts = |group: &&Arc<Group>| group.region == new.region && is_closed(group) == is_closed(new);
    let needed = 1 + state.groups().values().filter(counts).count() as u64;
    let (quota, allowed) = if is_closed(new) {
        (Quota::ClosedGroupsPerRegion, quotas.closed_groups_per_region)
    } else {
        (Quota::GroupsPerRegion, quotas.groups_per_region)
    };
    quota.check(format_args!("region {}", new.region), needed, allowed)
}

impl Operation for ModifyGroup {
    type Output = Group;

    fn run(&self, tx: &mut Tx) -> Result<Group, Refusal> {
        let mut group = Group::clone(tx.find_group(&self.group)?);
        if self.label.is_empty() && self.inner_access.is_none() {
            return Err(Refusal::NothingToChange);
        }
        if is_kept(&group) && self.label.name.as_ref().is_some_and(|name| *name != group.label.name) {
            return Err(Refusal::DefaultGroup { group: group.id, verb: "renamed" });
        }
        group.label = changed_as(tx, &group.label, &self.label, Wording::of_group(group.kind))?;
        group.inner_access = self.inner_access.unwrap_or(group.inner_access);
        check(&group)?;
        let group = tx.dated(group);
        tx.put(group.clone());
        Ok(group)
    }
}

impl Operation for DeleteGroups {
    type Output = Vec<GroupId>;

    fn run(&self, tx: &mut Tx) -> Result<Vec<GroupId>, Refusal> {
        let ids: Result<BTreeSet<GroupId>, Refusal> =
            self.groups.iter().map(|text| Ok(tx.find_group(text)?.id.clone())).collect();
        let ids = ids?;
        for group in &ids {
            if tx.group(group).is_some_and(|group| is_kept(group)) {
                return Err(Refusal::DefaultGroup { group: group.clone(), verb: "deleted" });
            }
            let nics = tx.nics_of(group).map(|nic| nic.id.to_string());
            let elsewhere = tx.members_of(group).map(|member| member.address.to_string());
            let members: Vec<String> = nics.chain(elsewhere).collect();
            if !members.is_empty() {
                return Err(Refusal::HasMembers { group: group.clone(), members });
            }
            let by = referencing(tx, group).filter(|by| !ids.contains(by));
            let by: BTreeSet<String> = by.map(|by| by.to_string()).collect();
            if !by.is_empty() {
                return Err(Refusal::Referenced { group: group.clone(), by: by.into_iter().collect() });
            }
        }
        for group in &ids {
            let rules: Vec<Key> = tx.rules_of(group).map(|rule| Key::Rule(rule.id.clone())).collect();
            for rule in rules {
                tx.delete(rule);
            }
            tx.delete(Key::Group(group.clone()));
        }
        Ok(ids.into_iter().collect())
    }
}

/// Whether a group stays as it is called: clients of its kind find the default group of a region by its name.
fn is_kept(group: &Group) -> bool {
    group.default && group.kind == GroupType::Closed
}

/// The groups other than `group` whose rules name it, once per such rule.
pub fn referencing(state: &State, group: &GroupId) -> impl Iterator<Item = GroupId> {
    state.rules_naming(group).map(|rule| rule.group.clone()).filter(move |by| by != group)
}

/// The default group of a region and VPC, which is created if there is none: basic and with inner access, or closed and of the region.
pub(super) fn default_group(
    tx: &mut Tx,
    region: &str,
    vpc: Option<&VpcId>,
    kind: GroupType,
) -> Result<GroupId, Refusal> {
    let vpc = match kind {
        GroupType::Basic => vpc,
        GroupType::Closed => None,
        GroupType::Enterprise => {
            let allowed = "basic or closed: there is no default group of type enterprise";
            return Err(Refusal::invalid(Field::DefaultType, kind, allowed));
        }
    };
    let here = |group: &Group| {
        group.default && group.kind == kind && group.region == region && group.vpc.as_ref() == vpc
    };
    if let Some(group) = tx.groups().values().find(|group| here(group)) {
        return Ok(group.id.clone());
    }
    let group = Group {
        id: GroupId::random(),
        region: region.to_owned(),
        vpc: vpc.cloned(),
        label: Label {
            name: "default".to_owned(),
            description: "made for NICs that were registered without a group".to_owned(),
            tags: std::collections::BTreeMap::new(),
            created: tx.now(),
            updated: tx.now(),
            owner: None,
        },
        kind,
        inner_access: kind.is_open(),
        default: true,
    };
    check_quota(tx, &group)?;
    let (id, rules) = (group.id.clone(), template::of_default(&group));
    tx.put(group);
    put_each(tx, &id, rules);
    more_rules(tx, &id)?;
    Ok(id)
}
