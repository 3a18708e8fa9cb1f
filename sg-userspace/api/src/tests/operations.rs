//! Random operations. Most are possible; some are of a kind that is refused. Objects are picked by numbers, of those that there are
//! when an operation runs.

use proptest::{collection::vec, prelude::*};

use super::specs::{Action, Family};

/// One of the protocols that rules have here.
pub(super) const PROTOCOLS: [Option<u8>; 6] = [None, Some(6), Some(17), Some(1), Some(58), Some(47)];
/// Remote prefixes.
pub(super) const NETS: [&str; 7] =
    ["10.0.0.0/30", "10.0.0.2/32", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/64", "2001:db8::2/128", "::/0"];
/// Local prefixes.
pub(super) const LOCALS: [&str; 3] = ["10.0.0.1/32", "10.0.0.0/29", "2001:db8::/120"];
/// Ports of rules.
pub(super) const PORTS: [&[(u16, u16)]; 5] =
    [&[(22, 22)], &[(80, 90)], &[(1, 65535)], &[(22, 22), (80, 80)], &[(53, 53), (1000, 2000)]];
/// Entries of lists of each family.
pub(super) const ENTRIES: [[&str; 5]; 2] = [
    ["10.0.0.0/30", "10.0.0.2-10.0.0.9", "192.0.2.0/24", "192.0.2.0-192.0.2.127", "198.51.100.0/25"],
    [
        "2001:db8::/64",
        "2001:db8::2-2001:db8::ff",
        "2001:db8:9::/48",
        "2001:db8::1-2001:db8::1",
        "2001:db8:a::/64",
    ],
];

/// A version of the Huawei Cloud API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    V3,
    V1,
    V2,
}

/// A rule, of which each API says what it can say.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The same as a rule that the group has.
    pub(super) again: Option<u16>,
    pub(super) ingress: bool,
    pub(super) action: Action,
    pub(super) priority: Option<u8>,
    pub(super) protocol: usize,
    pub(super) family: Option<Family>,
    pub(super) ports: Option<usize>,
    pub(super) port_list: Option<u16>,
    pub(super) source_ports: bool,
    pub(super) icmp: Option<(u8, Option<u8>)>,
    pub(super) remote: Object,
    pub(super) local: Option<usize>,
    pub(super) enabled: bool,
}

/// A remote; objects are picks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Object {
    Any,
    Net(usize),
    Group(u16),
    /// The group of the rule.
    Own,
    List(u16),
}

