//! Responses to imports: of rules from a JSON or CSV file, and of the whole store.
//!
//! An import of rules overwrites nothing: rules that exist are skipped, and invalid rows are skipped and reported. An import of the
//! store replaces all of it. The service runs both; the native API and `sgctl` show these types, which must never decide anything.

use serde::{Deserialize, Serialize};
use sg_records::{Direction, RuleSpec};
use utoipa::ToSchema;

/// Outcome of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Imported {
    /// The row is a new rule, which was added.
    Added,
    /// The group already has this rule.
    Exists,
    /// The row was not added: it is not a valid rule, or exceeds a quota.
    Refused,
}

/// One row of the file, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportRow {
    /// Position of the row in the file, counted from 1.
    pub row: usize,
    /// Direction of the rule. `null` if the row has no valid one.
    pub direction: Option<Direction>,
    /// The rule. `null` if the row is not a valid rule.
    pub rule: Option<RuleSpec>,
    /// Outcome of the row.
    pub outcome: Imported,
    /// Why the row was not added. Empty if it was.
    pub reason: String,
}

/// Outcome of an import. With `dry_run`: the outcome that it would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportReport {
    /// All rows, in the order of the file.
    pub rows: Vec<ImportRow>,
    /// Number of rules that were added.
    pub added: usize,
    /// Number of rows that were skipped.
    pub skipped: usize,
}

/// How many records an import changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replaced {
    /// Number of records that were deleted.
    pub removed: usize,
    /// Number of records that were created or changed.
    pub put: usize,
}
