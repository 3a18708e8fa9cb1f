//! Makes the rules of a group those of another, usually of an earlier copy.

use serde::{Deserialize, Serialize};
use sg_records::Rule;
use utoipa::ToSchema;

use crate::LeftOut;

/// Make the rules of a group like those of another.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RestoreRules {
    /// The group that changes.
    pub group: String,
    /// The group whose rules it gets.
    pub from: String,
    /// Rules that only the group itself has go, too.
    pub complete: bool,
}

/// What became of the rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restored {
    /// New ones.
    pub added: Vec<Rule>,
    /// Those that went.
    pub removed: Vec<Rule>,
    /// How many both had.
    pub kept: usize,
    /// Rules of the other group that cannot stand here.
    pub skipped: Vec<LeftOut>,
}
