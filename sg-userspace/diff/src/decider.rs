//! What decides a packet that starts a flow over a NIC, in order, each with its packets as sets of keys: what a NIC does before its
//! rules, its groups with inner access, its rules, its default. This is the one place that says which match field is of which
//! dimension. It must never compare policies. `compare` makes two such lists, `ask` one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foldhash::{HashMap, HashMapExt as _};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sg_common::{
    packet::{has_ports, protocol},
    verdict::{Reason, Verdict},
};
use sg_model::{
    Conditions, Direction, Family, HeaderNumbers, IcmpMessage, Nic, Policy, Ports, Remote, Service,
    identifies,
};

use super::set::{Range, SetId, Sets, intersection, normal, without};

/// What a packet is looked at for. The order is that of [`Decider::sets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension {
    /// The remote address.
    Remote,
    /// The local address.
    Local,
    /// Protocol, and destination port or ICMP type and code: [`service`].
    Service,
    /// The source port.
    SourcePort,
    /// The DSCP.
    Dscp,
}

impl Dimension {
    pub(super) const ALL: [Self; 5] =
        [Self::Remote, Self::Local, Self::Service, Self::SourcePort, Self::Dscp];

    /// The largest key.
    pub(super) const fn top(self, family: Family) -> u128 {
        match self {
            Self::Remote | Self::Local => match family {
                Family::V4 => u32::MAX as u128,
                Family::V6 => u128::MAX,
            },
            Self::Service => service(u8::MAX, u16::MAX),
            Self::SourcePort => u16::MAX as u128,
            Self::Dscp => 63,
        }
    }
}

/// The key of a protocol and its port, or its ICMP type and code as one number. A protocol that has neither has all keys at once.
pub(super) const fn service(protocol: u8, detail: u16) -> u128 {
    (protocol as u128) << 16 | detail as u128
}

/// The protocol and the detail of a key.
pub(super) const fn parts_of(service: u128) -> (u8, u16) {
    ((service >> 16) as u8, service as u16)
}

/// Whether all of these keys of services are ports.
pub(super) fn is_ported(services: &[Range]) -> bool {
    services.iter().all(|range| (parts_of(range.first).0..=parts_of(range.last).0).all(has_ports))
}

const fn whole(protocol: u8) -> Range {
    Range::new(service(protocol, 0), service(protocol, u16::MAX))
}

/// What decides, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By<'a> {
    /// Something that the NIC does before its rules.
    Reason(Reason),
    /// Inner access of a group.
    Group(&'a str),
    /// A rule of a group.
    Rule {
        /// The group's name.
        group: &'a str,
        /// The rule's id.
        rule: &'a str,
    },
    /// The default.
    Default,
    /// Nothing: the policy does not have the NIC, so every packet passes.
    Unfiltered,
}

/// One decider. A packet is its if each of its keys is in the set of its dimension.
#[derive(Clone, Debug)]
pub(super) struct Decider<'a> {
    pub(super) sets: [SetId; Dimension::ALL.len()],
    pub(super) verdict: Verdict,
    pub(super) by: By<'a>,
    /// The group or list that the remote is written as.
    pub(super) named: Option<Named<'a>>,
}

/// What a remote is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Named<'a> {
    /// The members of a group.
    Group(&'a str),
    /// The prefixes of a list.
    PrefixList(&'a str),
}

impl<'a> Decider<'a> {
    const fn always(verdict: Verdict, by: By<'a>) -> Self {
        Self { sets: [SetId::FULL; 5], verdict, by, named: None }
    }

    /// Every packet passes.
    pub(super) const UNFILTERED: Decider<'static> = Decider::always(Verdict::Accept, By::Unfiltered);

    const fn with(mut self, dimension: Dimension, set: SetId) -> Self {
        self.sets[dimension as usize] = set;
        self
    }

    pub(super) fn set(&self, dimension: Dimension) -> SetId {
        self.sets[dimension as usize]
    }
}

/// Makes the deciders of NICs of one policy and one family.
#[derive(Debug)]
pub(super) struct Deciders<'a> {
    policy: &'a Policy,
    family: Family,
    known: HashMap<Remote, Option<SetId>>,
}

