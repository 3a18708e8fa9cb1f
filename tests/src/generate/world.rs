//! What a policy speaks of: a few addresses around which everything clusters, so that prefixes nest and overlap;
//! groups, lists and NICs.

use std::{collections::BTreeMap, net::IpAddr};

use fastrand::Rng;
use ipnet::IpNet;
use sg_model::{
    AddressPair, AddressRange, Addresses, AllowedSources, DeviceFacts, Direction, Established, Family, Group,
    GroupIndex, GroupType, Hook, Ipsec, MidStream, Nic, PolicyParts, PortRange, Precedence, Role, Takeover,
    Unmatched,
};

use super::{
    address::{self, width},
    pick, rules,
};

/// The addresses and list lengths of a policy before it has rules.
#[derive(Debug)]
pub(super) struct World {
    /// Where the rest of the world lives, by family.
    remote: [Vec<IpAddr>; 2],
    /// Where the NICs live, by family.
    local: [Vec<IpAddr>; 2],
    /// Basic groups come first, those of another type behind them.
    pub(super) groups: usize,
    basic: usize,
    other: GroupType,
    pub(super) prefix_lists: usize,
    pub(super) port_lists: usize,
}

impl World {
    pub(super) fn new(random: &mut Rng) -> Self {
        let mut cluster = |count| {
            [Family::V4, Family::V6]
                .map(|family| (0..count).map(|_| address::any(random, family)).collect::<Vec<_>>())
        };
        let (remote, local) = (cluster(3), cluster(2));
        let groups = random.usize(1..=12);
        let basic = match random.u8(..10) {
            0..5 => groups,
            5..8 => 0,
            _ => random.usize(..=groups),
        };
        let (prefix_lists, port_lists) = (random.usize(..4), random.usize(..4));
        let other = if random.bool() { GroupType::Enterprise } else { GroupType::Closed };
        let mut world = Self { remote, local, groups, basic, other, prefix_lists, port_lists };
        // A NIC holds more closed groups than others.
        if other == GroupType::Closed && random.u8(..20) == 0 {
            (world.groups, world.basic) = (random.usize(20..=100), 0);
        }
        world
    }

    /// An address of the other side of `family`.
    pub(super) fn remote(&self, random: &mut Rng, family: Family) -> IpAddr {
        pick(random, &self.remote[family as usize], family)
    }

    /// An address of this side of `family`.
    pub(super) fn local(&self, random: &mut Rng, family: Family) -> IpAddr {
        pick(random, &self.local[family as usize], family)
    }

    pub(super) fn parts(&self, random: &mut Rng) -> PolicyParts {
        let groups = (0..self.groups).map(|position| self.group(random, position)).collect();
        let prefix_lists = (0..self.prefix_lists).map(|position| {
            let entries = (0..random.usize(..6)).map(|_| {
                let family = pick::family(random);
                let (one, other) = (self.remote(random, family), self.remote(random, family));
                match AddressRange::new(one.min(other), one.max(other)) {
                    Ok(range) if random.usize(..3) == 0 => Addresses::Range(range),
                    _ => rules::prefix_around(one, random).into(),
                }
            });
            (format!("prefixes-{position}"), entries.collect())
        });
        let prefix_lists = prefix_lists.collect();
        let port_lists = (0..self.port_lists).map(|position| {
            let ranges: Vec<PortRange> = (0..random.usize(1..5)).map(|_| rules::port_range(random)).collect();
            (format!("ports-{position}"), ranges)
        });
        let port_lists = port_lists.collect();
        let mut members = BTreeMap::new();
        for group in 0..self.groups {
            let count = random.usize(..4);
            let mut member = || {
                let family = pick::family(random);
                self.remote(random, family)
            };
            members.insert(GroupIndex(group), (0..count).map(|_| member()).collect());
        }
        PolicyParts {
            prefix_lists,
            port_lists,
            members,
            groups,
            nics: (0..random.usize(1..=3)).map(|position| self.nic(random, position)).collect(),
        }
    }

