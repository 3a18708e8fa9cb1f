//! Queries: filters, pages, and the views of objects in responses. They are functions of a snapshot and must never change
//! anything.
//!
//! The APIs call them, without waiting for a writer.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use sg_api_types::{
    GroupQuery, GroupView, InstanceView, ListView, NicQuery, NicView, Page, PageRequest, Reference, RuleQuery,
};
use sg_records::{EntryList, Group, GroupId, Instance, Label, Nic, Rule, RuleId, Vpc, VpcId, uuid_of};
use utoipa::{IntoParams, ToSchema};

use super::{HostDevices, Refusal, State, StoredEntry, members};
use crate::paginate;

/// Selects objects by name, location, tags and owner. All given filters must match; absent ones match every object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Ids or names, separated by commas. In names, `*` matches any text.
    pub name: Option<String>,
    /// Region of the object.
    pub region: Option<String>,
    /// Id or name of the object's VPC, or `classic` for objects without a VPC.
    pub vpc: Option<String>,
    /// Tags, as `KEY` or `KEY=VALUE`, separated by commas. The object must have all of them.
    pub tag: Option<String>,
    /// Name of the applied document that owns the object.
    pub owner: Option<String>,
}

/// A filter with its names resolved.
struct Wanted<'a> {
    names: Vec<&'a str>,
    region: Option<&'a str>,
    /// `None`: any network. `Some(None)`: the classic network.
    #[expect(clippy::option_option, reason = "no wish, and the wish for no VPC, are two things")]
    vpc: Option<Option<VpcId>>,
    tags: Vec<(&'a str, Option<&'a str>)>,
    owner: Option<&'a str>,
}

impl Filter {
    fn wanted<'a>(&'a self, state: &State) -> Result<Wanted<'a>, Refusal> {
        let list = |text: &'a Option<String>| text.as_deref().into_iter().flat_map(|text| text.split(','));
        let vpc = match self.vpc.as_deref() {
            None => None,
            Some("classic") => Some(None),
            Some(vpc) => Some(Some(state.find_vpc(vpc)?.id.clone())),
        };
        let tag =
            |text: &'a str| text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        Ok(Wanted {
            names: list(&self.name).map(str::trim).filter(|name| !name.is_empty()).collect(),
            region: self.region.as_deref(),
            vpc,
            tags: list(&self.tag).map(tag).collect(),
            owner: self.owner.as_deref(),
        })
    }
}

impl Wanted<'_> {
    /// Whether an object matches. `vpc` is `None` for objects that are in no network.
    fn admits(&self, id: &str, label: &Label, region: &str, vpc: Option<&Option<VpcId>>) -> bool {
        let tagged = |(key, value): &(&str, Option<&str>)| {
            label.tags.get(*key).is_some_and(|found| value.is_none_or(|value| found == value))
        };
        (self.names.is_empty() || self.names.iter().any(|name| *name == id || alike(name, &label.name)))
            && self.region.is_none_or(|wanted| wanted == region)
            && self.vpc.as_ref().is_none_or(|wanted| vpc.is_none_or(|vpc| vpc == wanted))
            && self.tags.iter().all(tagged)
            && self.owner.is_none_or(|owner| label.owner.as_deref() == Some(owner))
    }
}