impl<'a> Deciders<'a> {
    pub(super) fn new(policy: &'a Policy, family: Family) -> Self {
        Self { policy, family, known: HashMap::new() }
    }

    /// Those of a NIC, in order; the last one decides every packet.
    pub(super) fn of(&mut self, nic: &Nic, direction: Direction, sets: &mut Sets) -> Vec<Decider<'a>> {
        let effective = self.policy.effective(nic, direction);
        let mut found = Vec::with_capacity(effective.rules.len() + 4);
        match direction {
            Direction::Ingress => found.extend(self.own_sources(nic, sets)),
            Direction::Egress => self.before_sending(nic, sets, &mut found),
        }
        for group in effective.intra_groups {
            let name = self.policy.group(group).name.as_str();
            if let Some(set) = self.remote(Remote::Group(group), sets) {
                let decider = Decider::always(Verdict::Accept, By::Group(name)).with(Dimension::Remote, set);
                found.push(Decider { named: Some(Named::Group(name)), ..decider });
            }
        }
        for (index, rule) in effective.rules {
            let by = By::Rule { group: &self.policy.group(index.group).name, rule: &rule.id };
            found.extend(self.rule(rule.matches.conditions(), Decider::always(rule.action.into(), by), sets));
        }
        found.push(Decider::always(effective.default.into(), By::Default));
        found
    }

    /// Inbound packets from an address of the NIC itself are dropped: nobody else has it.
    fn own_sources(&self, nic: &Nic, sets: &mut Sets) -> Option<Decider<'a>> {
        let own = self.addresses(nic.own_sources().map(IpNet::from));
        let set = sets.id(own, Dimension::Remote.top(self.family))?;
        Some(Decider::always(Verdict::Drop, By::Reason(Reason::OwnSource)).with(Dimension::Remote, set))
    }

    /// What happens to outbound packets before the rules: what no guest may send, requests of DHCP clients, and foreign sources.
    fn before_sending(&self, nic: &Nic, sets: &mut Sets, found: &mut Vec<Decider<'a>>) {
        let top = Dimension::Local.top(self.family);
        let all = vec![Range::new(0, top)];
        let (mut may_ask, mut foreign) = (all.clone(), Vec::new());
        if nic.anti_spoofing() {
            self.never(sets, found);
            let nobody = [Range::one(0)];
            let allowed = without(&normal(self.addresses(nic.pairs().map(|(net, _)| net))), &nobody);
            foreign = without(&all, &allowed);
            may_ask = allowed;
            may_ask.extend(nobody);
            if nic.senders.mac.is_none() && self.family == Family::V6 {
                may_ask.extend(self.addresses([LINK_LOCAL_V6.into()]));
            }
            may_ask = normal(may_ask);
        }
        self.dhcp(nic, &may_ask, sets, found);
        if let Some(set) = sets.id(foreign, top) {
            let by = By::Reason(Reason::AntiSpoofing);
            found.push(Decider::always(Verdict::Drop, by).with(Dimension::Local, set));
        }
    }

    /// What no guest may send, whatever its addresses.
    fn never(&self, sets: &mut Sets, found: &mut Vec<Decider<'a>>) {
        let mut push = |reason, services: Vec<Range>, source: Option<u16>| {
            let services = sets.id(services, Dimension::Service.top(self.family));
            let source = source.map_or(Some(SetId::FULL), |port| {
                sets.id(vec![Range::one(port.into())], Dimension::SourcePort.top(self.family))
            });
            if let (Some(services), Some(source)) = (services, source) {
                let decider = Decider::always(Verdict::Drop, By::Reason(reason));
                found.push(decider.with(Dimension::Service, services).with(Dimension::SourcePort, source));
            }
        };
        let (udp, of_type) = (protocol::UDP, |kind| {
            let key = |code| service(protocol::ICMPV6, u16::from_be_bytes([kind, code]));
            vec![Range::new(key(0), key(u8::MAX))]
        });
        match self.family {
            Family::V4 => push(Reason::RogueServer, vec![Range::one(service(udp, 68))], Some(67)),
            Family::V6 => {
                push(Reason::RogueServer, vec![Range::one(service(udp, 546))], Some(547));
                push(Reason::RogueServer, of_type(134), None);
                // An advertisement that contains no address.
                push(Reason::Malformed, of_type(136), None);
            }
        }
    }

    /// Requests of DHCP clients, to all servers of the link and to those that the NIC may contact directly.
    fn dhcp(&self, nic: &Nic, may_ask: &[Range], sets: &mut Sets, found: &mut Vec<Decider<'a>>) {
        let family = self.family;
        let own = normal(self.addresses(nic.addresses.iter().copied().map(IpNet::from)));
        let (link, multicast, all_servers, ports): (IpNet, IpNet, IpAddr, _) = match family {
            Family::V4 => (LINK_LOCAL_V4.into(), MULTICAST_V4.into(), Ipv4Addr::BROADCAST.into(), (68, 67)),
            Family::V6 => (LINK_LOCAL_V6.into(), MULTICAST_V6.into(), ALL_SERVERS_V6.into(), (546, 547)),
        };
        let servers =
            nic.device_facts.networks(nic.role).chain(nic.dhcp_servers.iter().copied().map(IpNet::from));
        let servers = normal(self.addresses(servers.chain([link])));
        let servers = without(&servers, &self.addresses([multicast]));
        let mut all = self.addresses([all_servers.into()]);
        let (senders, receivers) = match family {
            Family::V4 => (may_ask.to_vec(), all),
            Family::V6 => {
                let link = self.addresses([link]);
                all.extend(&link);
                (intersection(may_ask, &link), all)
            }
        };
        for (senders, receivers) in [(senders, receivers), (intersection(may_ask, &own), servers)] {
            let mut id = |ranges, dimension: Dimension| sets.id(ranges, dimension.top(family));
            let service = id(vec![Range::one(service(protocol::UDP, ports.1))], Dimension::Service);
            let source = id(vec![Range::one(ports.0)], Dimension::SourcePort);
            let (local, remote) = (id(senders, Dimension::Local), id(receivers, Dimension::Remote));
            let (Some(service), Some(source), Some(local), Some(remote)) = (service, source, local, remote)
            else {
                continue;
            };
            let decider = Decider::always(Verdict::Accept, By::Reason(Reason::Dhcp));
            let decider = decider.with(Dimension::Service, service).with(Dimension::SourcePort, source);
            found.push(decider.with(Dimension::Local, local).with(Dimension::Remote, remote));
        }
    }

    /// `None` if no packet of the family matches.
    fn rule(
        &mut self,
        conditions: Conditions<'_>,
        decider: Decider<'a>,
        sets: &mut Sets,
    ) -> Option<Decider<'a>> {
        let Conditions { service, family, remote, local, numbers } = conditions;
        // Those of ICMP are in the service.
        let HeaderNumbers { icmp_type: _, icmp_code: _, dscp } = numbers;
        if [service.family(), family].into_iter().flatten().any(|family| family != self.family) {
            return None;
        }
        let named = match *remote {
            Remote::Any | Remote::Net(_) => None,
            Remote::Group(group) => Some(Named::Group(self.policy.group(group).name.as_str())),
            Remote::PrefixList(list) => {
                let name = self.policy.parts().prefix_lists.get(list.0).map(|(name, _)| name.as_str());
                name.map(Named::PrefixList)
            }
        };
        let remote = self.remote(*remote, sets)?;
        let local = match local {
            None => SetId::FULL,
            Some(net) => sets.id(self.addresses([net]), Dimension::Local.top(self.family))?,
        };
        let (services, sources) = self.services(service);
        let service = sets.id(services, Dimension::Service.top(self.family))?;
        let source = sets.id(sources, Dimension::SourcePort.top(self.family))?;
        let dscp = match dscp {
            None => SetId::FULL,
            Some(dscp) => sets.id(vec![Range::one(dscp.get().into())], Dimension::Dscp.top(self.family))?,
        };
        let decider = decider.with(Dimension::Remote, remote).with(Dimension::Local, local);
        let decider = decider.with(Dimension::Service, service).with(Dimension::SourcePort, source);
        Some(Decider { named, ..decider.with(Dimension::Dscp, dscp) })
    }

    /// The keys of a service, and source ports.
    pub(super) fn services(&self, service: Service<'_>) -> (Vec<Range>, Vec<Range>) {
        let every = |dimension: Dimension| vec![Range::new(0, dimension.top(self.family))];
        let any_source = every(Dimension::SourcePort);
        match service {
            Service::All => (every(Dimension::Service), any_source),
            Service::Other(number) => (vec![whole(number)], any_source),
            Service::Icmp { family, message } => {
                let number = match family {
                    Family::V4 => protocol::ICMP,
                    Family::V6 => protocol::ICMPV6,
                };
                let range = message.map_or(whole(number), |IcmpMessage { kind, code }| {
                    let key = |code| self::service(number, u16::from_be_bytes([kind, code]));
                    Range::new(key(code.unwrap_or(0)), key(code.unwrap_or(u8::MAX)))
                });
                (vec![range], any_source)
            }
            Service::Ported { protocol, destination, source } => {
                let of = |port: u16| self::service(protocol, port);
                let ports = |ports: &Ports| {
                    let ranges = match ports {
                        Ports::Any => return vec![(0, u16::MAX)],
                        Ports::Ranges(ranges) => ranges,
                        Ports::List(list) => self.policy.port_list(*list),
                    };
                    ranges.iter().map(|range| (range.first(), range.last())).collect()
                };
                let destinations = ports(destination).into_iter();
                let sources = ports(source).into_iter();
                (
                    destinations.map(|(first, last)| Range::new(of(first), of(last))).collect(),
                    sources.map(|(first, last)| Range::new(first.into(), last.into())).collect(),
                )
            }
        }
    }

    /// The addresses of a remote; `None` if there are none of the family.
    pub(super) fn remote(&mut self, remote: Remote, sets: &mut Sets) -> Option<SetId> {
        if let Some(known) = self.known.get(&remote) {
            return *known;
        }
        let top = Dimension::Remote.top(self.family);
        let set = match remote {
            Remote::Any => Some(SetId::FULL),
            Remote::Net(net) => sets.id(self.addresses([net]), top),
            Remote::Group(group) => {
                let elsewhere =
                    self.policy.remote_members(group).iter().filter(|address| identifies(**address));
                let members = elsewhere.chain(self.policy.local_members(group));
                sets.id(self.addresses(members.copied().map(IpNet::from)), top)
            }
            Remote::PrefixList(list) => {
                sets.id(self.addresses(self.policy.prefixes(list).iter().copied()), top)
            }
        };
        self.known.insert(remote, set);
        set
    }

    /// The addresses of the family.
    fn addresses(&self, nets: impl IntoIterator<Item = IpNet>) -> Vec<Range> {
        let range = |net| match (net, self.family) {
            (IpNet::V4(net), Family::V4) => {
                Some(Range::new(net.network().to_bits().into(), net.broadcast().to_bits().into()))
            }
            (IpNet::V6(net), Family::V6) => {
                Some(Range::new(net.network().to_bits(), net.broadcast().to_bits()))
            }
            _ => None,
        };
        nets.into_iter().filter_map(range).collect()
    }
}

const LINK_LOCAL_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16);
const LINK_LOCAL_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);
const MULTICAST_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4);
const MULTICAST_V6: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8);
/// All relay agents and servers of the link (RFC 8415 7.1).
const ALL_SERVERS_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
