//! Builds the policy of this host's NICs from a state.
//!
//! The policy has only what these NICs need: the rules of the groups that they hold, and the members of the groups that those
//! rules name. Names in it are ids. A group of the classic network becomes one model group for each network that its NICs face,
//! with the rules for that network. The writer and the checks call it. It must never decide what a rule means.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use sg_model::{DeviceFacts, GroupIndex, Policy, PolicyParts, PortListIndex, PrefixListIndex, Resolve};
use sg_records::{Direction, Group, GroupId, Ids, Nic, NicType, PortListId, PrefixListId, Rule, RuleSpec};
use thiserror::Error;

use super::State;

/// Why a state does not form a policy. Operations prevent this.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProjectError {
    /// A reference to an object that does not exist.
    #[error("{what} {id} is named by {by} and does not exist")]
    Dangling {
        /// The kind of the object.
        what: &'static str,
        /// The id of the object.
        id: String,
        /// The object that refers to it.
        by: String,
    },
    /// A rule whose fields do not fit together.
    #[error("{rule}: {reason}")]
    Rule {
        rule: String,
        /// What does not fit.
        reason: &'static str,
    },
    /// The model refuses the policy, with this message.
    #[error("{0}")]
    Model(String),
}

/// The suffix of the model group for NICs that face the internet.
const INTERNET: &str = "/internet";

/// The name that a group has in a policy, for NICs that face `network`.
#[must_use]
pub fn model_name(group: &GroupId, network: NicType) -> String {
    match network {
        NicType::Intranet => group.to_string(),
        NicType::Internet => format!("{group}{INTERNET}"),
    }
}

/// The group of a model group's name; the inverse of [`model_name`].
#[must_use]
pub fn group_of(name: &str) -> GroupId {
    GroupId::from(name.strip_suffix(INTERNET).unwrap_or(name))
}

/// The name of a NIC in a policy: its device, or its id if it is on another host.
#[must_use]
pub fn device_of(nic: &Nic) -> String {
    nic.device.clone().unwrap_or_else(|| nic.id.to_string())
}

/// The policy of this host's NICs.
///
/// # Errors
/// If no operation could have produced the state.
pub fn policy(state: &State) -> Result<Policy, ProjectError> {
    let nics: Vec<&Arc<Nic>> = state.local_nics().collect();
    // Members in the policy count by themselves, with the addresses of their devices.
    policy_of(state, &nics, elsewhere, |_| ()).map(|(policy, ())| policy)
}

/// The policy of this host's NICs, with what else `name` finds by name.
///
/// # Errors
/// Like [`policy`].
pub fn policy_with<T>(
    state: &State,
    name: impl FnOnce(&mut Namer<'_, '_>) -> T,
) -> Result<(Policy, T), ProjectError> {
    let nics: Vec<&Arc<Nic>> = state.local_nics().collect();
    policy_of(state, &nics, elsewhere, name)
}

/// The addresses of a NIC that is not in the policy of this host.
fn elsewhere(nic: &Nic) -> Vec<IpAddr> {
    if nic.device.is_some() { Vec::new() } else { nic.addresses.clone() }
}

/// The policy of one NIC, on any host. `facts` returns the facts about a device of this host.
///
/// # Errors
/// Like [`policy`].
pub fn policy_for(
    state: &State,
    nic: &Arc<Nic>,
    facts: impl Fn(&str) -> DeviceFacts,
) -> Result<Policy, ProjectError> {
    let of_member = |member: &Nic| match &member.device {
        _ if member.id == nic.id => Vec::new(),
        Some(device) if member.addresses.is_empty() => facts(device).addresses,
        _ => member.addresses.clone(),
    };
    let (mut policy, ()) = policy_of(state, &[nic], of_member, |_| ())?;
    policy.set_device_facts(&facts);
    Ok(policy)
}

/// The policy of groups without NICs, whose members have the addresses that the state knows.
///
/// # Errors
/// Like [`policy`].
pub(super) fn policy_of_groups(state: &State, groups: &[&GroupId]) -> Result<Policy, ProjectError> {
    let mut projection = Projection { state, parts: PolicyParts::default(), indices: Indices::default() };
    for id in groups {
        projection.hold(id, NicType::Intranet)?;
        // Only a classic network has NICs that face the internet.
        if state.group(id).is_some_and(|group| group.vpc.is_none()) {
            projection.hold(id, NicType::Internet)?;
        }
    }
    projection.fill()?;
    projection.members(|nic| nic.addresses.clone());
    Policy::new(projection.parts).map_err(|error| ProjectError::Model(error.to_string()))
}