/// An operation.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Alibaba(Alibaba),
    Huawei(Huawei),
    /// A closed group in a VPC, which neither vendor has.
    ClosedGroup(usize),
    /// A rule that says all that a rule can say.
    Rule {
        group: u16,
        rule: Wanted,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Alibaba {
    CreateGroup {
        network: usize,
        enterprise: bool,
        tag: Option<u8>,
    },
    ModifyGroup(u16),
    Policy {
        group: u16,
        accept: bool,
    },
    DeleteGroup(u16),
    Authorize {
        group: u16,
        rule: Wanted,
    },
    Priority {
        rule: u16,
        priority: u8,
    },
    Revoke(u16),
    /// By what it matches.
    RevokeMatching(u16),
    CreateList {
        v6: bool,
        max: usize,
        entries: Vec<usize>,
    },
    ModifyList {
        list: u16,
        add: Vec<usize>,
        remove: Vec<usize>,
    },
    DeleteList(u16),
    CreatePorts(Vec<usize>),
    DeletePorts(u16),
    Join {
        nic: usize,
        group: u16,
    },
    Leave {
        nic: usize,
        group: u16,
    },
    Replace {
        nic: usize,
        groups: Vec<u16>,
    },
    Tag {
        group: u16,
        key: u8,
        value: u8,
    },
    Untag {
        group: u16,
        key: u8,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Huawei {
    CreateGroup { version: Version, tag: Option<u8>, dry_run: bool },
    UpdateGroup { version: Version, group: u16 },
    DeleteGroup { version: Version, group: u16 },
    CreateRule { version: Version, group: u16, rule: Wanted, dry_run: bool },
    CreateRules { group: u16, rules: Vec<Wanted>, ignore: bool },
    DeleteRule { version: Version, rule: u16 },
    CreateList { v6: bool, max: Option<usize>, entries: Vec<usize>, stray: bool },
    UpdateList { list: u16, max: Option<usize>, entries: Option<Vec<usize>> },
    DeleteList { list: u16, force: bool },
    Insert { nic: usize, groups: Vec<u16>, index: Option<usize> },
    Remove { nic: usize, groups: Vec<u16> },
    Replace { version: Version, nic: usize, groups: Vec<u16> },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![3 => Just(Action::Accept), 2 => Just(Action::Drop), 1 => Just(Action::Reject)]
}

fn family() -> impl Strategy<Value = Option<Family>> {
    prop_oneof![2 => Just(None), 3 => Just(Some(Family::V4)), 2 => Just(Some(Family::V6))]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let remote = prop_oneof![
        2 => Just(Object::Any),
        3 => (0..NETS.len()).prop_map(Object::Net),
        3 => any::<u16>().prop_map(Object::Group),
        1 => Just(Object::Own),
        2 => any::<u16>().prop_map(Object::List),
    ];
    let numbers = (
        prop::option::weighted(0.8, 1_u8..4),
        0..PROTOCOLS.len(),
        prop::option::weighted(0.7, 0..PORTS.len()),
        prop::option::weighted(0.2, any::<u16>()),
        prop::option::weighted(
            0.5,
            prop_oneof![Just((8, None)), Just((8, Some(0))), Just((128, None)), Just((0, Some(3)))],
        ),
    );
    let others = (
        prop::bool::weighted(0.1),
        prop::option::weighted(0.1, 0..LOCALS.len()),
        prop::bool::weighted(0.85),
        prop::option::weighted(0.15, any::<u16>()),
    );
    (any::<bool>(), action(), family(), remote, numbers, others).prop_map(
        |(ingress, action, family, remote, numbers, (source_ports, local, enabled, again))| {
            let (priority, protocol, ports, port_list, icmp) = numbers;
            Wanted {
                again,
                ingress,
                action,
                priority,
                protocol,
                family,
                ports,
                port_list,
                source_ports,
                icmp,
                remote,
                local,
                enabled,
            }
        },
    )
}

fn alibaba(nics: usize) -> impl Strategy<Value = Alibaba> {
    let (pick, nic, tag) = (any::<u16>(), 0..nics, prop::option::of(0_u8..3));
    let entries = || vec(0..ENTRIES[0].len(), 1..4);
    prop_oneof![
        4 => (0..super::objects::NETWORKS, prop::bool::weighted(0.2), tag)
            .prop_map(|(network, enterprise, tag)| Alibaba::CreateGroup { network, enterprise, tag }),
        1 => pick.prop_map(Alibaba::ModifyGroup),
        1 => (pick, any::<bool>()).prop_map(|(group, accept)| Alibaba::Policy { group, accept }),
        2 => pick.prop_map(Alibaba::DeleteGroup),
        9 => (pick, wanted()).prop_map(|(group, rule)| Alibaba::Authorize { group, rule }),
        2 => (pick, 1_u8..4).prop_map(|(rule, priority)| Alibaba::Priority { rule, priority }),
        2 => pick.prop_map(Alibaba::Revoke),
        1 => pick.prop_map(Alibaba::RevokeMatching),
        2 => (any::<bool>(), 1_usize..5, entries())
            .prop_map(|(v6, max, entries)| Alibaba::CreateList { v6, max, entries }),
        2 => (pick, entries(), vec(0..ENTRIES[0].len(), 0..2))
            .prop_map(|(list, add, remove)| Alibaba::ModifyList { list, add, remove }),
        1 => pick.prop_map(Alibaba::DeleteList),
        1 => vec(0..PORTS.len(), 1..3).prop_map(Alibaba::CreatePorts),
        1 => pick.prop_map(Alibaba::DeletePorts),
        3 => (nic.clone(), pick).prop_map(|(nic, group)| Alibaba::Join { nic, group }),
        2 => (nic.clone(), pick).prop_map(|(nic, group)| Alibaba::Leave { nic, group }),
        3 => (nic, vec(pick, 1..4)).prop_map(|(nic, groups)| Alibaba::Replace { nic, groups }),
        1 => (pick, 0_u8..3, 0_u8..3).prop_map(|(group, key, value)| Alibaba::Tag { group, key, value }),
        1 => (pick, 0_u8..3).prop_map(|(group, key)| Alibaba::Untag { group, key }),
    ]
}

fn huawei(nics: usize) -> impl Strategy<Value = Huawei> {
    let (pick, nic, tag) = (any::<u16>(), 0..nics, prop::option::of(0_u8..3));
    let version = prop_oneof![3 => Just(Version::V3), 1 => Just(Version::V1), 1 => Just(Version::V2)];
    let whole = prop_oneof![Just(Version::V1), Just(Version::V2)];
    let entries = || vec(0..ENTRIES[0].len(), 0..4);
    let dry_run = || prop::bool::weighted(0.1);
    prop_oneof![
        4 => (version.clone(), tag, dry_run())
            .prop_map(|(version, tag, dry_run)| Huawei::CreateGroup { version, tag, dry_run }),
        1 => (version.clone(), pick).prop_map(|(version, group)| Huawei::UpdateGroup { version, group }),
        2 => (version.clone(), pick).prop_map(|(version, group)| Huawei::DeleteGroup { version, group }),
        9 => (version.clone(), pick, wanted(), dry_run())
            .prop_map(|(version, group, rule, dry_run)| Huawei::CreateRule { version, group, rule, dry_run }),
        2 => (pick, vec(wanted(), 1..4), any::<bool>())
            .prop_map(|(group, rules, ignore)| Huawei::CreateRules { group, rules, ignore }),
        2 => (version, pick).prop_map(|(version, rule)| Huawei::DeleteRule { version, rule }),
        2 => (any::<bool>(), prop::option::of(1_usize..5), entries(), prop::bool::weighted(0.1))
            .prop_map(|(v6, max, entries, stray)| Huawei::CreateList { v6, max, entries, stray }),
        2 => (pick, prop::option::of(1_usize..5), prop::option::of(entries()))
            .prop_map(|(list, max, entries)| Huawei::UpdateList { list, max, entries }),
        2 => (pick, any::<bool>()).prop_map(|(list, force)| Huawei::DeleteList { list, force }),
        4 => (nic.clone(), vec(pick, 1..3), prop::option::of(0_usize..4))
            .prop_map(|(nic, groups, index)| Huawei::Insert { nic, groups, index }),
        2 => (nic.clone(), vec(pick, 1..3)).prop_map(|(nic, groups)| Huawei::Remove { nic, groups }),
        4 => (whole, nic, vec(pick, 0..4))
            .prop_map(|(version, nic, groups)| Huawei::Replace { version, nic, groups }),
    ]
}

/// Operations on so many NICs.
pub(super) fn operations(nics: usize) -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => alibaba(nics).prop_map(Op::Alibaba),
        12 => huawei(nics).prop_map(Op::Huawei),
        1 => (0..2_usize).prop_map(Op::ClosedGroup),
        3 => (any::<u16>(), wanted()).prop_map(|(group, rule)| Op::Rule { group, rule }),
    ]
}
