//! Requests and responses about the candidate: a policy that is asked beside the one in force, and changes no verdict.
//!
//! These types must never compare. The native API fills them, `sgctl candidate` displays them.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sg_records::{Action, Direction};
use utoipa::{IntoParams, ToSchema};

use super::{DiffLine, LineCounts, PendingChange, UndecidedPart};

/// Sets the candidate, in place of any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetCandidate {
    /// Text of the document, as YAML or JSON. Required.
    #[schema(value_type = String)]
    pub text: Arc<str>,
    /// Name of the document in a store, as to apply it. Default: `document`.
    #[serde(default = "document")]
    pub name: String,
    /// File name in errors and warnings. Default: the name of the document.
    #[serde(default)]
    pub file: String,
}

fn document() -> String {
    "document".to_owned()
}

/// Puts the candidate in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PromoteCandidate {}

/// Drops the candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DropCandidate {}

/// How the report about the candidate is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct CandidateQuery {
    /// Return every line, whatever `limit` is. Default: false.
    pub all: bool,
    /// Maximum number of lines to return. Range: 0 to 100,000. Default: 1,000.
    pub limit: Option<u32>,
}

/// The candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateState {
    /// Who set it.
    pub owner: String,
    /// Since when it is compared with the policy that is in force.
    pub since: Timestamp,
    /// The NICs that are asked about.
    pub nics: Vec<CandidateImage>,
    /// NICs that are not: of one of the two policies only, or without a device.
    pub not_asked: Vec<String>,
    /// NICs with `established: keep`: their live flows are not judged again, and so not asked about.
    pub only_new_flows: Vec<String>,
    /// Warnings about the document.
    pub warnings: Vec<String>,
}

/// The image of a NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateImage {
    /// Device of the NIC.
    pub nic: String,
    /// SHA-256 of its image under the candidate, without what depends on when it is published.
    pub image: String,
}

/// The candidate that was put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PromotedCandidate {
    /// The NICs whose images were published, each the very same that was asked about.
    pub nics: Vec<CandidateImage>,
    /// The change that it is, if it is to be confirmed.
    pub pending: Option<PendingChange>,
}

/// The candidate that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DroppedCandidate {
    /// Who had set it.
    pub owner: String,
}

/// What the candidate would have decided, beside what was decided: about each new flow, each packet that rules did not accept, and
/// each live flow that was judged again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CandidateReport {
    /// The candidate.
    pub candidate: CandidateState,
    /// How many packets were decided how.
    pub decisions: Vec<CandidateDecisions>,
    /// The same by the candidate's rules.
    pub rules: Vec<CandidateRule>,
    /// Sets of packets that would be judged differently, by what would happen to them.
    pub counts: LineCounts,
    /// Those sets, the most dangerous first, with what was observed of each.
    pub lines: Vec<CandidateLine>,
    /// Number of lines beyond the limit.
    pub left_out: usize,
    /// Number of all lines in which no packet was observed.
    pub never_seen: usize,
    /// Packets that would be judged differently, and are in no line.
    pub unattributed: Unattributed,
    /// What of the difference is not known, because there was no time to find out.
    pub undecided: Vec<UndecidedPart>,
}

/// Packets that were decided in the same way by both policies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateDecisions {
    /// Device of the NIC.
    pub nic: String,
    /// Direction.
    pub direction: Direction,
    /// What was decided.
    pub now: Action,
    /// What the candidate would have decided.
    pub then: Action,
    /// Number of packets.
    pub packets: u64,
}

/// Packets that a rule of the candidate would have decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CandidateRule {
    /// Device of the NIC.
    pub nic: String,
    /// Direction.
    pub direction: Direction,
    /// Group; `null`: a default, or the NIC before its rules.
    pub group: Option<String>,
    /// Rule; `null`: a default, membership of the group, or the NIC before its rules.
    pub rule: Option<String>,
    /// What was decided.
    pub now: Action,
    /// What the rule would have decided.
    pub then: Action,
    /// Number of packets.
    pub packets: u64,
}

/// A set of packets that would be judged differently, and what was observed of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CandidateLine {
    /// Number of packets; zero: it was never seen.
    pub packets: u64,
    /// The set.
    #[serde(flatten)]
    pub line: DiffLine,
}

/// Packets that would be judged differently, and of which it is not known in which line they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unattributed {
    /// Packets for whose addresses and ports there was no room.
    pub unnamed: u64,
    /// Packets with the same addresses and services, and several source ports, on which lines depend there.
    pub source_ports: u64,
    /// Packets in no line: what they depend on is not known in time, or the policies have changed meanwhile.
    pub elsewhere: u64,
}
