//! The model: groups, NICs, lists and rules as numbers, and what they mean.

use std::net::{IpAddr, Ipv4Addr};

use sg_records::{GroupType, OnlyFamily, RuleId};

use super::{
    GROUPS, GROUPS_PER_NIC, LISTS, MEMBERS, NICS, RULES_PER_NIC,
    lists::has,
    operations::{MRemote, MRule, MService},
};

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) groups: Vec<Option<MGroup>>,
    pub(super) nics: Vec<Option<Vec<usize>>>,
    pub(super) lists: Vec<Option<(u32, Vec<u8>)>>,
    pub(super) rules: Vec<PlacedRule>,
}

#[derive(Debug)]
pub(super) struct MGroup {
    pub(super) kind: GroupType,
    /// Closed, without a VPC.
    pub(super) regional: bool,
    pub(super) inner: bool,
    pub(super) members: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct PlacedRule {
    pub(super) id: RuleId,
    pub(super) group: usize,
    pub(super) ingress: bool,
    pub(super) rule: MRule,
}

/// The order in which rules decide.
type Rank = (usize, u8, u8, usize);

pub(super) fn vpc(number: usize) -> usize {
    number % 2
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            groups: (0..GROUPS).map(|_| None).collect(),
            nics: vec![None; NICS],
            lists: vec![None; LISTS],
            rules: Vec::new(),
        }
    }

    pub(super) fn weight(&self, group: usize) -> u64 {
        let one = |rule: &PlacedRule| match rule.rule.remote {
            MRemote::List(list) => self.lists[list].as_ref().map_or(1, |list| u64::from(list.0)),
            _ => 1,
        };
        self.rules.iter().filter(|rule| rule.group == group).map(one).sum()
    }

    pub(super) fn size(&self, group: usize) -> usize {
        let nics = self.nics.iter().flatten().filter(|groups| groups.contains(&group)).count();
        nics + self.groups[group].as_ref().map_or(0, |group| group.members.len())
    }

    /// Why NIC `nic` could not hold `wanted` after `before`.
    pub(super) fn cannot_hold(&self, nic: usize, before: &[usize], wanted: &[usize]) -> Vec<&'static str> {
        let mut why = Vec::new();
        if wanted.is_empty() {
            why.push("missing");
        }
        if wanted.len() > GROUPS_PER_NIC {
            why.push("groups_per_nic");
        }
        for (place, &group) in wanted.iter().enumerate() {
            let Some(there) = &self.groups[group] else {
                why.push("not_found");
                continue;
            };
            if wanted[..place].contains(&group) {
                why.push("invalid");
            }
            if vpc(group) != vpc(nic) && !there.regional {
                why.push("other_vpc");
            }
            let first = wanted.iter().find_map(|&first| self.groups[first].as_ref());
            if first.is_some_and(|first| first.kind != there.kind) {
                why.push("mixed_types");
            }
            if !before.contains(&group) && self.size(group) + 1 > MEMBERS {
                why.push("members");
            }
        }
        if wanted.iter().map(|&group| self.weight(group)).sum::<u64>() > RULES_PER_NIC {
            why.push("rules_per_nic");
        }
        let is_merged = vpc(nic) == 0;
        if is_merged && self.is_mixed(wanted) && !self.is_mixed(before) {
            why.push("invalid");
        }
        why
    }

    /// Whether groups of the region and of a VPC are among these.
    fn is_mixed(&self, groups: &[usize]) -> bool {
        let regional =
            groups.iter().filter_map(|&group| self.groups[group].as_ref()).map(|group| group.regional);
        regional.clone().any(|regional| regional) && regional.clone().any(|regional| !regional)
    }

    pub(super) fn too_many_rules(&self) -> bool {
        let weigh = |groups: &Vec<usize>| groups.iter().map(|&group| self.weight(group)).sum::<u64>();
        self.nics.iter().flatten().any(|groups| weigh(groups) > RULES_PER_NIC)
    }

    /// What decides a packet from or to `remote` with a destination port: `members`, a rule, or nothing.
    pub(super) fn decide(
        &self,
        nic: usize,
        ingress: bool,
        remote: [u8; 4],
        port: u16,
    ) -> (bool, Option<RuleId>) {
        let groups = self.nics[nic].as_ref().unwrap();
        let is_regional = |group: usize| self.groups[group].as_ref().unwrap().regional;
        let member = |group: usize| {
            // Members in different VPCs do not know each other by a group without one.
            let knows = |number: usize| !is_regional(group) || vpc(number) == vpc(nic);
            let nics = self.nics.iter().enumerate();
            let mut nics = nics.filter(|(number, groups)| {
                knows(*number) && groups.as_ref().is_some_and(|all| all.contains(&group))
            });
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
                && match rule.rule.service {
                    MService::All => true,
                    MService::Tcp(of) => of == port,
                    MService::Icmp => false,
                }
                && rule.rule.family != Some(OnlyFamily::Ipv6)
                && match &rule.rule.remote {
                    MRemote::Any | MRemote::EveryV4 => true,
                    MRemote::Net(number) => net(*number),
                    MRemote::Group(group) => member(*group),
                    MRemote::List(list) => {
                        self.lists[*list].as_ref().unwrap().1.iter().any(|&entry| has(entry, remote))
                    }
                }
        };
        let is_merged = vpc(nic) == 0 && !groups.iter().any(|&group| is_regional(group));
        let mut best: Option<(Rank, &PlacedRule)> = None;
        for (place, group) in groups.iter().enumerate() {
            for (written, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.group == *group) {
                let class = u8::from(!rule.rule.drop);
                let key = if is_merged {
                    // The group's position only breaks ties.
                    (0, rule.rule.priority, class, place * 10_000 + written)
                } else {
                    (place, rule.rule.priority, class, written)
                };
                if matches(rule) && best.as_ref().is_none_or(|(found, _)| key < *found) {
                    best = Some((key, rule));
                }
            }
        }
        match best {
            Some((_, rule)) => (!rule.rule.drop, Some(rule.id.clone())),
            None => (!ingress && self.groups[groups[0]].as_ref().unwrap().kind == GroupType::Basic, None),
        }
    }
}

pub(super) fn nic_address(nic: usize) -> [u8; 4] {
    [10, 0, 0, 1 + nic as u8]
}

pub(super) fn member_address(member: u8) -> [u8; 4] {
    [10, 0, member % 3, 100 + member]
}

pub(super) fn ip(address: [u8; 4]) -> IpAddr {
    Ipv4Addr::from(address).into()
}

pub(super) fn group_name(group: usize) -> String {
    format!("g{group}")
}

pub(super) fn names(groups: &[usize]) -> Vec<String> {
    groups.iter().map(|&group| group_name(group)).collect()
}

pub(super) fn net(number: u8) -> ipnet::IpNet {
    format!("10.0.{number}.0/24").parse().unwrap()
}
