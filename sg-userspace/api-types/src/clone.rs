//! Requests and responses for copying a group, in the same VPC or to another, and for restoring its rules from a copy.
//!
//! The service decides which rules can exist in the copy, or in the group; the responses report the others. The native API and
//! `sgctl` exchange these types as JSON.

use serde::{Deserialize, Serialize};
use sg_records::{Group, Rule, RuleId};
use utoipa::ToSchema;

use crate::NewLabel;

/// Copies a group. The copy has no members.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CloneGroup {
    /// Id or name of the group to copy. Taken from the path.
    pub group: String,
    /// Name, description and tags of the copy.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Region of the copy. Default: the region of `vpc`, otherwise that of the original.
    pub region: Option<String>,
    /// Id or name of the VPC of the copy. Default: the VPC of the original, if the copy is in the same region. Required in
    /// another region, unless `classic` is set or the original is in the classic network.
    pub vpc: Option<String>,
    /// Create the copy in the classic network. Excludes `vpc`. Default: false.
    pub classic: bool,
    /// Copy the rules. Default: true.
    pub rules: bool,
    /// Copy the tags, if the request has no tags of its own. Default: false.
    pub tags: bool,
}

impl Default for CloneGroup {
    fn default() -> Self {
        Self {
            group: String::new(),
            label: NewLabel::default(),
            region: None,
            vpc: None,
            classic: false,
            rules: true,
            tags: false,
        }
    }
}

/// A rule that could not be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// Id of the rule.
    pub rule: RuleId,
    /// Why it could not be copied.
    pub reason: String,
}

/// The copy of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cloned {
    /// The new group.
    pub group: Group,
    /// Number of rules in the new group.
    pub rules: usize,
    /// Rules that were not copied, and why.
    pub left_out: Vec<LeftOut>,
}

/// Adds the rules of another group to a group and, with `complete`, deletes all its other rules.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreRules {
    /// Id or name of the group to change. Taken from the path.
    pub group: String,
    /// Id or name of the group whose rules are taken. Must be of the same region and network type. Required.
    pub from: String,
    /// Also delete rules that the other group does not have. Default: false.
    pub complete: bool,
}

/// How the rules of the group changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restored {
    /// Rules that were added.
    pub added: Vec<Rule>,
    /// Rules that were deleted.
    pub removed: Vec<Rule>,
    /// Number of rules that both groups already had.
    pub kept: usize,
    /// Rules of the other group that cannot exist in this one, and why.
    pub skipped: Vec<LeftOut>,
}
