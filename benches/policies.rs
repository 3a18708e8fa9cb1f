//! Policies to measure with: any number of rules, with prefixes and ports of a realistic mix.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sg_common::packet::Family;
use sg_model::{
    Action, Group, GroupIndex, GroupType, Match, Nic, Policy, PolicyParts, PortRange, Ports, PrefixListIndex,
    Priority, Protocol, Remote, Role, Rule, Unmatched,
};

const TCP: Protocol = Protocol::Number(6);

/// The address of the NIC.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

/// The IPv6 address of the NIC.
pub const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 5);

/// A random sequence that is the same every time (`SplitMix64`).
#[derive(Clone, Copy, Debug)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A policy of one NIC with `rules` inbound rules in `groups` groups: prefixes of 16 to 32 bits, most of them 24,
/// each with one port, a range, or all; one in eight drops.
#[must_use]
pub fn policy(rules: usize, groups: usize) -> Policy {
    of(&mixed(rules, Family::V4), groups)
}

/// The same of IPv6: prefixes of 32 to 128 bits, most of them 64.
#[must_use]
pub fn policy_v6(rules: usize) -> Policy {
    of(&mixed(rules, Family::V6), 1)
}

/// `rules` inbound rules, as [`policy`] describes.
fn mixed(rules: usize, family: Family) -> Vec<Rule> {
    let mut random = Sequence(7);
    let mut rule = |id: usize| {
        let net = match family {
            Family::V4 => prefix(&mut random),
            Family::V6 => prefix_v6(&mut random),
        };
        let ports = ports(&mut random);
        Rule {
            id: id.to_string(),
            enabled: true,
            action: if random.next().is_multiple_of(8) { Action::Drop } else { Action::Accept },
            priority: Priority::new((random.next() % 100 + 1) as u8).unwrap_or(Priority::FIRST),
            matches: Match { ports, remote: Remote::Net(net), ..Match::of(TCP) },
            description: None,
        }
    };
    (0..rules).map(&mut rule).collect()
}

/// A prefix of 16 to 32 bits, most of them 24.
#[must_use]
pub fn prefix(random: &mut Sequence) -> IpNet {
    let length = [16, 20, 24, 24, 24, 28, 32, 32][(random.next() % 8) as usize];
    let address = Ipv4Addr::from_bits(random.next() as u32);
    IpNet::V4(Ipv4Net::new(address, length).map(|net| net.trunc()).unwrap_or_default())
}

/// A prefix of 32 to 128 bits within `2000::/3`, most of them 64.
fn prefix_v6(random: &mut Sequence) -> IpNet {
    let length = [32, 48, 64, 64, 64, 96, 128, 128][(random.next() % 8) as usize];
    let high = random.next() >> 3 | 1 << 61;
    let address = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(random.next()));
    IpNet::V6(Ipv6Net::new(address, length).map(|net| net.trunc()).unwrap_or_default())
}

/// A policy of one NIC with one rule, which accepts a prefix list of this many prefixes, as [`prefix`] makes them.
#[must_use]
pub fn listed(prefixes: usize) -> Policy {
    let mut random = Sequence(17);
    let mut list = BTreeSet::new();
    while list.len() < prefixes {
        list.insert(prefix(&mut random));
    }
    let parts = parts(vec![any(Remote::PrefixList(PrefixListIndex(0)))]);
    valid(PolicyParts { prefix_lists: vec![("list".to_owned(), list.into_iter().collect())], ..parts })
}

/// The parts of a policy of one NIC with one rule, which accepts the members of a group: `count` addresses of 10.0.0.0/8, from
/// the first on.
#[must_use]
pub fn members(count: usize) -> PolicyParts {
    let mut random = Sequence(19);
    let mut members = BTreeSet::from([member(0)]);
    while members.len() < count {
        members.insert(member(random.next() as u32));
    }
    let mut parts = parts(vec![any(Remote::Group(GroupIndex(1)))]);
    parts.groups.push(Group { name: "members".to_owned(), ..group(Vec::new(), Vec::new()) });
    parts.members = BTreeMap::from([(GroupIndex(1), members.into_iter().collect())]);
    parts
}

/// A policy of one NIC with `rules` rules, each of which drops the TCP of one address: [`refused`].
#[must_use]
pub fn refusing(rules: u32) -> Policy {
    let rule = |number: u32| {
        let remote = Remote::Net(IpNet::from(refused(number)));
        Rule { id: number.to_string(), action: Action::Drop, ..any(remote) }
    };
    of(&(0..rules).map(rule).collect::<Vec<_>>(), 1)
}

/// The address that a rule of [`refusing`] drops; they are not adjacent.
#[must_use]
pub fn refused(rule: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x6000_0000 + rule * 1_021))
}

/// An address of 10.0.0.0/8.
#[must_use]
pub fn member(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | number & 0x00ff_ffff))
}

