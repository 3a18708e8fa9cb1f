//! A rule: which packets, and what happens to them.

use std::fmt;

use ipnet::IpNet;
use sg_common::verdict::Verdict;

use super::{GroupIndex, PrefixListIndex, Service};

/// What a rule does with the packets it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Drops them, silently. Stands before the others in the order of rules of equal priority.
    Drop,
    /// Drops them and tells their sender. Stands before `Accept`.
    Reject,
    /// Lets them and the answers to them pass.
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

/// 1 is asked first, 100 last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u8);

impl Priority {
    /// The first, and the default.
    pub const FIRST: Self = Self(1);
    /// The last.
    pub const LAST: Self = Self(100);

    /// A priority, or none where the number is not 1–100.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if Self::FIRST.0 <= number && number <= Self::LAST.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The other end of a packet: the source of inbound traffic, the destination of outbound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// Anyone, of both families.
    Any,
    /// An address or prefix. Host bits are zero.
    Net(IpNet),
    /// The members of a group.
    Group(GroupIndex),
    /// The prefixes of a list.
    PrefixList(PrefixListIndex),
}

/// A rule of one direction of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique within the direction of its group.
    pub id: String,
    /// A rule that is not enabled is as if it were not there.
    pub enabled: bool,
    /// What happens.
    pub action: Action,
    /// Where it stands in the order.
    pub priority: Priority,
    /// Protocol, ports, ICMP message.
    pub service: Service,
    /// The other end.
    pub remote: Remote,
    /// This end; none means every address of the NIC. Host bits are zero.
    pub local: Option<IpNet>,
    /// For people.
    pub description: Option<String>,
}
