//! A stored rule: what the model says that a rule matches, with ids in place of positions, and its form as JSON.
//!
//! This file must never know which packets a rule matches. The service creates rules and changes them; the APIs and `sgctl` parse
//! and show them.

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_model::{Action, OnlyFamily, Protocol, References, flat, schema_of};
use utoipa::ToSchema;

use super::{GroupId, PortListId, PrefixListId, RuleId};

/// Direction of packets, as seen by the NIC's owner.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards the NIC's owner.
    Ingress,
    /// From the NIC's owner.
    Egress,
}

impl Direction {
    /// Both directions, in the order of documents.
    pub const ALL: [Self; 2] = [Self::Ingress, Self::Egress];
}

impl From<Direction> for sg_model::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Ingress => Self::Ingress,
            Direction::Egress => Self::Egress,
        }
    }
}

impl From<sg_model::Direction> for Direction {
    fn from(direction: sg_model::Direction) -> Self {
        match direction {
            sg_model::Direction::Ingress => Self::Ingress,
            sg_model::Direction::Egress => Self::Egress,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(sg_model::Direction::from(*self).name())
    }
}

/// Network that a NIC of the classic network faces, and for which NICs a rule of a classic group is. Always `intranet` in a VPC.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum NicType {
    /// Public addresses.
    Internet,
    /// Private addresses.
    #[default]
    Intranet,
}

impl fmt::Display for NicType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Internet => "internet",
            Self::Intranet => "intranet",
        })
    }
}

/// How records and requests refer to groups and lists: by id. In a request it may be a name in place of the id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ids;

impl References for Ids {
    type Group = GroupId;
    type PrefixList = PrefixListId;
    type PortList = PortListId;
}

/// Ports of a rule: `any`, `"22,80-90"`, or `{"port_list": "prl-…"}`.
pub type Ports = sg_model::Ports<Ids>;

/// Remote of a rule: `any`, an address or prefix, `{"group": "sg-…"}`, or `{"prefix_list": "pl-…"}`.
pub type Remote = sg_model::Remote<Ids>;

/// The packets that a rule matches.
pub type Match = sg_model::Match<Ids>;

/// Content of a rule: the packets that it matches, and what happens to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub struct RuleSpec {
    /// What happens to matching packets.
    pub action: Action,
    /// Priority, 1 (evaluated first) to 100. A request may have any number.
    pub priority: u8,
    /// The packets that it matches. In a request the fields may not fit together.
    pub matches: Match,
    /// In a group of the classic network: the rule is for NICs that face this network.
    pub nic_type: NicType,
    /// Whether the rule is in effect.
    pub enabled: bool,
    /// Name of the rule in an applied document; may be empty.
    pub name: String,
    /// Description; may be empty.
    pub description: String,
}

impl RuleSpec {
    /// A rule that accepts a protocol from any remote; the other fields have their defaults.
    #[must_use]
    pub const fn accept(protocol: Protocol) -> Self {
        Self {
            action: Action::Accept,
            priority: first(),
            matches: Match::of(protocol),
            nic_type: NicType::Intranet,
            enabled: true,
            name: String::new(),
            description: String::new(),
        }
    }
}

// `RuleSpec` as JSON has it: flat, and `Written` in the code here.
flat! {
    of rules;
    /// Content of a rule: the packets that it matches, and what happens to them.
    struct Written as
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename = "RuleSpec", deny_unknown_fields)]
    Flat {
        /// What happens to matching packets: `accept`, `drop` or `reject`. Default: `accept`.
        @[serde(default)]
        action: Action,
        /// Priority. Range: 1 (evaluated first) to 100. Default: 1.
        @[serde(default = "first")]
        @[schema(minimum = 1, maximum = 100)]
        priority: u8,
        /// Protocol: `all`, a name such as `tcp`, or a number from 0 to 255. Required.
        protocol: Protocol,
        /// Destination ports of the packet. Only for TCP, UDP, SCTP, DCCP and UDP-Lite. Default: `any`.
        @[serde(default, skip_serializing_if = "Ports::is_any")]
        ports: Ports,
        /// Source ports of the packet. Only for TCP, UDP, SCTP, DCCP and UDP-Lite. Default: `any`.
        @[serde(default, skip_serializing_if = "Ports::is_any")]
        source_ports: Ports,
    } ..numbers {
        /// Address family: `ipv4` or `ipv6`. Default: both, as far as the other fields have both.
        @[serde(default, skip_serializing_if = "Option::is_none")]
        family: Option<OnlyFamily>,
        /// Remote addresses: the source of inbound packets, the destination of outbound ones. Default: `any`.
        @[serde(default)]
        remote: Remote,
        /// Local prefix in CIDR notation, such as `10.0.0.5/32`. Default: every address of the NIC.
        @[serde(default, skip_serializing_if = "Option::is_none")]
        @[schema(value_type = Option<String>)]
        local: Option<IpNet>,
        /// In a group of the classic network: the rule is for NICs that face this network. Default: `intranet`.
        @[serde(default)]
        nic_type: NicType,
        /// Whether the rule is in effect. Default: true.
        @[serde(default = "yes", skip_serializing_if = "is_yes")]
        enabled: bool,
        /// Name of the rule in an applied document. Default: none.
        @[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
        /// Description, up to 512 characters. Default: empty.
        @[serde(default, skip_serializing_if = "String::is_empty")]
        description: String,
    }
}
schema_of! { RuleSpec: Flat }

