//! A whole policy, and its validation.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use foldhash::{HashSet, HashSetExt as _};
use ipnet::IpNet;
use thiserror::Error;

use super::{
    DeviceFacts, Direction, Family, Group, GroupType, Hook, Ipsec, MAX_GROUPS_PER_NIC, Nic, NoEthertypes,
    PortRange, Ports, Remote, Role, Rule, Service, fit_one_nic,
};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(
            /// The position in the policy's list.
            pub usize,
        );
    };
}
index!(
    /// A group of the policy.
    GroupIndex
);
index!(
    /// A prefix list of the policy.
    PrefixListIndex
);
index!(
    /// A port list of the policy.
    PortListIndex
);

/// A rule of the policy: its group, direction and position as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIndex {
    /// The rule's group.
    pub group: GroupIndex,
    /// The rule's direction.
    pub direction: Direction,
    /// Its position in that direction, from 0.
    pub position: usize,
}

/// What decided a packet that starts a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decider {
    /// The remote is a member of this group, which has inner access.
    IntraGroup(GroupIndex),
    /// This rule matched.
    Rule(RuleIndex),
    /// Nothing matched: the default of the direction.
    Default(Direction),
}

/// The parts of a policy. References are indices into the lists here; [`Policy::new`] checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyParts {
    /// Names and prefixes, with host bits zero.
    pub prefix_lists: Vec<(String, Vec<IpNet>)>,
    /// Names and ranges.
    pub port_lists: Vec<(String, Vec<PortRange>)>,
    /// Members that are not NICs of this host.
    pub members: BTreeMap<GroupIndex, Vec<IpAddr>>,
    /// The groups.
    pub groups: Vec<Group>,
    /// The NICs.
    pub nics: Vec<Nic>,
}

/// A place in a policy. The document room maps it to a line and a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A group.
    Group(GroupIndex),
    /// A rule.
    Rule(RuleIndex),
    /// A NIC, by its position.
    Nic(usize),
    /// An entry of a NIC's list of groups: the position of the NIC, and that of the entry.
    NicGroup(usize, usize),
}

/// Why parts do not form a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct InvalidPolicy {
    /// The place of the problem.
    pub place: Place,
    /// What is wrong, and what would be right.
    pub reason: InvalidReason,
}

/// What is wrong with the parts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidReason {
    /// Two groups, lists or NICs with the same name.
    #[error("{what} {name:?} is there twice: names are unique")]
    Duplicate {
        /// The kind of object.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two rules of one direction of a group with the same id.
    #[error("rule id {id:?} is there twice in this direction of the group: give each rule an id of its own")]
    DuplicateRule {
        /// The id.
        id: String,
    },
    /// A reference to an object that does not exist.
    #[error("a reference to a {what} that does not exist")]
    Dangling {
        /// The kind of object.
        what: &'static str,
    },
    /// IPv4 and IPv6 parts in one rule.
    #[error(
        "{first} is {first_family} and {second} is {second_family}: one rule has one family; write two rules"
    )]
    MixedFamilies {
        /// A part of the rule.
        first: &'static str,
        /// Its family.
        first_family: FamilyName,
        /// Another part.
        second: &'static str,
        /// Its family.
        second_family: FamilyName,
    },
    /// `inner_access: accept` on an enterprise group.
    #[error("an enterprise group never lets its members talk by itself: inner_access is always drop")]
    EnterpriseInnerAccess,
    /// Too few or too many groups on a NIC.
    #[error("a NIC holds 1 to {MAX_GROUPS_PER_NIC} groups, this one {found}")]
    GroupCount {
        /// The number of groups.
        found: usize,
    },
    /// `hook: xdp` on a guest's NIC.
    #[error(
        "XDP judges what a device receives, and of a guest's NIC that is outbound: xdp is for role host, write tc"
    )]
    GuestXdp,
    /// `ipsec: pass` on a guest's NIC.
    #[error(
        "of a guest everything is judged, its IPsec is its own affair: pass is for role host, write judge"
    )]
    GuestIpsec,
    /// `ipsec: judge` with `hook: xdp`.
    #[error("what IPsec delivers does not come by XDP again, so nothing there can judge it: write hook: tc")]
    XdpIpsec,
    /// Kinds of frames that one NIC cannot name.
    #[error(transparent)]
    Ethertypes(#[from] NoEthertypes),
    /// The same group twice on a NIC.
    #[error("group {name:?} stands twice on this NIC")]
    GroupTwice {
        /// The name of the group.
        name: String,
    },
    /// Basic and enterprise groups on one NIC.
    #[error(
        "group {name:?} is of another type than {first:?}: one NIC holds groups of one type, basic or enterprise"
    )]
    MixedTypes {
        /// The first group of the NIC.
        first: String,
        /// The name of the group of another type.
        name: String,
    },
}