/// Whether `text` matches `pattern`, in which `*` matches any text.
fn alike(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

#[must_use]
pub fn group_view(state: &State, group: &Group) -> GroupView {
    let (allowed, there) = members(state, group);
    GroupView {
        group: group.clone(),
        uuid: uuid_of(&group.id),
        rules: state.rules_of(&group.id).count(),
        nics: state.nics_of(&group.id).count(),
        remote_members: state.members_of(&group.id).count(),
        room: allowed.saturating_sub(there),
    }
}

/// The groups that match.
///
/// # Errors
/// If a filter names an object that does not exist, or the page is invalid.
pub fn find_groups(
    state: &State,
    filter: &Filter,
    query: &GroupQuery,
    page: &PageRequest,
) -> Result<Page<GroupView>, Refusal> {
    let wanted = filter.wanted(state)?;
    let held = query.target.as_deref().map(|target| state.find_target(target)).transpose()?;
    let admits = |group: &&Arc<Group>| {
        wanted.admits(group.id.as_str(), &group.label, &group.region, Some(&group.vpc))
            && query.kind.is_none_or(|kind| group.kind == kind)
            && held.is_none_or(|nic| nic.groups.contains(&group.id))
    };
    let all = state.groups().values().filter(admits);
    paginate(all, |group| group.id.to_string(), |group| group_view(state, group), page)
}

/// The rules of a group, in the order of their creation. `wanted` decides beside the query: when a rule was used, which this crate
/// does not know.
///
/// # Errors
/// If there is no such group, or the page is invalid.
pub fn find_rules(
    state: &State,
    group: &str,
    query: &RuleQuery,
    wanted: impl Fn(&Rule) -> bool,
    page: &PageRequest,
) -> Result<Page<Rule>, Refusal> {
    let group = &state.find_group(group)?.id;
    let RuleQuery { direction, nic_type, unused: _ } = query;
    let admits = |rule: &&Arc<Rule>| {
        direction.is_none_or(|wanted| rule.direction == wanted)
            && nic_type.is_none_or(|wanted| rule.spec.nic_type == wanted)
            && wanted(rule)
    };
    // As texts of equal length, serials sort numerically.
    let place = |rule: &Arc<Rule>| format!("{:020}", rule.serial);
    paginate(state.rules_of(group).filter(admits), place, |rule| Rule::clone(rule), page)
}

/// The VPCs that match.
///
/// # Errors
/// If a filter names an object that does not exist, or the page is invalid.
pub fn find_vpcs(state: &State, filter: &Filter, page: &PageRequest) -> Result<Page<Vpc>, Refusal> {
    let wanted = filter.wanted(state)?;
    let admits = |vpc: &&Arc<Vpc>| wanted.admits(vpc.id.as_str(), &vpc.label, &vpc.region, None);
    paginate(state.vpcs().values().filter(admits), |vpc| vpc.id.to_string(), |vpc| Vpc::clone(vpc), page)
}

/// The NICs that match, those included that match by what their devices are.
///
/// # Errors
/// If a filter names an object that does not exist, or the page is invalid.
pub fn find_nics(
    state: &State,
    devices: &HostDevices,
    filter: &Filter,
    query: &NicQuery,
    page: &PageRequest,
) -> Result<Page<NicView>, Refusal> {
    let wanted = filter.wanted(state)?;
    let group = query.group.as_deref().map(|group| state.find_group(group)).transpose()?;
    let instance = query.instance.as_deref().map(|instance| state.find_instance(instance)).transpose()?;
    let admits = |nic: &&Arc<Nic>| {
        wanted.admits(nic.id.as_str(), &nic.label, &nic.region, Some(&nic.vpc))
            && group.is_none_or(|group| nic.groups.contains(&group.id))
            && instance.is_none_or(|instance| nic.instance.as_ref() == Some(&instance.id))
            && query.device.as_ref().is_none_or(|device| nic.device.as_ref() == Some(device))
            && query.address.is_none_or(|address| devices.addresses_of(nic).contains(&address))
            && query.local.is_none_or(|local| nic.device.is_some() == local)
    };
    paginate(state.nics().values().filter(admits), |nic| nic.id.to_string(), |nic| devices.view(nic), page)
}

/// The instances that match. With `group`: only those whose primary NIC holds it.
///
/// # Errors
/// If a filter names an object that does not exist, or the page is invalid.
pub fn find_instances(
    state: &State,
    devices: &HostDevices,
    filter: &Filter,
    group: Option<&str>,
    page: &PageRequest,
) -> Result<Page<InstanceView>, Refusal> {
    let wanted = filter.wanted(state)?;
    let group = group.map(|group| state.find_group(group)).transpose()?;
    let admits = |instance: &&Arc<Instance>| {
        let holds = |group: &Group| {
            let mut nics = state.nics_of_instance(&instance.id);
            nics.any(|nic| nic.primary && nic.groups.contains(&group.id))
        };
        wanted.admits(instance.id.as_str(), &instance.label, &instance.region, Some(&instance.vpc))
            && group.is_none_or(|group| holds(group))
    };
    let all = state.instances().values().filter(admits);
    let view = |instance: &Arc<Instance>| devices.instance_view(state, instance);
    paginate(all, |instance| instance.id.to_string(), view, page)
}

fn by_group<'a>(state: &State, rules: impl Iterator<Item = &'a Arc<Rule>>) -> Vec<Reference> {
    let mut groups: BTreeMap<&GroupId, Vec<RuleId>> = BTreeMap::new();
    for rule in rules {
        groups.entry(&rule.group).or_default().push(rule.id.clone());
    }
    let name = |group: &GroupId| state.group(group).map(|group| group.label.name.clone()).unwrap_or_default();
    groups
        .into_iter()
        .map(|(group, rules)| Reference { name: name(group), group: group.clone(), rules })
        .collect()
}

/// The other groups whose rules name a group.
///
/// # Errors
/// If there is no such group.
pub fn references(state: &State, group: &str) -> Result<Vec<Reference>, Refusal> {
    let group = &state.find_group(group)?.id;
    Ok(by_group(state, state.rules_naming(group).filter(|rule| rule.group != *group)))
}

/// The groups whose rules name a list.
///
/// # Errors
/// If there is no such list.
pub fn list_associations<E: StoredEntry>(state: &State, list: &str) -> Result<Vec<Reference>, Refusal> {
    Ok(by_group(state, state.rules_naming(&state.find_list::<E>(list)?.id)))
}

/// The lists that match.
///
/// # Errors
/// If a filter names an object that does not exist, or the page is invalid.
pub fn find_lists<E: StoredEntry>(
    state: &State,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<ListView<EntryList<E>>>, Refusal> {
    let wanted = filter.wanted(state)?;
    let admits = |list: &&Arc<EntryList<E>>| wanted.admits(list.id.as_ref(), &list.label, &list.region, None);
    let view = |list: &Arc<EntryList<E>>| ListView {
        list: EntryList::clone(list),
        uuid: uuid_of(&list.id),
        associations: by_group(state, state.rules_naming(&list.id)).len(),
    };
    paginate(E::lists(state).values().filter(admits), |list| list.id.to_string(), view, page)
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in
            [("web", "web"), ("*", ""), ("w*b", "web"), ("*e*", "web"), ("a*b*c", "a1b2c"), ("web*", "web-1")]
        {
            assert!(alike(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("web", "web1"), ("w*b", "wb1"), ("a*b*c", "acb"), ("", "x"), ("ab*ba", "aba")]
        {
            assert!(!alike(pattern, text), "{pattern} {text}");
        }
    }
}
