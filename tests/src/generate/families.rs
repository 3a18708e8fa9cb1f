//! Rules that overlap in every dimension, in the shape of the filter sets that packet classification is measured with:
//! access lists, firewalls, and chains of a host's own filter.
//!
//! What the shapes are is taken from the statistics that Taylor and Turner describe (`ClassBench`: A Packet
//! Classification Benchmark, INFOCOM 2005), in round numbers and in words of our own; no filter of theirs is here:
//!
//! - **Prefixes come in pairs.** How long one is says how long the other is. Access lists name both ends closely.
//!   Firewalls name one end and leave the other open. Chains have both kinds.
//! - **Addresses cluster.** Most bits of a prefix are those that its neighbours have, so prefixes nest.
//! - **Ports come in five classes**: all of them, the upper ones from 1024, the lower ones, one, a range. Ranges and
//!   single ports are few different ones that come again and again. Access lists never ask for the source port.
//! - **The narrow comes before the wide**, or it would never be met.
//!
//! Inbound, a filter's source is the rule's remote and its destination the local end; outbound, the other way round.
//! IPv6 prefixes are those of IPv4 with four bits for each.

use fastrand::Rng;
use ipnet::IpNet;
use sg_common::packet::protocol;
use sg_model::{
    Action, Direction, Family, Group, GroupIndex, GroupType, HeaderNumbers, Match, Nic, PolicyParts,
    PortRange, Ports, Priority, Protocol, Remote, Rule, Service,
};

use super::{
    address::{self, width},
    pick,
};

/// What a set of rules is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Both ends are named closely; one port, or all.
    AccessList,
    /// One end is open; ports and ranges at both ends.
    Firewall,
    /// Both of these.
    Chain,
}

/// Prefix lengths, from and to. None of IPv4 is longer than 32 bits.
type Lengths = (u32, u32);

/// So many in a hundred, and what they are.
type Share<T> = (u8, T);

/// All ports, from 1024, below 1024, one, a range: so many in a hundred.
type PortClasses = [u8; 5];

