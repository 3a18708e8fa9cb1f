//! What becomes of a packet, by the vendors' documents: which rule decides, group by group in the order of the NIC where its groups
//! are closed ones of the region, all together by priority otherwise. It must never look at the state of the service.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    objects::{Kind, List, Model, Nic, Rule},
    specs::{Action, Family, Ports, Remote},
};

/// A packet that begins a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) ingress: bool,
    pub(super) protocol: u8,
    pub(super) remote: IpAddr,
    pub(super) source_port: Option<u16>,
    pub(super) port: Option<u16>,
    pub(super) icmp: Option<(u8, u8)>,
}

/// What becomes of it, and the id of the rule that decides, if one does.
pub(super) type Verdict = (&'static str, Option<String>);

/// What decides first: the place of the group or none, the priority, the action; then the place of the group, and that of the rule.
type Rank = (usize, u8, Action, usize, usize);

impl Model {
    /// The verdict on a packet of a NIC.
    pub(super) fn verdict(&self, nic: &Nic, packet: &Packet) -> Verdict {
        let held = || nic.groups.iter().map(|group| (*group, &self.groups[group]));
        if packet.ingress
            && held().any(|(number, group)| group.inner && self.is_member(number, packet.remote, nic.vpc))
        {
            return ("accept", None);
        }
        let by_sequence = held().any(|(_, group)| group.is_regional());
        let mut best: Option<(Rank, &Rule)> = None;
        for (place, group) in nic.groups.iter().enumerate() {
            for (written, rule) in self.rules_of(*group).enumerate() {
                let first = if by_sequence { place } else { 0 };
                let rank = (first, rule.spec.priority, rule.spec.action, place, written);
                if self.matches(rule, nic, packet) && best.as_ref().is_none_or(|(found, _)| rank < *found) {
                    best = Some((rank, rule));
                }
            }
        }
        match best {
            Some((_, rule)) => {
                let verdict = match rule.spec.action {
                    Action::Accept => "accept",
                    Action::Drop => "drop",
                    Action::Reject => "reject",
                };
                (verdict, Some(rule.ids.id.clone()))
            }
            None if !packet.ingress && held().all(|(_, group)| group.kind == Kind::Basic) => ("accept", None),
            None => ("drop", None),
        }
    }

    /// Whether an address is that of a member, which a NIC in a VPC knows.
    fn is_member(&self, group: u32, address: IpAddr, vpc: usize) -> bool {
        let mut nics = self.nics.iter().filter(|nic| nic.vpc == vpc && nic.groups.contains(&group));
        nics.any(|nic| [nic.v4, nic.v6].contains(&address))
    }

    fn matches(&self, rule: &Rule, nic: &Nic, packet: &Packet) -> bool {
        let spec = &rule.spec;
        let family = if packet.remote.is_ipv4() { Family::V4 } else { Family::V6 };
        let local = if packet.remote.is_ipv4() { nic.v4 } else { nic.v6 };
        let within = |ranges: &[(u16, u16)], port: Option<u16>| {
            port.is_some_and(|port| ranges.iter().any(|(first, last)| (*first..=*last).contains(&port)))
        };
        spec.enabled
            && spec.ingress == packet.ingress
            && spec.protocol.is_none_or(|protocol| protocol == packet.protocol)
            && spec.only(self).is_none_or(|only| only == family)
            && match &spec.ports {
                Ports::Any => true,
                Ports::Ranges(ranges) => within(ranges, packet.port),
                Ports::List(list) => within(&self.port_lists[list].ranges, packet.port),
            }
            && spec.source_ports.is_none_or(|range| within(&[range], packet.source_port))
            && spec.icmp.is_none_or(|(kind, code)| {
                packet.icmp.is_some_and(|(has, its)| has == kind && code.is_none_or(|code| code == its))
            })
            && spec.local.as_ref().is_none_or(|net| net.contains(&local))
            && match &spec.remote {
                Remote::Any => true,
                Remote::Net(net) => net.contains(&packet.remote),
                Remote::Group(group) => self.is_member(*group, packet.remote, nic.vpc),
                Remote::List(list) => has(&self.lists[list], packet.remote),
            }
    }
}

/// Whether a list has an address. A range is `a-b`.
fn has(list: &List, address: IpAddr) -> bool {
    list.entries.iter().any(|entry| match entry.split_once('-') {
        Some((first, last)) => {
            let (first, last): (IpAddr, IpAddr) = (first.parse().unwrap(), last.parse().unwrap());
            address.is_ipv4() == first.is_ipv4() && (first..=last).contains(&address)
        }
        None => entry.parse::<IpNet>().unwrap().contains(&address),
    })
}
