//! Findings of lint: rules that are valid but never decide a packet, decided none for long, or are open to everybody.
//!
//! A rule is covered by another if the other matches every packet that it matches. A rule that an earlier one covers never
//! decides: it is redundant if both accept or neither does, and shadowed otherwise. The service finds it out; the native API and
//! `sgctl` show it.

use serde::{Deserialize, Serialize};
use sg_records::{GroupId, RuleId};
use utoipa::ToSchema;

/// Kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The rule accepts inbound traffic from every address: to every port, or to a port of an administration or data service.
    OverOpen,
    /// An earlier rule with the opposite effect matches all packets of the rule, so it never decides.
    Shadowed,
    /// An earlier rule with the same effect matches all packets of the rule, so it never decides.
    Redundant,
    /// The rule matches only IPv4 packets, because its protocol is an IPv6 extension header.
    ExtensionHeader,
    /// The rule decided no packet on this host while it was observed.
    Unused,
}

/// Severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Traffic may be accepted that should not be.
    High,
    /// The rule does not have the effect that it states.
    Medium,
    /// The rule can be removed without effect.
    Low,
}

/// A finding about one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// Severity of the finding.
    pub severity: Severity,
    /// Kind of the finding.
    pub kind: FindingKind,
    /// Id of the rule.
    pub rule: RuleId,
    /// Id of the rule's group.
    pub group: GroupId,
    /// Id of the earlier rule that covers this one. `null` for other kinds of finding.
    pub by: Option<RuleId>,
    /// Explanation for people.
    pub message: String,
}
