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
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
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