/// `of_member` returns the addresses by which a NIC is a member of its groups, in addition to those that it has in the policy.
fn policy_of<T>(
    state: &State,
    nics: &[&Arc<Nic>],
    of_member: impl Fn(&Nic) -> Vec<IpAddr>,
    name: impl FnOnce(&mut Namer<'_, '_>) -> T,
) -> Result<(Policy, T), ProjectError> {
    let mut projection = Projection { state, parts: PolicyParts::default(), indices: Indices::default() };
    for nic in nics {
        for group in &nic.groups {
            projection.hold(group, nic.nic_type)?;
        }
    }
    projection.fill()?;
    for nic in nics {
        projection.nic(nic);
    }
    let named = name(&mut Namer { projection: &mut projection, by: "what is asked" });
    projection.members(of_member);
    let policy = Policy::new(projection.parts).map_err(|error| ProjectError::Model(error.to_string()))?;
    Ok((policy, named))
}

#[derive(Debug, Default)]
struct Indices {
    groups: BTreeMap<(GroupId, NicType), GroupIndex>,
    /// Model groups whose rules are in the policy.
    held: Vec<(Arc<Group>, NicType, GroupIndex)>,
    /// Groups whose members are needed.
    named: Vec<GroupId>,
    prefix_lists: BTreeMap<PrefixListId, PrefixListIndex>,
    port_lists: BTreeMap<PortListId, PortListIndex>,
}

struct Projection<'a> {
    state: &'a State,
    parts: PolicyParts,
    indices: Indices,
}

impl Projection<'_> {
    fn hold(&mut self, id: &GroupId, network: NicType) -> Result<(), ProjectError> {
        if self.indices.groups.contains_key(&(id.clone(), network)) {
            return Ok(());
        }
        let group = self.state.group(id).ok_or_else(|| dangling("a NIC", "group", id))?;
        // Members are known by their private addresses: facing the internet, nobody is a member.
        let inner_access = group.inner_access && network == NicType::Intranet;
        let index = self.group(group, network, inner_access);
        if inner_access {
            self.indices.named.push(id.clone());
        }
        self.indices.held.push((Arc::clone(group), network, index));
        Ok(())
    }

    fn group(&mut self, group: &Group, network: NicType, inner_access: bool) -> GroupIndex {
        let index = GroupIndex(self.parts.groups.len());
        self.parts.groups.push(sg_model::Group {
            name: model_name(&group.id, network),
            kind: group.kind,
            inner_access,
            description: None,
            ingress: Vec::new(),
            egress: Vec::new(),
        });
        self.indices.groups.insert((group.id.clone(), network), index);
        index
    }

    /// Adds the rules of the groups that NICs hold. Groups that only rules name get members and no rules.
    fn fill(&mut self) -> Result<(), ProjectError> {
        for (group, network, index) in self.indices.held.clone() {
            for rule in self.state.rules_of(&group.id) {
                if group.vpc.is_none() && rule.spec.nic_type != network {
                    continue;
                }
                let model = self.rule(rule)?;
                let Some(group) = self.parts.groups.get_mut(index.0) else { continue };
                match rule.direction {
                    Direction::Ingress => group.ingress.push(model),
                    Direction::Egress => group.egress.push(model),
                }
            }
        }
        Ok(())
    }

    fn rule(&mut self, rule: &Rule) -> Result<sg_model::Rule, ProjectError> {
        let Rule { id, group: _, direction: _, serial: _, created: _, spec } = rule;
        let RuleSpec { action, priority, matches, nic_type: _, enabled, name: _, description: _ } = spec;
        let wrong = |reason| ProjectError::Rule { rule: id.to_string(), reason };
        Ok(sg_model::Rule {
            id: id.to_string(),
            enabled: *enabled,
            action: *action,
            priority: sg_model::Priority::new(*priority)
                .ok_or_else(|| wrong("its priority is not 1 to 100"))?,
            matches: matches.try_map(&mut Namer { projection: self, by: id.as_str() })?,
            description: None,
        })
    }

    fn nic(&mut self, nic: &Nic) {
        let vpc = nic.vpc.as_ref().and_then(|vpc| self.state.vpc(vpc));
        let groups = nic.groups.iter();
        let groups =
            groups.filter_map(|id| self.indices.groups.get(&(id.clone(), nic.nic_type))).copied().collect();
        self.parts.nics.push(sg_model::Nic {
            device: device_of(nic),
            role: nic.role,
            addresses: nic.addresses.clone(),
            addresses_from_device: nic.addresses.is_empty(),
            device_facts: DeviceFacts::default(),
            anti_spoofing_written: nic.anti_spoofing,
            dhcp_servers: nic.dhcp_servers.clone(),
            accept_own_source: nic.accept_own_source,
            senders: nic.senders.clone(),
            hook: nic.hook,
            ipsec_written: nic.ipsec,
            ethertypes: nic.ethertypes.clone(),
            precedence: vpc.map(|vpc| vpc.order).unwrap_or_default().into(),
            established: vpc.map(|vpc| vpc.established).unwrap_or_default(),
            mid_stream: vpc.map(|vpc| vpc.mid_stream).unwrap_or_default(),
            takeover: vpc.map(|vpc| vpc.takeover).unwrap_or_default(),
            default: vpc.map(|vpc| vpc.default).unwrap_or_default(),
            groups,
        });
    }

    /// Adds members that are not NICs of the policy, for the groups that need them.
    fn members(&mut self, of_member: impl Fn(&Nic) -> Vec<IpAddr>) {
        self.indices.named.sort_unstable();
        self.indices.named.dedup();
        for id in &self.indices.named {
            let Some(index) = self.indices.groups.get(&(id.clone(), NicType::Intranet)) else { continue };
            let nics = self.state.nics_of(id).filter(|nic| nic.nic_type == NicType::Intranet);
            let addresses: Vec<IpAddr> = nics
                .flat_map(|nic| of_member(nic))
                .chain(self.state.members_of(id).map(|member| member.address))
                .collect();
            self.parts.members.insert(*index, addresses);
        }
    }
}

