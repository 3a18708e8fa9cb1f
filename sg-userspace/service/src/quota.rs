//! Quotas: how rules, references and members count, and whether a quota is exceeded.
//!
//! They are checked after an operation has run, and an operation that exceeds one is rolled back. Called by operations. It must
//! never change anything.

use std::{collections::HashMap, fmt, sync::Arc};

use sg_model::{Named, OnlyFamily};
use sg_records::{
    Direction, Group, GroupId, GroupType, Match, Nic, Ports, PrefixListId, Quotas, Remote, Rule,
};

use super::{Quota, Refusal, State};

/// The number of rules that a rule counts as. A list in it counts as the maximum number of its entries; several are multiplied.
#[must_use]
pub fn weight(state: &State, rule: &Rule) -> u64 {
    let entries = |named| match named {
        Named::Group(_) => 1,
        Named::PrefixList(list) => state.prefix_list(list).map_or(1, |list| u64::from(list.max_entries)),
        Named::PortList(list) => state.port_list(list).map_or(1, |list| u64::from(list.max_entries)),
    };
    rule.spec.matches.named().map(entries).product()
}

/// The number of rules that a group counts as, in both directions.
#[must_use]
pub fn group_weight(state: &State, group: &GroupId) -> u64 {
    state.rules_of(group).map(|rule| weight(state, rule)).sum()
}

/// The quota of groups of a type on one NIC, and its value.
pub(super) const fn groups_per_nic(quotas: &Quotas, kind: GroupType) -> (Quota, u32) {
    match kind {
        GroupType::Basic | GroupType::Enterprise => (Quota::GroupsPerNic, quotas.groups_per_nic),
        GroupType::Closed => (Quota::ClosedGroupsPerNic, quotas.closed_groups_per_nic),
    }
}

/// What the rules of a group count as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    rules: u64,
    /// Those that stand for many, if the group is closed: by direction and family, in the order of their `ALL`.
    composite: [[u64; OnlyFamily::ALL.len()]; Direction::ALL.len()],
}

/// What groups count as that were already counted in one state.
pub(super) type Weights = HashMap<GroupId, Weight>;

/// Checks the quotas of a group that got more rules: of every NIC that holds it, and of its region if it is closed.
pub(super) fn more_rules(state: &State, group: &GroupId) -> Result<(), Refusal> {
    if let Some(group) = state.group(group).filter(|group| group.kind == GroupType::Closed) {
        rules_of_region(state, &group.region)?;
    }
    rules_of_nics(state, group)
}

/// Checks the rule quota of every NIC that holds `group`.
pub(super) fn rules_of_nics(state: &State, group: &GroupId) -> Result<(), Refusal> {
    let mut weights = HashMap::new();
    state.nics_of(group).try_for_each(|nic| rules_of_nic(state, nic, &mut weights))
}

/// Checks the rule quota of a NIC. `weights` caches the groups that were already counted.
pub(super) fn rules_of_nic(state: &State, nic: &Nic, weights: &mut Weights) -> Result<(), Refusal> {
    let quotas = &state.settings().quotas;
    let weigh = |group: &GroupId| *weights.entry(group.clone()).or_insert_with(|| Weight::of(state, group));
    let weights: Vec<Weight> = nic.groups.iter().map(weigh).collect();
    let needed = weights.iter().map(|weight| weight.rules).sum();
    Quota::RulesPerNic.check(state.called_nic(nic), needed, quotas.rules_per_nic)?;
    for (at, direction) in Direction::ALL.into_iter().enumerate() {
        for (of, family) in OnlyFamily::ALL.into_iter().enumerate() {
            let counted = weights.iter().filter_map(|weight| weight.composite.get(at)?.get(of));
            let what = fmt::from_fn(|f| write!(f, "{}, {direction} {family},", state.called_nic(nic)));
            Quota::CompositeRulesPerNic.check(what, counted.sum(), quotas.composite_rules_per_nic)?;
        }
    }
    Ok(())
}

