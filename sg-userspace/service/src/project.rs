//! Builds the policy of this host's NICs from a state.
//!
//! The policy has only what these NICs need: the rules of the groups that they hold, and the members of the groups that those
//! rules name. Names in it are ids. A group of the classic network becomes one model group for each network that its NICs face,
//! with the rules for that network; a closed group without a VPC becomes one for each VPC of NICs that hold it, with the members
//! there. The writer and the checks call it. It must never decide what a rule means.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use sg_model::{DeviceFacts, GroupIndex, Over, Policy, PolicyParts, PortListIndex, PrefixListIndex, Resolve};
use sg_records::{
    Direction, Group, GroupId, Ids, Nic, NicType, Order, PortListId, PrefixListId, Rule, RuleSpec, VpcId,
};
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
    /// A question about NICs in several VPCs names a group that has other members in each.
    #[error("closed group {group} has other members in each VPC: ask about one NIC")]
    SeveralVpcs {
        /// The group.
        group: GroupId,
    },
    /// The model refuses the policy, with this message.
    #[error("{0}")]
    Model(String),
}

/// What one model group has of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// All of it. Of a group of the classic network: what is for NICs that face the intranet. Of a closed group without a VPC: what
    /// is for NICs without one.
    Whole,
    /// What is for NICs that face the internet.
    Internet,
    /// What is for NICs in this VPC, of a closed group without one.
    Vpc(VpcId),
}

impl Part {
    /// The part of a group that is for a NIC.
    fn of(group: &Group, nic: &Nic) -> Self {
        match (&nic.vpc, nic.nic_type) {
            (Some(vpc), _) if group.is_regional() => Self::Vpc(vpc.clone()),
            (_, NicType::Internet) => Self::Internet,
            (_, NicType::Intranet) => Self::Whole,
        }
    }

    /// The part of another group that a rule means that is in this part of its group.
    fn named(&self, group: &Group) -> Self {
        match self {
            Self::Vpc(_) if group.is_regional() => self.clone(),
            Self::Whole | Self::Internet | Self::Vpc(_) => Self::Whole,
        }
    }

    /// The name that this part of a group has in a policy.
    fn name(&self, group: &GroupId) -> String {
        match self {
            Self::Whole => group.to_string(),
            Self::Internet => format!("{group}/internet"),
            Self::Vpc(vpc) => format!("{group}/{vpc}"),
        }
    }
}

/// The id of the group of which a model group with this name is a part.
#[must_use]
pub fn group_name(name: &str) -> &str {
    name.split_once('/').map_or(name, |(group, _)| group)
}

/// The group of which a model group with this name is a part.
#[must_use]
pub fn group_of(name: &str) -> GroupId {
    GroupId::from(group_name(name))
}

/// How the groups of a NIC combine: as its VPC says, and one after the other where a group belongs to no VPC, which therefore says
/// nothing of it.
#[must_use]
pub fn order_of(state: &State, nic: &Nic) -> Order {
    let mut groups = nic.groups.iter().filter_map(|id| state.group(id));
    if groups.any(|group| group.is_regional()) {
        return Order::Sequence;
    }
    nic.vpc.as_ref().and_then(|vpc| state.vpc(vpc)).map(|vpc| vpc.order).unwrap_or_default()
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
        for part in parts_of(state, id) {
            projection.hold(id, part)?;
        }
    }
    projection.fill()?;
    projection.members(|nic| nic.addresses.clone());
    Policy::new(projection.parts).map_err(|error| ProjectError::Model(error.to_string()))
}

/// The parts that a group has, of which there is one at least.
fn parts_of(state: &State, id: &GroupId) -> BTreeSet<Part> {
    match state.group(id) {
        Some(group) if group.is_regional() => {
            let held = state.nics_of(id).map(|nic| Part::of(group, nic)).collect::<BTreeSet<_>>();
            if held.is_empty() { [Part::Whole].into() } else { held }
        }
        // Only a classic network has NICs that face the internet.
        Some(group) if group.vpc.is_none() => [Part::Whole, Part::Internet].into(),
        _ => [Part::Whole].into(),
    }
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
        for id in &nic.groups {
            let group = state.group(id).ok_or_else(|| dangling("a NIC", "group", id))?;
            projection.hold(id, Part::of(group, nic))?;
        }
    }
    projection.fill()?;
    for nic in nics {
        projection.nic(nic);
    }
    let named = name(&mut Namer { projection: &mut projection, by: "what is asked", part: None });
    projection.members(of_member);
    let policy = Policy::new(projection.parts).map_err(|error| ProjectError::Model(error.to_string()))?;
    Ok((policy, named))
}

#[derive(Debug, Default)]
struct Indices {
    groups: BTreeMap<(GroupId, Part), GroupIndex>,
    /// Model groups whose rules are in the policy.
    held: Vec<(Arc<Group>, Part, GroupIndex)>,
    /// Model groups whose members are needed.
    named: Vec<(GroupId, Part)>,
    prefix_lists: BTreeMap<PrefixListId, PrefixListIndex>,
    port_lists: BTreeMap<PortListId, PortListIndex>,
}

struct Projection<'a> {
    state: &'a State,
    parts: PolicyParts,
    indices: Indices,
}

