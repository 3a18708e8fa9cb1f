//! Random operations, run by the service and by a model that is as simple as possible: results, refusals and the resulting
//! verdicts are the same.

#![expect(clippy::too_many_lines, reason = "one table of operations, each in a few lines")]

mod expected;
mod lists;
mod operations;
mod rules;
mod verdicts;

use proptest::{collection::vec, prelude::*};
use sg_records::{GroupType, Order};

use super::World;
use crate::{
    ChangeMembers, CreateVpc, DeleteGroups, Join, Leave, ModifyGroup, ModifyQuotas, ModifyRule, Move,
    MoveGroup, NewLabel, Quota, Refusal, RegisterNic, RemoveNics, Revoke, Sameness, SetGroups,
};

use expected::{Model, PlacedRule, group_name, ip, member_address, names, nic_address, vpc};
use operations::{MRemote, MRule, kinds};
pub(super) use operations::{Op, operations};
use rules::identity;

const GROUPS: usize = 6;
const NICS: usize = 4;
const LISTS: usize = 2;
/// Different entries of lists.
const ENTRIES: u8 = 6;
const GROUPS_PER_NIC: usize = 3;
const RULES_PER_NIC: u64 = 8;
const MEMBERS: usize = 4;
const REFERENCES: usize = 2;

/// The model's name of a refusal: its code, or the quota that is exceeded.
fn tag(refusal: &Refusal) -> String {
    match refusal {
        Refusal::TooMany { quota: Quota::MembersPerGroup | Quota::MembersPerClosedGroup, .. } => {
            "members".to_owned()
        }
        Refusal::TooMany { quota: Quota::ClosedGroupsPerNic, .. } => Quota::GroupsPerNic.to_string(),
        Refusal::TooMany { quota: Quota::MaxEntries, .. } => "max_entries".to_owned(),
        Refusal::TooMany { quota, .. } => quota.to_string(),
        _ => serde_json::to_value(refusal).unwrap()["code"].as_str().unwrap().to_owned(),
    }
}