/// Half the time the port of a common service; otherwise a range, or all.
#[must_use]
pub fn ports(random: &mut Sequence) -> Ports {
    let port = (random.next() % 60_000) as u16;
    match random.next() % 4 {
        0 => Ports::Any,
        1 => range(port, port + 100),
        _ => range([22, 80, 443, 3306, 5432, 6379, 8080, 9090][(random.next() % 8) as usize], 0),
    }
}

/// A host with many guests, and the group among its groups that a change affects.
///
/// Each of `nics` NICs has an address and holds five groups, each group has `rules` rules, one in twenty of which names another
/// group. All groups are held by one NIC except the first, which three hold.
#[must_use]
pub fn host(nics: usize, rules: usize) -> (PolicyParts, GroupIndex) {
    const HELD: usize = 5;
    let groups = nics * HELD;
    let mut all = mixed(groups * rules, Family::V4).into_iter();
    let groups: Vec<Group> = (0..groups)
        .map(|number| {
            let mut rules: Vec<Rule> = all.by_ref().take(rules).collect();
            for (position, rule) in rules.iter_mut().enumerate() {
                rule.id = format!("sgr-{number:08x}{position:08x}");
                if position % 20 == 19 {
                    rule.matches.remote = Remote::Group(GroupIndex((number + position) % groups));
                }
            }
            let egress = rules.split_off(rules.len() * 4 / 5);
            Group { name: format!("sg-{number:016x}"), ..group(rules, egress) }
        })
        .collect();
    let nic = |position: usize| {
        let own = (0..HELD).map(|place| GroupIndex(position * HELD + place));
        let shared = (1..3).contains(&position).then_some(GroupIndex(0));
        let address = Ipv4Addr::from_bits(LOCAL.to_bits() + position as u32);
        let groups = shared.into_iter().chain(own).take(HELD).collect();
        let addresses = vec![IpAddr::V4(address)];
        Nic { device: format!("tap{position}"), role: Role::Guest, addresses, ..nic(groups) }
    };
    let nics = (0..nics).map(nic).collect();
    (PolicyParts { groups, nics, ..PolicyParts::default() }, GroupIndex(0))
}

/// A policy of one NIC without rules: everything inbound is unmatched.
#[must_use]
pub fn unmatched(default: Unmatched) -> Policy {
    let mut parts = parts(Vec::new());
    parts.nics[0].default = default;
    valid(parts)
}

/// A policy of one NIC with one rule, which accepts all TCP.
#[must_use]
pub fn open() -> Policy {
    of(&[any(Remote::Any)], 1)
}

/// A rule that accepts all TCP of `remote`.
fn any(remote: Remote) -> Rule {
    Rule {
        id: "open".to_owned(),
        enabled: true,
        action: Action::Accept,
        priority: Priority::FIRST,
        matches: Match { remote, ..Match::of(TCP) },
        description: None,
    }
}

/// A policy of one NIC with these inbound rules, spread over `groups` groups.
fn of(rules: &[Rule], groups: usize) -> Policy {
    let size = rules.len().div_ceil(groups).max(1);
    let groups: Vec<Group> = (0..groups)
        .map(|number| {
            let rules = rules.iter().skip(number * size).take(size).cloned().collect();
            Group { name: format!("group-{number}"), ..group(rules, Vec::new()) }
        })
        .collect();
    let nic = nic((0..groups.len()).map(GroupIndex).collect());
    valid(PolicyParts { groups, nics: vec![nic], ..PolicyParts::default() })
}

/// The parts of a policy of one NIC with one group of these inbound rules.
fn parts(rules: Vec<Rule>) -> PolicyParts {
    let group = Group { name: "group-0".to_owned(), ..group(rules, Vec::new()) };
    PolicyParts { groups: vec![group], nics: vec![nic(vec![GroupIndex(0)])], ..PolicyParts::default() }
}

/// The policy of valid parts.
///
/// # Panics
/// If they are not valid.
#[must_use]
pub fn valid(parts: PolicyParts) -> Policy {
    #[expect(clippy::expect_used, reason = "a measurement without a policy is none")]
    Policy::new(parts).expect("the parts are valid")
}

fn group(ingress: Vec<Rule>, egress: Vec<Rule>) -> Group {
    Group {
        name: String::new(),
        kind: GroupType::Basic,
        inner_access: false,
        description: None,
        ingress,
        egress,
    }
}

fn nic(groups: Vec<GroupIndex>) -> Nic {
    Nic { addresses: vec![IpAddr::V4(LOCAL), IpAddr::V6(LOCAL_V6)], ..Nic::new("eth0", groups) }
}

/// A range, or one port if `last` is lower.
fn range(first: u16, last: u16) -> Ports {
    Ports::Ranges(PortRange::new(first, last.max(first)).into_iter().collect())
}
