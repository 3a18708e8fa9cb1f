//! Response to an import, which replaces the whole store.
//!
//! The service replaces the records; the native API and `sgctl` show these numbers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many records an import changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replaced {
    /// Number of records that were deleted.
    pub removed: usize,
    /// Number of records that were created or changed.
    pub put: usize,
}
