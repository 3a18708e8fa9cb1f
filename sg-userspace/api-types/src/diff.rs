//! Request and response of `POST /v1/diff`: what differs between two policies, for packets and for live flows. Each is what is in
//! force, what was after a change of the history, a document, or an export.
//!
//! These types must never compare. The native API fills them, `sgctl diff` displays them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sg_records::Direction;
use utoipa::{IntoParams, ToSchema};

use super::FlowRow;

/// How a document is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// Only this NIC: its device or, in a store, its id or name.
    pub nic: Option<String>,
    /// Include packets with the same verdict that another rule decides. Default: false.
    pub attribution: bool,
    /// Return every line, whatever `limit` is. Default: false.
    pub all: bool,
    /// Maximum number of lines to return. Range: 0 to 100,000. Default: 1,000.
    pub limit: Option<u32>,
    /// How long it may take, in seconds. Range: 1 to 3. Default: 3. What is not known by then is in `undecided`.
    pub time: Option<u32>,
}

/// Two policies to compare: what is in force, or `old`, with what the other fields name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Compare {
    /// The policy before. Default: what is in force.
    pub old: ComparedPolicy,
    /// Text of the document after, as YAML or JSON, or of an export of a store.
    #[schema(value_type = Option<String>)]
    pub text: Option<Arc<str>>,
    /// Name of that document, as for applying it. Default: `document`.
    pub name: Option<String>,
    /// Region of that document's VPC, as for applying it. Default: `local`.
    pub region: String,
    /// File name in errors and warnings. Default: the name of the document.
    pub file: String,
    /// Number of a change in the history: what was in force after it. Excludes `text`. Without either: what is in force.
    pub change: Option<u64>,
    /// Nothing: it is there so that a request to apply a document is one to compare it.
    pub allow_unfiltered: bool,
}

impl Compare {
    /// A comparison of two policies.
    #[must_use]
    pub fn of(old: ComparedPolicy, new: ComparedPolicy) -> Self {
        let ComparedPolicy { text, name, region, file, change } = new;
        Self { old, text, name, region, file, change, allow_unfiltered: false }
    }

    /// The two policies.
    #[must_use]
    pub fn policies(self) -> [ComparedPolicy; 2] {
        let Self { old, text, name, region, file, change, allow_unfiltered: _ } = self;
        [old, ComparedPolicy { text, name, region, file, change }]
    }
}

/// A policy to compare. Without `text` and `change`: what is in force.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ComparedPolicy {
    /// Text of a document, as YAML or JSON, or of an export of a store.
    #[schema(value_type = Option<String>)]
    pub text: Option<Arc<str>>,
    /// Name of the document, as for applying it. Default: `document`.
    pub name: Option<String>,
    /// Region of the document's VPC, as for applying it. Default: `local`.
    pub region: String,
    /// File name in errors and warnings. Default: the name of the document.
    pub file: String,
    /// Number of a change in the history: what was in force after it. Excludes `text`.
    pub change: Option<u64>,
}

/// What a document would change about what is in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Comparison {
    /// Sets of packets, by what happens to them.
    pub counts: LineCounts,
    /// Sets of packets that are judged differently, the most dangerous first. They do not overlap.
    pub lines: Vec<DiffLine>,
    /// Number of lines beyond the limit.
    pub left_out: usize,
    /// What is not known, because there was no time to find out.
    pub undecided: Vec<UndecidedPart>,
    /// What becomes of live flows; `null`: their tables cannot be read, see `warnings`.
    pub flows: Option<FlowImpact>,
    /// Names of the ids in this response, in a store.
    pub names: BTreeMap<String, String>,
    /// Warnings about the document: valid content that is probably a mistake.
    pub warnings: Vec<String>,
}

/// Numbers of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineCounts {
    /// Packets that are accepted and were not.
    pub opens: usize,
    /// Packets that were accepted and are not.
    pub closes: usize,
    /// Packets that are dropped and were rejected, or the reverse.
    pub refuses: usize,
    /// Packets with the same verdict that another rule decides; only with `attribution`.
    pub attributes: usize,
}

/// Packets that start a flow, of one NIC, direction and family. A list that is absent means everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LinePackets {
    /// Device of the NIC.
    pub nic: String,
    /// Direction.
    pub direction: Direction,
    /// 4 or 6.
    pub family: u8,
    /// Prefixes of remote addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Vec<String>>,
    /// Prefixes of local addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Vec<String>>,
    /// Protocols: `6`, `17-20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<String>>,
    /// Destination ports: `80`, `8000-8100`. If present, only packets with ports are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<String>>,
    /// Source ports. The same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<Vec<String>>,
    /// ICMP types and codes: `8/0`, `3/0-15`. If present, only ICMP (IPv4) or ICMPv6 (IPv6) is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<Vec<String>>,
    /// DSCP: `0-63`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dscp: Option<Vec<String>>,
}

/// Packets that are all judged differently, and all alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DiffLine {
    /// The packets.
    #[serde(flatten)]
    pub packets: LinePackets,
    /// What decides now.
    pub before: DiffOutcome,
    /// What would decide.
    pub after: DiffOutcome,
    /// A packet of the line, as `sgctl check probes` takes it.
    #[schema(value_type = Object)]
    pub sample: Value,
    /// Live flows whose first packet is in the line; `null`: not known.
    pub flows: Option<usize>,
    /// The line in words. Its wording may change.
    pub text: String,
}

/// What decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiffOutcome {
    /// `accept`, `drop` or `reject`.
    pub verdict: String,
    /// The group; `null`: a default, or the NIC before its rules.
    pub group: Option<String>,
    /// The rule; `null`: a default, membership of the group, or the NIC before its rules.
    pub rule: Option<String>,
}

/// Rules whose effect is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UndecidedPart {
    /// Device of the NIC.
    pub nic: String,
    /// Direction.
    pub direction: Direction,
    /// 4 or 6.
    pub family: u8,
    /// What changed and could decide there, in words.
    pub changed: Vec<String>,
}

/// What would become of the live flows of the NICs in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FlowImpact {
    /// Live flows: half-open and established ones.
    pub total: usize,
    /// Of those, flows that would end: the rules would not accept their first packet.
    pub revoked: usize,
    /// Of those, flows that would live on, accepted by another rule.
    pub reattributed: usize,
    /// Of those, flows that the rules would not accept, but that live on: their NIC has `established: keep`.
    pub kept: usize,
    /// Of those, flows of which is not known what would become of them: there was no time to find out.
    pub undecided: usize,
    /// The flows that would end with the most bytes: at most ten.
    pub largest: Vec<RevokedFlow>,
}

/// A flow that would end. Its `group` and `rule` are those that accepted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokedFlow {
    /// The flow.
    #[serde(flatten)]
    pub flow: FlowRow,
    /// What would decide about it.
    pub after: DiffOutcome,
}

impl RevokedFlow {
    /// Bytes of both ends.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let [one, other] = self.flow.bytes;
        one.saturating_add(other)
    }

    /// Both ends with their ports, that of the first packet's source first.
    #[must_use]
    pub fn ends(&self) -> [(IpAddr, u16); 2] {
        let FlowRow { remote, remote_port, local, local_port, direction, .. } = &self.flow;
        let (remote, local) = ((*remote, *remote_port), (*local, *local_port));
        match direction {
            Direction::Ingress => [remote, local],
            Direction::Egress => [local, remote],
        }
    }
}
