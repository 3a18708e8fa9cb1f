//! A security group and its type.
//!
//! This file holds the rules of a group as written; it must never evaluate them. Policies contain groups; the compiler and the
//! oracle read them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Direction, Rule};

/// The type of a group. All groups of one NIC have the same type.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum GroupType {
    /// Outbound packets that no rule matches are accepted, and members can reach each other unless inner access is off.
    #[default]
    Basic,
    /// Packets that no rule matches are dropped in both directions, also between members.
    Enterprise,
    /// The same; and rules may name groups, their own one among them. A NIC holds many of them. This is the group of Huawei Cloud.
    Closed,
}

impl GroupType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Basic, Self::Enterprise, Self::Closed];

    /// The maximum number of groups of this type on one NIC.
    #[must_use]
    pub const fn max_per_nic(self) -> usize {
        match self {
            Self::Basic | Self::Enterprise => 10,
            Self::Closed => 100,
        }
    }

    /// Whether outbound packets that no rule matches are accepted, and members may reach each other without a rule.
    #[must_use]
    pub const fn is_open(self) -> bool {
        match self {
            Self::Basic => true,
            Self::Enterprise | Self::Closed => false,
        }
    }

    /// The type with its article, as messages have it.
    #[must_use]
    pub const fn called(self) -> &'static str {
        match self {
            Self::Basic => "a basic",
            Self::Enterprise => "an enterprise",
            Self::Closed => "a closed",
        }
    }
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// The name of the group that a group of this name stands for. A store's group, which has an id, may be several in a policy: one for
/// each network of the NICs that hold it, `sg-…/NETWORK`. They count and are shown as the one.
#[must_use]
pub fn whole_group(name: &str) -> &str {
    /// The number of letters after `sg-` in an id.
    const LETTERS: usize = 17;
    let is_id = |group: &str| {
        let letters = group.strip_prefix("sg-").unwrap_or_default();
        letters.len() == LETTERS
            && letters.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    match name.split_once('/') {
        Some((group, _)) if is_id(group) => group,
        _ => name,
    }
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name, unique within the policy.
    pub name: String,
    /// The type.
    pub kind: GroupType,
    /// Whether inbound packets of members are accepted before any rule is evaluated. False unless the type [is open](GroupType::is_open).
    pub inner_access: bool,
    /// The description.
    pub description: Option<String>,
    /// Rules for packets towards the NIC's owner, as written.
    pub ingress: Vec<Rule>,
    /// Rules for packets from the NIC's owner, as written.
    pub egress: Vec<Rule>,
}

impl Group {
    /// The rules of one direction, as written.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::whole_group;

    #[test]
    fn the_groups_of_one_stored_group_are_that_one() {
        let id = "sg-abcdefghijkmnpqrs";
        for name in [id, "sg-abcdefghijkmnpqrs/internet", "sg-abcdefghijkmnpqrs/vpc-abcdefghijkmnpqrs"] {
            assert_eq!(whole_group(name), id);
        }
        for name in ["web", "web/a", "sg-web/internet", "SG-abcdefghijkmnpqrs/a", ""] {
            assert_eq!(whole_group(name), name);
        }
    }
}