impl From<Flat> for RuleSpec {
    fn from(flat: Flat) -> Self {
        let Written {
            action,
            priority,
            protocol,
            ports,
            source_ports,
            numbers,
            family,
            remote,
            local,
            nic_type,
            enabled,
            name,
            description,
        } = flat.into();
        let matches = Match { protocol, ports, source_ports, numbers, family, remote, local };
        Self { action, priority, matches, nic_type, enabled, name, description }
    }
}

impl From<RuleSpec> for Flat {
    fn from(spec: RuleSpec) -> Self {
        let RuleSpec { action, priority, matches, nic_type, enabled, name, description } = spec;
        let Match { protocol, ports, source_ports, numbers, family, remote, local } = matches;
        let written = Written {
            action,
            priority,
            protocol,
            ports,
            source_ports,
            numbers,
            family,
            remote,
            local,
            nic_type,
            enabled,
            name,
            description,
        };
        written.into()
    }
}

const fn first() -> u8 {
    1
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// A rule of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Id of the rule.
    pub id: RuleId,
    /// Id of the group.
    pub group: GroupId,
    /// Direction of the rule.
    pub direction: Direction,
    /// Serial number: order of creation among the rules of the group.
    pub serial: u64,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// Time of the last change.
    #[schema(value_type = String, format = DateTime)]
    pub updated: Timestamp,
    /// Content of the rule.
    pub spec: RuleSpec,
}

#[cfg(test)]
mod tests {
    use sg_model::MatchField;

    use super::*;

    #[test]
    fn the_json_form_is_flat_and_has_the_fields_of_the_list() {
        let json = serde_json::json!({
            "action": "drop", "priority": 7, "protocol": "tcp", "ports": "22,80-90", "source_ports": {"port_list": "prl-1"},
            "icmp_type": 8, "icmp_code": 0, "dscp": 46, "family": "ipv4", "remote": {"group": "sg-1"}, "local": "10.0.0.5/32", "nic_type": "internet",
            "enabled": false, "name": "a", "description": "b",
        });
        let spec: RuleSpec = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), json);
        let others = ["action", "priority", "nic_type", "enabled", "name", "description"];
        let keys = json.as_object().unwrap().keys().map(String::as_str);
        let mut found: Vec<&str> = keys.filter(|key| !others.contains(key)).collect();
        let mut listed = MatchField::ALL.map(MatchField::key);
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn an_unknown_field_is_refused_and_what_is_left_out_has_its_default() {
        let read = |json| serde_json::from_value::<RuleSpec>(json);
        let spec = read(serde_json::json!({"protocol": "udp"})).unwrap();
        assert_eq!(spec, RuleSpec::accept("udp".parse().unwrap()));
        let json = serde_json::to_value(spec).unwrap();
        let wanted = serde_json::json!({
            "action": "accept", "priority": 1, "protocol": "udp", "remote": "any", "nic_type": "intranet",
        });
        assert_eq!(json, wanted);
        let refused = read(serde_json::json!({"protocol": "udp", "port": "53"})).unwrap_err().to_string();
        assert!(refused.contains("unknown field `port`, expected one of `action`"), "{refused}");
        for (wrong, why) in [
            (serde_json::json!({"protocol": "udp", "ports": {"group": "sg-1"}}), "ports are \"any\""),
            (
                serde_json::json!({"protocol": "udp", "remote": {"port_list": "prl-1"}}),
                "\"prl-1\" is no remote",
            ),
        ] {
            let refused = read(wrong).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
