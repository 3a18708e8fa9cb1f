//! Requests and responses of connectivity checks: the verdict on one described packet, and what decided it.
//!
//! A check changes nothing and sends no packet. The service evaluates it with the engines that judge real packets; the native API
//! and `sgctl` exchange these types as JSON.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_common::packet::protocol;
use sg_model::{HeaderNumbers, flat, schema_of};
use sg_probe::ProbeParts;
use sg_records::{Direction, GroupId, Protocol, Rule, RuleId};
use utoipa::ToSchema;

flat! {
    of packets;
    /// A packet that starts a flow, to be checked against the policy of one NIC.
    @[derive(Clone, Debug, Serialize, Deserialize)]
    @[serde(from = "FlatPacket", into = "FlatPacket")]
    pub struct CheckPacket as
    #[derive(Serialize, Deserialize, ToSchema)]
    #[serde(rename = "CheckPacket", deny_unknown_fields)]
    FlatPacket {
        /// Id, name or device of the NIC. The id or name of an instance means its primary NIC. Required.
        pub nic: String,
        /// Direction of the packet, as seen by the NIC's owner. Required.
        pub direction: Direction,
        /// Protocol: a name such as `tcp`, or a number from 0 to 255; not `all`. Required.
        pub protocol: Protocol,
        /// Remote address. Required.
        @[schema(value_type = String)]
        pub remote: IpAddr,
        /// Local address. Default: the first address of the NIC that is of the remote's family.
        @[serde(default)]
        @[schema(value_type = Option<String>)]
        pub local: Option<IpAddr>,
        /// Destination port. Required for protocols that have ports.
        @[serde(default)]
        pub port: Option<u16>,
        /// Source port. Default: 40000, for protocols that have ports.
        @[serde(default)]
        pub source_port: Option<u16>,
    } ..numbers {}
}
schema_of! { CheckPacket: FlatPacket }

/// The types of ICMP and ICMPv6 messages that ask for an echo.
const ECHO_REQUESTS: [(u8, u8); 2] = [(protocol::ICMP, 8), (protocol::ICMPV6, 128)];

impl CheckPacket {
    /// An inbound packet to a NIC from `remote`, to `port` if its protocol has ports.
    #[must_use]
    pub fn inbound(nic: &str, protocol: u8, remote: IpAddr, port: Option<u16>) -> Self {
        Self {
            nic: nic.to_owned(),
            direction: Direction::Ingress,
            protocol: Protocol::Number(protocol),
            remote,
            local: None,
            port,
            source_port: None,
            numbers: HeaderNumbers::NONE,
        }
    }

    /// The parts of the probe: `nic` is the position of the NIC in its policy, and `local` is its end.
    #[must_use]
    pub fn parts(&self, nic: usize, protocol: u8, local: IpAddr) -> ProbeParts {
        let Self { nic: _, direction, protocol: _, remote, local: _, port, source_port, numbers } = *self;
        let (source, destination) = match direction {
            Direction::Ingress => (remote, local),
            Direction::Egress => (local, remote),
        };
        let echo = ECHO_REQUESTS.into_iter().find(|(of, _)| *of == protocol).map(|(_, kind)| kind.into());
        ProbeParts {
            nic,
            direction: direction.into(),
            protocol,
            source,
            destination,
            source_port,
            destination_port: port,
            numbers: HeaderNumbers { icmp_type: numbers.icmp_type.or(echo), ..numbers },
        }
    }
}

/// A rule, and the group that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Concerned {
    /// Id of the group.
    pub group: GroupId,
    /// Name of the group.
    pub group_name: String,
    /// The rule.
    pub rule: Rule,
}

/// A rule or group that was evaluated before the decision and did not match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evaluated {
    /// Id of the rule. `null` if the step was whether the remote is a member of the group.
    pub rule: Option<RuleId>,
    /// Id of the group.
    pub group: GroupId,
    /// Why it does not match.
    pub because: String,
}

/// The verdict on a packet, and what decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checked {
    /// `accept`, `drop` or `reject`.
    pub verdict: String,
    /// Reason for the verdict: `rule`, `intra-group`, `default`, or the name of an exception or a drop reason.
    pub reason: String,
    /// Id of the group that decided: the group of the rule, or the group that the remote is a member of. `null` if none did.
    pub group: Option<GroupId>,
    /// Name of the group that decided.
    pub group_name: Option<String>,
    /// The rule that decided. `null` if none did.
    pub rule: Option<Rule>,
    /// Rules and groups that were evaluated before and did not match, in order of evaluation.
    pub evaluated: Vec<Evaluated>,
    /// Rules that also match the packet but are evaluated after the one that decided.
    pub shadowed: Vec<Concerned>,
}

/// The result of one of the common checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommonCheck {
    /// Name of the check, such as `22 SSH`.
    pub name: String,
    /// The verdict, and what decided it.
    pub checked: Checked,
}
