//! The counters of rules, defaults and reasons, as `GET /v1/stats` returns them and `sgctl stats` shows them. These types must
//! never know where a counter is kept.

use serde::{Deserialize, Serialize};
use sg_records::{Action, Direction};
use utoipa::{IntoParams, ToSchema};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Count {
    /// Number of packets.
    pub packets: u64,
    /// Number of bytes.
    pub bytes: u64,
}

/// What a rule decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleCount {
    /// The rule's group: its name in the document, or its id in the store.
    pub group: String,
    /// Id of the rule.
    pub rule: String,
    /// Direction of the rule.
    pub direction: Direction,
    /// Action of the rule.
    pub action: Action,
    /// Of all NICs that hold the group.
    #[serde(flatten)]
    pub count: Count,
}

/// What was accepted between members of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GroupCount {
    /// The group: its name in the document, or its id in the store.
    pub group: String,
    /// Of all NICs that hold the group.
    #[serde(flatten)]
    pub count: Count,
}

/// What the default of a NIC decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DefaultCount {
    /// Device of the NIC.
    pub nic: String,
    /// Direction of the packets.
    pub direction: Direction,
    /// What happened to them.
    pub verdict: Action,
    /// Packets and bytes.
    #[serde(flatten)]
    pub count: Count,
}

/// What was decided for another reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReasonCount {
    /// Device of the NIC; `null`: packets of devices that are no NIC.
    pub nic: Option<String>,
    /// Direction of the packets.
    pub direction: Direction,
    /// Name of the reason.
    pub reason: String,
    /// Packets and bytes.
    #[serde(flatten)]
    pub count: Count,
}

/// The flow tables of the host, as of the agent's last ageing pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowCounts {
    /// Number of established flows.
    pub established: u64,
    /// Maximum number of established flows, per address family.
    pub max_established: u32,
    /// Number of half-open flows.
    pub half_open: u64,
    /// Maximum number of half-open flows, per address family.
    pub max_half_open: u32,
    /// Number of half-open flows that were evicted since the tables were created.
    pub evicted: u64,
    /// Number of flows whose entry was replaced or evicted while flows are reported, and whose last values were.
    #[serde(default)]
    pub replaced: u64,
    /// Likewise, and their last values are lost.
    #[serde(default)]
    pub unread: u64,
}

/// All counts, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Of rules.
    pub rules: Vec<RuleCount>,
    /// Between members of groups.
    pub intra_group: Vec<GroupCount>,
    /// Of defaults.
    pub defaults: Vec<DefaultCount>,
    /// Of other reasons.
    pub reasons: Vec<ReasonCount>,
    /// Flow tables of the host; `null`: the counts are of one NIC only.
    pub flows: Option<FlowCounts>,
}

/// Selects counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// Only this NIC, by its device or, in a store, its id or name, and the rules of its groups. A rule counts the packets of all
    /// NICs that hold its group.
    pub nic: Option<String>,
    /// Include reasons whose count is zero. Default: false.
    pub all: bool,
}
