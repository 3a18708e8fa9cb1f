//! Whether a port of a NIC is open to an address, and why: one packet through the same engines that judge real packets.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_records::{Direction, GroupId, Protocol, Rule, RuleId};
use utoipa::ToSchema;

/// A packet that starts a flow.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckPacket {
    /// The NIC's id, name or device; an instance's id or name means its primary NIC.
    pub nic: String,
    /// As seen by the NIC's owner.
    pub direction: Direction,
    /// TCP, ICMP, …
    pub protocol: Protocol,
    /// The other end.
    #[schema(value_type = String)]
    pub remote: IpAddr,
    /// The NIC's end; its first address of the family, where nothing is said.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub local: Option<IpAddr>,
    /// The destination port.
    #[serde(default)]
    pub port: Option<u16>,
    /// The source port; 40000 where nothing is said.
    #[serde(default)]
    pub source_port: Option<u16>,
    /// The type of ICMP message; an echo request where nothing is said.
    #[serde(default)]
    pub icmp_type: Option<u8>,
    /// Its code.
    #[serde(default)]
    pub icmp_code: Option<u8>,
}

/// A rule that has to do with an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Concerned {
    /// Its group.
    pub group: GroupId,
    /// The group's name.
    pub group_name: String,
    /// The rule.
    pub rule: Rule,
}

/// What was evaluated first and did not decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evaluated {
    /// The rule; none: the members of the group.
    pub rule: Option<RuleId>,
    /// The group.
    pub group: GroupId,
    /// Why it does not match.
    pub because: String,
}

/// What happens to a packet, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// `accept` or `drop`.
    pub verdict: String,
    /// `rule`, `intra-group`, `default`, …
    pub reason: String,
    /// The group that decided.
    pub group: Option<GroupId>,
    /// Its name.
    pub group_name: Option<String>,
    /// The rule that decided.
    pub rule: Option<Rule>,
    /// What was evaluated before, in order.
    pub evaluated: Vec<Evaluated>,
    /// The rules behind it that match the packet, too: for this packet they are shadowed.
    pub shadowed: Vec<Concerned>,
}

/// One of the ports that everybody asks about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommonCheck {
    /// `22 SSH`.
    pub name: String,
    /// What happens.
    pub checked: Checked,
}
