//! Replaces the whole state by an export. If the export has no secrets, the existing access keys stay.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much there is afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replaced {
    /// Records that went.
    pub removed: usize,
    /// Records that are new or others than before.
    pub put: usize,
}
