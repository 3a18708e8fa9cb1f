//! Fingerprints the input of a NIC's image: equal fingerprints mean equal images. Every group and list is read once, however many
//! NICs hold it, and of members and prefixes only what differs from the policy before. It must read everything that the compiler
//! reads; reading more only costs time. Called by `images`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    net::IpAddr,
};

use ipnet::IpNet;
use sg_compile::diff::trim_common_ends;
use sg_model::{
    Action, AddressPair, AllowedSources, Conditions, Decider, DeviceFacts, Direction, Established, Family,
    Group, GroupIndex, GroupType, Hook, Ipsec, Mac, MidStream, NamedTakeover, Nic, Policy, PortListIndex,
    PortRange, Ports, Precedence, PrefixListIndex, Remote, Role, Rule, RuleIndex, Service, Takeover,
    Unmatched,
};

use crate::host::numbers::Numbers;

/// Reads the policy that was numbered.
pub(crate) struct Inputs<'a> {
    policy: &'a Policy,
    numbers: &'a Numbers,
    hashes: &'a RandomState,
    before: Option<(&'a Policy, &'a Sums)>,
    known: HashMap<Part, u64>,
    sums: Sums,
}

/// Fingerprints of sets: of the members of groups that are not NICs of this host, and of prefix lists. Each is the sum of those
/// of its entries, so a new entry adds one term; their order makes no difference.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    members: HashMap<GroupIndex, u64>,
    prefixes: HashMap<PrefixListIndex, u64>,
}

/// Parts that several NICs or rules may share.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Group(GroupIndex),
    Members(GroupIndex),
    PrefixList(PrefixListIndex),
    PortList(PortListIndex),
}

impl<'a> Inputs<'a> {
    pub(crate) fn new(
        policy: &'a Policy,
        numbers: &'a Numbers,
        hashes: &'a RandomState,
        before: Option<(&'a Policy, &'a Sums)>,
    ) -> Self {
        Self { policy, numbers, hashes, before, known: HashMap::new(), sums: Sums::default() }
    }

    /// The sums found.
    pub(crate) fn into_sums(self) -> Sums {
        self.sums
    }

    fn members(&mut self, group: GroupIndex) -> u64 {
        let before = self
            .before
            .and_then(|(policy, sums)| Some((policy.remote_members(group), *sums.members.get(&group)?)));
        let sum = self.sum(before, self.policy.remote_members(group));
        self.sums.members.insert(group, sum);
        self.policy
            .local_members(group)
            .fold(sum, |sum, address| sum.wrapping_add(self.hashes.hash_one(address)))
    }

    fn prefixes(&mut self, list: PrefixListIndex) -> u64 {
        let before = self.before.and_then(|(policy, sums)| {
            let (_, prefixes) = policy.parts().prefix_lists.get(list.0)?;
            Some((prefixes.as_slice(), *sums.prefixes.get(&list)?))
        });
        let sum = self.sum(before, self.policy.prefixes(list));
        self.sums.prefixes.insert(list, sum);
        sum
    }

    /// The sum of `after`, computed from that of the list before if it is known.
    fn sum<T: PartialEq + Hash>(&self, before: Option<(&[T], u64)>, after: &[T]) -> u64 {
        let of = |entries: &[T]| {
            entries.iter().fold(0_u64, |sum, entry| sum.wrapping_add(self.hashes.hash_one(entry)))
        };
        before.map_or_else(
            || of(after),
            |(before, sum)| {
                let (gone, come) = trim_common_ends(before, after);
                sum.wrapping_sub(of(gone)).wrapping_add(of(come))
            },
        )
    }

    /// The fingerprint of everything that determines the image of `nic` in `slot`, except its generation.
    pub(crate) fn fingerprint(&mut self, nic: &Nic, slot: u16) -> u64 {
        // Here and below all fields are named, so that a new one forces a decision whether the compiler reads it.
        let Nic {
            device: _,
            role,
            addresses,
            addresses_from_device: _,
            device_facts,
            ipsec_written: _,
            ethertypes,
            anti_spoofing_written: _,
            accept_own_source: _,
            dhcp_servers,
            hook,
            precedence,
            established,
            mid_stream,
            takeover,
            default,
            senders,
            groups,
        } = nic;
        let mut text = Text::default();
        text.number(slot.into());
        text.tag(match role {
            Role::Host => 0,
            Role::Guest => 1,
        });
        text.tag(nic.anti_spoofing().into());
        // All addresses of [`Nic::own_sources`] are among those below.
        text.number(nic.own_sources().count() as u64);
        text.tag(match precedence {
            Precedence::Sequence => 0,
            Precedence::Merged => 1,
        });
        text.tag(match established {
            Established::Revalidate => 0,
            Established::Keep => 1,
        });
        text.tag(match mid_stream {
            MidStream::Loose => 0,
            MidStream::Strict => 1,
        });
        text.number(match takeover {
            Takeover::Seconds(seconds) => (*seconds).into(),
            Takeover::Named(NamedTakeover::Established) => u64::MAX - 1,
            Takeover::Named(NamedTakeover::Forever) => u64::MAX,
        });
        text.tag(match hook {
            Hook::Tc => 0,
            Hook::Xdp => 1,
        });
        text.tag(match default {
            Unmatched::Drop => 0,
            Unmatched::Reject => 1,
        });
        text.tag(match nic.ipsec() {
            Ipsec::Pass => 0,
            Ipsec::Judge => 1,
        });
        text.number(ethertypes.len() as u64);
        for ethertype in ethertypes {
            text.number(ethertype.number().into());
        }
        let DeviceFacts { is_layer_3, mac: _, addresses: _, connected: _, above: _ } = device_facts;
        text.tag((*is_layer_3).into());
        text.number(nic.mac().map_or(0, Mac::key));
        text.number(device_facts.nets(*role).count() as u64);
        for net in device_facts.nets(*role) {
            text.net(*net);
        }
        let AllowedSources { mac, allowed_address_pairs } = senders;
        text.number(mac.map_or(0, Mac::key));
        text.number(allowed_address_pairs.len() as u64);
        for AddressPair { address, mac } in allowed_address_pairs {
            text.net(*address);
            text.number(mac.map_or(0, Mac::key));
        }
        text.number(addresses.len() as u64);
        for address in addresses {
            text.address(*address);
        }
        text.number(dhcp_servers.len() as u64);
        for server in dhcp_servers {
            text.address(*server);
        }
        for &group in groups {
            let group = self.part(Part::Group(group));
            text.number(group);
        }
        text.fingerprint(self.hashes)
    }

