//! Findings of lint: rules that are valid but decide no packet, are not needed, decided none for long, or let many addresses in. The
//! service finds it out; the native API and `sgctl` show it.

use serde::{Deserialize, Serialize};
use sg_records::{GroupId, RuleId};
use utoipa::ToSchema;

/// Kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The rule lets many public addresses in (of IPv4 more than a /8 has, of IPv6 more than a /32), alone or together with others: to
    /// every port, or to a port of an administration or data service.
    OverOpen,
    /// Earlier rules match all packets of the rule, so it never decides, and they do the opposite with some.
    Shadowed,
    /// Without the rule every packet would be accepted, or not, as it is: earlier rules match all packets of it and have the same
    /// effect, or later ones would have it.
    Redundant,
    /// The rule matches only IPv4 packets, because its protocol is an IPv6 extension header.
    ExtensionHeader,
    /// The rule decided no packet on this host while it was observed.
    Unused,
    /// There was no time to find out whether the rule is over-open, shadowed or redundant.
    Undecided,
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
    /// Ids of the rules that decide in place of this one, in order, or that let addresses in together with it. Inner access and the
    /// default have none; `message` names them.
    pub by: Vec<RuleId>,
    /// Explanation for people.
    pub message: String,
}
