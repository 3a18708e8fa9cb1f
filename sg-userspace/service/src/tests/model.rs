//! Random operations, run by the service and by a model that is as simple as possible: results, refusals and the resulting
//! verdicts are the same.

#![expect(
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "one table of operations, each in a few lines"
)]

use std::net::{IpAddr, Ipv4Addr};

use proptest::{collection::vec, prelude::*};
use sg_oracle::Oracle;
use sg_probe::{Probe, ProbeParts};
use sg_records::{
    Action, Direction, Family, GroupId, GroupType, Order, PrefixEntry, PrefixListId, Remote, RuleId, RuleSpec,
};

use super::{World, tcp, with};
use crate::{
    ChangeMembers, CreateGroup, CreatePrefixList, CreateVpc, DeleteGroups, DeletePrefixLists, Join, Leave,
    ModifyGroup, ModifyPrefixList, ModifyQuotas, ModifyRule, Move, MoveGroup, NewLabel, Refusal, RegisterNic,
    RemoveNics, Revoke, SetGroups, policy_for,
};

const GROUPS: usize = 6;
const NICS: usize = 4;
const LISTS: usize = 2;
const GROUPS_PER_NIC: usize = 3;
const RULES_PER_NIC: u64 = 8;
const MEMBERS: usize = 4;
const REFERENCES: usize = 2;

