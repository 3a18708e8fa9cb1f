//! Operations on rules: authorise, modify, revoke.

use serde::{Deserialize, Serialize};
use sg_records::{Action, Direction, Ports, Protocol, Remote, RuleSpec};
use utoipa::ToSchema;

/// Add rules to a group. One that is there already is not added again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// The group's id or name.
    #[serde(default)]
    pub group: String,
    /// Which way.
    pub direction: Direction,
    /// The rules; groups and lists in them may be ids or names.
    pub rules: Vec<RuleSpec>,
}

/// Change a rule; what is left out stays. The remote stays of its kind, and so do ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyRule {
    /// The rule's id, or with `group` its name.
    pub rule: String,
    /// The group it stands in, where the rule is said by its name.
    pub group: Option<String>,
    /// The direction it must be of.
    pub direction: Option<Direction>,
    /// What happens.
    pub action: Option<Action>,
    /// 1 to 100.
    pub priority: Option<u8>,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// The packet's destination port.
    pub ports: Option<Ports>,
    /// The packet's source port.
    pub source_ports: Option<Ports>,
    /// The type of ICMP message.
    pub icmp_type: Option<u8>,
    /// Its code.
    pub icmp_code: Option<u8>,
    /// The other end.
    pub remote: Option<Remote>,
    /// This end.
    #[schema(value_type = Option<String>)]
    pub local: Option<ipnet::IpNet>,
    /// Whether it counts.
    pub enabled: Option<bool>,
    /// For people.
    pub description: Option<String>,
}

impl ModifyRule {
    /// Whether no field is to be changed.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        let named = Self {
            rule: self.rule.clone(),
            group: self.group.clone(),
            direction: self.direction,
            ..Self::default()
        };
        *self == named
    }
}

/// Take rules out of a group.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Revoke {
    /// The group's id or name.
    pub group: String,
    /// The direction they must be of.
    pub direction: Option<Direction>,
    /// The rules' ids or names. All are revoked, or none.
    pub rules: Vec<String>,
}
