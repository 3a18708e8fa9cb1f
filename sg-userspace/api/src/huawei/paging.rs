//! Parts of lists, as each version of the vendor's APIs has them: up to `limit` objects behind the one whose id is `marker`. It must
//! never know what it lists.
//!
//! The object that a marker names may be gone: its id still says where the next part begins.

use serde_json::{Map, Value};

use super::{
    Call, Fault, Parameter, ids,
    parameters::{Kind, query},
};

/// The maximum number of objects in a response of v3, and the number if the request has no `limit`.
const MOST: usize = 2000;

/// The parameters of a list of v3.
pub(super) const PAGE: &[Parameter] = &[
    query("limit", Kind::Integer, "0 to 2000; default 2000"),
    query("marker", Kind::Text, "id of the last object of the part before; blank: from the first"),
];

/// A part of `all`, which is in the order of its ids in this API, and what v3 says about it.
///
/// # Errors
/// If `limit` or `marker` is malformed.
pub(super) fn page<'a, T>(
    call: &Call,
    all: &'a [T],
    id: impl Fn(&T) -> String,
) -> Result<(&'a [T], Value), Fault> {
    let limit = match call.query.integer("limit") {
        None => MOST,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit <= MOST)
            .ok_or_else(|| call.malformed("limit", "0 to 2000 is expected"))?,
    };
    let first = match call.query.text("marker") {
        None | Some("") => 0,
        Some(marker) => {
            if !ids::has_form(marker) {
                return Err(call.malformed("marker", "the id of an object is expected"));
            }
            all.partition_point(|item| id(item).as_str() <= marker)
        }
    };
    let end = first.saturating_add(limit).min(all.len());
    let part = all.get(first..end).unwrap_or_default();
    let mut info = Map::new();
    info.insert("current_count".to_owned(), part.len().into());
    if let (Some(first), Some(last)) = (part.first(), part.last()) {
        info.insert("previous_marker".to_owned(), id(first).into());
        if end < all.len() {
            info.insert("next_marker".to_owned(), id(last).into());
        }
    }
    Ok((part, Value::Object(info)))
}
