//! Pagination: the request for a page, and the page itself.
//!
//! A page names the last id that it contains, and the next one continues after it, so objects that are created or deleted
//! meanwhile cause no repetition and no gap. The service fills pages; every list of the native API uses these types.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Selects a page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// Maximum number of items on the page. Range: 1 to 1000. Default: 100.
    pub limit: Option<usize>,
    /// Token of the page: `next` of the previous page. Default: the first page.
    pub after: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// Items on this page.
    pub items: Vec<T>,
    /// Number of items on all pages.
    pub total: usize,
    /// Token of the next page, to be sent as `after`. `null` on the last page.
    pub next: Option<String>,
}

/// The maximum number of items on one page.
pub const LARGEST_PAGE: usize = 1_000;
