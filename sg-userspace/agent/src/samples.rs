//! Small policies and records, for the tests of this crate only.

use sg_kernel::Limits;
use sg_model::{
    Action, Group, GroupIndex, GroupType, Hook, Match, Nic, Policy, PolicyParts, Priority, Protocol, Rule,
};

use crate::{
    host::{catalog::NicRecord, numbers::Outcome},
    state::records::NicState,
};

pub(crate) const LIMITS: Limits = Limits { nics: 4, flows: 64, counters: 512 };

/// A basic group with an ingress rule for each id.
pub(crate) fn group(name: &str, rules: &[&str]) -> Group {
    let rule = |id: &&str| Rule {
        id: (*id).into(),
        enabled: true,
        action: Action::Accept,
        priority: Priority::FIRST,
        matches: Match::of(Protocol::All),
        description: None,
    };
    Group {
        name: name.into(),
        kind: GroupType::Basic,
        inner_access: true,
        description: None,
        ingress: rules.iter().map(rule).collect(),
        egress: Vec::new(),
    }
}

/// The groups, and a NIC for each device that holds the first of them.
pub(crate) fn policy(groups: Vec<Group>, devices: &[&str]) -> Policy {
    let nic = |device: &&str| Nic { addresses_from_device: true, ..Nic::new(device, [GroupIndex(0)]) };
    let nics = devices.iter().map(nic).collect();
    Policy::new(PolicyParts { groups, nics, ..PolicyParts::default() }).unwrap()
}

/// A NIC that an earlier agent left in force.
pub(crate) fn record(device: &str, slot: u16, ifindex: Option<u32>) -> NicState {
    let nic = NicRecord {
        device: device.into(),
        slot,
        ifindex,
        hook: Hook::Tc,
        generation: 1,
        groups: vec!["web".into()],
        ingress_default: Outcome::Drop,
        egress_default: Outcome::Accept,
    };
    nic.into()
}