impl Projection<'_> {
    fn hold(&mut self, id: &GroupId, part: Part) -> Result<(), ProjectError> {
        if self.indices.groups.contains_key(&(id.clone(), part.clone())) {
            return Ok(());
        }
        let group = self.state.group(id).ok_or_else(|| dangling("a NIC", "group", id))?;
        // Members are known by their private addresses: facing the internet, nobody is a member.
        let inner_access = group.inner_access && part != Part::Internet;
        let index = self.group(group, &part, inner_access);
        if inner_access {
            self.indices.named.push((id.clone(), part.clone()));
        }
        self.indices.held.push((Arc::clone(group), part, index));
        Ok(())
    }

    fn group(&mut self, group: &Group, part: &Part, inner_access: bool) -> GroupIndex {
        let index = GroupIndex(self.parts.groups.len());
        self.parts.groups.push(sg_model::Group {
            name: part.name(&group.id),
            kind: group.kind,
            inner_access,
            description: None,
            ingress: Vec::new(),
            egress: Vec::new(),
        });
        self.indices.groups.insert((group.id.clone(), part.clone()), index);
        index
    }

    /// Adds the rules of the groups that NICs hold. Groups that only rules name get members and no rules.
    fn fill(&mut self) -> Result<(), ProjectError> {
        for (group, part, index) in self.indices.held.clone() {
            for rule in self.state.rules_of(&group.id) {
                let is_internet = rule.spec.nic_type == NicType::Internet;
                if group.vpc.is_none() && is_internet != (part == Part::Internet) {
                    continue;
                }
                let model = self.rule(rule, &part)?;
                let Some(group) = self.parts.groups.get_mut(index.0) else { continue };
                match rule.direction {
                    Direction::Ingress => group.ingress.push(model),
                    Direction::Egress => group.egress.push(model),
                }
            }
        }
        Ok(())
    }

    fn rule(&mut self, rule: &Rule, part: &Part) -> Result<sg_model::Rule, ProjectError> {
        let Rule { id, group: _, direction: _, serial: _, created: _, updated: _, spec } = rule;
        let RuleSpec { action, priority, matches, nic_type: _, enabled, name: _, description: _ } = spec;
        let wrong = |reason| ProjectError::Rule { rule: id.to_string(), reason };
        Ok(sg_model::Rule {
            id: id.to_string(),
            enabled: *enabled,
            action: *action,
            priority: sg_model::Priority::new(*priority)
                .ok_or_else(|| wrong("its priority is not 1 to 100"))?,
            matches: matches.try_map(&mut Namer {
                projection: self,
                by: id.as_str(),
                part: Some(part.clone()),
            })?,
            description: None,
        })
    }

    fn nic(&mut self, nic: &Nic) {
        let vpc = nic.vpc.as_ref().and_then(|vpc| self.state.vpc(vpc));
        let held = nic.groups.iter().filter_map(|id| {
            let part = Part::of(self.state.group(id)?, nic);
            self.indices.groups.get(&(id.clone(), part)).copied()
        });
        let groups = held.collect();
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
            precedence: order_of(self.state, nic).into(),
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
        for named in &self.indices.named {
            let (id, part) = named;
            let Some(index) = self.indices.groups.get(named) else { continue };
            let Some(group) = self.state.group(id) else { continue };
            let nics = self.state.nics_of(id).filter(|nic| Part::of(group, nic) == *part);
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
    /// The part of a group whose rule names it, or for which NICs a question is. `None`: for NICs in several VPCs.
    part: Option<Part>,
}

impl Namer<'_, '_> {
    /// From now on, groups are named for these NICs.
    pub fn stand_at(&mut self, over: &Over) {
        let Projection { state, parts: _, indices } = &*self.projection;
        let of_nic = |nic: &Arc<Nic>| nic.vpc.clone().map_or(Part::Whole, Part::Vpc);
        self.part = match over {
            // Of a NIC that is gone, no packet is, whoever the members are.
            Over::Device(device) => Some(state.nic_of_device(device).map_or(Part::Whole, of_nic)),
            Over::Group(group) => {
                let held = indices.held.iter().find(|(.., index)| index == group);
                held.and_then(|(_, part, index)| match part {
                    Part::Vpc(_) => Some(part.clone()),
                    Part::Whole | Part::Internet => {
                        let holds = |nic: &sg_model::Nic| nic.groups.contains(index);
                        let device = self.projection.parts.nics.iter().find(|nic| holds(nic))?;
                        state.nic_of_device(&device.device).map(of_nic)
                    }
                })
            }
            Over::Every => {
                let all: BTreeSet<Part> = state.local_nics().map(of_nic).collect();
                all.first().filter(|_| all.len() == 1).cloned()
            }
        };
    }

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
        let group = self.projection.state.group(id).ok_or_else(|| dangling(self.by, "group", id))?;
        let part = match &self.part {
            Some(part) => part.named(group),
            None if group.is_regional() => return Err(ProjectError::SeveralVpcs { group: id.clone() }),
            None => Part::Whole,
        };
        let named = (id.clone(), part.clone());
        let known = self.projection.indices.groups.get(&named).copied();
        self.projection.indices.named.push(named);
        Ok(known.unwrap_or_else(|| self.projection.group(group, &part, false)))
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
