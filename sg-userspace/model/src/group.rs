//! A security group: rules for both directions.

use super::{Direction, Rule};

/// The type of a group; all groups of one NIC have the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// Outbound packets that match no rule are accepted, and members can reach each other unless the group says otherwise.
    Basic,
    /// Packets that match no rule are dropped in both directions, also between members.
    Enterprise,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name, unique within the policy.
    pub name: String,
    /// Basic or enterprise.
    pub kind: GroupType,
    /// Whether inbound packets of members are accepted before any rule. Never true for enterprise groups.
    pub inner_access: bool,
    /// A text for people.
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
