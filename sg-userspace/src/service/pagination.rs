//! Pagination. A page names the id at which the next one begins, so that objects created or deleted meanwhile cause no repetition
//! and no gap.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Field, Refusal};

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
const PAGE: usize = 100;

impl<T> Page<T> {
    /// The part of `all` that `request` selects. `all` must be sorted by `id`.
    ///
    /// # Errors
    /// If the request has an invalid size or token.
    pub fn of<'a, S: 'a>(
        all: impl Iterator<Item = &'a S>,
        id: impl Fn(&S) -> String,
        view: impl Fn(&S) -> T,
        request: &PageRequest,
    ) -> Result<Self, Refusal> {
        let limit = request.limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            let allowed = format!("1 to {LARGEST_PAGE}");
            return Err(Refusal::Invalid { field: Field::PageSize, found: limit.to_string(), allowed });
        }
        let (mut items, mut total, mut last, mut next) = (Vec::new(), 0, None, None);
        for item in all {
            total += 1;
            let id = id(item);
            if request.after.as_ref().is_some_and(|after| id <= *after) {
                continue;
            }
            if items.len() < limit {
                items.push(view(item));
                last = Some(id);
            } else if next.is_none() {
                next.clone_from(&last);
            }
        }
        Ok(Self { items, total, next })
    }
}
