//! Policies to measure with: as many rules as asked, with prefixes and ports of a realistic mix.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use sg_userspace::model::{
    Action, Established, Group, GroupIndex, GroupType, Hook, MidStream, Nic, Policy, PolicyParts, PortRange,
    Ports, Precedence, Priority, Remote, Role, Rule, Senders, Service, Unmatched,
};

/// The address of the NIC.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

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
    of(&mixed(rules), groups)
}

/// So many inbound rules, as [`policy`] says.
fn mixed(rules: usize) -> Vec<Rule> {
    let mut random = Sequence(7);
    let mut rule = |id: usize| {
        let net = prefix(&mut random);
        let ports = ports(&mut random);
        Rule {
            id: id.to_string(),
            enabled: true,
            action: if random.next().is_multiple_of(8) { Action::Drop } else { Action::Accept },
            priority: Priority::new((random.next() % 100 + 1) as u8).unwrap_or(Priority::FIRST),
            service: Service::Ported { protocol: 6, destination: ports, source: Ports::Any },
            remote: Remote::Net(net),
            local: None,
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

/// Half the time the port of a service that many offer; else a range, or all.
#[must_use]
pub fn ports(random: &mut Sequence) -> Ports {
    let port = (random.next() % 60_000) as u16;
    match random.next() % 4 {
        0 => Ports::Any,
        1 => range(port, port + 100),
        _ => range([22, 80, 443, 3306, 5432, 6379, 8080, 9090][(random.next() % 8) as usize], 0),
    }
}

/// A host with many guests, and the group among its groups that a change is about.
///
/// Each of `nics` NICs has an address and holds five groups, each group has `rules` rules, one in twenty of which names
/// another group. All groups are held by one NIC but for the first, which three hold.
#[must_use]
pub fn host(nics: usize, rules: usize) -> (PolicyParts, GroupIndex) {
    const HELD: usize = 5;
    let groups = nics * HELD;
    let mut all = mixed(groups * rules).into_iter();
    let groups: Vec<Group> = (0..groups)
        .map(|number| {
            let mut rules: Vec<Rule> = all.by_ref().take(rules).collect();
            for (position, rule) in rules.iter_mut().enumerate() {
                rule.id = format!("sgr-{number:08x}{position:08x}");
                if position % 20 == 19 {
                    rule.remote = Remote::Group(GroupIndex((number + position) % groups));
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
        Nic { device: format!("tap{position}"), role: Role::Guest, ..nic(address, groups) }
    };
    let nics = (0..nics).map(nic).collect();
    (PolicyParts { groups, nics, ..PolicyParts::default() }, GroupIndex(0))
}

/// A policy of one NIC with one rule, which accepts all TCP.
#[must_use]
pub fn open() -> Policy {
    let rule = Rule {
        id: "open".to_owned(),
        enabled: true,
        action: Action::Accept,
        priority: Priority::FIRST,
        service: Service::of(6),
        remote: Remote::Any,
        local: None,
        description: None,
    };
    of(&[rule], 1)
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
    let nic = nic(LOCAL, (0..groups.len()).map(GroupIndex).collect());
    #[expect(clippy::expect_used, reason = "a measurement without a policy is none")]
    Policy::new(PolicyParts { groups, nics: vec![nic], ..PolicyParts::default() })
        .expect("the parts are valid")
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

fn nic(address: Ipv4Addr, groups: Vec<GroupIndex>) -> Nic {
    Nic {
        device: "eth0".to_owned(),
        role: Role::Host,
        addresses: vec![IpAddr::V4(address)],
        addresses_from_device: false,
        anti_spoofing_written: None,
        senders: Senders::default(),
        hook: Hook::Tc,
        precedence: Precedence::default(),
        established: Established::default(),
        mid_stream: MidStream::default(),
        default: Unmatched::default(),
        groups,
    }
}

/// A range, or one port where `last` is lower.
fn range(first: u16, last: u16) -> Ports {
    Ports::Ranges(PortRange::new(first, last.max(first)).into_iter().collect())
}