/// An operation; objects are numbers: groups `g0`…, NICs at `10.0.0.1`…, lists `l0`…. Even groups and NICs are in VPC 0, where
/// the order is merged, odd ones in VPC 1, where it is group by group.
#[derive(Clone, Debug)]
pub(super) enum Op {
    CreateGroup { group: usize, enterprise: bool },
    DeleteGroups(Vec<usize>),
    InnerAccess(usize, bool),
    Authorize { group: usize, ingress: bool, rule: MRule },
    Priority { rule: usize, priority: u8 },
    Revoke(usize),
    Register(usize, Vec<usize>),
    Remove(usize),
    Join(usize, Vec<usize>),
    Leave(usize, Vec<usize>),
    Set(usize, Vec<usize>),
    MoveUp(usize, usize),
    AddMember(usize, u8),
    RemoveMember(usize, u8),
    CreateList { list: usize, max: u32, prefixes: Vec<u8> },
    AddPrefix(usize, u8),
    RemovePrefix(usize, u8),
    DeleteList(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MRule {
    drop: bool,
    priority: u8,
    port: u16,
    remote: MRemote,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum MRemote {
    Any,
    /// 10.0.0.0/24 with N, 10.0.N.0/24.
    Net(u8),
    Group(usize),
    List(usize),
}

#[derive(Debug, Default)]
struct Model {
    groups: Vec<Option<MGroup>>,
    nics: Vec<Option<Vec<usize>>>,
    lists: Vec<Option<(u32, Vec<u8>)>>,
    rules: Vec<PlacedRule>,
}

#[derive(Debug)]
struct MGroup {
    enterprise: bool,
    inner: bool,
    members: Vec<u8>,
}

#[derive(Clone, Debug)]
struct PlacedRule {
    id: RuleId,
    group: usize,
    ingress: bool,
    rule: MRule,
}

fn vpc(number: usize) -> usize {
    number % 2
}

impl Model {
    fn new() -> Self {
        Self {
            groups: (0..GROUPS).map(|_| None).collect(),
            nics: vec![None; NICS],
            lists: vec![None; LISTS],
            rules: Vec::new(),
        }
    }

    fn weight(&self, group: usize) -> u64 {
        let one = |rule: &PlacedRule| match rule.rule.remote {
            MRemote::List(list) => self.lists[list].as_ref().map_or(1, |list| u64::from(list.0)),
            _ => 1,
        };
        self.rules.iter().filter(|rule| rule.group == group).map(one).sum()
    }

    fn size(&self, group: usize) -> usize {
        let nics = self.nics.iter().flatten().filter(|groups| groups.contains(&group)).count();
        nics + self.groups[group].as_ref().map_or(0, |group| group.members.len())
    }

    /// Why NIC `nic` could not hold `wanted` after `before`.
    fn cannot_hold(&self, nic: usize, before: &[usize], wanted: &[usize]) -> Vec<&'static str> {
        let mut why = Vec::new();
        if wanted.is_empty() {
            why.push("missing");
        }
        if wanted.len() > GROUPS_PER_NIC {
            why.push("groups-per-nic");
        }
        for (place, &group) in wanted.iter().enumerate() {
            let Some(there) = &self.groups[group] else {
                why.push("not-found");
                continue;
            };
            if wanted[..place].contains(&group) {
                why.push("invalid");
            }
            if vpc(group) != vpc(nic) {
                why.push("other-vpc");
            }
            let first = wanted.iter().find_map(|&first| self.groups[first].as_ref());
            if first.is_some_and(|first| first.enterprise != there.enterprise) {
                why.push("mixed-types");
            }
            if !before.contains(&group) && self.size(group) + 1 > MEMBERS {
                why.push("members");
            }
        }
        if wanted.iter().map(|&group| self.weight(group)).sum::<u64>() > RULES_PER_NIC {
            why.push("rules-per-nic");
        }
        why
    }

    fn too_many_rules(&self) -> bool {
        let weigh = |groups: &Vec<usize>| groups.iter().map(|&group| self.weight(group)).sum::<u64>();
        self.nics.iter().flatten().any(|groups| weigh(groups) > RULES_PER_NIC)
    }

    /// What decides a packet from or to `remote` with a destination port: `members`, a rule, or nothing.
    fn decide(&self, nic: usize, ingress: bool, remote: [u8; 4], port: u16) -> (bool, Option<RuleId>) {
        let groups = self.nics[nic].as_ref().unwrap();
        let member = |group: usize| {
            let nics = self.nics.iter().enumerate();
            let mut nics = nics.filter(|(_, groups)| groups.as_ref().is_some_and(|all| all.contains(&group)));
            let elsewhere = self.groups[group].as_ref().unwrap().members.iter();
            nics.any(|(number, _)| nic_address(number) == remote)
                || elsewhere.clone().any(|&member| member_address(member) == remote)
        };
        if ingress && groups.iter().any(|&group| self.groups[group].as_ref().unwrap().inner && member(group))
        {
            return (true, None);
        }
        let matches = |rule: &PlacedRule| {
            let net = |number: u8| remote[..3] == [10, 0, number];
            rule.ingress == ingress
                && rule.rule.port == port
                && match &rule.rule.remote {
                    MRemote::Any => true,
                    MRemote::Net(number) => net(*number),
                    MRemote::Group(group) => member(*group),
                    MRemote::List(list) => {
                        self.lists[*list].as_ref().unwrap().1.iter().any(|&number| net(number))
                    }
                }
        };
        let mut best: Option<((usize, u8, u8, usize), &PlacedRule)> = None;
        for (place, group) in groups.iter().enumerate() {
            for (written, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.group == *group) {
                let class = u8::from(!rule.rule.drop);
                let key = match vpc(nic) {
                    // Merged: the group's position only breaks ties.
                    0 => (0, rule.rule.priority, class, place * 10_000 + written),
                    _ => (place, rule.rule.priority, class, written),
                };
                if matches(rule) && best.as_ref().is_none_or(|(found, _)| key < *found) {
                    best = Some((key, rule));
                }
            }
        }
        match best {
            Some((_, rule)) => (!rule.rule.drop, Some(rule.id.clone())),
            None => (!ingress && !self.groups[groups[0]].as_ref().unwrap().enterprise, None),
        }
    }
}

fn nic_address(nic: usize) -> [u8; 4] {
    [10, 0, 0, 1 + nic as u8]
}

fn member_address(member: u8) -> [u8; 4] {
    [10, 0, member % 3, 100 + member]
}

fn ip(address: [u8; 4]) -> IpAddr {
    Ipv4Addr::from(address).into()
}

fn group_name(group: usize) -> String {
    format!("g{group}")
}

fn names(groups: &[usize]) -> Vec<String> {
    groups.iter().map(|&group| group_name(group)).collect()
}

fn net(number: u8) -> ipnet::IpNet {
    format!("10.0.{number}.0/24").parse().unwrap()
}

/// The model's name of a refusal.
fn tag(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotFound { .. } => "not-found",
        Refusal::Invalid { .. } => "invalid",
        Refusal::Missing { .. } => "missing",
        Refusal::TooMany { quota, .. } => match quota {
            crate::Quota::GroupsPerNic => "groups-per-nic",
            crate::Quota::RulesPerNic => "rules-per-nic",
            crate::Quota::MembersPerGroup => "members",
            crate::Quota::GroupReferences => "references",
            crate::Quota::MaxEntries => "max-entries",
            _ => "another quota",
        },
        Refusal::HasMembers { .. } => "has-members",
        Refusal::Referenced { .. } => "referenced",
        Refusal::InUse { .. } => "in-use",
        Refusal::AlreadyMember { .. } => "already-member",
        Refusal::NotMember { .. } => "not-member",
        Refusal::NoMemberAddress { .. } => "no-member-address",
        Refusal::LastGroup { .. } => "last-group",
        Refusal::MixedTypes { .. } => "mixed-types",
        Refusal::OtherVpc { .. } => "other-vpc",
        Refusal::EnterpriseReference { .. } => "enterprise-reference",
        Refusal::EnterpriseInnerAccess { .. } => "enterprise-inner-access",
        Refusal::OwnGroup { .. } => "own-group",
        Refusal::DuplicateRule { .. } => "duplicate",
        Refusal::NothingToChange => "nothing",
        _ => "another refusal",
    }
}

/// The service and the model, side by side.
pub(super) struct Both {
    pub(super) world: World,
    model: Model,
}

impl Both {
    pub(super) fn new() -> Self {
        let mut world = World::new();
        let second = CreateVpc {
            label: NewLabel { name: "net1".to_owned(), ..NewLabel::default() },
            order: Order::Sequence,
            ..CreateVpc::default()
        };
        world.run(&second).unwrap();
        world
            .run(&ModifyQuotas {
                groups_per_nic: Some(GROUPS_PER_NIC as u32),
                rules_per_nic: Some(RULES_PER_NIC as u32),
                members_per_basic_group: Some(MEMBERS as u32),
                members_per_enterprise_group: Some(MEMBERS as u32),
                group_references_per_group: Some(REFERENCES as u32),
                ..ModifyQuotas::default()
            })
            .unwrap();
        Self { world, model: Model::new() }
    }