impl Shape {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::AccessList, Self::Firewall, Self::Chain];

    /// A word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessList => "acl",
            Self::Firewall => "fw",
            Self::Chain => "ipc",
        }
    }

    /// A policy of one NIC with `count` rules of one direction and family.
    #[must_use]
    pub fn parts(self, random: &mut Rng, direction: Direction, family: Family, count: usize) -> PolicyParts {
        let rules = self.rules(random, direction, family, count);
        let (ingress, egress) = match direction {
            Direction::Ingress => (rules, Vec::new()),
            Direction::Egress => (Vec::new(), rules),
        };
        let group = Group {
            name: self.name().to_owned(),
            kind: GroupType::Basic,
            inner_access: false,
            description: None,
            ingress,
            egress,
        };
        let nic = Nic { addresses: vec![address::any(random, family)], ..Nic::new("eth0", [GroupIndex(0)]) };
        PolicyParts { groups: vec![group], nics: vec![nic], ..PolicyParts::default() }
    }

    /// `count` rules of one direction and family, the narrow ones first.
    fn rules(self, random: &mut Rng, direction: Direction, family: Family, count: usize) -> Vec<Rule> {
        let pools = Pools::new(random, family);
        let mut narrow_first: Vec<(u32, Rule)> =
            (0..count).map(|_| self.rule(random, &pools, direction)).collect();
        narrow_first.sort_by_key(|&(openness, _)| openness);
        let place = |(number, (_, rule)): (usize, (u32, Rule))| Rule {
            id: number.to_string(),
            priority: Priority::new((number * 100 / count + 1) as u8).unwrap_or(Priority::LAST),
            ..rule
        };
        narrow_first.into_iter().enumerate().map(place).collect()
    }

    /// A rule, and how much it leaves open, about.
    fn rule(self, random: &mut Rng, pools: &Pools, direction: Direction) -> (u32, Rule) {
        let (from, to) = weighted(random, self.pairs());
        let (source, destination) = (random.u32(from.0..=from.1), random.u32(to.0..=to.1));
        let matches = self.service(random, pools, source + destination > 0);
        let openness = 64 - source - destination + openness(&matches) + random.u32(..8);
        let [source, destination] = [(0, source), (1, destination)]
            .map(|(side, length)| (length > 0).then(|| pools.prefix(random, side, length)));
        let (remote, local) = match direction {
            Direction::Ingress => (source, destination),
            Direction::Egress => (destination, source),
        };
        let rule = Rule {
            id: String::new(),
            enabled: true,
            action: if random.u8(..4) == 0 { Action::Drop } else { Action::Accept },
            priority: Priority::FIRST,
            matches: Match { remote: remote.map_or(Remote::Any, Remote::Net), local, ..matches },
            description: None,
        };
        (openness, rule)
    }

    /// How long the prefixes of source and destination are, together.
    const fn pairs(self) -> &'static [Share<(Lengths, Lengths)>] {
        match self {
            Self::AccessList => &[
                (30, ((24, 32), (32, 32))),
                (25, ((20, 31), (24, 31))),
                (15, ((32, 32), (24, 32))),
                (15, ((16, 24), (16, 28))),
                (8, ((0, 0), (24, 32))),
                (4, ((24, 32), (0, 0))),
                (3, ((8, 16), (8, 32))),
            ],
            Self::Firewall => &[
                (20, ((0, 0), (32, 32))),
                (14, ((0, 0), (16, 31))),
                (10, ((32, 32), (0, 0))),
                (14, ((16, 31), (0, 0))),
                (20, ((24, 32), (24, 32))),
                (12, ((16, 28), (16, 28))),
                (5, ((1, 12), (20, 32))),
                (3, ((8, 24), (1, 12))),
                (2, ((0, 0), (0, 0))),
            ],
            Self::Chain => &[
                (40, ((24, 32), (24, 32))),
                (20, ((16, 28), (16, 32))),
                (14, ((0, 0), (16, 32))),
                (12, ((16, 32), (0, 0))),
                (7, ((1, 15), (16, 32))),
                (5, ((16, 32), (1, 15))),
                (2, ((0, 0), (0, 0))),
            ],
        }
    }

    /// Source ports, then destination ports.
    const fn ports(self) -> [PortClasses; 2] {
        match self {
            Self::AccessList => [[100, 0, 0, 0, 0], [20, 3, 0, 62, 15]],
            Self::Firewall => [[60, 14, 2, 12, 12], [28, 8, 4, 40, 20]],
            Self::Chain => [[80, 4, 1, 10, 5], [32, 6, 2, 48, 12]],
        }
    }

    /// All, TCP, UDP, ICMP, another protocol.
    const fn protocols(self) -> [u8; 5] {
        match self {
            Self::AccessList => [5, 74, 15, 4, 2],
            Self::Firewall => [8, 58, 26, 5, 3],
            Self::Chain => [5, 54, 31, 8, 2],
        }
    }

    /// What a rule matches at any addresses; everything only where an end is `named`.
    fn service(self, random: &mut Rng, pools: &Pools, named: bool) -> Match {
        let number = |protocol| Match::of(Protocol::Number(protocol));
        let ported = match weighted_index(random, self.protocols()) {
            0 if named => return Match::of(Protocol::All),
            0 | 1 => protocol::TCP,
            2 => protocol::UDP,
            3 => {
                let kind = pick::of(random, [0, 3, 8, 11]);
                let icmp = match pools.family {
                    Family::V4 => protocol::ICMP,
                    Family::V6 => protocol::ICMPV6,
                };
                let numbers =
                    if random.bool() { HeaderNumbers::icmp(kind, None) } else { HeaderNumbers::NONE };
                return Match { numbers, ..number(icmp) };
            }
            // GRE, ESP, AH, OSPF.
            _ => return number(pick::of(random, [47, 50, 51, 89])),
        };
        let [source_ports, ports] = [0, 1].map(|side| pools.ports(random, side, self.ports()[side]));
        Match { ports, source_ports, ..number(ported) }
    }
}

