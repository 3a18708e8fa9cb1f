//! Operations on groups, and the default group for NICs that are registered without one.
//!
//! This file never changes which NICs hold a group: `membership` does. Every API calls it through `Service`.

use std::collections::BTreeSet;

use sg_api_types::{CreateGroup, DeleteGroups, ModifyGroup};
use sg_records::{
    Direction, Group, GroupId, GroupType, Id as _, Label, Match, Ports, Protocol, Remote, RuleSpec, Vpc,
    VpcId, net,
};
use sg_store::Key;

use super::{
    Operation, Quota, Refusal, State, Tx,
    labels::{changed, label, region},
    rules::put_rules,
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
            label: label(tx, &self.label)?,
            kind,
            inner_access: self.inner_access.unwrap_or(kind == GroupType::Basic),
            default: false,
        };
        check(&group)?;
        check_quota(tx, &group.region)?;
        tx.put(group.clone());
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
        GroupType::Enterprise if group.inner_access => {
            Err(Refusal::EnterpriseInnerAccess { group: group.id.clone() })
        }
        GroupType::Enterprise if group.vpc.is_none() => Err(Refusal::OtherNetwork {
            what: "an enterprise group".to_owned(),
            with: "the classic network".to_owned(),
            networks: "network types",
        }),
        GroupType::Basic | GroupType::Enterprise => Ok(()),
    }
}

fn check_quota(state: &State, region: &str) -> Result<(), Refusal> {
    let needed = 1 + state.groups().values().filter(|group| group.region == region).count() as u64;
    let allowed = state.settings().quotas.groups_per_region;
    Quota::GroupsPerRegion.check(format_args!("region {region}"), needed, allowed)
}

impl Operation for ModifyGroup {
    type Output = Group;

    fn run(&self, tx: &mut Tx) -> Result<Group, Refusal> {
        let mut group = Group::clone(tx.find_group(&self.group)?);
        if self.label.is_empty() && self.inner_access.is_none() {
            return Err(Refusal::NothingToChange);
        }
        group.label = changed(tx, &group.label, &self.label)?;
        group.inner_access = self.inner_access.unwrap_or(group.inner_access);
        check(&group)?;
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

/// The groups other than `group` whose rules name it, once per such rule.
pub fn referencing(state: &State, group: &GroupId) -> impl Iterator<Item = GroupId> {
    state.rules_naming(group).map(|rule| rule.group.clone()).filter(move |by| by != group)
}

/// The default group of a region and VPC, which is created if there is none: a basic group with inner access, and with rules that
/// accept SSH, RDP and ping from everywhere at the lowest priority.
pub(super) fn default_group(tx: &mut Tx, region: &str, vpc: Option<&VpcId>) -> Result<GroupId, Refusal> {
    let here = |group: &Group| group.default && group.region == region && group.vpc.as_ref() == vpc;
    if let Some(group) = tx.groups().values().find(|group| here(group)) {
        return Ok(group.id.clone());
    }
    check_quota(tx, region)?;
    let group = Group {
        id: GroupId::random(),
        region: region.to_owned(),
        vpc: vpc.cloned(),
        label: Label {
            name: "default".to_owned(),
            description: "made for NICs that were registered without a group".to_owned(),
            tags: std::collections::BTreeMap::new(),
            created: tx.now(),
            owner: None,
        },
        kind: GroupType::Basic,
        inner_access: true,
        default: true,
    };
    let id = group.id.clone();
    tx.put(group);
    let everyone = net("0.0.0.0/0").map_or(Remote::Any, Remote::Net);
    let rule = |number: u8, port: Option<u16>| RuleSpec {
        priority: sg_model::Priority::LAST.get(),
        matches: Match {
            ports: port
                .and_then(|port| sg_model::PortRange::new(port, port))
                .map_or(Ports::Any, |range| Ports::Ranges(vec![range])),
            remote: everyone.clone(),
            ..Match::of(Protocol::Number(number))
        },
        ..RuleSpec::accept(Protocol::Number(number))
    };
    let specs = [rule(6, Some(22)), rule(6, Some(3389)), rule(1, None)];
    put_rules(tx, &id, Direction::Ingress, specs.into_iter().collect());
    Ok(id)
}