    fn vpc_name(number: usize) -> String {
        ["net", "net1"][vpc(number)].to_owned()
    }

    fn nic_name(nic: usize) -> String {
        format!("eni-{nic}")
    }

    /// Runs `op` on both. `Err` has the service's result and the one that the model expects.
    pub(super) fn step(&mut self, op: &Op) -> Result<(), String> {
        let (said, expected) = match op {
            Op::CreateGroup { group, enterprise } => {
                if self.model.groups[*group].is_some() {
                    return Ok(()); // Another test covers two groups of one name.
                }
                let kind = if *enterprise { GroupType::Enterprise } else { GroupType::Basic };
                let label = NewLabel { name: group_name(*group), ..NewLabel::default() };
                let vpc = Some(Self::vpc_name(*group));
                let said = self.world.run(&CreateGroup { label, vpc, kind, ..CreateGroup::default() });
                self.model.groups[*group] =
                    Some(MGroup { enterprise: *enterprise, inner: !enterprise, members: Vec::new() });
                (said.map(drop), Vec::new())
            }
            Op::DeleteGroups(groups) => self.delete_groups(groups),
            Op::InnerAccess(group, inner) => {
                let change = ModifyGroup {
                    group: group_name(*group),
                    inner_access: Some(*inner),
                    ..ModifyGroup::default()
                };
                let expected = match &mut self.model.groups[*group] {
                    None => vec!["not-found"],
                    Some(group) if group.enterprise && *inner => vec!["enterprise-inner-access"],
                    Some(group) => {
                        group.inner = *inner;
                        Vec::new()
                    }
                };
                (self.world.run(&change).map(drop), expected)
            }
            Op::Authorize { group, ingress, rule } => self.authorize(*group, *ingress, rule),
            Op::Priority { rule, priority } => self.priority(*rule, *priority),
            Op::Revoke(rule) => {
                let Some(at) = rule.checked_rem(self.model.rules.len()) else { return Ok(()) };
                let placed = self.model.rules.remove(at);
                let rules = vec![placed.id.to_string()];
                let revoke = Revoke { group: group_name(placed.group), direction: None, rules };
                (self.world.run(&revoke).map(drop), Vec::new())
            }
            Op::Register(nic, groups) => {
                if self.model.nics[*nic].is_some() || groups.is_empty() {
                    return Ok(());
                }
                let expected = self.model.cannot_hold(*nic, &[], groups);
                let said = self.world.run(&RegisterNic {
                    id: Some(Self::nic_name(*nic)),
                    vpc: Some(Self::vpc_name(*nic)),
                    addresses: vec![ip(nic_address(*nic))],
                    groups: names(groups),
                    ..RegisterNic::default()
                });
                if expected.is_empty() {
                    self.model.nics[*nic] = Some(groups.clone());
                }
                (said.map(drop), expected)
            }
            Op::Remove(nic) => {
                let there = self.model.nics[*nic].take().is_some();
                let said = self.world.run(&RemoveNics { nics: vec![Self::nic_name(*nic)] });
                (said.map(drop), if there { Vec::new() } else { vec!["not-found"] })
            }
            Op::Join(nic, groups) => self.hold(
                *nic,
                |before| {
                    let mut why = Vec::new();
                    if groups.is_empty() {
                        why.push("nothing");
                    }
                    if groups.iter().any(|group| before.contains(group)) {
                        why.push("already-member");
                    }
                    ([before, groups].concat(), why)
                },
                |world, target| {
                    world.run(&Join { groups: names(groups), targets: vec![target], place: None }).map(drop)
                },
            ),
            Op::Leave(nic, groups) => self.hold(
                *nic,
                |before| {
                    let mut why = Vec::new();
                    let left: Vec<usize> =
                        before.iter().filter(|group| !groups.contains(group)).copied().collect();
                    if groups.is_empty() {
                        why.push("nothing");
                    }
                    if groups.iter().any(|group| !before.contains(group)) {
                        why.extend(["not-member", "not-found"]);
                    }
                    if left.is_empty() {
                        why.push("last-group");
                    }
                    (left, why)
                },
                |world, target| world.run(&Leave { groups: names(groups), targets: vec![target] }).map(drop),
            ),
            Op::Set(nic, groups) => self.hold(
                *nic,
                |_| (groups.clone(), Vec::new()),
                |world, target| world.run(&SetGroups { target, groups: names(groups) }).map(drop),
            ),
            Op::MoveUp(nic, group) => self.hold(
                *nic,
                |before| {
                    let mut after = before.to_vec();
                    match before.iter().position(|held| held == group) {
                        None => return (after, vec!["not-member", "not-found"]),
                        Some(at) => after.swap(at, at.saturating_sub(1)),
                    }
                    (after, Vec::new())
                },
                |world, target| {
                    world.run(&MoveGroup { target, group: group_name(*group), to: Move::Up }).map(drop)
                },
            ),
            Op::AddMember(group, member) => {
                let add = vec![ip(member_address(*member))];
                let said =
                    self.world.run(&ChangeMembers { group: group_name(*group), add, remove: Vec::new() });
                let size = self.model.size(*group);
                let expected = match &mut self.model.groups[*group] {
                    None => vec!["not-found"],
                    Some(group) if group.members.contains(member) => Vec::new(),
                    Some(_) if size + 1 > MEMBERS => vec!["members"],
                    Some(group) => {
                        group.members.push(*member);
                        Vec::new()
                    }
                };
                (said.map(drop), expected)
            }
            Op::RemoveMember(group, member) => {
                let remove = vec![ip(member_address(*member))];
                let said =
                    self.world.run(&ChangeMembers { group: group_name(*group), add: Vec::new(), remove });
                let expected = match &mut self.model.groups[*group] {
                    None => vec!["not-found"],
                    Some(group) => match group.members.iter().position(|there| there == member) {
                        None => vec!["no-member-address"],
                        Some(at) => {
                            group.members.remove(at);
                            Vec::new()
                        }
                    },
                };
                (said.map(drop), expected)
            }
            Op::CreateList { list, max, prefixes } => {
                if self.model.lists[*list].is_some() {
                    return Ok(());
                }
                let entry = |&number: &u8| PrefixEntry { cidr: net(number), description: String::new() };
                let said = self.world.run(&CreatePrefixList {
                    label: NewLabel { name: format!("l{list}"), ..NewLabel::default() },
                    region: String::new(),
                    family: Family::V4,
                    max_entries: *max,
                    entries: prefixes.iter().map(entry).collect(),
                });
                let mut expected = Vec::new();
                if prefixes.len() > *max as usize {
                    expected.push("max-entries");
                }
                if (1..prefixes.len()).any(|at| prefixes[..at].contains(&prefixes[at])) {
                    expected.push("invalid");
                }
                if expected.is_empty() {
                    self.model.lists[*list] = Some((*max, prefixes.clone()));
                }
                (said.map(drop), expected)
            }
            Op::AddPrefix(list, number) => {
                let add = vec![PrefixEntry { cidr: net(*number), description: String::new() }];
                let change =
                    ModifyPrefixList { list: format!("l{list}"), add, ..ModifyPrefixList::default() };
                let expected = match &mut self.model.lists[*list] {
                    None => vec!["not-found"],
                    Some((_, prefixes)) if prefixes.contains(number) => Vec::new(),
                    Some((max, prefixes)) if prefixes.len() as u32 == *max => vec!["max-entries"],
                    Some((_, prefixes)) => {
                        prefixes.push(*number);
                        Vec::new()
                    }
                };
                (self.world.run(&change).map(drop), expected)
            }
            Op::RemovePrefix(list, number) => {
                let remove = vec![net(*number)];
                let change =
                    ModifyPrefixList { list: format!("l{list}"), remove, ..ModifyPrefixList::default() };
                let expected = match &mut self.model.lists[*list] {
                    None => vec!["not-found"],
                    Some((_, prefixes)) => match prefixes.iter().position(|there| there == number) {
                        None => vec!["invalid"],
                        Some(at) => {
                            prefixes.remove(at);
                            Vec::new()
                        }
                    },
                };
                (self.world.run(&change).map(drop), expected)
            }
            Op::DeleteList(list) => {
                let used = self.model.rules.iter().any(|rule| rule.rule.remote == MRemote::List(*list));
                let expected = match &mut self.model.lists[*list] {
                    None => vec!["not-found"],
                    Some(_) if used => vec!["in-use"],
                    there => {
                        *there = None;
                        Vec::new()
                    }
                };
                (self.world.run(&DeletePrefixLists { lists: vec![format!("l{list}")] }).map(drop), expected)
            }
        };
        match said {
            Ok(()) if expected.is_empty() => Ok(()),
            Err(refusal) if expected.contains(&tag(&refusal)) => Ok(()),
            said => Err(format!("{op:?}: {said:?}, expected {expected:?}")),
        }
    }

