//! A whole policy: its parts, references between them, and the reasons why parts do not form a policy.
//!
//! A [`Policy`] exists only after its parts were checked, and must never change afterwards except for device facts. `sg-document`
//! and `sg-service` build policies; all other crates read them.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;
use thiserror::Error;

use super::{
    DeviceFacts, Direction, Family, Group, MAX_GROUPS_PER_NIC, Misfit, Nic, NoEthertypes, PortRange, Rule,
    validity::problems,
};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(
            /// The position in the policy's list.
            pub usize,
        );

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "#{}", self.0)
            }
        }
    };
}
index!(
    /// A reference to a group of the policy.
    GroupIndex
);
index!(
    /// A reference to a prefix list of the policy.
    PrefixListIndex
);
index!(
    /// A reference to a port list of the policy.
    PortListIndex
);

/// A reference to a rule of the policy: its group, direction and position as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleIndex {
    /// The rule's group.
    pub group: GroupIndex,
    /// The rule's direction.
    pub direction: Direction,
    /// Its position in that direction, counted from 0.
    pub position: usize,
}

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
    /// Prefix lists: name and prefixes, with host bits zero.
    pub prefix_lists: Vec<(String, Vec<IpNet>)>,
    /// Port lists: name and ranges.
    pub port_lists: Vec<(String, Vec<PortRange>)>,
    /// Members of groups that are not NICs of this host.
    pub members: BTreeMap<GroupIndex, Vec<IpAddr>>,
    /// The groups.
    pub groups: Vec<Group>,
    /// The NICs.
    pub nics: Vec<Nic>,
}

/// A place in a policy. `sg-document` maps it to a line and a column.
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

/// One reason why parts do not form a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct InvalidPolicy {
    /// The place of the problem.
    pub place: Place,
    /// What is wrong, and what is allowed.
    pub reason: InvalidReason,
}

/// All reasons why parts do not form a policy: one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The first one.
    pub first: InvalidPolicy,
    /// The others, in the order of the document.
    pub rest: Vec<InvalidPolicy>,
}

/// What is wrong with the parts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidReason {
    /// Two groups, or two NICs, have the same name.
    #[error("{what} {name:?} is there twice: names are unique")]
    Duplicate {
        /// The kind of object.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two rules of one direction of a group have the same id.
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
    /// IPv4 and IPv6 in one rule.
    #[error(
        "{first} is {first_family} and {second} is {second_family}: one rule has one family; write two rules"
    )]
    MixedFamilies {
        /// A part of the rule.
        first: &'static str,
        /// The family of that part.
        first_family: FamilyName,
        /// Another part of the rule.
        second: &'static str,
        /// The family of the other part.
        second_family: FamilyName,
    },
    /// Fields of a rule that do not fit together.
    #[error(transparent)]
    Misfit(#[from] Misfit),
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
    /// Kinds of non-IP frames that one NIC cannot have together.
    #[error(transparent)]
    Ethertypes(#[from] NoEthertypes),
    /// A group that a NIC holds twice.
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

    /// The prefixes of a prefix list. Panics like [`Self::group`].
    #[must_use]
    pub fn prefixes(&self, index: PrefixListIndex) -> &[IpNet] {
        &self.parts.prefix_lists[index.0].1
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
