//! Parts of lists, as v3 has them: up to `limit` objects behind the one whose id is `marker`. It must never know what it lists.
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

/// The part that a request wants of `all`, which is in the order of its ids in this API, and what v3 says about the part. `shown` is
/// an object as the response has it, or none if the request does not select it.
///
/// # Errors
/// If `limit` or `marker` is malformed.
pub(super) fn page<T>(
    call: &Call,
    all: impl IntoIterator<Item = T>,
    id: impl Fn(&T) -> String,
    shown: impl Fn(&T) -> Option<Value>,
) -> Result<(Vec<Value>, Value), Fault> {
    let limit = match call.query.integer("limit") {
        None => MOST,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit <= MOST)
            .ok_or_else(|| call.malformed("limit", "0 to 2000 is expected"))?,
    };
    let marker = match call.query.text("marker") {
        None | Some("") => None,
        Some(marker) => {
            let uuid = ids::uuid(marker);
            Some(uuid.ok_or_else(|| call.malformed("marker", "the id of an object is expected"))?.to_string())
        }
    };
    let (mut part, mut ends, mut more) = (Vec::new(), None, false);
    for item in all {
        let id = id(&item);
        if marker.as_ref().is_some_and(|marker| id <= *marker) {
            continue;
        }
        let Some(shown) = shown(&item) else { continue };
        if part.len() >= limit {
            more = true;
            break;
        }
        part.push(shown);
        let first = ends.map_or_else(|| id.clone(), |(first, _)| first);
        ends = Some((first, id));
    }
    let mut info = Map::new();
    info.insert("current_count".to_owned(), part.len().into());
    if let Some((first, last)) = ends {
        info.insert("previous_marker".to_owned(), first.into());
        if more {
            info.insert("next_marker".to_owned(), last.into());
        }
    }
    Ok((part, Value::Object(info)))
}
