//! A security group: rules for both directions.

use super::{Direction, Rule};

/// The type of a group; one NIC holds groups of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// What no rule matches may leave, and members may talk to each other unless the group says otherwise.
    Basic,
    /// What no rule matches is dropped both ways; members are strangers.
    Enterprise,
}

/// A security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name, unique within the policy.
    pub name: String,
    /// Basic or enterprise.
    pub kind: GroupType,
    /// Whether inbound packets of members are accepted before any rule is asked. Never true for enterprise.
    pub inner_access: bool,
    /// For people.
    pub description: Option<String>,
    /// Rules for packets towards the NIC, as written.
    pub ingress: Vec<Rule>,
    /// Rules for packets from the NIC, as written.
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
