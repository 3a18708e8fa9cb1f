//! What the image of a NIC is made of, as a fingerprint: who has the same one has the same image. Every group and
//! list is read once, however many NICs hold it. It must read all that the compiler reads; what it reads in
//! vain only costs time. Called by `images`.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    mem::discriminant,
    net::IpAddr,
};

use super::Numbers;
use crate::model::{
    Decider, Direction, Group, GroupIndex, Nic, Policy, PortListIndex, Ports, PrefixListIndex, Remote, Rule,
    RuleIndex, Service,
};

/// Reads the policy that was numbered.
pub(super) struct Inputs<'a> {
    policy: &'a Policy,
    numbers: &'a Numbers,
    hashes: &'a RandomState,
    known: HashMap<Part, u64>,
}

/// What several NICs or rules may have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Group(GroupIndex),
    Members(GroupIndex),
    PrefixList(PrefixListIndex),
    PortList(PortListIndex),
}

impl<'a> Inputs<'a> {
    pub(super) fn new(policy: &'a Policy, numbers: &'a Numbers, hashes: &'a RandomState) -> Self {
        Self { policy, numbers, hashes, known: HashMap::new() }
    }

    /// Of everything that makes the image of `nic` in `slot`, but for its generation.
    pub(super) fn fingerprint(&mut self, nic: &Nic, slot: u16) -> u64 {
        // All fields are named: a new one is either read by the compiler or not.
        let Nic {
            device: _,
            role,
            addresses,
            addresses_from_device: _,
            anti_spoofing_written: _,
            precedence,
            established,
            groups,
        } = nic;
        let mut hasher = self.hashes.build_hasher();
        (slot, role, addresses, nic.anti_spoofing(), precedence, established).hash(&mut hasher);
        for &group in groups {
            self.part(Part::Group(group)).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn part(&mut self, part: Part) -> u64 {
        if let Some(&known) = self.known.get(&part) {
            return known;
        }
        let mut hasher = self.hashes.build_hasher();
        match part {
            Part::Group(group) => self.group(group, &mut hasher),
            Part::Members(group) => {
                // A set: in which order the NICs stand makes no difference.
                let elsewhere = self.policy.members_elsewhere(group);
                let mut members: Vec<&IpAddr> =
                    elsewhere.iter().chain(self.policy.members_here(group)).collect();
                members.sort_unstable();
                members.dedup();
                members.hash(&mut hasher);
            }
            Part::PrefixList(list) => self.policy.prefixes(list).hash(&mut hasher),
            Part::PortList(list) => self.policy.port_list(list).hash(&mut hasher),
        }
        let fingerprint = hasher.finish();
        self.known.insert(part, fingerprint);
        fingerprint
    }

    fn group(&mut self, index: GroupIndex, hasher: &mut impl Hasher) {
        let policy = self.policy;
        let group = policy.group(index);
        let Group { name: _, kind, inner_access, description: _, ingress: _, egress: _ } = group;
        (kind, inner_access).hash(hasher);
        if *inner_access {
            self.counter(Decider::IntraGroup(index)).hash(hasher);
            self.part(Part::Members(index)).hash(hasher);
        }
        for direction in [Direction::Ingress, Direction::Egress] {
            for (position, rule) in group.rules(direction).iter().enumerate().filter(|(_, rule)| rule.enabled)
            {
                1_u8.hash(hasher);
                self.counter(Decider::Rule(RuleIndex { group: index, direction, position })).hash(hasher);
                self.rule(rule, hasher);
            }
            0_u8.hash(hasher);
        }
    }

    /// The numbers of rules and groups do not depend on the slot.
    fn counter(&self, decider: Decider) -> u32 {
        self.numbers.counter(0, decider)
    }

    fn rule(&mut self, rule: &Rule, hasher: &mut impl Hasher) {
        let Rule { id: _, enabled: _, action, priority, service, remote, local, description: _ } = rule;
        (action, priority, local).hash(hasher);
        discriminant(service).hash(hasher);
        match service {
            Service::All => {}
            Service::Ported { protocol, destination, source } => {
                protocol.hash(hasher);
                self.ports(destination, hasher);
                self.ports(source, hasher);
            }
            Service::Icmp { family, message } => (family, message).hash(hasher),
            Service::Other(protocol) => protocol.hash(hasher),
        }
        discriminant(remote).hash(hasher);
        match remote {
            Remote::Any => {}
            Remote::Net(net) => net.hash(hasher),
            Remote::Group(group) => self.part(Part::Members(*group)).hash(hasher),
            Remote::PrefixList(list) => self.part(Part::PrefixList(*list)).hash(hasher),
        }
    }

    fn ports(&mut self, ports: &Ports, hasher: &mut impl Hasher) {
        discriminant(ports).hash(hasher);
        match ports {
            Ports::Any => {}
            Ports::Ranges(ranges) => ranges.hash(hasher),
            Ports::List(list) => self.part(Part::PortList(*list)).hash(hasher),
        }
    }
}