impl Weight {
    fn of(state: &State, group: &GroupId) -> Self {
        let rules = group_weight(state, group);
        let is_closed = state.group(group).is_some_and(|group| group.kind == GroupType::Closed);
        let all = state.rules_of(group).filter(|rule| rule.spec.enabled && stands_for_many(rule));
        let many: Vec<&Arc<Rule>> = all.filter(|_| is_closed).collect();
        let composite = Direction::ALL.map(|direction| {
            OnlyFamily::ALL.map(|family| {
                let of_list = |list: &PrefixListId| state.prefix_list(list)?.extra.family.map(Into::into);
                let counts = |rule: &&&Arc<Rule>| {
                    let only = rule.spec.matches.only_family(of_list);
                    rule.direction == direction && only.is_none_or(|only| only == family.family())
                };
                many.iter().filter(counts).count() as u64
            })
        });
        Self { rules, composite }
    }
}

/// Whether a rule stands for many: it names a group or a list, or has several port ranges.
fn stands_for_many(rule: &Rule) -> bool {
    let Match { ports, source_ports, .. } = &rule.spec.matches;
    let several = |ports: &Ports| matches!(ports, Ports::Ranges(ranges) if ranges.len() > 1);
    rule.spec.matches.named().next().is_some() || several(ports) || several(source_ports)
}

/// How many closed groups a region has, and how many rules they have.
pub(super) fn closed_of_region(state: &State, region: &str) -> (u64, u64) {
    let closed = |group: &&Arc<Group>| group.kind == GroupType::Closed && group.region == region;
    let rules = state.groups().values().filter(closed).map(|group| state.rules_of(&group.id).count() as u64);
    rules.fold((0, 0), |(groups, all), rules| (groups + 1, all + rules))
}

/// Checks how many rules the closed groups of a region have.
fn rules_of_region(state: &State, region: &str) -> Result<(), Refusal> {
    let (_, needed) = closed_of_region(state, region);
    let allowed = state.settings().quotas.closed_rules_per_region;
    Quota::ClosedRulesPerRegion.check(format_args!("region {region}"), needed, allowed)
}

/// Checks the quotas of closed groups of a region that had fewer `before`, and of their rules.
pub(super) fn more_closed(state: &State, region: &str, before: (u64, u64)) -> Result<(), Refusal> {
    let (groups, rules) = closed_of_region(state, region);
    if groups > before.0 {
        let allowed = state.settings().quotas.closed_groups_per_region;
        Quota::ClosedGroupsPerRegion.check(format_args!("region {region}"), groups, allowed)?;
    }
    if rules > before.1 { rules_of_region(state, region) } else { Ok(()) }
}

/// Checks how many rules of a group name a group. Those of a closed group count on each NIC.
pub(super) fn group_references(state: &State, group: &Group) -> Result<(), Refusal> {
    if group.kind == GroupType::Closed {
        return Ok(());
    }
    let allowed = state.settings().quotas.group_references_per_group;
    let names_group = |rule: &Rule| matches!(rule.spec.matches.remote, Remote::Group(_));
    let needed = state.rules_of(&group.id).filter(|rule| names_group(rule)).count() as u64;
    Quota::GroupReferences.check(state.called_group(group), needed, allowed)
}

/// The maximum and the current number of members of a group. In a basic group the addresses of NICs count, in the others the
/// NICs; addresses on other hosts count in both.
#[must_use]
pub fn members(state: &State, group: &Group) -> (u64, u64) {
    let quotas = &state.settings().quotas;
    let elsewhere = state.members_of(&group.id).count();
    let (allowed, nics) = match group.kind {
        GroupType::Basic => {
            let addresses = state.nics_of(&group.id).map(|nic| nic.addresses.len().max(1));
            (quotas.members_per_basic_group, addresses.sum::<usize>())
        }
        GroupType::Enterprise => (quotas.members_per_enterprise_group, state.nics_of(&group.id).count()),
        GroupType::Closed => (quotas.members_per_closed_group, state.nics_of(&group.id).count()),
    };
    (u64::from(allowed), (nics + elsewhere) as u64)
}

/// Checks the member quota of a group.
pub(super) fn members_of_group(state: &State, group: &Group) -> Result<(), Refusal> {
    let (allowed, needed) = members(state, group);
    let quota = match group.kind {
        GroupType::Basic | GroupType::Enterprise => Quota::MembersPerGroup,
        GroupType::Closed => Quota::MembersPerClosedGroup,
    };
    quota.check(state.called_group(group), needed, allowed)
}