/// What comes again and again in a set of rules, by side: source, destination.
struct Pools {
    family: Family,
    /// Tells the clusters of one set from those of another.
    places: [u64; 2],
    single: [Vec<u16>; 2],
    ranges: [Vec<PortRange>; 2],
}

impl Pools {
    fn new(random: &mut Rng, family: Family) -> Self {
        const SINGLE: [usize; 2] = [20, 120];
        const RANGES: [usize; 2] = [12, 40];
        let range = |random: &mut Rng| {
            let first = random.u16(1..60_000);
            let length = pick::of(random, [1, 4, 9, 99, 999, 5_000, 30_000]);
            PortRange::new(first, first.saturating_add(length))
        };
        Self {
            family,
            places: [random.u64(..), random.u64(..)],
            single: SINGLE.map(|count| (0..count).map(|_| random.u16(1..10_000)).collect()),
            ranges: RANGES.map(|count| (0..count).filter_map(|_| range(random)).collect()),
        }
    }

    /// A prefix among its neighbours, so long in bits of IPv4. At half of the places in the tree of prefixes all that
    /// is below goes one way; at the others, two thirds do.
    fn prefix(&self, random: &mut Rng, side: usize, length: u32) -> IpNet {
        // For each bit of IPv4.
        let repeated = width(self.family) / width(Family::V4);
        let mut bits = 0_u128;
        for depth in 0..length {
            let seed = self.places[side] ^ (bits as u64) << 8 ^ u64::from(depth);
            let place = Rng::with_seed(seed).u64(..);
            let usual = place & 2 != 0;
            let one_way = place & 1 != 0;
            let bit = if one_way || random.u8(..3) > 0 { usual } else { !usual };
            bits = bits << 1 | u128::from(bit);
        }
        let mut all = 0_u128;
        for depth in 0..width(Family::V4) {
            let bit = length.checked_sub(depth + 1).map_or(0, |below| bits >> below & 1);
            all = (0..repeated).fold(all, |all, turn| all << 1 | bit ^ u128::from(turn % 2));
        }
        address::prefix(address::of_bits(self.family, all), length * repeated)
    }

    fn ports(&self, random: &mut Rng, side: usize, classes: PortClasses) -> Ports {
        // Some are much more usual than others.
        let usual = |random: &mut Rng, count: usize| random.usize(..count).min(random.usize(..count));
        let range = match weighted_index(random, classes) {
            0 => None,
            1 => PortRange::new(1024, u16::MAX),
            2 => PortRange::new(0, 1023),
            3 => {
                let port = self.single[side][usual(random, self.single[side].len())];
                PortRange::new(port, port)
            }
            _ => Some(self.ranges[side][usual(random, self.ranges[side].len())]),
        };
        range.map_or(Ports::Any, |range| Ports::Ranges(vec![range]))
    }
}

/// How much the protocol and its ports leave open, in bits of a port.
fn openness(matches: &Match) -> u32 {
    let ports = |ports: &Ports| match ports {
        Ports::Ranges(ranges) => {
            ranges.iter().map(|range| range.last() - range.first()).max().unwrap_or(0).checked_ilog2()
        }
        Ports::Any | Ports::List(_) => Some(16),
    };
    match matches.conditions().service {
        Service::All => 40,
        Service::Ported { destination, source, .. } => {
            [destination, source].into_iter().filter_map(ports).sum()
        }
        Service::Icmp { .. } | Service::Other(_) => 24,
    }
}

fn weighted<T: Copy>(random: &mut Rng, shares: &[Share<T>]) -> T {
    let mut left = random.u8(..100);
    for &(share, value) in shares {
        match left.checked_sub(share) {
            Some(less) => left = less,
            None => return value,
        }
    }
    // The shares of every list are a hundred together.
    shares[0].1
}

fn weighted_index<const N: usize>(random: &mut Rng, shares: [u8; N]) -> usize {
    let shares: [Share<usize>; N] = std::array::from_fn(|index| (shares[index], index));
    weighted(random, &shares)
}