/// What the service does, and the refusals that the model expects: one of them, or none.
type Outcome = (Result<(), Refusal>, Vec<&'static str>);

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
                closed_groups_per_nic: Some(GROUPS_PER_NIC as u32),
                members_per_closed_group: Some(MEMBERS as u32),
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
            Op::CreateGroup { group, kind, standard } => return self.create_group(*group, *kind, *standard),
            Op::DeleteGroups(groups) => self.delete_groups(groups),
            Op::InnerAccess(group, inner) => {
                let change = ModifyGroup {
                    group: group_name(*group),
                    inner_access: Some(*inner),
                    ..ModifyGroup::default()
                };
                let expected = match &mut self.model.groups[*group] {
                    None => vec!["not_found"],
                    Some(group) if group.kind != GroupType::Basic && *inner => {
                        vec!["enterprise_inner_access"]
                    }
                    Some(group) => {
                        group.inner = *inner;
                        Vec::new()
                    }
                };
                (self.world.run(&change).map(drop), expected)
            }
            Op::Authorize { group, rules, duplicates, same } => {
                self.authorize(*group, rules, *duplicates, *same)
            }
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
                (said.map(drop), if there { Vec::new() } else { vec!["not_found"] })
            }
            Op::Join(nic, groups) => self.hold(
                *nic,
                |before| {
                    let mut why = Vec::new();
                    if groups.is_empty() {
                        why.push("nothing_to_change");
                    }
                    if groups.iter().any(|group| before.contains(group)) {
                        why.push("already_member");
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
                        why.push("nothing_to_change");
                    }
                    if groups.iter().any(|group| !before.contains(group)) {
                        why.extend(["not_member", "not_found"]);
                    }
                    if left.is_empty() {
                        why.push("last_group");
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
                        None => return (after, vec!["not_member", "not_found"]),
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
                    None => vec!["not_found"],
                    Some(group) if group.regional => vec!["regional_member"],
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
                    None => vec!["not_found"],
                    Some(group) => match group.members.iter().position(|there| there == member) {
                        None => vec!["not_member"],
                        Some(at) => {
                            group.members.remove(at);
                            Vec::new()
                        }
                    },
                };
                (said.map(drop), expected)
            }
            Op::CreateList { list, max, prefixes } => self.create_list(*list, *max, prefixes),
            Op::AddPrefix(list, number) => self.add_prefix(*list, *number),
            Op::RemovePrefix(list, number) => self.remove_prefix(*list, *number),
            Op::DeleteList { list, with_rules } => self.delete_list(*list, *with_rules),
        };
        match said {
            Ok(()) if expected.is_empty() => Ok(()),
            Err(refusal) if expected.contains(&&*tag(&refusal)) => Ok(()),
            said => Err(format!("{op:?}: {said:?}, expected {expected:?}")),
        }
    }

    fn delete_groups(&mut self, groups: &[usize]) -> Outcome {
        let said = self.world.run(&DeleteGroups { groups: names(groups) });
        let mut why = Vec::new();
        for &group in groups {
            if self.model.groups[group].is_none() {
                why.push("not_found");
            } else if self.model.size(group) > 0 {
                why.push("has_members");
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

    fn priority(&mut self, rule: usize, priority: u8) -> Outcome {
        let rules = &mut self.model.rules;
        let Some(at) = rule.checked_rem(rules.len()) else { return (Ok(()), Vec::new()) };
        let changed = PlacedRule { rule: MRule { priority, ..rules[at].rule.clone() }, ..rules[at].clone() };
        let modify =
            ModifyRule { rule: changed.id.to_string(), priority: Some(priority), ..ModifyRule::default() };
        let said = self.world.run(&modify);
        let same = |other: &PlacedRule| {
            let told = |placed: &PlacedRule| identity(Sameness::Rule, placed.ingress, &placed.rule);
            other.id != changed.id && other.group == changed.group && told(other) == told(&changed)
        };
        if rules.iter().any(same) {
            return (said.map(drop), vec!["duplicate_rule"]);
        }
        rules[at] = changed;
        (said.map(drop), Vec::new())
    }

    fn hold(
        &mut self,
        nic: usize,
        wanted: impl Fn(&[usize]) -> (Vec<usize>, Vec<&'static str>),
        act: impl Fn(&mut World, String) -> Result<(), Refusal>,
    ) -> Outcome {
        let said = act(&mut self.world, Self::nic_name(nic));
        let Some(before) = self.model.nics[nic].clone() else {
            // An empty change is refused before the NIC is looked up, and so is an unknown group.
            return (said, vec!["not_found", "nothing_to_change"]);
        };
        let (after, mut why) = wanted(&before);
        let touched: Vec<usize> = before.iter().chain(&after).copied().collect();
        if touched.iter().any(|&group| self.model.groups[group].is_none()) {
            why.push("not_found");
        }
        if after != before {
            why.extend(self.model.cannot_hold(nic, &before, &after));
        }
        if why.is_empty() {
            self.model.nics[nic] = Some(after);
        }
        (said, why)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_service_does_what_the_model_does(
        kinds in vec(kinds(), GROUPS),
        operations in vec(operations(), 1..80),
    ) {
        let mut both = Both::new();
        let groups = kinds.into_iter().enumerate();
        let groups = groups.map(|(group, kind)| Op::CreateGroup { group, kind, standard: false });
        for operation in &groups.chain(operations).collect::<Vec<_>>() {
            both.step(operation).map_err(TestCaseError::fail)?;
        }
        both.compare().map_err(TestCaseError::fail)?;
        // The state is the same after loading it from a store.
        let again = crate::State::new(both.world.tx.records());
        prop_assert_eq!(again.records().collect::<Vec<_>>(), both.world.tx.records().collect::<Vec<_>>());
    }
}