    fn part(&mut self, part: Part) -> u64 {
        if let Some(&known) = self.known.get(&part) {
            return known;
        }
        let mut text = Text::default();
        match part {
            Part::Group(group) => self.group(group, &mut text),
            Part::Members(group) => text.number(self.members(group)),
            Part::PrefixList(list) => text.number(self.prefixes(list)),
            Part::PortList(list) => text.ranges(self.policy.port_list(list)),
        }
        let fingerprint = text.fingerprint(self.hashes);
        self.known.insert(part, fingerprint);
        fingerprint
    }

    fn group(&mut self, index: GroupIndex, text: &mut Text) {
        let policy = self.policy;
        let group = policy.group(index);
        let Group { name: _, kind, inner_access, description: _, ingress: _, egress: _ } = group;
        text.tag(match kind {
            GroupType::Basic => 0,
            GroupType::Enterprise => 1,
            GroupType::Closed => 2,
        });
        text.tag((*inner_access).into());
        if *inner_access {
            text.number(self.counter(Decider::IntraGroup(index)));
            text.number(self.part(Part::Members(index)));
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            for (position, rule) in group.rules(direction).iter().enumerate().filter(|(_, rule)| rule.enabled)
            {
                text.tag(1);
                text.number(self.counter(Decider::Rule(RuleIndex { group: index, direction, position })));
                self.rule(rule, text);
            }
            text.tag(0);
        }
    }

    /// The numbers of rules and groups do not depend on the slot.
    fn counter(&self, decider: Decider) -> u64 {
        self.numbers.counter(0, decider).into()
    }

    fn rule(&mut self, rule: &Rule, text: &mut Text) {
        let Rule { id: _, enabled: _, action, priority, matches, description: _ } = rule;
        text.tag(match action {
            Action::Drop => 0,
            Action::Accept => 1,
            Action::Reject => 2,
        });
        text.tag(priority.get());
        let Conditions { service, family, remote, local, numbers } = matches.conditions();
        match service {
            Service::All => text.tag(0),
            Service::Ported { protocol, destination, source } => {
                text.tag(1);
                text.tag(protocol);
                self.ports(destination, text);
                self.ports(source, text);
            }
            Service::Icmp { family, message: _ } => {
                text.tag(2);
                text.tag(match family {
                    Family::V4 => 0,
                    Family::V6 => 1,
                });
            }
            Service::Other(protocol) => {
                text.tag(3);
                text.tag(protocol);
            }
        }
        match remote {
            Remote::Any => text.tag(0),
            Remote::Net(net) => {
                text.tag(1);
                text.net(*net);
            }
            Remote::Group(group) => {
                text.tag(2);
                text.number(self.part(Part::Members(*group)));
            }
            Remote::PrefixList(list) => {
                text.tag(3);
                text.number(self.part(Part::PrefixList(*list)));
            }
        }
        text.tag(match family {
            None => 0,
            Some(Family::V4) => 1,
            Some(Family::V6) => 2,
        });
        text.tag(local.is_some().into());
        if let Some(net) = local {
            text.net(net);
        }
        for (_, number) in numbers.by_field() {
            text.tag(number.is_some().into());
            text.tag(number.unwrap_or(0));
        }
    }

    fn ports(&mut self, ports: &Ports, text: &mut Text) {
        match ports {
            Ports::Any => text.tag(0),
            Ports::Ranges(ranges) => {
                text.tag(1);
                text.number(ranges.len() as u64);
                text.ranges(ranges);
            }
            Ports::List(list) => {
                text.tag(2);
                text.number(self.part(Part::PortList(*list)));
            }
        }
    }
}

/// What was read, as unambiguously encoded bytes.
#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn tag(&mut self, tag: u8) {
        self.0.push(tag);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_ne_bytes());
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => {
                self.tag(4);
                self.0.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                self.tag(6);
                self.0.extend_from_slice(&address.octets());
            }
        }
    }

    fn net(&mut self, net: IpNet) {
        self.address(net.addr());
        self.tag(net.prefix_len());
    }

    fn ranges(&mut self, ranges: &[PortRange]) {
        for range in ranges {
            self.0.extend_from_slice(&range.first().to_ne_bytes());
            self.0.extend_from_slice(&range.last().to_ne_bytes());
        }
    }

    fn fingerprint(&self, hashes: &RandomState) -> u64 {
        let mut hasher = hashes.build_hasher();
        hasher.write(&self.0);
        hasher.finish()
    }
}
