//! A rule: the packets that it matches, and what happens to them.
//!
//! This file must never evaluate rules: `precedence` orders them, the oracle applies them and the compiler lowers them.

use std::fmt;

use ipnet::IpNet;
use sg_common::verdict::Verdict;

use super::{GroupIndex, PrefixListIndex, Service};

/// What happens to packets that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Drops them silently. Evaluated first among rules of equal priority.
    Drop,
    /// Drops them and tells their sender. Evaluated before `Accept`.
    Reject,
    /// Accepts them and their replies.
    Accept,
}

impl Action {
    /// Whether packets pass.
    #[must_use]
    pub const fn accepts(self) -> bool {
        matches!(self, Self::Accept)
    }
}

impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        match action {
            Action::Accept => Self::Accept,
            Action::Drop => Self::Drop,
            Action::Reject => Self::Reject,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        })
    }
}

/// A priority: 1 is evaluated first, 100 last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The highest priority, and the default.
    pub const FIRST: Self = Self(1);
    /// The lowest priority.
    pub const LAST: Self = Self(100);

    /// Creates a priority; `None` if the number is not 1 to 100.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if Self::FIRST.0 <= number && number <= Self::LAST.0 { Some(Self(number)) } else { None }
    }

    /// The number, 1 to 100.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The remote of a packet: the source of inbound traffic, the destination of outbound traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Any address of either family.
    Any,
    /// An address or prefix, with host bits zero.
    Net(IpNet),
    /// The members of a group.
    Group(GroupIndex),
    /// The prefixes of a prefix list.
    PrefixList(PrefixListIndex),
}

/// A rule of one direction of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The id, unique within the direction of its group.
    pub id: String,
    /// Whether the rule is in effect; a disabled rule is ignored.
    pub enabled: bool,
    /// What happens to matching packets.
    pub action: Action,
    /// The position among other rules.
    pub priority: Priority,
    /// Protocol, ports, ICMP message.
    pub service: Service,
    /// The remote.
    pub remote: Remote,
    /// The local address; `None` means every address of the NIC. Host bits are zero.
    pub local: Option<IpNet>,
    /// The description.
    pub description: Option<String>,
}
