//! A whole policy: its parts, and references between them.
//!
//! A [`Policy`] exists only after its parts were checked, and must never change afterwards except for device facts. `sg-document`
//! and `sg-service` build policies; all other crates read them.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::{
    DeviceFacts, Direction, Group, GroupIndex, Invalid, InvalidPolicy, Nic, PortListIndex, PortRange,
    PrefixListIndex, Prefixes, Rule, RuleIndex, validity::problems,
};

/// What decided about a packet that starts a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Decider {
    /// The remote is a member of this group, which has inner access.
    IntraGroup(GroupIndex),
    /// This rule matched.
    Rule(RuleIndex),
    /// No group or rule matched: the default of this direction.
    Default(Direction),
}

/// The parts of a policy. References are indices into its lists; [`Policy::new`] checks them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyParts {
    /// Prefix lists: name and entries, with host bits zero.
    pub prefix_lists: Vec<(String, Prefixes)>,
    /// Port lists: name and ranges.
    pub port_lists: Vec<(String, Vec<PortRange>)>,
    /// Members of groups that are not NICs of this host.
    pub members: BTreeMap<GroupIndex, Vec<IpAddr>>,
    /// The groups.
    pub groups: Vec<Group>,
    /// The NICs.
    pub nics: Vec<Nic>,
}

/// A valid policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    parts: PolicyParts,
    /// For each group, the positions of the NICs that hold it.
    holders: Vec<Vec<usize>>,
}

impl Policy {
    /// Checks the parts.
    ///
    /// # Errors
    /// The first problem, in the order of the document.
    pub fn new(parts: PolicyParts) -> Result<Self, InvalidPolicy> {
        Self::checked(parts, 1).map_err(|Invalid { first, .. }| first)
    }

    /// Checks the parts.
    ///
    /// # Errors
    /// The first `most` problems, in the order of the document.
    pub fn checked(parts: PolicyParts, most: usize) -> Result<Self, Invalid> {
        let mut problems = problems(&parts, most).into_iter();
        if let Some(first) = problems.next() {
            return Err(Invalid { first, rest: problems.collect() });
        }
        let mut policy = Self { holders: vec![Vec::new(); parts.groups.len()], parts };
        for (position, nic) in policy.parts.nics.iter().enumerate() {
            for group in &nic.groups {
                policy.holders[group.0].push(position);
            }
        }
        Ok(policy)
    }

    /// The parts, for changing and checking them again.
    #[must_use]
    pub fn into_parts(self) -> PolicyParts {
        self.parts
    }

    /// The parts.
    #[must_use]
    pub const fn parts(&self) -> &PolicyParts {
        &self.parts
    }

    /// The groups, as written.
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

    /// The prefixes of a prefix list, ranges expanded. Panics like [`Self::group`].
    #[must_use]
    pub fn prefixes(&self, index: PrefixListIndex) -> &[IpNet] {
        self.parts.prefix_lists[index.0].1.as_slice()
    }

    /// The ranges of a port list. Panics like [`Self::group`].
    #[must_use]
    pub fn port_list(&self, index: PortListIndex) -> &[PortRange] {
        &self.parts.port_lists[index.0].1
    }

    /// The members of a group that are not NICs of this host, as written; see [`super::identifies`].
    #[must_use]
    pub fn remote_members(&self, group: GroupIndex) -> &[IpAddr] {
        self.parts.members.get(&group).map_or(&[], Vec::as_slice)
    }

    /// The NICs, as written.
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

    /// Fills in the facts about the NICs' devices, and the addresses of NICs for which the document gives none. `facts` returns
    /// them by device name, empty if there is no such device.
    pub fn set_device_facts(&mut self, facts: impl Fn(&str) -> DeviceFacts) {
        for nic in &mut self.parts.nics {
            nic.device_facts = facts(&nic.device);
            if nic.addresses_from_device {
                nic.addresses = nic.device_facts.addresses_of(nic.role);
            }
        }
    }
}
