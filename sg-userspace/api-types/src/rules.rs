//! Requests that modify and revoke rules.
//!
//! The service checks rules and quotas; these types must never do so. The native API and `sgctl` exchange them as JSON, and the
//! ECS API builds them.

use serde::{Deserialize, Serialize};
use sg_model::{Scope, flat, schema_of};
use sg_records::{Action, Direction, Match, OnlyFamily, Ports, Protocol, Remote, RuleSpec};
use utoipa::ToSchema;

flat! {
    of rules;
    /// Changes a rule. Unspecified fields are left unchanged; a new protocol resets ports and ICMP fields that are not specified,
    /// and a new ICMP type the ICMP code. The kind of the remote cannot change (any, IPv4, IPv6, group, prefix list), nor can ports
    /// become a port list or the other way round. ICMP type and code, DSCP, family and local prefix can be changed, not removed:
    /// revoke the rule and authorise another one.
    @[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    @[serde(from = "FlatChange", into = "FlatChange")]
    pub struct ModifyRule as
    #[derive(Default, Serialize, Deserialize, ToSchema)]
    #[serde(rename = "ModifyRule", default, deny_unknown_fields)]
    FlatChange {
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
    } ..numbers {
        /// Address family: `ipv4` or `ipv6`.
        pub family: Option<OnlyFamily>,
        /// Remote addresses.
        pub remote: Option<Remote>,
        /// Local prefix in CIDR notation, such as `10.0.0.5/32`.
        @[schema(value_type = Option<String>)]
        pub local: Option<ipnet::IpNet>,
        /// Whether the rule is in effect.
        pub enabled: Option<bool>,
        /// Description, up to 512 characters.
        pub description: Option<String>,
    }
}
schema_of! { ModifyRule: FlatChange }

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
            numbers,
            family,
            remote,
            local,
            enabled,
            description,
        } = self.clone();
        let of_protocol = match protocol {
            Some(protocol) if protocol != old.matches.protocol => {
                Match { numbers: old.matches.numbers.of_scope(Scope::Every), ..Match::of(protocol) }
            }
            _ => old.matches.clone(),
        };
        let mut kept = of_protocol.numbers;
        if numbers.icmp_type.is_some() {
            // A code belongs to its type.
            kept.icmp_code = None;
        }
        let matches = Match {
            protocol: of_protocol.protocol,
            ports: ports.unwrap_or(of_protocol.ports),
            source_ports: source_ports.unwrap_or(of_protocol.source_ports),
            numbers: numbers.or(kept),
            family: family.or(old.matches.family),
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

#[cfg(test)]
mod tests {
    use sg_model::{HeaderNumbers, MatchField};

    use super::*;

    #[test]
    fn a_change_names_every_field_that_a_rule_matches() {
        let read = |key: &str| serde_json::from_value::<ModifyRule>(serde_json::json!({ key: null }));
        for field in MatchField::ALL {
            assert_eq!(read(field.key()).unwrap(), ModifyRule::default(), "{field}");
        }
        assert!(
            read("port").unwrap_err().to_string().contains("unknown field `port`, expected one of `rule`")
        );
    }

    #[test]
    fn a_new_protocol_resets_what_only_the_old_one_had() {
        let old: RuleSpec = serde_json::from_value(serde_json::json!({
            "protocol": "tcp", "ports": "22", "source_ports": "1024-65535", "remote": "10.0.0.0/8", "local": "10.0.0.5/32",
            "dscp": 46, "priority": 9, "name": "ssh",
        }))
        .unwrap();
        let changed = |change: serde_json::Value| {
            let change: ModifyRule = serde_json::from_value(change).unwrap();
            change.apply(old.clone())
        };
        let of = |spec: &RuleSpec| (spec.priority, spec.name.clone(), spec.matches.to_string());
        let with = |matches: &str| (9, "ssh".to_owned(), matches.to_owned());
        let rest = "remote 10.0.0.0/8 local 10.0.0.5/32";
        let icmp = changed(serde_json::json!({"protocol": "icmp", "icmp_type": 8}));
        assert_eq!(of(&icmp), with(&format!("icmp icmp_type 8 dscp 46 {rest}")));
        let same = changed(serde_json::json!({"protocol": "tcp", "ports": "80"}));
        assert_eq!(of(&same), with(&format!("tcp ports 80 from ports 1024-65535 dscp 46 {rest}")));
        let udp = changed(serde_json::json!({"protocol": "udp", "ports": "53"}));
        assert_eq!(of(&udp), with(&format!("udp ports 53 dscp 46 {rest}")));
        let all = changed(serde_json::json!({"action": "drop", "enabled": false, "description": "no"}));
        assert_eq!((all.action, all.enabled, all.description.as_str()), (Action::Drop, false, "no"));
        assert_eq!(all.matches, old.matches);
        let echo = ModifyRule { numbers: HeaderNumbers::icmp(8, 0), ..ModifyRule::default() }.apply(icmp);
        let reply =
            ModifyRule { numbers: HeaderNumbers::icmp(0, None), ..ModifyRule::default() }.apply(echo.clone());
        let dscp = old.matches.numbers.dscp;
        assert_eq!(echo.matches.numbers, HeaderNumbers { dscp, ..HeaderNumbers::icmp(8, 0) });
        let wanted = HeaderNumbers { dscp, ..HeaderNumbers::icmp(0, None) };
        assert_eq!(reply.matches.numbers, wanted, "a code belongs to its type");
    }
}
