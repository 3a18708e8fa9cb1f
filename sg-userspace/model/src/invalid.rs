//! The reasons why parts do not form a policy, and where.
//!
//! A reason says what is wrong and what is allowed; this file must never know a line of a document. The checks in `validity` give
//! them, `sg-document` shows them at their places.

use std::fmt;

use thiserror::Error;

use super::{Family, GroupIndex, GroupType, Misfit, NoEthertypes, RuleIndex};

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
    /// `inner_access: accept` on a group of a type that has none.
    #[error("inner_access of {} group is always drop: members reach each other only by rules", kind.called())]
    NoInnerAccess {
        /// The type of the group.
        kind: GroupType,
    },
    /// Too few or too many groups on a NIC.
    #[error(
        "a NIC holds 1 to {} groups, or 1 to {} of type closed; this one {found}",
        GroupType::Basic.max_per_nic(),
        GroupType::Closed.max_per_nic()
    )]
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
    /// Groups of several types on one NIC.
    #[error(
        "group {name:?} is of another type than {first:?}: one NIC holds groups of one type, basic, enterprise or closed"
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
