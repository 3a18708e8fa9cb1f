//! A security group and its type.
//!
//! This file holds the rules of a group as written; it must never evaluate them. Policies contain groups; the compiler and the
//! oracle read them.

use super::{Direction, Rule};

/// The type of a group. All groups of one NIC have the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// Outbound packets that no rule matches are accepted, and members can reach each other unless inner access is off.
    Basic,
    /// Packets that no rule matches are dropped in both directions, also between members.
    Enterprise,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name, unique within the policy.
    pub name: String,
    /// The type: basic or enterprise.
    pub kind: GroupType,
    /// Whether inbound packets of members are accepted before any rule is evaluated. Always false for enterprise groups.
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
