//! The query of `GET /v1/observe`. Its response is a stream of records, one JSON object a line: `sg-observe` has their type.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which records a client wants. Conditions may be repeated; then any of their values will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
pub struct ObserveQuery {
    /// Go on with records as they are made, until the client closes the connection. Default: false.
    pub follow: bool,
    /// Only the newest so many records.
    pub last: Option<usize>,
    /// With `follow`, show single packets: the first of every flow, and all that do not pass: `none`, `each`, or `frames` with the
    /// first 128 bytes of each, for admins. Excludes `last`, `since` and `aggregate_by`. Default: `none`: the first of every kind,
    /// and then counts.
    pub packets: Option<String>,
    /// Sum records by these fields, separated by commas: `remote`, `remote/24`, `local`, `port`, `protocol`, `rule`, `nic`,
    /// `reason`, `drop-source-port`. With `follow`, every five seconds.
    pub aggregate_by: Option<String>,
    /// `begin`, `continue`, `end`, `denied`, `revoked`, `policy`, `lost`.
    pub event: Option<String>,
    /// `accept`, `drop`, `reject`.
    pub verdict: Option<String>,
    /// `ingress`, `egress`.
    pub direction: Option<String>,
    /// Id or device of a NIC.
    pub nic: Option<String>,
    /// The group of the rule.
    pub group: Option<String>,
    /// `RULE` or `GROUP/RULE`.
    pub rule: Option<String>,
    /// The word of a reason, as `sgctl stats` shows it.
    pub reason: Option<String>,
    /// An address or prefix.
    pub remote: Option<String>,
    /// An address or prefix.
    pub local: Option<String>,
    /// The destination port of the first packet, or a range.
    pub port: Option<String>,
    /// A name or number.
    pub protocol: Option<String>,
    /// `TYPE` or `TYPE/CODE`.
    pub icmp: Option<String>,
    /// A time, or how long ago, such as `5m`. Without it, `follow` begins now.
    pub since: Option<String>,
    /// As `since`.
    pub until: Option<String>,
}