    fn group(&self, random: &mut Rng, position: usize) -> Group {
        let kind = if position < self.basic { GroupType::Basic } else { self.other };
        let mut rules = |direction| {
            let word = match direction {
                Direction::Ingress => "ingress",
                Direction::Egress => "egress",
            };
            let count = if random.u8(..20) == 0 { random.usize(..40) } else { random.usize(..7) };
            let rule = |place| rules::rule(random, self, format!("group-{position}/{word}/{place}"));
            (0..count).map(rule).collect::<Vec<_>>()
        };
        let (ingress, egress) = (rules(Direction::Ingress), rules(Direction::Egress));
        Group {
            name: format!("group-{position}"),
            kind,
            inner_access: kind == GroupType::Basic && random.bool(),
            description: None,
            ingress,
            egress,
        }
    }

    fn nic(&self, random: &mut Rng, position: usize) -> Nic {
        let mut groups: Vec<_> = match self.basic {
            0 => 0..self.groups,
            basic if basic == self.groups || random.bool() => 0..basic,
            basic => basic..self.groups,
        }
        .map(GroupIndex)
        .collect();
        let is_basic = groups.first().is_some_and(|group: &GroupIndex| group.0 < self.basic);
        let kind = if is_basic { GroupType::Basic } else { self.other };
        random.shuffle(&mut groups);
        groups.truncate(random.usize(1..=kind.max_per_nic()));
        let addresses = (0..random.usize(..5)).map(|_| {
            let family = pick::family(random);
            self.local(random, family)
        });
        let addresses: Vec<_> = addresses.collect();
        let connected = (0..random.usize(..3)).map(|_| {
            let family = pick::family(random);
            let length = random.u32(8..=width(family));
            address::prefix(self.local(random, family), length)
        });
        let connected = connected.collect();
        let servers = (0..random.usize(..3)).map(|_| {
            let family = pick::family(random);
            self.remote(random, family)
        });
        let dhcp_servers: Vec<_> = servers.collect();
        Nic {
            device: format!("nic{position}"),
            addresses,
            addresses_from_device: false,
            device_facts: DeviceFacts { connected, ..DeviceFacts::default() },
            role: if random.bool() { Role::Host } else { Role::Guest },
            ipsec_written: pick::of(random, [None, None, Some(Ipsec::Judge)]),
            // No probe is one of these.
            ethertypes: ["lldp", "stp", "0x8915"]
                .iter()
                .take(position % 4)
                .flat_map(|kind| kind.parse())
                .collect(),
            anti_spoofing_written: pick::of(random, [None, None, Some(true), Some(false)]),
            dhcp_servers,
            accept_own_source: pick::of(random, [false, false, false, true]),
            hook: Hook::Tc,
            precedence: if random.bool() { Precedence::Sequence } else { Precedence::Merged },
            established: Established::default(),
            senders: self.senders(random),
            // No probe is from the middle of a connection.
            mid_stream: pick::of(random, [MidStream::Loose, MidStream::Strict]),
            takeover: Takeover::default(),
            default: pick::of(random, [Unmatched::Drop, Unmatched::Reject]),
            groups,
        }
    }

    fn senders(&self, random: &mut Rng) -> AllowedSources {
        let mac = |random: &mut Rng| {
            random.bool().then(|| format!("02:00:00:00:00:{:02x}", random.u8(1..4)).parse().ok()).flatten()
        };
        let pairs = (0..random.usize(..3)).filter_map(|_| {
            let family = pick::family(random);
            let address = self.local(random, family);
            let bits = address_bits(family);
            let length = if random.u8(..8) == 0 { 0 } else { random.u8(bits - 4..=bits) };
            Some(AddressPair { address: IpNet::new(address, length).ok()?.trunc(), mac: mac(random) })
        });
        let allowed_address_pairs = pairs.collect();
        AllowedSources { mac: mac(random), allowed_address_pairs }
    }
}

const fn address_bits(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

/// One of the cluster itself, or a near neighbour.
fn pick(random: &mut Rng, cluster: &[IpAddr], family: Family) -> IpAddr {
    let Some(&base) = pick::among(random, cluster) else { return address::any(random, family) };
    let free = pick::of(random, [0, 0, 1, 3, 8]);
    address::near(random, base, free)
}
