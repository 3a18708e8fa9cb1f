//! Policies to measure with: as many rules as asked, with prefixes and ports of a realistic mix.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use sg_userspace::model::{
    Action, Established, Group, GroupIndex, GroupType, Nic, Policy, PolicyParts, PortRange, Ports,
    Precedence, Priority, Remote, Role, Rule, Service,
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
    let mut random = Sequence(7);
    let mut rule = |id: usize| {
        let length = [16, 20, 24, 24, 24, 28, 32, 32][(random.next() % 8) as usize];
        let address = Ipv4Addr::from_bits(random.next() as u32);
        let port = (random.next() % 60_000) as u16;
        let ports = match random.next() % 4 {
            0 => Ports::Any,
            1 => range(port, port + 100),
            _ => range([22, 80, 443, 3306, 5432, 6379, 8080, 9090][(random.next() % 8) as usize], 0),
        };
        let net = Ipv4Net::new(address, length).map(|net| net.trunc()).unwrap_or_default();
        Rule {
            id: id.to_string(),
            enabled: true,
            action: if random.next().is_multiple_of(8) { Action::Drop } else { Action::Accept },
            priority: Priority::new((random.next() % 100 + 1) as u8).unwrap_or(Priority::FIRST),
            service: Service::Ported { protocol: 6, destination: ports, source: Ports::Any },
            remote: Remote::Net(IpNet::V4(net)),
            local: None,
            description: None,
        }
    };
    of(&(0..rules).map(&mut rule).collect::<Vec<_>>(), groups)
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
        .map(|number| Group {
            name: format!("group-{number}"),
            kind: GroupType::Basic,
            inner_access: false,
            description: None,
            ingress: rules.iter().skip(number * size).take(size).cloned().collect(),
            egress: Vec::new(),
        })
        .collect();
    let nic = Nic {
        device: "eth0".to_owned(),
        role: Role::Host,
        addresses: vec![IpAddr::V4(LOCAL)],
        addresses_from_device: false,
        anti_spoofing_written: None,
        precedence: Precedence::default(),
        established: Established::default(),
        groups: (0..groups.len()).map(GroupIndex).collect(),
    };
    #[expect(clippy::expect_used, reason = "a measurement without a policy is none")]
    Policy::new(PolicyParts { groups, nics: vec![nic], ..PolicyParts::default() })
        .expect("the parts are valid")
}

/// A range, or one port where `last` is lower.
fn range(first: u16, last: u16) -> Ports {
    Ports::Ranges(PortRange::new(first, last.max(first)).into_iter().collect())
}