/// The name of a family, as shown to users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FamilyName(pub Family);

impl fmt::Display for FamilyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A valid policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    parts: PolicyParts,
    /// The NICs that hold each group.
    holders: Vec<Vec<usize>>,
}

impl Policy {
    /// Checks the parts.
    ///
    /// # Errors
    /// The first problem found, in the order of the document.
    pub fn new(parts: PolicyParts) -> Result<Self, InvalidPolicy> {
        let mut policy = Self { holders: vec![Vec::new(); parts.groups.len()], parts };
        policy.check_groups()?;
        policy.check_nics()?;
        for (position, nic) in policy.parts.nics.iter().enumerate() {
            for group in &nic.groups {
                policy.holders[group.0].push(position);
            }
        }
        Ok(policy)
    }

    fn check_groups(&self) -> Result<(), InvalidPolicy> {
        let mut names = HashSet::new();
        for (position, group) in self.parts.groups.iter().enumerate() {
            let index = GroupIndex(position);
            let fail = |reason| Err(InvalidPolicy { place: Place::Group(index), reason });
            if !names.insert(&group.name) {
                return fail(InvalidReason::Duplicate { what: "group", name: group.name.clone() });
            }
            if group.kind == GroupType::Enterprise && group.inner_access {
                return fail(InvalidReason::EnterpriseInnerAccess);
            }
            for direction in [Direction::Ingress, Direction::Egress] {
                let mut seen = HashSet::new();
                for (position, rule) in group.rules(direction).iter().enumerate() {
                    let place = Place::Rule(RuleIndex { group: index, direction, position });
                    if !seen.insert(&rule.id) {
                        let reason = InvalidReason::DuplicateRule { id: rule.id.clone() };
                        return Err(InvalidPolicy { place, reason });
                    }
                    self.check_rule(rule).map_err(|reason| InvalidPolicy { place, reason })?;
                }
            }
        }
        Ok(())
    }

    fn check_rule(&self, rule: &Rule) -> Result<(), InvalidReason> {
        let exists = |ports: &Ports| match ports {
            Ports::List(list) => list.0 < self.parts.port_lists.len(),
            Ports::Any | Ports::Ranges(_) => true,
        };
        if let Service::Ported { destination, source, .. } = &rule.service
            && !(exists(destination) && exists(source))
        {
            return Err(InvalidReason::Dangling { what: "port list" });
        }
        let remote = match rule.remote {
            Remote::Net(net) => Some(("remote", family_of(net))),
            Remote::Group(group) if group.0 >= self.parts.groups.len() => {
                return Err(InvalidReason::Dangling { what: "group" });
            }
            Remote::PrefixList(list) if list.0 >= self.parts.prefix_lists.len() => {
                return Err(InvalidReason::Dangling { what: "prefix list" });
            }
            Remote::Any | Remote::Group(_) | Remote::PrefixList(_) => None,
        };
        let local = rule.local.map(|net| ("local", family_of(net)));
        let service = rule.service.family().map(|family| ("protocol", family));
        let mut parts = [service, remote, local].into_iter().flatten();
        if let Some((first, first_family)) = parts.next()
            && let Some((second, second_family)) = parts.find(|&(_, family)| family != first_family)
        {
            let (first_family, second_family) = (FamilyName(first_family), FamilyName(second_family));
            return Err(InvalidReason::MixedFamilies { first, first_family, second, second_family });
        }
        Ok(())
    }

