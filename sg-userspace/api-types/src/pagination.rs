//! Pagination. A page names the id at which the next one begins, so that objects created or deleted meanwhile cause no repetition
//! and no gap.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct PageRequest {
    /// The most items; 100 where nothing is said, at most 1000.
    pub limit: Option<usize>,
    /// Where the page before said that this one begins.
    pub after: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// How many there are on all pages.
    pub total: usize,
    /// Where the next page begins; none: this is the last one.
    pub next: Option<String>,
}

/// The maximum number of items on one page.
pub const LARGEST_PAGE: usize = 1_000;
