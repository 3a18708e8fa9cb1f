//! Request and response for restoring the rules of a group from another group, usually from an earlier copy.
//!
//! The service decides which rules can exist in the group; the response reports the others. The native API and `sgctl` exchange
//! these types as JSON.

use serde::{Deserialize, Serialize};
use sg_records::Rule;
use utoipa::ToSchema;

use crate::LeftOut;

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