    fn check_nics(&self) -> Result<(), InvalidPolicy> {
        let mut devices = HashSet::new();
        for (position, nic) in self.parts.nics.iter().enumerate() {
            let fail = |place, reason| Err(InvalidPolicy { place, reason });
            if !devices.insert(&nic.device) {
                let reason = InvalidReason::Duplicate { what: "device", name: nic.device.clone() };
                return fail(Place::Nic(position), reason);
            }
            if (nic.role, nic.hook) == (Role::Guest, Hook::Xdp) {
                return fail(Place::Nic(position), InvalidReason::GuestXdp);
            }
            if (nic.role, nic.ipsec_written) == (Role::Guest, Some(Ipsec::Pass)) {
                return fail(Place::Nic(position), InvalidReason::GuestIpsec);
            }
            if (nic.hook, nic.ipsec_written) == (Hook::Xdp, Some(Ipsec::Judge)) {
                return fail(Place::Nic(position), InvalidReason::XdpIpsec);
            }
            if let Err(why) = fit_one_nic(&nic.ethertypes) {
                return fail(Place::Nic(position), why.into());
            }
            if !(1..=MAX_GROUPS_PER_NIC).contains(&nic.groups.len()) {
                return fail(Place::Nic(position), InvalidReason::GroupCount { found: nic.groups.len() });
            }
            for (place, group) in nic.groups.iter().enumerate() {
                let here = Place::NicGroup(position, place);
                let Some(found) = self.parts.groups.get(group.0) else {
                    return fail(here, InvalidReason::Dangling { what: "group" });
                };
                if nic.groups[..place].contains(group) {
                    return fail(here, InvalidReason::GroupTwice { name: found.name.clone() });
                }
                // Unwrap: the first group was looked up in the first round of this loop.
                let first = self.group(nic.groups[0]);
                if first.kind != found.kind {
                    let (first, name) = (first.name.clone(), found.name.clone());
                    return fail(here, InvalidReason::MixedTypes { first, name });
                }
            }
        }
        Ok(())
    }

    /// The parts, to be changed and checked again.
    #[must_use]
    pub fn into_parts(self) -> PolicyParts {
        self.parts
    }

    /// The parts.
    #[must_use]
    pub const fn parts(&self) -> &PolicyParts {
        &self.parts
    }

    /// The groups as written.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.parts.groups
    }

    /// The group at `index`.
    ///
    /// # Panics
    /// If the index belongs to another policy.
    #[must_use]
    pub fn group(&self, index: GroupIndex) -> &Group {
        &self.parts.groups[index.0]
    }

    /// The rule at `index`. Panics like [`Self::group`].
    #[must_use]
    pub fn rule(&self, index: RuleIndex) -> &Rule {
        &self.group(index.group).rules(index.direction)[index.position]
    }

    /// The prefixes of a list. Panics like [`Self::group`].
    #[must_use]
    pub fn prefixes(&self, index: PrefixListIndex) -> &[IpNet] {
        &self.parts.prefix_lists[index.0].1
    }

    /// The ranges of a port list. Panics like [`Self::group`].
    #[must_use]
    pub fn port_list(&self, index: PortListIndex) -> &[PortRange] {
        &self.parts.port_lists[index.0].1
    }

    /// The members of a group that are not NICs of this host, as written: see [`super::identifies`].
    #[must_use]
    pub fn remote_members(&self, group: GroupIndex) -> &[IpAddr] {
        self.parts.members.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The NICs as written.
    #[must_use]
    pub fn nics(&self) -> &[Nic] {
        &self.parts.nics
    }

    /// The NICs that hold a group.
    pub fn holders(&self, group: GroupIndex) -> impl Iterator<Item = &Nic> {
        self.holders.get(group.0).into_iter().flatten().map(|&position| &self.parts.nics[position])
    }

    /// The NIC of a device, if the policy has one.
    #[must_use]
    pub fn nic(&self, device: &str) -> Option<&Nic> {
        self.parts.nics.iter().find(|nic| nic.device == device)
    }

    /// Fills in the facts of the NICs' devices; NICs for which the document names no addresses get those of the device. `facts`
    /// returns them by device name, empty if there is no such device.
    pub fn set_device_facts(&mut self, facts: impl Fn(&str) -> DeviceFacts) {
        for nic in &mut self.parts.nics {
            nic.device_facts = facts(&nic.device);
            if nic.addresses_from_device {
                nic.addresses = nic.device_facts.addresses_of(nic.role);
            }
        }
    }
}

fn family_of(net: IpNet) -> Family {
    match net {
        IpNet::V4(_) => Family::V4,
        IpNet::V6(_) => Family::V6,
    }
}
