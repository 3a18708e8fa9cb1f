//! Pagination: splits a sorted list into pages.
//!
//! A page names the last id that it contains, and the next one continues after it, so objects that are created or deleted
//! meanwhile cause no repetition and no gap. It never knows what it lists. Called by queries.

use sg_api_types::{LARGEST_PAGE, Page, PageRequest};

use super::{Field, Refusal};

const PAGE: usize = 100;

/// The page of `all` that `request` selects. `all` must be sorted by `id`.
///
/// # Errors
/// If the requested page size is not 1 to [`LARGEST_PAGE`].
pub fn paginate<'a, S: 'a, T>(
    all: impl Iterator<Item = &'a S>,
    id: impl Fn(&S) -> String,
    view: impl Fn(&S) -> T,
    request: &PageRequest,
) -> Result<Page<T>, Refusal> {
    let limit = request.limit.unwrap_or(PAGE);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(Refusal::invalid(Field::PageSize, limit, format!("1 to {LARGEST_PAGE}")));
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
    Ok(Page { items, total, next })
}
