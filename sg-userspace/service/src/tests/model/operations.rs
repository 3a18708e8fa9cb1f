//! Random operations. Most are possible; some are of a kind that is refused.

use proptest::{collection::vec, prelude::*, sample::select};
use sg_records::{GroupType, OnlyFamily};

use crate::{Duplicates, Sameness};

use super::{ENTRIES, GROUPS, LISTS, NICS, expected::vpc};

/// An operation; objects are numbers: groups `g0`…, NICs at `10.0.0.1`…, lists `l0`…. Even groups and NICs are in VPC 0, where
/// the order is merged, odd ones in VPC 1, where it is group by group.
#[derive(Clone, Debug)]
pub(in super::super) enum Op {
    CreateGroup { group: usize, kind: MKind, standard: bool },
    DeleteGroups(Vec<usize>),
    InnerAccess(usize, bool),
    Authorize { group: usize, rules: Vec<(bool, MRule)>, duplicates: Duplicates, same: Sameness },
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
    DeleteList { list: usize, with_rules: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct MRule {
    pub(super) drop: bool,
    pub(super) priority: u8,
    pub(super) service: MService,
    pub(super) family: Option<OnlyFamily>,
    pub(super) remote: MRemote,
}

#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum MService {
    All,
    Tcp(u16),
    /// Only of templates: no packet here is of it.
    Icmp,
}

#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum MRemote {
    Any,
    /// Only of templates.
    EveryV4,
    /// 10.0.0.0/24 with N, 10.0.N.0/24.
    Net(u8),
    Group(usize),
    List(usize),
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
    let family = prop_oneof![4 => Just(None), 1 => select(OnlyFamily::ALL.to_vec()).prop_map(Some)];
    let what = (80_u16..82, family);
    let parts = (0..GROUPS, any::<bool>(), 1_u8..4, what, remote, prop::bool::weighted(0.1));
    parts.prop_map(|(group, drop, priority, (port, family), remote, stray)| {
        let remote = match remote {
            MRemote::Group(named) => MRemote::Group(near(group, vec![named], stray)[0]),
            remote => remote,
        };
        (group, MRule { drop, priority, service: MService::Tcp(port), family, remote })
    })
}

/// What a new group is: its type, and whether it is of the region, without a VPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct MKind {
    pub(super) kind: GroupType,
    pub(super) regional: bool,
}

pub(super) fn kinds() -> impl Strategy<Value = MKind> {
    let of = |kind, regional| Just(MKind { kind, regional });
    prop_oneof![
        5 => of(GroupType::Basic, false),
        1 => of(GroupType::Enterprise, false),
        1 => of(GroupType::Closed, false),
        2 => of(GroupType::Closed, true),
    ]
}

fn authorize() -> impl Strategy<Value = Op> {
    let more = prop_oneof![4 => 1_usize..2, 1 => 2_usize..4];
    let rules = more.prop_flat_map(|most| vec((any::<bool>(), rules()), most));
    let duplicates = select(vec![Duplicates::Existing, Duplicates::Ignore, Duplicates::Refuse]);
    let same = prop_oneof![3 => Just(Sameness::Rule), 1 => Just(Sameness::Packets)];
    (rules, duplicates, same).prop_map(|(rules, duplicates, same)| {
        let group = rules[0].1.0;
        // Rules of another VPC name groups of that one: near the group, they do not.
        let near = |(ingress, (_, rule)): (bool, (usize, MRule))| {
            let remote = match rule.remote {
                MRemote::Group(named) => MRemote::Group(near(group, vec![named], false)[0]),
                remote => remote,
            };
            (ingress, MRule { remote, ..rule })
        };
        let mut rules = rules.into_iter();
        let first = rules.next().map(|(ingress, (_, rule))| (ingress, rule));
        let rules = first.into_iter().chain(rules.map(near)).collect();
        Op::Authorize { group, rules, duplicates, same }
    })
}

pub(in super::super) fn operations() -> impl Strategy<Value = Op> {
    let (group, nic, list, member) = (0..GROUPS, 0..NICS, 0..LISTS, 0_u8..6);
    let held = (nic.clone(), vec(0..GROUPS, 0..4), prop::bool::weighted(0.1))
        .prop_map(|(nic, groups, stray)| (nic, near(nic, groups, stray)));
    prop_oneof![
        2 => (group.clone(), kinds(), prop::bool::weighted(0.3))
            .prop_map(|(group, kind, standard)| Op::CreateGroup { group, kind, standard }),
        2 => (group.clone(), vec(0..GROUPS, 0..3)).prop_map(|(first, more)| {
            Op::DeleteGroups(near(first, [vec![first], more].concat(), false))
        }),
        1 => (group.clone(), any::<bool>()).prop_map(|(group, inner)| Op::InnerAccess(group, inner)),
        8 => authorize(),
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
        2 => (list.clone(), 1_u32..4, vec(0..ENTRIES, 0..3))
            .prop_map(|(list, max, prefixes)| Op::CreateList { list, max, prefixes }),
        1 => (list.clone(), 0..ENTRIES).prop_map(|(list, number)| Op::AddPrefix(list, number)),
        1 => (list.clone(), 0..ENTRIES).prop_map(|(list, number)| Op::RemovePrefix(list, number)),
        1 => (list, prop::bool::weighted(0.3))
            .prop_map(|(list, with_rules)| Op::DeleteList { list, with_rules }),
    ]
}
