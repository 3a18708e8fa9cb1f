//! Rules of a group as a JSON or CSV file, and back. Fields have the names of the clouds' APIs; what only this engine has
//! (`IcmpType`, `IcmpCode`, `Enabled`, `Name`) is beside them. An import overwrites nothing: rules that exist are skipped, and
//! invalid rows are skipped and reported.

use serde::{Deserialize, Serialize};
use sg_records::{Direction, RuleSpec};
use utoipa::ToSchema;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Imported {
    /// It is a new rule.
    Added,
    /// The rule is there already.
    Exists,
    /// It cannot be one.
    Refused,
}

/// A row and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportRow {
    /// Its place in the file, from 1.
    pub row: usize,
    /// The direction, where it can be read.
    pub direction: Option<Direction>,
    /// The rule, where it can be read.
    pub rule: Option<RuleSpec>,
    /// What becomes of it.
    pub outcome: Imported,
    /// Why it is not added.
    pub reason: String,
}

/// What becomes of a file: a preview, where it was only tried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// Every row.
    pub rows: Vec<ImportRow>,
    /// How many are new rules.
    pub added: usize,
    /// How many are not.
    pub skipped: usize,
}
