//! Parts of lists of v1: up to `limit` objects behind the one whose id is `marker`, and nothing about them. Clients go on until a
//! part is empty. It must never know what it lists.

use serde_json::{Value, json};

use crate::huawei::{
    Call, Fault, Parameter, Response, ids,
    parameters::{Kind, query},
};

pub(super) const PAGE: &[Parameter] = &[
    query("limit", Kind::Integer, "0 to 2147483647; default: all"),
    query("marker", Kind::Text, "id of the last object of the part before; blank: from the first"),
];

/// A part of `all`, which is in the order of its ids, under this name.
///
/// # Errors
/// If `limit` or `marker` is malformed.
pub(super) fn page(call: &Call, name: &str, all: &[Value]) -> Result<Response, Fault> {
    let limit = limit(call)?.unwrap_or(usize::MAX);
    let first = match call.query.text("marker") {
        None | Some("") => 0,
        Some(marker) => {
            let marker = ids::uuid(marker).map(|uuid| uuid.to_string());
            let marker = marker.ok_or_else(|| call.malformed("marker", "the id of an object is expected"))?;
            all.partition_point(|one| one["id"].as_str().unwrap_or_default() <= marker.as_str())
        }
    };
    let part: Vec<&Value> = all.iter().skip(first).take(limit).collect();
    Ok(Response::of(json!({ name: part })))
}

/// The maximum number of objects, if the query says one.
///
/// # Errors
/// If it is out of bounds.
pub(in crate::huawei) fn limit(call: &Call) -> Result<Option<usize>, Fault> {
    let limit = call.query.integer("limit").map(|limit| i32::try_from(limit).and_then(usize::try_from));
    limit.transpose().map_err(|_| call.malformed("limit", "0 to 2147483647 is expected"))
}