    fn delete_groups(&mut self, groups: &[usize]) -> (Result<(), Refusal>, Vec<&'static str>) {
        let said = self.world.run(&DeleteGroups { groups: names(groups) });
        let mut why = Vec::new();
        for &group in groups {
            if self.model.groups[group].is_none() {
                why.push("not-found");
            } else if self.model.size(group) > 0 {
                why.push("has-members");
            }
            let naming = |rule: &PlacedRule| rule.rule.remote == MRemote::Group(group);
            if self.model.rules.iter().any(|rule| naming(rule) && !groups.contains(&rule.group)) {
                why.push("referenced");
            }
        }
        if why.is_empty() {
            self.model.rules.retain(|rule| !groups.contains(&rule.group));
            for &group in groups {
                self.model.groups[group] = None;
            }
        }
        (said.map(drop), why)
    }

    fn authorize(
        &mut self,
        group: usize,
        ingress: bool,
        rule: &MRule,
    ) -> (Result<(), Refusal>, Vec<&'static str>) {
        let direction = if ingress { Direction::Ingress } else { Direction::Egress };
        let said = self.world.rule(&group_name(group), direction, spec(rule));
        let model = &mut self.model;
        let mut why = Vec::new();
        let Some(owner) = &model.groups[group] else { return (said.map(drop), vec!["not-found"]) };
        match rule.remote {
            MRemote::Group(named) if named == group => why.push("own-group"),
            MRemote::Group(named) => match &model.groups[named] {
                None => why.push("not-found"),
                _ if vpc(named) != vpc(group) => why.push("other-vpc"),
                Some(named) if named.enterprise || owner.enterprise => why.push("enterprise-reference"),
                Some(_) => {}
            },
            MRemote::List(list) if model.lists[list].is_none() => why.push("not-found"),
            MRemote::Any | MRemote::Net(_) | MRemote::List(_) => {}
        }
        let there =
            |placed: &PlacedRule| placed.group == group && placed.ingress == ingress && placed.rule == *rule;
        if why.is_empty() && !model.rules.iter().any(there) {
            let id = said.as_ref().map_or_else(|_| RuleId::from("none"), |rule| rule.id.clone());
            model.rules.push(PlacedRule { id, group, ingress, rule: rule.clone() });
            if model.too_many_rules() {
                why.push("rules-per-nic");
            }
            let naming = |placed: &&PlacedRule| {
                placed.group == group && matches!(placed.rule.remote, MRemote::Group(_))
            };
            if model.rules.iter().filter(naming).count() > REFERENCES {
                why.push("references");
            }
            if !why.is_empty() {
                model.rules.pop();
            }
        }
        (said.map(drop), why)
    }

