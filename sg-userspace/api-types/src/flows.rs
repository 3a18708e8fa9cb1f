//! Flows as `GET /v1/flows` lists them and `POST /v1/flows/delete` selects them. These types must never know how a table stores
//! a flow.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sg_records::{Direction, Protocol};
use utoipa::{IntoParams, ToSchema};

/// The maximum number of flows in one response.
pub const MOST_FLOWS: usize = 100_000;

/// State of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlowProgress {
    /// No reply yet.
    HalfOpen,
    /// Packets in both directions.
    Established,
    /// Ended by a reset, or by a FIN from both ends.
    Closing,
    /// No longer accepted by the policy.
    Revoked,
}

/// A flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowRow {
    /// Device of the NIC.
    pub nic: String,
    /// Network of its packets by their VLAN tags; `null`: without tags, or with a priority only.
    pub vlan: Option<String>,
    /// Protocol: a name such as `tcp`, or a number.
    pub protocol: String,
    /// Direction of the first packet.
    pub direction: Direction,
    /// Remote address.
    #[schema(value_type = String)]
    pub remote: IpAddr,
    /// Remote port; 0 if the protocol has none.
    pub remote_port: u16,
    /// Local address.
    #[schema(value_type = String)]
    pub local: IpAddr,
    /// Local port; 0 if the protocol has none.
    pub local_port: u16,
    /// State of the flow.
    pub state: FlowProgress,
    /// The group that accepted it, by its name in the document or its id in the store; `null`: a default, or it is gone.
    pub group: Option<String>,
    /// Id of the rule that accepted or revoked it; `null`: a default, membership of the group, or it is gone.
    pub rule: Option<String>,
    /// What decided: `rule`, `intra-group` (membership of the group), or `default`. With `rule` and no rule, or `intra-group` and
    /// no group, what decided is gone.
    #[serde(default)]
    pub reason: String,
    /// Packets of the end that opened the flow, and of the other.
    pub packets: [u64; 2],
    /// Bytes, likewise.
    pub bytes: [u64; 2],
}

/// Selects flows. What is left out may be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FlowFilter {
    /// Flows of this NIC only: its device or, in a store, its id or name.
    pub nic: Option<String>,
    /// Flows of this protocol only: `tcp`, `udp`, `icmp` …, or a number.
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub protocol: Option<Protocol>,
    /// Flows only whose remote address is in this prefix: an address or CIDR.
    pub remote: Option<String>,
    /// Flows only whose local address is in this prefix: an address or CIDR.
    pub local: Option<String>,
    /// Flows of this VLAN only: `none`, a number, `ad.NUMBER` for an 802.1ad tag, `OUTER/INNER` for two.
    pub vlan: Option<String>,
    /// Flows only with this port at either end.
    pub port: Option<u16>,
    /// Flows in this state only: `half-open`, `established`, `closing` or `revoked`.
    #[param(value_type = Option<String>)]
    #[schema(value_type = Option<String>)]
    pub state: Option<FlowProgress>,
    /// Flows only that this rule accepted or revoked: its id.
    pub rule: Option<String>,
}

/// How many flows to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FlowLimit {
    /// Maximum number of flows to list. Range: 1 to 100,000. Default: 10,000.
    pub limit: Option<u32>,
}

/// Flows, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowList {
    /// The flows, up to the limit, in no order.
    pub flows: Vec<FlowRow>,
    /// Number of flows that the filter selects.
    pub total: usize,
}

/// Deletes flows. Of a deleted TCP connection nothing passes any more except a new SYN, which the rules judge. A deleted flow of
/// another protocol is judged by the rules on its next packet, as a new flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeleteFlows {
    /// Which flows. At least one condition is required, unless `all` is true.
    #[serde(flatten)]
    pub filter: FlowFilter,
    /// Delete every flow, if the filter is empty. Default: false.
    pub all: bool,
}

/// Deleted flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletedFlows {
    /// Number of flows that were deleted.
    pub deleted: usize,
}
