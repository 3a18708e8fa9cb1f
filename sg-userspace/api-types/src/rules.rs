//! Requests that authorise, modify and revoke rules.
//!
//! The service checks rules and quotas; these types must never do so. The native API and `sgctl` exchange them as JSON, and the
//! ECS API builds them.

use serde::{Deserialize, Serialize};
use sg_records::{Action, Direction, Match, Ports, Protocol, Remote, RuleSpec};
use utoipa::ToSchema;

/// Adds rules to a group. Rules that the group already has are not added again. The response has all rules, new and existing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// Id or name of the group. Taken from the path.
    #[serde(default)]
    pub group: String,
    /// Direction of the rules, as seen by the NIC's owner. Required.
    pub direction: Direction,
    /// Rules to add, from one up to the quota `rules_per_operation`. Groups and lists in them are given by id or name. Required.
    pub rules: Vec<RuleSpec>,
}

/// Changes a rule. Unspecified fields are left unchanged; a new protocol resets ports and ICMP fields that are not specified. The
/// kind of the remote cannot change (any, IPv4, IPv6, group, prefix list), nor can ports become a port list or the other way
/// round.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModifyRule {
    /// Id of the rule, or its name together with `group`. Taken from the path.
    pub rule: String,
    /// Id or name of the rule's group. Required if `rule` is a name.
    pub group: Option<String>,
    /// Direction of the rule. It cannot be changed; the request is refused if the rule has the other one.
    pub direction: Option<Direction>,
    /// What happens to matching packets: `accept`, `drop` or `reject`.
    pub action: Option<Action>,
    /// Priority. Range: 1 (evaluated first) to 100.
    pub priority: Option<u8>,
    /// Protocol.
    pub protocol: Option<Protocol>,
    /// Destination ports.
    pub ports: Option<Ports>,
    /// Source ports.
    pub source_ports: Option<Ports>,
    /// ICMP type. Range: 0 to 255. Resets the ICMP code if that is not specified.
    pub icmp_type: Option<u8>,
    /// ICMP code. Range: 0 to 255.
    pub icmp_code: Option<u8>,
    /// Remote addresses.
    pub remote: Option<Remote>,
    /// Local prefix in CIDR notation, such as `10.0.0.5/32`.
    #[schema(value_type = Option<String>)]
    pub local: Option<ipnet::IpNet>,
    /// Whether the rule is in effect.
    pub enabled: Option<bool>,
    /// Description, up to 512 characters.
    pub description: Option<String>,
}

impl ModifyRule {
    /// Whether the request changes no field.
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

    /// The rule with the changes of this request. A new protocol resets what only some protocols have.
    #[must_use]
    pub fn apply(&self, old: RuleSpec) -> RuleSpec {
        let Self {
            rule: _,
            group: _,
            direction: _,
            action,
            priority,
            protocol,
            ports,
            source_ports,
            icmp_type,
            icmp_code,
            remote,
            local,
            enabled,
            description,
        } = self.clone();
        let of_protocol = match protocol {
            Some(protocol) if protocol != old.matches.protocol => Match::of(protocol),
            _ => old.matches.clone(),
        };
        let matches = Match {
            protocol: of_protocol.protocol,
            ports: ports.unwrap_or(of_protocol.ports),
            source_ports: source_ports.unwrap_or(of_protocol.source_ports),
            // A code belongs to its type.
            icmp_code: if icmp_type.is_some() { icmp_code } else { icmp_code.or(of_protocol.icmp_code) },
            icmp_type: icmp_type.or(of_protocol.icmp_type),
            remote: remote.unwrap_or(old.matches.remote),
            local: local.or(old.matches.local),
        };
        RuleSpec {
            action: action.unwrap_or(old.action),
            priority: priority.unwrap_or(old.priority),
            matches,
            nic_type: old.nic_type,
            enabled: enabled.unwrap_or(old.enabled),
            name: old.name,
            description: description.unwrap_or(old.description),
        }
    }
}

/// Deletes rules of a group.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Revoke {
    /// Id or name of the group. Taken from the path.
    pub group: String,
    /// Direction of the rules. If given, the request is refused for rules of the other one.
    pub direction: Option<Direction>,
    /// Ids or names of the rules. Either all of them are revoked or none. Required.
    pub rules: Vec<String>,
}