/// Finds the positions in the policy of what a rule or a question names, and adds what is not there yet.
pub struct Namer<'p, 'a> {
    projection: &'p mut Projection<'a>,
    /// Who names it.
    by: &'p str,
}

impl Namer<'_, '_> {
    /// The groups of the policy that NICs hold by holding this one.
    ///
    /// # Errors
    /// If there is no such group.
    pub fn held(&mut self, id: &GroupId) -> Result<Vec<GroupIndex>, ProjectError> {
        let Projection { state, parts: _, indices } = &*self.projection;
        state.group(id).ok_or_else(|| dangling(self.by, "group", id))?;
        Ok(indices.held.iter().filter(|(group, ..)| group.id == *id).map(|(.., index)| *index).collect())
    }
}

impl fmt::Debug for Namer<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namer").field("by", &self.by).finish_non_exhaustive()
    }
}

fn dangling(by: &str, what: &'static str, id: &impl ToString) -> ProjectError {
    ProjectError::Dangling { what, id: id.to_string(), by: by.to_owned() }
}

impl Resolve<Ids, sg_model::Indices> for Namer<'_, '_> {
    type Error = ProjectError;

    fn group(&mut self, id: &GroupId) -> Result<GroupIndex, ProjectError> {
        self.projection.indices.named.push(id.clone());
        if let Some(index) = self.projection.indices.groups.get(&(id.clone(), NicType::Intranet)) {
            return Ok(*index);
        }
        let group = self.projection.state.group(id).ok_or_else(|| dangling(self.by, "group", id))?;
        Ok(self.projection.group(group, NicType::Intranet, false))
    }

    fn prefix_list(&mut self, id: &PrefixListId) -> Result<PrefixListIndex, ProjectError> {
        let Projection { state, parts, indices } = &mut *self.projection;
        if let Some(index) = indices.prefix_lists.get(id) {
            return Ok(*index);
        }
        let list = state.prefix_list(id).ok_or_else(|| dangling(self.by, "prefix list", id))?;
        let index = PrefixListIndex(parts.prefix_lists.len());
        let prefixes = list.entries.iter().map(|entry| entry.addresses).collect();
        parts.prefix_lists.push((id.to_string(), prefixes));
        indices.prefix_lists.insert(id.clone(), index);
        Ok(index)
    }

    fn port_list(&mut self, id: &PortListId) -> Result<PortListIndex, ProjectError> {
        let Projection { state, parts, indices } = &mut *self.projection;
        if let Some(index) = indices.port_lists.get(id) {
            return Ok(*index);
        }
        let list = state.port_list(id).ok_or_else(|| dangling(self.by, "port list", id))?;
        let index = PortListIndex(parts.port_lists.len());
        let ranges = list.entries.iter().flat_map(|entry| entry.ports.ranges()).copied().collect();
        parts.port_lists.push((id.to_string(), ranges));
        indices.port_lists.insert(id.clone(), index);
        Ok(index)
    }
}