    fn priority(&mut self, rule: usize, priority: u8) -> (Result<(), Refusal>, Vec<&'static str>) {
        let rules = &mut self.model.rules;
        let Some(at) = rule.checked_rem(rules.len()) else { return (Ok(()), Vec::new()) };
        let changed = PlacedRule { rule: MRule { priority, ..rules[at].rule.clone() }, ..rules[at].clone() };
        let modify =
            ModifyRule { rule: changed.id.to_string(), priority: Some(priority), ..ModifyRule::default() };
        let said = self.world.run(&modify);
        let same = |other: &PlacedRule| {
            other.id != changed.id
                && (other.group, other.ingress, &other.rule)
                    == (changed.group, changed.ingress, &changed.rule)
        };
        if rules.iter().any(same) {
            return (said.map(drop), vec!["duplicate"]);
        }
        rules[at] = changed;
        (said.map(drop), Vec::new())
    }

    fn hold(
        &mut self,
        nic: usize,
        wanted: impl Fn(&[usize]) -> (Vec<usize>, Vec<&'static str>),
        act: impl Fn(&mut World, String) -> Result<(), Refusal>,
    ) -> (Result<(), Refusal>, Vec<&'static str>) {
        let said = act(&mut self.world, Self::nic_name(nic));
        let Some(before) = self.model.nics[nic].clone() else {
            // An empty change is refused before the NIC is looked up, and so is an unknown group.
            return (said, vec!["not-found", "nothing"]);
        };
        let (after, mut why) = wanted(&before);
        let touched: Vec<usize> = before.iter().chain(&after).copied().collect();
        if touched.iter().any(|&group| self.model.groups[group].is_none()) {
            why.push("not-found");
        }
        if after != before {
            why.extend(self.model.cannot_hold(nic, &before, &after));
        }
        if why.is_empty() {
            self.model.nics[nic] = Some(after);
        }
        (said, why)
    }

    /// Compares what decides packets of every NIC.
    fn compare(&self) -> Result<(), String> {
        for nic in (0..NICS).filter(|&nic| self.model.nics[nic].is_some()) {
            let record = self.world.tx.find_nic(&Self::nic_name(nic)).unwrap();
            let held: Vec<String> = record
                .groups
                .iter()
                .map(|group| self.world.tx.group(group).unwrap().label.name.clone())
                .collect();
            let expected = names(self.model.nics[nic].as_ref().unwrap());
            if held != expected {
                return Err(format!("NIC {nic} holds {held:?}, expected {expected:?}"));
            }
            let policy = policy_for(&self.world.tx, record, |_| sg_model::DeviceFacts::default()).unwrap();
            let mut oracle = Oracle::new(&policy);
            let nics = (0..NICS).map(nic_address);
            let remotes: Vec<[u8; 4]> =
                nics.chain((0..6).map(member_address)).chain([[10, 0, 1, 7], [9, 9, 9, 9]]).collect();
            for remote in remotes.into_iter().filter(|&remote| remote != nic_address(nic)) {
                for (ingress, port) in [(true, 80), (true, 81), (false, 80), (false, 81)] {
                    let (local, far) = (ip(nic_address(nic)), ip(remote));
                    let (source, destination) = if ingress { (far, local) } else { (local, far) };
                    let probe = Probe::new(ProbeParts {
                        nic: 0,
                        direction: if ingress {
                            sg_model::Direction::Ingress
                        } else {
                            sg_model::Direction::Egress
                        },
                        protocol: 6,
                        source,
                        destination,
                        source_port: None,
                        destination_port: Some(port),
                        icmp_type: None,
                        icmp_code: None,
                    })
                    .unwrap();
                    let answer = oracle.judge(&probe).written(&policy);
                    let (accept, rule) = self.model.decide(nic, ingress, remote, port);
                    let same = (answer.verdict == "accept") == accept
                        && answer.rule == rule.as_ref().map(RuleId::as_str);
                    if !same {
                        return Err(format!("{probe:?}: {answer:?}, expected {accept} by {rule:?}"));
                    }
                }
            }
        }
        Ok(())
    }
}

fn spec(rule: &MRule) -> RuleSpec {
    let remote = match rule.remote {
        MRemote::Any => Remote::Any,
        MRemote::Net(number) => Remote::Net(net(number)),
        MRemote::Group(group) => Remote::Group(GroupId::from(group_name(group))),
        MRemote::List(list) => Remote::PrefixList(PrefixListId::from(format!("l{list}"))),
    };
    let action = if rule.drop { Action::Drop } else { Action::Accept };
    let spec = RuleSpec { action, priority: rule.priority, ..tcp(rule.port, "any") };
    with(spec, |matches| matches.remote = remote)
}

/// Groups for `of`, a group or NIC: mostly of its VPC, each once.
fn near(of: usize, groups: Vec<usize>, stray: bool) -> Vec<usize> {
    let mut groups: Vec<usize> = groups.into_iter().map(|group| group - vpc(group) + vpc(of)).collect();
    if !stray {
        groups.sort_unstable();
        groups.dedup();
        groups.reverse();
    } else if let Some(first) = groups.first_mut() {
        *first = (*first + 1) % GROUPS;
    }
    groups
}

fn rules() -> impl Strategy<Value = (usize, MRule)> {
    let remote = prop_oneof![
        2 => Just(MRemote::Any),
        3 => (0_u8..3).prop_map(MRemote::Net),
        3 => (0..GROUPS).prop_map(MRemote::Group),
        2 => (0..LISTS).prop_map(MRemote::List),
    ];
    let parts = (0..GROUPS, any::<bool>(), 1_u8..4, 80_u16..82, remote, prop::bool::weighted(0.1));
    parts.prop_map(|(group, drop, priority, port, remote, stray)| {
        let remote = match remote {
            MRemote::Group(named) => MRemote::Group(near(group, vec![named], stray)[0]),
            remote => remote,
        };
        (group, MRule { drop, priority, port, remote })
    })
}

pub(super) fn operations() -> impl Strategy<Value = Op> {
    let (group, nic, list, member) = (0..GROUPS, 0..NICS, 0..LISTS, 0_u8..6);
    let held = (nic.clone(), vec(0..GROUPS, 0..4), prop::bool::weighted(0.1))
        .prop_map(|(nic, groups, stray)| (nic, near(nic, groups, stray)));
    prop_oneof![
        2 => (group.clone(), prop::bool::weighted(0.2))
            .prop_map(|(group, enterprise)| Op::CreateGroup { group, enterprise }),
        2 => (group.clone(), vec(0..GROUPS, 0..3)).prop_map(|(first, more)| {
            Op::DeleteGroups(near(first, [vec![first], more].concat(), false))
        }),
        1 => (group.clone(), any::<bool>()).prop_map(|(group, inner)| Op::InnerAccess(group, inner)),
        8 => (any::<bool>(), rules())
            .prop_map(|(ingress, (group, rule))| Op::Authorize { group, ingress, rule }),
        2 => (any::<usize>(), 1_u8..4).prop_map(|(rule, priority)| Op::Priority { rule, priority }),
        1 => any::<usize>().prop_map(Op::Revoke),
        4 => held.clone().prop_map(|(nic, groups)| Op::Register(nic, groups)),
        1 => nic.clone().prop_map(Op::Remove),
        3 => held.clone().prop_map(|(nic, groups)| Op::Join(nic, groups)),
        1 => held.clone().prop_map(|(nic, groups)| Op::Leave(nic, groups)),
        2 => held.prop_map(|(nic, groups)| Op::Set(nic, groups)),
        3 => (nic, group.clone(), prop::bool::weighted(0.1))
            .prop_map(|(nic, group, stray)| Op::MoveUp(nic, near(nic, vec![group], stray)[0])),
        2 => (group.clone(), member.clone()).prop_map(|(group, member)| Op::AddMember(group, member)),
        1 => (group, member).prop_map(|(group, member)| Op::RemoveMember(group, member)),
        2 => (list.clone(), 1_u32..4, vec(0_u8..3, 0..3))
            .prop_map(|(list, max, prefixes)| Op::CreateList { list, max, prefixes }),
        1 => (list.clone(), 0_u8..3).prop_map(|(list, number)| Op::AddPrefix(list, number)),
        1 => (list.clone(), 0_u8..3).prop_map(|(list, number)| Op::RemovePrefix(list, number)),
        1 => list.prop_map(Op::DeleteList),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_service_does_what_the_model_does(
        enterprise in vec(prop::bool::weighted(0.2), GROUPS),
        operations in vec(operations(), 1..80),
    ) {
        let mut both = Both::new();
        let groups = enterprise.into_iter().enumerate();
        let groups = groups.map(|(group, enterprise)| Op::CreateGroup { group, enterprise });
        for operation in &groups.chain(operations).collect::<Vec<_>>() {
            both.step(operation).map_err(TestCaseError::fail)?;
        }
        both.compare().map_err(TestCaseError::fail)?;
        // The state is the same after loading it from a store.
        let again = crate::State::new(both.world.tx.records());
        prop_assert_eq!(again.records().collect::<Vec<_>>(), both.world.tx.records().collect::<Vec<_>>());
    }
}
