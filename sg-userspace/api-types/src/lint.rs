//! Lint of valid rules: rules that can never decide, and rules that let everybody in.
//!
//! A rule is covered by another if the other matches every packet that it matches. A rule that is covered by an earlier one never
//! decides: it is redundant if both have the same action, and shadowed otherwise.

use serde::{Deserialize, Serialize};
use sg_records::{GroupId, RuleId};
use utoipa::ToSchema;

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// It lets everybody in: to every port, or to one that is for administration or data.
    OverOpen,
    /// It never decides, and what it says does not happen.
    Shadowed,
    /// It never decides, and another says the same.
    Redundant,
    /// It matches IPv4 packets only: its protocol is an extension header of IPv6.
    ExtensionHeader,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody may get in who should not, or cannot who should.
    High,
    /// To be looked at.
    Medium,
    /// To be tidied up.
    Low,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub kind: FindingKind,
    /// The rule.
    pub rule: RuleId,
    /// Its group.
    pub group: GroupId,
    /// The rule that is asked first.
    pub by: Option<RuleId>,
    /// For people.
    pub message: String,
}
