//! Copies a group, in the same VPC or to another. Rules that cannot exist in the copy are left out and reported.

use serde::{Deserialize, Serialize};
use sg_records::{Group, RuleId};
use utoipa::ToSchema;

use crate::NewLabel;

/// Copy a group.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct CloneGroup {
    /// The original's id or name.
    pub group: String,
    /// Name, description, tags of the copy.
    #[serde(flatten)]
    pub label: NewLabel,
    /// Where; none: where the VPC is, or where the original is.
    pub region: Option<String>,
    /// The VPC of the copy; none: that of the original, where the region is the same.
    pub vpc: Option<String>,
    /// The copy is of the classic network.
    pub classic: bool,
    /// Copy the rules.
    pub rules: bool,
    /// Copy the tags, where the copy has none of its own.
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

/// A rule that could not be carried over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// The rule.
    pub rule: RuleId,
    /// Why.
    pub reason: String,
}

/// A copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cloned {
    /// The new group.
    pub group: Group,
    /// How many rules it has.
    pub rules: usize,
    /// What could not be carried over.
    pub left_out: Vec<LeftOut>,
}
