//! Bytes → a small policy, and probes at the edges of what it names. Bytes that ran out are zeroes, so every
//! input is a policy.
//!
//! Addresses and ports are few and close together, for rules must overlap to disagree.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use sg_model::{
    Action, AddressRange, Addresses, AllowedSources, Bounded, DeviceFacts, Direction, Established, Family,
    Group, GroupIndex, GroupType, HeaderNumbers, Hook, Match, MidStream, Nic, PolicyParts, PortListIndex,
    PortRange, Ports, Precedence, PrefixListIndex, Prefixes, Priority, Protocol, Remote, Role, Rule,
    Takeover, Unmatched,
};
use sg_probe::{Probe, ProbeParts};

/// Rules in each direction of a group, at most.
const RULES: usize = 5;

/// A reader of bytes that remembers the edges of what it made.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    nics: usize,
    addresses: [Vec<u128>; 2],
    ports: Vec<u16>,
    details: Vec<(u8, u8)>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, nics: 0, addresses: [vec![], vec![]], ports: vec![], details: vec![] }
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    fn bit(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn wide(&mut self, bytes: usize) -> u128 {
        (0..bytes).fold(0, |word, _| word << 8 | u128::from(self.byte()))
    }

    fn list<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        (0..count).map(|_| one(self)).collect()
    }

    /// A policy.
    pub(crate) fn parts(&mut self) -> PolicyParts {
        let shape = self.byte();
        let chosen = |bit: u8| shape >> bit & 1 == 1;
        let kind = match (chosen(0), chosen(2)) {
            (false, _) => GroupType::Basic,
            (true, false) => GroupType::Enterprise,
            (true, true) => GroupType::Closed,
        };
        let groups = 1 + self.below(4);
        let name = |what: &str, position: usize| format!("{what}-{position}");
        let prefix_lists = (0..2).map(|position| (name("prefixes", position), self.prefix_list())).collect();
        let port_lists = (0..2).map(|position| (name("ports", position), self.port_list())).collect();
        let members: BTreeMap<_, _> = (0..groups)
            .map(|group| {
                (
                    GroupIndex(group),
                    self.list(4, |source| {
                        let family = source.family();
                        source.address(family)
                    }),
                )
            })
            .collect();
        let groups: Vec<Group> = (0..groups)
            .map(|position| Group {
                name: name("group", position),
                kind,
                inner_access: kind == GroupType::Basic && self.bit(),
                description: None,
                ingress: self.rules(groups),
                egress: self.rules(groups),
            })
            .collect();
        self.nics = 1 + usize::from(chosen(1));
        let nics = (0..self.nics).map(|position| self.nic(position, groups.len())).collect();
        PolicyParts { prefix_lists, port_lists, members, groups, nics }
    }

    /// Some prefixes, or so many at equal distances that a tree would be high.
    fn prefix_list(&mut self) -> Prefixes {
        if !self.bit() {
            let entries = self.list(12, |source| {
                let family = source.family();
                let [one, other] = [source.address(family), source.address(family)];
                match AddressRange::new(one.min(other), one.max(other)) {
                    Ok(range) if source.bit() => Addresses::Range(range),
                    _ => source.net(family).into(),
                }
            });
            return entries.into_iter().collect();
        }
        let family = self.family();
        let (from, step) = (self.bits(family), 1_u128 << self.below(120));
        let width = if family == Family::V4 { 32 } else { 128 };
        let length = width - self.byte() % 8;
        let count = u128::from(self.byte());
        (0..count).map(|place| self.edges_of(family, from.wrapping_add(place * step), length)).collect()
    }

    /// The same of ports.
    fn port_list(&mut self) -> Vec<PortRange> {
        if !self.bit() {
            return self.list(4, Self::range);
        }
        let (from, step, count) = (self.wide(2) as u16, 2 + self.wide(1) as u16, u16::from(self.byte()));
        let ports = (0..count).map(|place| from.wrapping_add(place.wrapping_mul(step)));
        let ports: Vec<u16> = ports.collect();
        self.ports.extend(ports.iter().flat_map(|&port| [port, port.wrapping_add(1)]));
        // Unwrap: one port is a range.
        ports.into_iter().map(|port| PortRange::new(port, port).unwrap()).collect()
    }

    fn nic(&mut self, position: usize, groups: usize) -> Nic {
        let shape = self.byte();
        let turn = self.below(groups);
        let held = 1 + self.below(groups);
        Nic {
            device: format!("eth{position}"),
            role: if shape & 1 == 1 { Role::Guest } else { Role::Host },
            addresses: self.list(3, |source| {
                let family = source.family();
                source.address(family)
            }),
            addresses_from_device: false,
            device_facts: DeviceFacts::default(),
            ipsec_written: None,
            ethertypes: Vec::new(),
            anti_spoofing_written: [None, Some(true), Some(false)][usize::from(shape >> 1) % 3],
            dhcp_servers: Vec::new(),
            accept_own_source: shape & 32 != 0,
            senders: AllowedSources::default(),
            hook: Hook::Tc,
            precedence: if shape & 0x40 == 0 { Precedence::Sequence } else { Precedence::Merged },
            established: if shape & 0x80 == 0 { Established::Revalidate } else { Established::Keep },
            mid_stream: MidStream::default(),
            takeover: Takeover::default(),
            default: if shape & 0x20 == 0 { Unmatched::Drop } else { Unmatched::Reject },
            groups: (0..held).map(|place| GroupIndex((turn + place) % groups)).collect(),
        }
    }

    fn rules(&mut self, groups: usize) -> Vec<Rule> {
        let mut rules = self.list(RULES, |source| source.rule(groups));
        for (position, rule) in rules.iter_mut().enumerate() {
            rule.id = position.to_string();
        }
        rules
    }

    fn rule(&mut self, groups: usize) -> Rule {
        let shape = self.byte();
        let family = self.family();
        let remote = match self.below(8) {
            0 => Remote::Any,
            1 => Remote::Group(GroupIndex(self.below(groups))),
            2 | 3 => Remote::PrefixList(PrefixListIndex(self.below(2))),
            _ => Remote::Net(self.net(family)),
        };
        Rule {
            id: String::new(),
            enabled: shape & 7 != 7,
            action: match shape & 8 {
                0 => Action::Accept,
                _ if shape & 7 < 4 => Action::Drop,
                _ => Action::Reject,
            },
            priority: Priority::new(1 + (shape >> 4 & 3)).unwrap_or(Priority::FIRST),
            matches: {
                let mut matches = self.service(family);
                matches.numbers.dscp = (self.below(8) == 0).then(|| self.dscp()).flatten();
                matches.family = (self.below(8) == 0).then(|| family.into());
                Match { remote, local: (shape >> 6 == 3).then(|| self.net(family)), ..matches }
            },
            description: None,
        }
    }

    fn service(&mut self, family: Family) -> Match {
        let number = |protocol| Match::of(Protocol::Number(protocol));
        match self.below(8) {
            0 => Match::of(Protocol::All),
            1 => {
                let protocol = self.byte();
                // Named protocols have services of their own.
                number(if matches!(protocol, 1 | 58) { 47 } else { protocol })
            }
            2 => {
                let kind = self.byte();
                let code = self.bit().then(|| self.byte());
                self.details.push((kind, code.unwrap_or(7)));
                let named = kind != 255;
                let numbers = if named { HeaderNumbers::icmp(kind, code) } else { HeaderNumbers::NONE };
                let protocol = match family {
                    Family::V4 => 1,
                    Family::V6 => 58,
                };
                Match { numbers, ..number(protocol) }
            }
            chosen => Match {
                ports: self.port_set(),
                source_ports: if self.below(4) == 0 { self.port_set() } else { Ports::Any },
                ..number([6, 17, 132, 6, 17][chosen - 3])
            },
        }
    }

    /// One of few, so that probes have them.
    fn dscp(&mut self) -> Option<Bounded<63>> {
        Bounded::new([0, 1, 46, 63][self.below(4)])
    }

    fn port_set(&mut self) -> Ports {
        match self.below(6) {
            0 => Ports::Any,
            1 => Ports::List(PortListIndex(self.below(2))),
            _ => Ports::Ranges(self.list(3, Self::range)),
        }
    }

    fn range(&mut self) -> PortRange {
        let from = if self.bit() { self.wide(2) as u16 } else { u16::from(self.byte()) };
        let to = from.saturating_add(match self.below(4) {
            0 => 0,
            1 => u16::MAX,
            _ => u16::from(self.byte()),
        });
        self.ports.extend([from.wrapping_sub(1), from, to, to.wrapping_add(1)]);
        // Unwrap: `to` is `from` or more.
        PortRange::new(from, to).unwrap()
    }

    fn family(&mut self) -> Family {
        if self.bit() { Family::V6 } else { Family::V4 }
    }

    /// An address in one of a few neighbourhoods, some of them across the middle of the keys.
    fn bits(&mut self, family: Family) -> u128 {
        let low = self.below(4);
        match family {
            Family::V4 => {
                let bases = [0x0a00_0000, 0x7fff_ff00, 0x8000_0000, 0];
                if low == 3 { self.wide(4) } else { bases[low] | self.wide(1) }
            }
            Family::V6 => {
                let bases = [0x2001_0db8_u128 << 96, 0xfe80 << 112, 0x7fff_ffff_ffff_ffff << 64, 0];
                match self.below(4) {
                    0 => bases[low] | self.wide(1),
                    1 => bases[low] | self.wide(1) << 64 | self.wide(1),
                    2 => bases[low] ^ self.wide(1) << 120 ^ self.wide(1) << 56,
                    _ => self.wide(16),
                }
            }
        }
    }

    fn address(&mut self, family: Family) -> IpAddr {
        let bits = self.bits(family);
        self.addresses[family as usize].push(bits);
        address(family, bits)
    }

    fn net(&mut self, family: Family) -> IpNet {
        let bits = self.bits(family);
        let width = if family == Family::V4 { 32 } else { 128 };
        let length = self.byte() % (width + 1);
        self.edges_of(family, bits, length)
    }

    /// The prefix, its edges recorded. The length must fit the family.
    fn edges_of(&mut self, family: Family, bits: u128, length: u8) -> IpNet {
        // Unwrap: see above.
        let net = IpNet::new(address(family, bits), length).unwrap().trunc();
        let (first, last) = match net {
            IpNet::V4(net) => (u128::from(net.network().to_bits()), u128::from(net.broadcast().to_bits())),
            IpNet::V6(net) => (net.network().to_bits(), net.broadcast().to_bits()),
        };
        self.addresses[family as usize].extend([first.wrapping_sub(1), first, last, last.wrapping_add(1)]);
        net
    }

    /// A probe at an edge of something that was made; none where the bytes ran out.
    pub(crate) fn probe(&mut self) -> Option<Probe> {
        if self.bytes.is_empty() {
            return None;
        }
        let family = self.family();
        let protocol = match self.below(8) {
            0 => match self.byte() {
                // No IPv6 packet is of these.
                0 | 43 | 44 | 60 if family == Family::V6 => 47,
                any => any,
            },
            1 | 2 if family == Family::V4 => 1,
            1 | 2 => 58,
            3 | 4 => 17,
            5 => 132,
            _ => 6,
        };
        let (source, destination) = (self.end(family), self.end(family));
        let ported = matches!(protocol, 6 | 17 | 33 | 132 | 136);
        let icmp = protocol == if family == Family::V4 { 1 } else { 58 };
        let (kind, code) = if icmp { self.message() } else { (0, 0) };
        let parts = ProbeParts {
            nic: self.below(self.nics),
            direction: if self.bit() { Direction::Egress } else { Direction::Ingress },
            protocol,
            source,
            destination,
            source_port: ported.then(|| self.port()),
            destination_port: ported.then(|| self.port()),
            numbers: HeaderNumbers {
                dscp: self.dscp(),
                ..if icmp { HeaderNumbers::icmp(kind, code) } else { HeaderNumbers::NONE }
            },
        };
        // Unwrap: every protocol has the fields it needs, and no others.
        Some(Probe::new(parts).unwrap())
    }

    fn end(&mut self, family: Family) -> IpAddr {
        let edges = self.addresses[family as usize].len();
        let bits = if self.byte() < 224 && edges > 0 {
            let chosen = self.wide(2) as usize % edges;
            self.addresses[family as usize][chosen]
        } else {
            self.bits(family)
        };
        address(family, bits)
    }

    fn port(&mut self) -> u16 {
        if self.byte() < 224 && !self.ports.is_empty() {
            let chosen = self.wide(2) as usize % self.ports.len();
            self.ports[chosen]
        } else {
            self.wide(2) as u16
        }
    }

    fn message(&mut self) -> (u8, u8) {
        let chosen = self.byte();
        match &self.details[..] {
            seen if chosen < 224 && !seen.is_empty() => {
                let (kind, code) = seen[usize::from(chosen) % seen.len()];
                (kind, code.wrapping_add((chosen >> 6) & 1))
            }
            _ => (self.byte(), self.byte()),
        }
    }
}

/// Of an IPv4 address the lower bits count.
fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
    }
}
